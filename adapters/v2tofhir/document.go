package v2tofhir

import (
	"encoding/base64"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// document is the document of an MDM message while its content is being read.
type document struct {
	*tree.Resource
	text     []string // lines of text content
	title    string
	media    string // of TXA-3, for a document without content
	attached []any
	at       string
}

// relations are the events that set a document beside an earlier one (HL7 v2 chapter 9,
// §9.3): addenda and replacements.
var relations = map[string]string{"T05": "appends", "T06": "appends", "T09": "replaces", "T10": "replaces"}

// presentations are the media types of table 0191 by which TXA-3 says how content looks.
var presentations = map[string]string{
	"TX": "text/plain", "FT": "text/plain", "TEXT": "text/plain", "AP": "application/octet-stream", "APPLICATION": "application/octet-stream",
	"AU": "audio/basic", "AUDIO": "audio/basic", "SI": "application/octet-stream", "SD": "application/octet-stream",
}

// txa reads a document header (segment map TXA[DocumentReference]).
func (c *converter) txa(s seg) {
	c.closeDocument()
	d := c.add("DocumentReference", s.path)
	c.document = &document{Resource: d, at: s.path}
	d.Set("masterIdentifier", c.ei(s.f(12).c, ""))
	for _, v := range s.f(14).reps() {
		d.Add("identifier", c.ei(v.c, "PLAC"))
	}
	d.Add("identifier", c.ei(s.f(15).c, "FILL"))
	if name := s.f(16).whole(); name != "" {
		d.Add("identifier", tree.New("type", tree.New("text", "file name"), "value", name))
	}
	d.Set("status", firstText(pick(s.f(19), availability), "current"))
	if c.event == "T11" {
		d.Set("status", "entered-in-error")
	}
	c.document.media = pick(s.f(3), presentations)
	d.Set("docStatus", pick(s.f(17), documentStatus))
	d.Set("type", c.concept(s.f(2), hl7Table+"0270"))
	if c.patient != nil {
		d.Set("subject", c.patient.Ref())
	}
	c.setInstant(d.Object, "date", s.f(6))
	c.practitioners(d.Object, "author", s.f(9), nil)
	c.practitioners(d.Object, "author", s.f(5), nil)
	if who := c.practitioner(s.f(10).first()); who != nil {
		d.Set("authenticator", who.Ref())
	}
	if org := c.facilityOf(hd(s.f(27).c)); org != nil {
		d.Set("custodian", org.Ref())
	}
	if parent := c.ei(s.f(13).c, ""); parent != nil {
		kind := firstText(relations[c.event], "appends")
		d.Add("relatesTo", tree.New("code", kind, "target", tree.New("type", "DocumentReference", "identifier", parent)))
	}
	d.Set("description", lines(s.f(25)))
	if label := c.concept(s.f(18), hl7Table+"0272"); label != nil {
		d.Add("securityLabel", label)
	}
	context := tree.New().Add("encounter", c.encounter.Ref())
	context.Set("period", c.period(s.f(4), val{t: c.t}))
	d.Set("context", context)
	c.document.title = d.Text("description")
	c.noted = &noted{Object: d.Object, text: "description"}
}

// documentContent takes an OBX of a document message as content. It reports false for a
// discrete value, which is an Observation beside the document.
func (c *converter) documentContent(s seg, kind string) bool {
	d := c.document
	switch kind {
	case "ED", "RP":
		for _, v := range s.f(5).reps() {
			a := c.attachment(v, kind, s.path)
			if a == nil {
				continue
			}
			name := c.concept(s.f(3), "")
			a.Set("title", firstText(name.Text("text"), d.title))
			d.attached = append(d.attached, tree.New("attachment", a))
		}
	case "TX", "FT", "ST", "":
		if name := c.concept(s.f(3), ""); name != nil && d.title == "" {
			d.title = name.Text("text")
		}
		d.text = append(d.text, lines(s.f(5)))
	default:
		return false
	}
	for _, f := range []int{4, 11, 14} { // they count the lines and repeat the header's state
		s.f(f).done()
	}
	return true
}

// closeDocument puts the collected content into the document.
func (c *converter) closeDocument() {
	d := c.document
	if d == nil {
		return
	}
	c.document = nil
	if text := strings.Join(d.text, "\n"); strings.TrimSpace(text) != "" {
		b := c.add("Binary", d.at+"/text")
		b.Set("contentType", "text/plain;charset=utf-8").Set("data", base64.StdEncoding.EncodeToString([]byte(text)))
		a := tree.New("contentType", "text/plain;charset=utf-8", "url", b.FullURL(), "size", len(text), "title", d.title)
		d.attached = append([]any{tree.New("attachment", a)}, d.attached...)
	}
	if len(d.attached) == 0 { // content is required
		d.attached = []any{tree.New("attachment", tree.Absent("unknown").Set("contentType", d.media))}
	}
	d.Set("content", d.attached)
}
