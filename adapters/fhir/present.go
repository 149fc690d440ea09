package fhir

import (
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
)

// Instant writes a time as a FHIR instant in UTC, with milliseconds.
func Instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// Identity is what a server adds to a resource that it took.
type Identity struct {
	ID      string
	Version string
	Updated time.Time
	// Links are references that the server resolved: text as sent → text as meant.
	Links map[string]string
}

// edit replaces bytes of a source.
type edit struct {
	start, end int
	text       string
}

// Present returns a resource as a server shows it: the bytes of raw (in which n stands) with
// id, meta.versionId and meta.lastUpdated of the server and resolved references, all else as
// it was, so that numbers keep their digits.
func Present(raw []byte, n *Node, as Identity) []byte {
	edits := presentEdits(n, as)
	out := make([]byte, 0, n.End-n.Start+256)
	at := n.Start
	for _, e := range edits {
		out = append(append(out, raw[at:e.start]...), e.text...)
		at = e.end
	}
	return append(out, raw[at:n.End]...)
}

func presentEdits(n *Node, as Identity) []edit {
	edits := identityEdits(n, as)
	if len(as.Links) > 0 {
		edits = linkEdits(edits, n, as.Links)
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	return edits
}

// Presented is what Present returns, for a resource that is too long for memory.
type Presented struct {
	edits      []edit
	start, end int
}

// PresentElided prepares a resource; n has the offsets of the resource itself (see Relocate).
func PresentElided(n *Node, as Identity) Presented {
	return Presented{edits: presentEdits(n, as), start: n.Start, end: n.End}
}

// Size is its length in bytes.
func (p Presented) Size() int64 {
	size := int64(p.end - p.start)
	for _, e := range p.edits {
		size += int64(len(e.text) - (e.end - e.start))
	}
	return size
}

// Copy writes it, reading the resource from its beginning.
func (p Presented) Copy(w io.Writer, resource io.Reader) error {
	at := 0
	pass := func(to io.Writer, until int) error {
		_, err := io.CopyN(to, resource, int64(until-at))
		at = until
		return err
	}
	if err := pass(io.Discard, p.start); err != nil {
		return err
	}
	for _, e := range p.edits {
		if err := pass(w, e.start); err != nil {
			return err
		}
		if _, err := io.WriteString(w, e.text); err != nil {
			return err
		}
		if err := pass(io.Discard, e.end); err != nil {
			return err
		}
	}
	return pass(w, p.end)
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // strings always marshal
		return `""`
	}
	return string(b)
}

func identityEdits(n *Node, as Identity) []edit {
	var edits []edit
	var fresh strings.Builder
	put := func(have *Node, name, value string) {
		if have != nil {
			edits = append(edits, edit{have.Start, have.End, value})
			return
		}
		fresh.WriteString(quote(name) + ":" + value + ",")
	}
	put(n.Get("id"), "id", quote(as.ID))
	version, updated := quote(as.Version), quote(Instant(as.Updated))
	meta := n.Get("meta")
	if meta == nil || meta.Kind != Object {
		put(meta, "meta", `{"versionId":`+version+`,"lastUpdated":`+updated+`}`)
	} else {
		outer := fresh.String()
		fresh.Reset()
		put(meta.Get("versionId"), "versionId", version)
		put(meta.Get("lastUpdated"), "lastUpdated", updated)
		if inner := fresh.String(); inner != "" {
			edits = append(edits, edit{meta.Start + 1, meta.Start + 1, inner})
		}
		fresh.Reset()
		fresh.WriteString(outer)
	}
	if text := fresh.String(); text != "" {
		edits = append(edits, edit{n.Start + 1, n.Start + 1, text})
	}
	return edits
}

// linkEdits replaces references; any text that equals a link is one (FHIR R4 §3.1.0.11.2:
// references, and URLs in narratives and elsewhere).
func linkEdits(edits []edit, n *Node, links map[string]string) []edit {
	if n.Kind == String {
		if to, ok := links[n.Text]; ok {
			edits = append(edits, edit{n.Start, n.End, quote(to)})
		}
		return edits
	}
	for _, item := range n.Items {
		edits = linkEdits(edits, item, links)
	}
	return edits
}

// longText is the length from which on text is left out of a skeleton, in bytes.
const longText = 4 << 10

// Skeleton returns a resource without what makes it large: long text, such as attachments in
// base64, is left out. Mapping it gives the same record as mapping the resource, apart from
// the payload.
func Skeleton(r *Resource) []byte {
	edits := skeletonEdits(nil, r.Root)
	out := make([]byte, 0, min(len(r.Raw), 1<<20))
	at := 0
	for _, e := range edits {
		out = append(append(out, r.Raw[at:e.start]...), e.text...)
		at = e.end
	}
	return append(out, r.Raw[at:]...)
}

func skeletonEdits(edits []edit, n *Node) []edit {
	if n.Kind == String && (n.End-n.Start > longText || n.Elided > 0) {
		return append(edits, edit{n.Start, n.End, `""`})
	}
	for _, item := range n.Items {
		edits = skeletonEdits(edits, item)
	}
	return edits
}
