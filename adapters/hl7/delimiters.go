package hl7

// Delimiters are the separators that MSH-1 and MSH-2 declare. Zero means not declared: a
// short MSH-2 leaves the later ones undefined, and values are then not split by them.
type Delimiters struct {
	Field        byte
	Component    byte
	Repetition   byte
	Escape       byte
	Subcomponent byte
	Truncation   byte // HL7 v2.7 and later, fifth character of MSH-2
}

// DefaultDelimiters are the ones recommended by HL7 v2 chapter 2, §2.5.4.
var DefaultDelimiters = Delimiters{Field: '|', Component: '^', Repetition: '~', Escape: '\\', Subcomponent: '&'}

// EncodingCharacters returns MSH-2 for the delimiters.
func (d *Delimiters) EncodingCharacters() []byte {
	out := make([]byte, 0, 5)
	for _, c := range []byte{d.Component, d.Repetition, d.Escape, d.Subcomponent, d.Truncation} {
		if c == 0 {
			break
		}
		out = append(out, c)
	}
	return out
}

// maxEncodingCharacters allows the five of v2.7 and the escaped backslash that some
// senders write by mistake (see parseDelimiters).
const maxEncodingCharacters = 5

// parseDelimiters reads MSH-1 and MSH-2 of a header segment line (without its end).
//
// A doubled escape character in five, ^~\\&, is what a sender writes that escaped the
// backslash once too often. It is read as ^~\& because no other reading leaves a
// subcomponent separator.
func parseDelimiters(line []byte) (d Delimiters, problem string) {
	if len(line) < 5 {
		return d, "the segment ends before MSH-2"
	}
	d.Field = line[3]
	if !usableDelimiter(d.Field) {
		return d, "MSH-1 is not a printable ASCII separator"
	}
	end := 4
	for end < len(line) && line[end] != d.Field {
		end++
	}
	if end == len(line) {
		return d, "MSH-2 is not closed by the field separator"
	}
	chars := line[4:end]
	if len(chars) == 0 {
		return d, "MSH-2 is empty"
	}
	if len(chars) > maxEncodingCharacters {
		return d, "MSH-2 has more than five characters"
	}
	if len(chars) == 5 && chars[2] == chars[3] {
		chars = []byte{chars[0], chars[1], chars[2], chars[4]}
	}
	return d.assign(chars)
}

// assign gives the characters of MSH-2 their meaning and refuses clashes.
func (d Delimiters) assign(chars []byte) (Delimiters, string) {
	var seen [256]bool
	seen[d.Field] = true
	for _, c := range chars {
		if !usableDelimiter(c) {
			return d, "MSH-2 holds a character that cannot separate (letter, digit, control or non-ASCII)"
		}
		if seen[c] {
			return d, "MSH-1 and MSH-2 use one character for two purposes"
		}
		seen[c] = true
	}
	for i, slot := range []*byte{&d.Component, &d.Repetition, &d.Escape, &d.Subcomponent, &d.Truncation} {
		if i < len(chars) {
			*slot = chars[i]
		}
	}
	return d, ""
}

// usableDelimiter reports whether a byte may separate: printable ASCII that is neither
// letter nor digit. Quotation marks are excluded because "" is the null value.
func usableDelimiter(c byte) bool {
	switch {
	case c <= ' ' || c >= 0x7f || c == '"':
		return false
	case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		return false
	}
	return true
}

// marks are the delimiters that occur in a run of bytes, one bit for each.
type marks uint8

const (
	markField marks = 1 << iota
	markRepetition
	markComponent
	markSubcomponent
	markEscape

	// allMarks is said of bytes that nobody has looked at yet.
	allMarks = markField | markRepetition | markComponent | markSubcomponent | markEscape
)

// syntax is the delimiters together with a table that classifies every byte, so that one
// pass over a value finds its end and tells which smaller separators occur in it.
type syntax struct {
	Delimiters
	class [256]marks
}

var defaultSyntax = makeSyntax(DefaultDelimiters)

func makeSyntax(d Delimiters) *syntax {
	s := &syntax{Delimiters: d}
	s.class[d.Field] |= markField
	for _, m := range []struct {
		c byte
		m marks
	}{{d.Repetition, markRepetition}, {d.Component, markComponent}, {d.Subcomponent, markSubcomponent}, {d.Escape, markEscape}} {
		if m.c != 0 {
			s.class[m.c] |= m.m
		}
	}
	return s
}

// syntaxOf returns the syntax for delimiters; the usual ones share a table.
func syntaxOf(d Delimiters) *syntax {
	if d == DefaultDelimiters {
		return defaultSyntax
	}
	return makeSyntax(d)
}
