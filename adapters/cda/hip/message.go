package hip

import (
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// MediaType is the media type of HL7 v3 messages in records.
const MediaType = "application/hl7-v3+xml"

// message is an HL7 v3 interaction.
type message struct {
	doc         *safexml.Document
	root        string
	id          cda.ID
	created     string
	interaction string
	sender      string
	receiver    string
}

// readMessage reads the text of a message, which was decoded with its envelope, so that an
// encoding declared in it does not count.
func readMessage(text string, l safexml.Limits) (*message, error) {
	x, err := safexml.ParseText(text, l)
	if err != nil {
		return nil, err
	}
	return newMessage(x)
}

func newMessage(x *safexml.Document) (*message, error) {
	r := x.Root
	m := &message{doc: x, root: r.Name.Local, id: readID(r.Child("id")), created: r.Child("creationTime").Attr("value"),
		interaction: strings.TrimSpace(r.Child("interactionId").Attr("extension")),
		sender:      deviceOf(r.Child("sender")), receiver: deviceOf(r.Child("receiver"))}
	if r.Name.Space != hl7v3 && r.Name.Space != "" {
		return nil, fmt.Errorf("hip: the root element is not in the namespace %s", hl7v3)
	}
	return m, nil
}

// deviceOf returns the number of a sending or receiving system.
func deviceOf(n *safexml.Node) string {
	id := n.Find("device", "id")
	for _, item := range append(id.All("item"), id) {
		if v := item.Attr("extension"); v != "" {
			return v
		}
	}
	return ""
}

// what the root element makes of a message: see roots.
func (m *message) what() string { return roots[plainRoot(m.root)] }

func readID(n *safexml.Node) cda.ID {
	return cda.ID{Root: strings.TrimSpace(n.Attr("root")), Extension: strings.TrimSpace(n.Attr("extension"))}
}

// readIDs reads an id that is a set of items, or the id itself.
func readIDs(nodes ...*safexml.Node) []cda.ID {
	var out []cda.ID
	for _, n := range nodes {
		for _, item := range append(n.All("item"), n) {
			if id := readID(item); id.Extension != "" {
				out = append(out, id)
			}
		}
	}
	return out
}

// nameOf reads a name: item/part/@value of the platform, or text.
func nameOf(n *safexml.Node) string {
	if n == nil {
		return ""
	}
	var parts []string
	for _, item := range append(n.All("item"), n) {
		for _, p := range item.All("part") {
			if v := strings.TrimSpace(p.Attr("value")); v != "" {
				parts = append(parts, v)
			}
		}
		if len(parts) > 0 {
			break
		}
	}
	if len(parts) > 0 {
		return strings.Join(parts, "")
	}
	return strings.Join(strings.Fields(n.Content()), " ")
}

// valueOf reads @value, @extension or text.
func valueOf(n *safexml.Node) string {
	for _, a := range []string{"value", "extension"} {
		if v := strings.TrimSpace(n.Attr(a)); v != "" {
			return v
		}
	}
	return n.Trimmed()
}

// displayOf reads the display name of a code, which the platform has as an element.
func displayOf(n *safexml.Node) string {
	if v := n.Child("displayName").Attr("value"); v != "" {
		return v
	}
	return n.Attr("displayName")
}

// refusal is the reason why a message is not taken.
type refusal struct {
	code   string // stable, for the quarantine
	reason string // for the sender; without values
}

func (r *refusal) Error() string { return "hip: " + r.code + ": " + r.reason }

func refuse(code, format string, args ...any) error {
	return &refusal{code: code, reason: fmt.Sprintf(format, args...)}
}

// find returns the first descendant element of a local name, in document order, down to
// the depth that the platform's messages have.
func find(n *safexml.Node, local string) *safexml.Node { return findDepth(n, local, 12) }

func findDepth(n *safexml.Node, local string, depth int) *safexml.Node {
	if depth == 0 {
		return nil
	}
	for _, c := range n.Elements() {
		if c.Name.Local == local {
			return c
		}
		if got := findDepth(c, local, depth-1); got != nil {
			return got
		}
	}
	return nil
}
