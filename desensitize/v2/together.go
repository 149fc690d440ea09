package v2

import (
	"bytes"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// scrubbed is what became of the text of one of several segments that are one text.
type scrubbed struct {
	path  string
	text  string
	rule  *desensitize.Rule
	same  bool // as it was
	stays bool // false where the text must go
}

// maxTogether bounds the text that is scrubbed as one, in bytes. Longer texts are scrubbed in
// pieces of whole segments.
const maxTogether = 1 << 20

// joint parts lines in a text made of several segments. No value can hold it: plain makes it
// a line feed.
const joint = "\r"

// scrubTogether scrubs texts that go on over several segments: notes (NTE-3), and reports that
// stand line by line in OBX-5 under one OBX-3. A recogniser that sees the whole knows the name
// of the first line in the last one.
func (r *run) scrubTogether(m *hl7.Message) {
	var group []int
	var key []byte
	for i, s := range m.Segments() {
		raw := s.Raw()
		k := r.textKey(raw)
		if k == nil || !bytes.Equal(k, key) {
			r.scrubGroup(m, group)
			group = group[:0]
		}
		if key = k; k != nil {
			group = append(group, i)
		}
	}
	r.scrubGroup(m, group)
}

// textKey tells segments that go on in one another; nil for one that holds no free text.
func (r *run) textKey(raw []byte) []byte {
	switch {
	case bytes.HasPrefix(raw, []byte("NTE")):
		return raw[:3]
	case bytes.HasPrefix(raw, []byte("OBX")):
		of := specOf(string(r.fieldOf(raw, 2)))
		if of == nil || of.leaf != textLeaf {
			return nil
		}
		key := append([]byte("OBX"), r.fieldOf(raw, 3)...)
		return key
	}
	return nil
}

// textNode is the node of a segment's text with the rule that decides for it, nil if the text
// is not to be scrubbed as one with others.
func (r *run) textNode(raw []byte) (n *node, text []byte, rule *desensitize.Rule) {
	p := r.w.planner.plan(raw[:3])
	r.segment = raw
	if p.name == "NTE" {
		n, text = p.fields[2], r.fieldOf(raw, 3)
	} else {
		n, text = r.variation(p, p.fields[4]), r.fieldOf(raw, 5)
	}
	if n.leaf != textLeaf || len(text) == 0 || bytes.Equal(text, null) || r.d.Repetition != 0 && bytes.IndexByte(text, r.d.Repetition) >= 0 {
		return nil, nil, nil
	}
	c := r.decide(n, text, nil)
	if m := r.method(c); c == nil || m != desensitize.Keep && m != desensitize.Scrub {
		return nil, nil, nil
	}
	return n, text, c.rule
}

// scrubGroup scrubs the texts of segments as one.
func (r *run) scrubGroup(m *hl7.Message, group []int) {
	if len(group) < 2 {
		return
	}
	var all strings.Builder
	var members []int
	var found []scrubbed
	flush := func() {
		if len(members) > 1 {
			r.scrubAll(all.String(), members, found)
		}
		all.Reset()
		members, found = members[:0], found[:0]
	}
	for _, i := range group {
		n, raw, rule := r.textNode(m.Segment(i).Raw())
		text := ""
		if n != nil {
			text = r.plain(raw)
		}
		if n == nil || guard.Layered(text) || guard.Document(text) != "" {
			flush()
			continue
		}
		if len(members) > 0 {
			all.WriteString(joint)
		}
		all.WriteString(text)
		members = append(members, i)
		found = append(found, scrubbed{path: n.path, text: text, rule: rule, same: !r.hides(raw)})
		if all.Len() > maxTogether {
			flush()
		}
	}
	flush()
}

// scrubAll scrubs a text and hands the lines back to their segments. Where an identifier went
// over the end of a line all of the text goes into the first segment.
func (r *run) scrubAll(all string, members []int, found []scrubbed) {
	if r.lines == nil {
		r.lines = map[int]scrubbed{}
	}
	out, ok, err := r.session.Scrub(found[0].path, found[0].rule, all)
	if r.fault(err) {
		return
	}
	lines := strings.Split(out, joint)
	if ok && len(lines) != len(members) {
		lines = make([]string, len(members))
		lines[0] = strings.ReplaceAll(out, joint, "\n")
	}
	for k, i := range members {
		f := found[k]
		f.stays = ok
		if ok {
			f.same = f.same && lines[k] == f.text
			f.text = lines[k]
		}
		r.lines[i] = f
	}
}

// together writes the text of a segment that was scrubbed with others.
func (r *run) together(n *node, raw []byte, line scrubbed) {
	switch {
	case !line.stays:
		r.note(n, line.rule, desensitize.Redact)
	case line.same:
		r.note(n, line.rule, desensitize.Keep)
		r.out = append(r.out, raw...)
	default:
		r.note(n, line.rule, desensitize.Scrub)
		r.appendEscaped(line.text)
	}
}
