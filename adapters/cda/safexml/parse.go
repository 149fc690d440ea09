package safexml

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits bounds what is read. Zero fields take the defaults.
type Limits struct {
	Bytes      int // of the decoded document; default 64 MiB
	Depth      int // of nested elements; default 128
	Nodes      int // elements and runs of text; default 2,000,000
	Attributes int // of one element, with namespace declarations; default 64
	Name       int // bytes of a name; default 256
	Value      int // bytes of an attribute's value; default as Bytes
}

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Bytes, 64 << 20}, {&l.Depth, 128}, {&l.Nodes, 2_000_000}, {&l.Attributes, 64}, {&l.Name, 256}, {&l.Value, max(l.Bytes, 64<<20)}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return l
}

// Namespaces of the standard.
const (
	xmlSpace      = "http://www.w3.org/XML/1998/namespace"
	xmlnsSpace    = "http://www.w3.org/2000/xmlns/"
	xincludeSpace = "http://www.w3.org/2001/XInclude"
)

// Document is a parsed document. It is read-only.
type Document struct {
	Root *Node
	// Text is the document as UTF-8; offsets in nodes count in it.
	Text string
	// Encoding is the name of the encoding that the bytes were in.
	Encoding string
}

// Position returns line and column of a node, both from 1.
func (d *Document) Position(n *Node) (line, column int) { return position(d.Text, n.Start) }

// Parse decodes and reads a document. Errors are *Error.
func Parse(raw []byte, e Encoding, l Limits) (*Document, error) {
	l = l.withDefaults()
	if len(raw) > l.Bytes {
		return nil, &Error{Kind: Limit, Problem: fmt.Sprintf("the document is larger than %d bytes", l.Bytes)}
	}
	text, name, err := Decode(raw, e)
	if err != nil {
		return nil, err
	}
	return parseText(string(text), name, l)
}

// ParseString is Parse for bytes that are in a string. A document in UTF-8, as nearly all
// are, is read where it stands.
func ParseString(raw string, e Encoding, l Limits) (*Document, error) {
	l = l.withDefaults()
	head := raw[:min(len(raw), maxDeclaration)]
	if len(raw) > l.Bytes || !isUTF8(head, e) || !utf8.ValidString(raw) {
		return Parse([]byte(raw), e, l)
	}
	return parseText(strings.TrimPrefix(raw, "\ufeff"), "UTF-8", l)
}

// ParseText reads a document that is text already, whatever encoding it declares.
func ParseText(text string, l Limits) (*Document, error) {
	if !utf8.ValidString(text) {
		return nil, &Error{Kind: Charset, Problem: "the text is not UTF-8"}
	}
	return parseText(strings.TrimPrefix(text, "\ufeff"), "UTF-8", l.withDefaults())
}

func parseText(text, name string, l Limits) (*Document, error) {
	if len(text) > l.Bytes {
		return nil, &Error{Kind: Limit, Problem: fmt.Sprintf("the document is larger than %d bytes", l.Bytes)}
	}
	p := &parser{text: text, limits: l}
	root, err := p.document()
	if err != nil {
		return nil, err
	}
	return &Document{Root: root, Text: text, Encoding: name}, nil
}

// parser walks over the text once. Open elements are a stack through Parent.
type parser struct {
	// text is the document. Names and values are parts of it: they cost no memory of their
	// own, and the document stays in memory as long as its nodes.
	text   string
	pos    int
	limits Limits
	nodes  int
	open   *Node
	depth  int
	scopes []binding // namespace declarations in force, innermost last
	marks  []int     // length of scopes before each open element
	tags   []string  // qualified names of the open elements, as written
	raw    []rawAttr // scratch of the current tag
	free   []Node    // nodes made in advance
	spare  []Attr    // the same for attributes
}

// slab is how many nodes are made at a time.
const slab = 128

// node returns a new node.
func (p *parser) node() *Node {
	if len(p.free) == 0 {
		p.free = make([]Node, slab)
	}
	n := &p.free[0]
	p.free = p.free[1:]
	return n
}

// attrs returns room for n attributes.
func (p *parser) attrs(n int) []Attr {
	if len(p.spare) < n {
		p.spare = make([]Attr, max(n, slab))
	}
	out := p.spare[:0:n]
	p.spare = p.spare[n:]
	return out
}

type binding struct{ prefix, uri string }

type rawAttr struct {
	name  string // as written
	value string
	at    int
}

func (p *parser) fail(kind Kind, at int, format string, args ...any) error {
	e := &Error{Kind: kind, Problem: fmt.Sprintf(format, args...)}
	e.Line, e.Column = position(p.text, at)
	if p.open != nil {
		e.Path = p.open.Path()
	}
	return e
}

func (p *parser) syntax(at int, format string, args ...any) error {
	return p.fail(Syntax, at, format, args...)
}

// document reads prolog, root and what may follow it.
func (p *parser) document() (*Node, error) {
	if err := p.declaration(); err != nil {
		return nil, err
	}
	var root *Node
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		switch {
		case c == '<':
			n, err := p.outside(root)
			if err != nil {
				return nil, err
			}
			if n != nil {
				root = n
			}
		case isSpace(c):
			p.pos++
		default:
			return nil, p.syntax(p.pos, "text outside the root element")
		}
	}
	if root == nil {
		return nil, p.syntax(p.pos, "there is no element")
	}
	return root, nil
}

// outside reads markup outside the root; it returns the root when that was read.
func (p *parser) outside(root *Node) (*Node, error) {
	rest := p.text[p.pos:]
	switch {
	case strings.HasPrefix(rest, "<!--"):
		return nil, p.comment()
	case strings.HasPrefix(rest, "<?"):
		return nil, p.instruction()
	case strings.HasPrefix(rest, "<!"):
		return nil, p.declarationMarkup()
	case strings.HasPrefix(rest, "</"):
		return nil, p.syntax(p.pos, "an end tag without start")
	case root != nil:
		return nil, p.syntax(p.pos, "a second root element")
	}
	return p.tree()
}

func (p *parser) declarationMarkup() error {
	if strings.HasPrefix(p.text[p.pos:], "<!DOCTYPE") {
		return p.fail(Forbidden, p.pos, "a document type declaration is not allowed: neither DTD nor entities are read")
	}
	return p.syntax(p.pos, "unknown markup declaration")
}

// declaration reads the XML declaration, if there is one.
func (p *parser) declaration() error {
	if !strings.HasPrefix(p.text, "<?xml") || len(p.text) < 6 || !isSpace(p.text[5]) {
		return nil
	}
	end := strings.Index(p.text, "?>")
	if end < 0 || end > 4*maxDeclaration {
		return p.syntax(0, "the XML declaration does not end")
	}
	if !declared.MatchString(p.text[:end]) {
		return p.syntax(0, "the XML declaration is malformed")
	}
	p.pos = end + 2
	return nil
}

// tree reads the root element and everything in it, without recursion.
func (p *parser) tree() (*Node, error) {
	var root *Node
	for {
		n, err := p.next()
		if err != nil {
			return nil, err
		}
		if root == nil {
			root = n
		}
		if p.open == nil {
			return root, nil
		}
	}
}

// next reads one token inside the tree.
func (p *parser) next() (*Node, error) {
	if p.pos >= len(p.text) {
		return nil, p.syntax(p.pos, "the document ends inside an element")
	}
	if p.text[p.pos] != '<' {
		return nil, p.characters()
	}
	rest := p.text[p.pos:]
	if len(rest) < 2 {
		return nil, p.syntax(p.pos, "the document ends inside a tag")
	}
	switch rest[1] {
	case '/':
		return nil, p.endTag()
	case '?':
		return nil, p.instruction()
	case '!':
		switch {
		case strings.HasPrefix(rest, "<!--"):
			return nil, p.comment()
		case strings.HasPrefix(rest, "<![CDATA["):
			return nil, p.cdata()
		}
		return nil, p.declarationMarkup()
	}
	return p.startTag()
}

func (p *parser) comment() error {
	start := p.pos
	end := strings.Index(p.text[start+4:], "--")
	if end < 0 {
		return p.syntax(start, "a comment does not end")
	}
	close := start + 4 + end
	if close+2 >= len(p.text) || p.text[close+2] != '>' {
		return p.syntax(close, `"--" inside a comment`)
	}
	if err := p.checkChars(start, close); err != nil {
		return err
	}
	p.pos = close + 3
	return nil
}

func (p *parser) instruction() error {
	start := p.pos
	p.pos += 2
	target, err := p.name()
	if err != nil {
		return err
	}
	if strings.EqualFold(target, "xml") {
		return p.syntax(start, "an XML declaration that is not at the very start")
	}
	end := strings.Index(p.text[p.pos:], "?>")
	if end < 0 {
		return p.syntax(start, "a processing instruction does not end")
	}
	if end > 0 && !isSpace(p.text[p.pos]) {
		return p.syntax(p.pos, "no white space after the name of a processing instruction")
	}
	if err := p.checkChars(p.pos, p.pos+end); err != nil {
		return err
	}
	p.pos += end + 2
	return nil
}

func (p *parser) cdata() error {
	start := p.pos
	end := strings.Index(p.text[start+9:], "]]>")
	if end < 0 {
		return p.syntax(start, "a CDATA section does not end")
	}
	from, to := start+9, start+9+end
	if err := p.checkChars(from, to); err != nil {
		return err
	}
	p.pos = to + 3
	return p.addText(start, p.pos, normalLines(p.text[from:to]))
}

// characters reads text up to the next tag.
func (p *parser) characters() error {
	start := p.pos
	n := strings.IndexByte(p.text[start:], '<')
	if n < 0 {
		return p.syntax(len(p.text), "the document ends inside an element")
	}
	end := start + n
	if err := p.checkChars(start, end); err != nil {
		return err
	}
	raw := p.text[start:end]
	if i := strings.Index(raw, "]]>"); i >= 0 {
		return p.syntax(start+i, `"]]>" in text`)
	}
	value := p.text[start:end]
	if strings.IndexByte(raw, '&') >= 0 {
		var err error
		if value, err = p.resolve(start, normalLines(value)); err != nil {
			return err
		}
	} else {
		value = normalLines(value)
	}
	p.pos = end
	return p.addText(start, end, value)
}

// addText appends character data, joined with text just before it.
func (p *parser) addText(start, end int, value string) error {
	if value == "" {
		return nil
	}
	if k := len(p.open.Children); k > 0 && p.open.Children[k-1].IsText() {
		last := p.open.Children[k-1]
		last.Text += value
		last.End = end
		return p.count()
	}
	n := p.node()
	n.Text, n.Parent, n.Start, n.End = value, p.open, start, end
	p.open.Children = append(p.open.Children, n)
	return p.count()
}

func (p *parser) count() error {
	if p.nodes++; p.nodes > p.limits.Nodes {
		return p.fail(Limit, p.pos, "more than %d elements and runs of text", p.limits.Nodes)
	}
	return nil
}

func (p *parser) endTag() error {
	start := p.pos
	p.pos += 2
	name, err := p.name()
	if err != nil {
		return err
	}
	p.skipSpace()
	if p.pos >= len(p.text) || p.text[p.pos] != '>' {
		return p.syntax(p.pos, "an end tag does not end")
	}
	p.pos++
	if name != p.tags[len(p.tags)-1] {
		return p.syntax(start, "the end tag is not that of the open element")
	}
	p.closeElement()
	return nil
}

func (p *parser) closeElement() {
	n := p.open
	n.End = p.pos
	p.depth--
	p.tags = p.tags[:len(p.tags)-1]
	p.scopes = p.scopes[:p.marks[len(p.marks)-1]]
	p.marks = p.marks[:len(p.marks)-1]
	p.open = n.Parent
}

func (p *parser) skipSpace() {
	for p.pos < len(p.text) && isSpace(p.text[p.pos]) {
		p.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// normalLines makes every line end one line feed (XML 1.0, 2.11).
func normalLines(s string) string {
	if strings.IndexByte(s, '\r') < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// checkChars holds text against the production Char (XML 1.0, 2.2). The text is UTF-8.
func (p *parser) checkChars(from, to int) error {
	for i := from; i < to; {
		c := p.text[i]
		if c < utf8.RuneSelf {
			if c < 0x20 && !isSpace(c) {
				return p.syntax(i, "the control character U+%04X is not allowed", c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(p.text[i:to])
		if r == 0xfffe || r == 0xffff || r == utf8.RuneError && n < 2 {
			return p.syntax(i, "the character U+%04X is not allowed", r)
		}
		i += n
	}
	return nil
}
