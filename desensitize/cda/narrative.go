package cda

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// joint parts the blocks of a narrative while it is scrubbed as one text. No text holds it:
// clean text has line feeds.
const joint = "\r"

// inline are the elements of a narrative that do not begin a line of their own.
var inline = set(`content sub sup footnoteRef linkHtml`)

// block is a line of a narrative: the text nodes between two ends of lines.
type block struct{ nodes []*safexml.Node }

// narrative writes the text of a section. All of it is scrubbed as one text, so that a name
// in one cell is known in the next. Where something was found in a line that is broken up by
// markup, the new line stands in the place of its first piece.
func (r *run) narrative(n *safexml.Node, s sort, rule *compiled) {
	var blocks []block
	blocks = blocksOf(n, append(blocks, block{}))
	texts := map[*safexml.Node]string{}
	if m := r.method(rule); m != desensitize.Keep && m != desensitize.Scrub {
		r.note(s, ruleOf(rule), desensitize.Redact)
	} else {
		r.note(s, ruleOf(rule), m)
		texts = r.scrubBlocks(s, rule, blocks)
	}
	r.open(n, r.narrativeAttrs(n), false)
	for _, c := range n.Children {
		r.markup(c, texts)
	}
	r.close(n)
}

// blocksOf collects the lines below an element; the last block is open.
func blocksOf(n *safexml.Node, blocks []block) []block {
	for _, c := range n.Children {
		if c.IsText() {
			last := &blocks[len(blocks)-1]
			last.nodes = append(last.nodes, c)
			continue
		}
		line := !inline[c.Name.Local]
		if line {
			blocks = append(blocks, block{})
		}
		blocks = blocksOf(c, blocks)
		if line {
			blocks = append(blocks, block{})
		}
	}
	return blocks
}

// scrubBlocks returns what becomes of every text node.
func (r *run) scrubBlocks(s sort, rule *compiled, blocks []block) map[*safexml.Node]string {
	out := map[*safexml.Node]string{}
	var full []block
	var lines []string
	for _, b := range blocks {
		var line strings.Builder
		for _, n := range b.nodes {
			out[n] = ""
			line.WriteString(hidden.Replace(n.Text))
		}
		if strings.TrimSpace(line.String()) != "" {
			full, lines = append(full, b), append(lines, line.String())
		}
	}
	if len(full) == 0 {
		return out
	}
	text, ok, err := r.session.Scrub(r.place(), ruleOf(rule), strings.Join(lines, joint))
	if r.fault(err) || !ok {
		r.note(s, ruleOf(rule), desensitize.Redact)
		return out
	}
	news := strings.Split(text, joint)
	whole := len(news) == len(lines)
	if !whole { // an identifier went over the end of a line
		news = make([]string, len(lines))
		news[0] = strings.ReplaceAll(text, joint, "\n")
	}
	for i, b := range full {
		if whole && guard.Layered(lines[i]) {
			news[i], _ = r.scrub(rule, "", lines[i])
		}
		if news[i] != lines[i] {
			out[b.nodes[0]] = news[i]
			continue
		}
		for _, n := range b.nodes {
			out[n] = hidden.Replace(n.Text)
		}
	}
	return out
}

// markup writes a node of a narrative.
func (r *run) markup(n *safexml.Node, texts map[*safexml.Node]string) {
	if n.IsText() {
		r.escape(texts[n], false)
		return
	}
	if n.Name.Space != r.space || kinds[n.Name.Local] != narrative {
		r.note(sort{}, nil, desensitize.Redact)
		for _, c := range n.Children { // the words stay, in what is known to be clean
			r.markup(c, texts)
		}
		return
	}
	extra := r.narrativeAttrs(n)
	if len(n.Children) == 0 {
		r.open(n, extra, true)
		return
	}
	r.open(n, extra, false)
	for _, c := range n.Children {
		r.markup(c, texts)
	}
	r.close(n)
}

// layoutAttrs are the attributes that lay a narrative out; referenceAttrs name elements.
var (
	layoutAttrs    = set(`align border cellpadding cellspacing char charoff colspan frame listType rowspan rules scope span valign width styleCode revised`)
	referenceAttrs = set(`IDREF referencedObject headers`)
)

// maxLayoutDigits bounds the digits of a width, a span or a number of columns.
const maxLayoutDigits = 4

func (r *run) narrativeAttrs(n *safexml.Node) []string {
	var out []string
	for _, a := range n.Attrs {
		if a.Name.Space != "" {
			continue
		}
		switch name := a.Name.Local; {
		case name == "ID":
			out = append(out, name, r.id(a.Value))
		case referenceAttrs[name]:
			var ids []string
			for _, v := range strings.Fields(a.Value) {
				ids = append(ids, r.id(v))
			}
			out = append(out, name, strings.Join(ids, " "))
		case name == "href" && strings.HasPrefix(a.Value, "#"):
			out = append(out, name, "#"+r.id(a.Value[1:]))
		case layoutAttrs[name] && guard.Digits(a.Value) <= maxLayoutDigits && (r.standard(a.Value) || guard.OnlyOf(a.Value, "0123456789.%px")):
			out = append(out, name, a.Value)
		}
	}
	return out
}

// id is the new name of an element that the document calls id: names are numbered in the
// order in which they come up.
func (r *run) id(old string) string {
	if now, ok := r.ids[old]; ok {
		return now
	}
	now := "n" + strconv.Itoa(len(r.ids)+1)
	r.ids[old] = now
	return now
}

// maxAttachment bounds embedded data, in bytes before decoding.
const maxAttachment = 64 << 20

// data writes an ED: text is scrubbed, embedded data go by the rules for attachments, what
// lies elsewhere is left out.
func (r *run) data(n *safexml.Node, s sort, rule *compiled) {
	mediaType := n.Attr("mediaType")
	m := r.method(rule)
	if n.Attr("representation") != "B64" && (mediaType == "" || mediaType == "text/plain" || mediaType == "text/x-hl7-text+xml") {
		r.text(n, sort{text, s.typ, desensitize.Text}, rule)
		return
	}
	content := []byte(n.Content())
	ok := n.Attr("compression") == "" && len(content) <= maxAttachment && (m == desensitize.Keep || m == desensitize.Scrub)
	if n.Attr("representation") == "B64" && ok {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(content)), ""))
		content, ok = decoded, err == nil
	}
	if !ok || len(content) == 0 {
		r.note(s, ruleOf(rule), desensitize.Redact)
		r.masked(n, s)
		return
	}
	out, err := r.session.Attachment(r.place(), mediaType, content)
	if r.fault(err) || out.Data == nil {
		r.masked(n, s)
		return
	}
	extra := []string{"mediaType", out.MediaType, "representation", "B64"}
	r.leaf(n, extra, base64.StdEncoding.EncodeToString(out.Data))
}
