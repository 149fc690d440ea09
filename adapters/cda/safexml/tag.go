package safexml

import (
	"strings"
	"unicode/utf8"
)

// startTag reads a start tag, or an element without content.
func (p *parser) startTag() (*Node, error) {
	start := p.pos
	p.pos++
	qname, err := p.name()
	if err != nil {
		return nil, err
	}
	empty, err := p.attributes()
	if err != nil {
		return nil, err
	}
	n := p.node()
	n.Parent, n.Start, n.Name.Local = p.open, start, localPart(qname)
	if p.open != nil {
		p.open.Children = append(p.open.Children, n)
	}
	p.open = n
	p.tags = append(p.tags, qname)
	p.marks = append(p.marks, len(p.scopes))
	if err := p.count(); err != nil {
		return nil, err
	}
	if p.depth++; p.depth > p.limits.Depth {
		return nil, p.fail(Limit, start, "elements are nested deeper than %d", p.limits.Depth)
	}
	if err := p.bind(n, qname, start); err != nil {
		return nil, err
	}
	if empty {
		p.closeElement()
	}
	return n, nil
}

// attributes reads to the end of a start tag into p.raw; empty means that it ended in "/>".
func (p *parser) attributes() (empty bool, err error) {
	p.raw = p.raw[:0]
	for {
		before := p.pos
		p.skipSpace()
		if p.pos >= len(p.text) {
			return false, p.syntax(p.pos, "the document ends inside a tag")
		}
		switch p.text[p.pos] {
		case '>':
			p.pos++
			return false, nil
		case '/':
			if p.pos+1 >= len(p.text) || p.text[p.pos+1] != '>' {
				return false, p.syntax(p.pos, `"/" inside a tag`)
			}
			p.pos += 2
			return true, nil
		}
		if p.pos == before {
			return false, p.syntax(p.pos, "no white space before an attribute")
		}
		if len(p.raw) >= p.limits.Attributes {
			return false, p.fail(Limit, p.pos, "more than %d attributes", p.limits.Attributes)
		}
		if err := p.attribute(); err != nil {
			return false, err
		}
	}
}

func (p *parser) attribute() error {
	at := p.pos
	name, err := p.name()
	if err != nil {
		return err
	}
	p.skipSpace()
	if p.pos >= len(p.text) || p.text[p.pos] != '=' {
		return p.syntax(p.pos, "an attribute without value")
	}
	p.pos++
	p.skipSpace()
	if p.pos >= len(p.text) || p.text[p.pos] != '"' && p.text[p.pos] != '\'' {
		return p.syntax(p.pos, "an attribute's value without quotation marks")
	}
	quote := p.text[p.pos]
	p.pos++
	from := p.pos
	n := strings.IndexByte(p.text[from:], quote)
	if n < 0 {
		return p.syntax(from, "an attribute's value does not end")
	}
	value, err := p.attributeValue(from, from+n)
	if err != nil {
		return err
	}
	p.pos = from + n + 1
	p.raw = append(p.raw, rawAttr{name: name, value: value, at: at})
	return nil
}

// attributeValue resolves references and normalises white space (XML 1.0, 3.3.3).
func (p *parser) attributeValue(from, to int) (string, error) {
	if to-from > p.limits.Value {
		return "", p.fail(Limit, from, "an attribute's value is longer than %d bytes", p.limits.Value)
	}
	raw := p.text[from:to]
	if i := strings.IndexByte(raw, '<'); i >= 0 {
		return "", p.syntax(from+i, `"<" in an attribute's value`)
	}
	if err := p.checkChars(from, to); err != nil {
		return "", err
	}
	value := p.text[from:to]
	if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\t') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		value = strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\t", " ").Replace(value)
	}
	if strings.IndexByte(raw, '&') < 0 {
		return value, nil
	}
	return p.resolve(from, value)
}

// bind puts the declarations of a tag in force and expands its names.
func (p *parser) bind(n *Node, qname string, start int) error {
	count := 0
	for _, a := range p.raw {
		declares, prefix := declaration(a.name)
		if !declares {
			count++
			continue
		}
		if err := p.declare(prefix, a); err != nil {
			return err
		}
	}
	space, err := p.space(qname, start, true)
	if err != nil {
		return err
	}
	n.Name.Space = space
	if space == xincludeSpace {
		return p.fail(Forbidden, start, "XInclude is not allowed: nothing outside the document is read")
	}
	if count == 0 {
		return p.duplicates(n)
	}
	n.Attrs = p.attrs(count)
	for _, a := range p.raw {
		if declares, _ := declaration(a.name); declares {
			continue
		}
		space, err := p.space(a.name, a.at, false)
		if err != nil {
			return err
		}
		n.Attrs = append(n.Attrs, Attr{Name: Name{Space: space, Local: localPart(a.name)}, Value: a.value})
	}
	return p.duplicates(n)
}

// declaration reports whether an attribute declares a namespace, and for which prefix.
func declaration(name string) (bool, string) {
	if name == "xmlns" {
		return true, ""
	}
	if rest, ok := strings.CutPrefix(name, "xmlns:"); ok {
		return true, rest
	}
	return false, ""
}

func (p *parser) declare(prefix string, a rawAttr) error {
	switch {
	case prefix == "xmlns", a.value == xmlnsSpace, (prefix == "xml") != (a.value == xmlSpace):
		return p.fail(Namespace, a.at, "a reserved prefix or namespace is declared")
	case prefix != "" && a.value == "":
		return p.fail(Namespace, a.at, "a prefix is declared without namespace")
	case strings.Contains(prefix, ":"):
		return p.fail(Namespace, a.at, "a prefix with a colon")
	}
	for _, b := range p.scopes[p.marks[len(p.marks)-1]:] {
		if b.prefix == prefix {
			return p.syntax(a.at, "an attribute is given twice")
		}
	}
	p.scopes = append(p.scopes, binding{prefix: prefix, uri: a.value})
	return nil
}

// space finds the namespace of a name; names of attributes without prefix have none.
func (p *parser) space(qname string, at int, element bool) (string, error) {
	prefix, local, colon := strings.Cut(qname, ":")
	if !colon {
		if !element {
			return "", nil
		}
		prefix = ""
	} else if prefix == "" || local == "" || strings.Contains(local, ":") || !startsName(local) {
		return "", p.fail(Namespace, at, "a name with a misplaced colon")
	}
	if prefix == "xml" {
		return xmlSpace, nil
	}
	for i := len(p.scopes) - 1; i >= 0; i-- {
		if p.scopes[i].prefix == prefix {
			return p.scopes[i].uri, nil
		}
	}
	if prefix != "" {
		return "", p.fail(Namespace, at, "a prefix that is not declared")
	}
	return "", nil
}

// duplicates refuses two attributes of one name, as written or expanded. The number of
// attributes is bounded, so comparing all with all is.
func (p *parser) duplicates(n *Node) error {
	for i := range n.Attrs {
		for j := range i {
			if n.Attrs[i].Name == n.Attrs[j].Name {
				return p.syntax(n.Start, "an attribute is given twice")
			}
		}
	}
	return nil
}

func localPart(qname string) string {
	if i := strings.IndexByte(qname, ':'); i >= 0 && i+1 < len(qname) {
		return qname[i+1:]
	}
	return qname
}

// nameByte tells ASCII characters of names: 1 may start one, 2 may only follow.
var nameByte = func() (t [utf8.RuneSelf]uint8) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = 1, 1
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = 2
	}
	t[':'], t['_'], t['-'], t['.'] = 1, 1, 2, 2
	return t
}()

// name reads a name at the current place.
func (p *parser) name() (string, error) {
	start := p.pos
	for p.pos < len(p.text) {
		c := p.text[p.pos]
		if c < utf8.RuneSelf {
			if k := nameByte[c]; k == 0 || k == 2 && p.pos == start {
				break
			}
			p.pos++
			continue
		}
		r, n := utf8.DecodeRuneInString(p.text[p.pos:])
		if !nameRune(r, p.pos == start) {
			break
		}
		p.pos += n
	}
	if p.pos == start {
		return "", p.syntax(start, "a name is missing or starts with a wrong character")
	}
	if p.pos-start > p.limits.Name {
		return "", p.fail(Limit, start, "a name is longer than %d bytes", p.limits.Name)
	}
	return p.text[start:p.pos], nil
}

func startsName(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	if r < utf8.RuneSelf {
		return nameByte[r] == 1
	}
	return nameRune(r, true)
}

// nameRanges holds the production NameStartChar above ASCII (XML 1.0, 2.3).
var nameRanges = [][2]rune{
	{0xc0, 0xd6}, {0xd8, 0xf6}, {0xf8, 0x2ff}, {0x370, 0x37d}, {0x37f, 0x1fff}, {0x200c, 0x200d}, {0x2070, 0x218f},
	{0x2c00, 0x2fef}, {0x3001, 0xd7ff}, {0xf900, 0xfdcf}, {0xfdf0, 0xfffd}, {0x10000, 0xeffff},
}

func nameRune(r rune, first bool) bool {
	if r == utf8.RuneError {
		return false
	}
	for _, b := range nameRanges {
		if r >= b[0] && r <= b[1] {
			return true
		}
	}
	return !first && (r == 0xb7 || r >= 0x300 && r <= 0x36f || r == 0x203f || r == 0x2040)
}
