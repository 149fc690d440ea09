package fhir

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// errNarrative reports a narrative that is not XHTML.
var errNarrative = errors.New("the narrative is not XHTML")

// keptAttributes are the attributes of narratives that lay out and say nothing.
var keptAttributes = map[string]bool{"colspan": true, "rowspan": true, "align": true, "valign": true, "border": true, "class": true}

// droppedElements go with all that they hold: links and images lead elsewhere.
var droppedElements = map[string]bool{"img": true, "script": true, "style": true, "object": true, "iframe": true, "form": true}

// maxNarrative bounds the elements of a narrative within one another.
const maxNarrative = 200

// blockElements end a run of text: a name does not go on behind them.
var blockElements = map[string]bool{
	"div": true, "p": true, "br": true, "hr": true, "table": true, "tr": true, "td": true, "th": true, "ul": true, "ol": true, "li": true,
	"dl": true, "dt": true, "dd": true, "h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true, "pre": true, "blockquote": true,
	"thead": true, "tbody": true, "tfoot": true, "caption": true,
}

// scrubDiv scrubs the text of a narrative and keeps its layout. Text that inline elements cut
// into pieces (<b>张</b>三) is scrubbed as one run: where that finds something, the run is
// written in front of its inline elements. Comments, links and images go.
func scrubDiv(div string, scrub func(string) (string, bool, error)) (string, error) {
	d := xml.NewDecoder(strings.NewReader(div))
	d.Entity = xml.HTMLEntity
	w := &divWriter{scrub: scrub}
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", errNarrative
		}
		if err := w.token(token); err != nil {
			return "", err
		}
	}
	if err := w.flush(); err != nil {
		return "", err
	}
	if len(w.open) > 0 || !strings.HasPrefix(w.out.String(), "<div") {
		return "", errNarrative
	}
	if !w.content {
		return "", nil
	}
	return w.out.String(), nil
}

type divWriter struct {
	out     strings.Builder
	run     strings.Builder // markup and text since the last block element
	text    strings.Builder // the text of the run
	open    []string
	dropped int // depth of elements that are dropped
	content bool
	scrub   func(string) (string, bool, error)
}

func (w *divWriter) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return w.start(t)
	case xml.EndElement:
		return w.end(t.Name.Local)
	case xml.CharData:
		if w.dropped == 0 {
			w.text.Write(t)
			escape(&w.run, string(t))
		}
	case xml.Directive, xml.ProcInst:
		return errNarrative
	}
	return nil
}

func (w *divWriter) start(t xml.StartElement) error {
	if len(w.open) >= maxNarrative {
		return errNarrative
	}
	w.open = append(w.open, t.Name.Local)
	if w.dropped > 0 || droppedElements[t.Name.Local] {
		w.dropped++
		return nil
	}
	tag := "<" + t.Name.Local
	if len(w.open) == 1 {
		tag += ` xmlns="http://www.w3.org/1999/xhtml"`
	}
	for _, a := range t.Attr {
		if keptAttributes[a.Name.Local] && a.Name.Space == "" && len(a.Value) <= 32 {
			var b strings.Builder
			escape(&b, a.Value)
			tag += " " + a.Name.Local + `="` + b.String() + `"`
		}
	}
	if !blockElements[t.Name.Local] {
		w.run.WriteString(tag + ">")
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.out.WriteString(tag + ">")
	return nil
}

func (w *divWriter) end(name string) error {
	if len(w.open) == 0 || w.open[len(w.open)-1] != name {
		return errNarrative
	}
	w.open = w.open[:len(w.open)-1]
	if w.dropped > 0 {
		w.dropped--
		return nil
	}
	if !blockElements[name] {
		w.run.WriteString("</" + name + ">")
		return nil
	}
	if err := w.flush(); err != nil {
		return err
	}
	w.out.WriteString("</" + name + ">")
	return nil
}

// flush writes the run.
func (w *divWriter) flush() error {
	text := w.text.String()
	run := w.run.String()
	w.text.Reset()
	w.run.Reset()
	if strings.TrimSpace(text) == "" {
		w.out.WriteString(run)
		return nil
	}
	clean, ok, err := w.scrub(text)
	switch {
	case err != nil:
		return err
	case !ok:
		run = tags(run)
	case clean != text:
		// The tags stay, behind the text, so that those of elements around blocks match.
		run = escaped(clean) + tags(run)
		w.content = true
	default:
		w.content = true
	}
	w.out.WriteString(run)
	return nil
}

// escape writes text for XML.
func escape(b *strings.Builder, s string) {
	_, _ = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;").WriteString(b, s)
}

func escaped(s string) string {
	var b strings.Builder
	escape(&b, s)
	return b.String()
}

// tags returns the markup of a run without its text.
func tags(run string) string {
	var b strings.Builder
	for {
		_, rest, ok := strings.Cut(run, "<")
		tag, after, closed := strings.Cut(rest, ">")
		if !ok || !closed {
			return b.String()
		}
		b.WriteString("<" + tag + ">")
		run = after
	}
}
