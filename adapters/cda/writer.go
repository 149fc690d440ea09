package cda

import (
	"bytes"
	"strings"
)

// writer builds indented XML. Every value is escaped; names are constants of this package.
type writer struct {
	b    bytes.Buffer
	open []string
}

// attribute pairs: name, value, name, value … Empty values are left out, but "=" in front
// of a name keeps it even so.
func (w *writer) tag(name string, attrs []string, empty bool) {
	w.indent()
	w.b.WriteByte('<')
	w.b.WriteString(name)
	for i := 0; i+1 < len(attrs); i += 2 {
		key, keep := strings.CutPrefix(attrs[i], "=")
		if attrs[i+1] == "" && !keep {
			continue
		}
		w.b.WriteByte(' ')
		w.b.WriteString(key)
		w.b.WriteString(`="`)
		w.escape(attrs[i+1], true)
		w.b.WriteByte('"')
	}
	if empty {
		w.b.WriteByte('/')
	}
	w.b.WriteByte('>')
}

func (w *writer) indent() {
	if w.b.Len() > 0 {
		w.b.WriteByte('\n')
	}
	for range w.open {
		w.b.WriteString("  ")
	}
}

// start opens an element; end closes the innermost one.
func (w *writer) start(name string, attrs ...string) {
	w.tag(name, attrs, false)
	w.open = append(w.open, name)
}

func (w *writer) end() {
	name := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	w.indent()
	w.b.WriteString("</" + name + ">")
}

// empty writes an element without content, text one with text.
func (w *writer) empty(name string, attrs ...string) { w.tag(name, attrs, true) }

func (w *writer) text(name, value string, attrs ...string) {
	if value == "" {
		w.empty(name, attrs...)
		return
	}
	w.tag(name, attrs, false)
	w.escape(value, false)
	w.b.WriteString("</" + name + ">")
}

// escape writes a value; characters that XML cannot hold become U+FFFD.
func (w *writer) escape(s string, attribute bool) {
	for _, r := range s {
		switch {
		case r == '&':
			w.b.WriteString("&amp;")
		case r == '<':
			w.b.WriteString("&lt;")
		case r == '>':
			w.b.WriteString("&gt;")
		case r == '"' && attribute:
			w.b.WriteString("&quot;")
		case r == '\r', (r == '\n' || r == '\t') && attribute:
			w.b.WriteString(map[rune]string{'\r': "&#13;", '\n': "&#10;", '\t': "&#9;"}[r])
		case r < 0x20 && r != '\n' && r != '\t', r == 0xfffe, r == 0xffff:
			w.b.WriteRune('\uFFFD')
		default:
			w.b.WriteRune(r)
		}
	}
}
