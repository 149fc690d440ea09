package v2tofhir

import (
	"regexp"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// valueAttachmentURL lets an R4 Observation hold an Attachment, as R5 can.
const valueAttachmentURL = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.valueAttachment"

// observationValue sets value[x] by the type in OBX-2 (segment map OBX[Observation], OBX-5).
// Several repetitions of a value that is not text become components. A value that its type
// does not fit is kept as text.
func (c *converter) observationValue(o *tree.Resource, s seg, kind string) {
	v := s.f(5)
	if !v.has() {
		return
	}
	o.Set("dataAbsentReason", nil) // obs-6: there is a value after all
	switch kind {
	case "ED", "RP":
		for _, r := range v.reps() {
			c.observationAttachment(o, s, r, kind)
		}
		return
	case "TX", "FT", "ST", "":
		o.Set("valueString", lines(v))
		return
	}
	var parts []any
	for _, r := range v.reps() {
		part := tree.New("code", o.Get("code"))
		c.value(part, s, r, kind)
		parts = append(parts, part)
	}
	if len(parts) > 1 { // obs-7: a component with the observation's code takes the place of its value
		o.Add("component", parts...)
		return
	}
	for _, r := range v.reps() {
		c.value(o.Object, s, r, kind)
	}
}

// lines joins the repetitions of a text.
func lines(v val) string {
	var out []string
	for _, r := range v.Reps() {
		if !blank(r) {
			out = append(out, val{r, v.t}.whole())
		}
	}
	return strings.Join(out, "\n")
}

// value sets one value.
func (c *converter) value(o *tree.Object, s seg, v val, kind string) {
	done := false
	switch kind {
	case "NM":
		done = setValue(o, "valueQuantity", c.quantityOf(v.peek(), v.c(1), s.f(6)))
	case "SN":
		done = c.structured(o, v, s.f(6))
	case "CE", "CWE", "CNE", "CF", "IS", "ID", "CK", "CX":
		done = setValue(o, "valueCodeableConcept", c.concept(v, ""))
	case "DT", "DTM", "TS":
		c.setDateTime(o, "valueDateTime", v)
		done = o.Has("valueDateTime")
	case "TM":
		done = setTime(o, "valueTime", v)
	case "DR":
		done = setValue(o, "valuePeriod", c.period(v.c(1), v.c(2)))
	case "NR":
		done = c.numberRange(o, v, s.f(6))
	case "CQ":
		done = setValue(o, "valueQuantity", c.quantityOf(v.c(1).peekSub(), v.c(1), val{v.Comp(2), v.t}))
	}
	if !done {
		o.Set("valueString", v.whole())
	}
}

func setValue(o *tree.Object, name string, value *tree.Object) bool {
	if value.IsEmpty() {
		return false
	}
	o.Set(name, value)
	return true
}

func (c *converter) quantityOf(text string, source, unit val) *tree.Object {
	q := c.quantity(text, unit)
	if q != nil {
		source.done()
	}
	return q
}

// structured reads an SN: comparator, number, separator, number.
func (c *converter) structured(o *tree.Object, v, unit val) bool {
	sign, sep := v.c(1).peekSub(), v.c(3).peekSub()
	first, ok1 := number(v.c(2).peekSub())
	second, ok2 := number(v.c(4).peekSub())
	if !ok1 || sign == "<>" {
		return false
	}
	side := func(n tree.Number) *tree.Object {
		q := tree.New("value", n)
		c.unit(q, unit)
		return q
	}
	switch {
	case sep == "-" && ok2 && sign == "":
		o.Set("valueRange", tree.New("low", side(first), "high", side(second)))
	case (sep == ":" || sep == "/") && ok2:
		numerator := side(first)
		numerator.Set("comparator", comparators[sign])
		o.Set("valueRatio", tree.New("numerator", numerator, "denominator", tree.New("value", second)))
	case sep == "" && !ok2 && (sign == "" || sign == "=" || comparators[sign] != ""):
		q := tree.New("value", first, "comparator", comparators[sign])
		c.unit(q, unit)
		o.Set("valueQuantity", q)
	default:
		return false
	}
	v.done()
	return true
}

var comparators = map[string]string{"<": "<", ">": ">", "<=": "<=", ">=": ">="}

// numberRange reads an NR.
func (c *converter) numberRange(o *tree.Object, v, unit val) bool {
	r := tree.New()
	for i, name := range []string{"low", "high"} {
		if n, ok := number(v.c(i + 1).peekSub()); ok {
			v.c(i + 1).done()
			q := tree.New("value", n)
			c.unit(q, unit)
			r.Set(name, q)
		}
	}
	return setValue(o, "valueRange", r)
}

// observationAttachment keeps an ED or RP with the observation and shows it with the report.
func (c *converter) observationAttachment(o *tree.Resource, s seg, v val, kind string) {
	a := c.attachment(v, kind, s.path)
	if a == nil {
		return
	}
	if title := o.Get("code"); title != nil {
		if t, ok := title.(*tree.Object); ok {
			a.Set("title", t.Text("text"))
		}
	}
	o.Add("extension", tree.Extension(valueAttachmentURL, "valueAttachment", a))
	if c.order != nil && c.order.report != nil {
		c.order.report.Add("presentedForm", a)
	}
}

var tokenPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.+-]*$`)

// mediaType makes a media type of ED.2 and ED.3 (tables 0834 and 0291).
func mediaType(typ, sub string) string {
	typ, sub = strings.ToLower(typ), strings.ToLower(sub)
	if t, rest, ok := strings.Cut(sub, "/"); ok {
		typ, sub = t, rest
	}
	if known, ok := subtypes[sub]; ok {
		return known
	}
	switch typ {
	case "application", "audio", "image", "model", "text", "video", "multipart", "message", "font":
	case "ft", "tx", "tEXT":
		typ = "text"
	case "ap":
		typ = "application"
	case "im":
		typ = "image"
	case "au":
		typ = "audio"
	default:
		typ = ""
	}
	if typ == "text" && !tokenPattern.MatchString(sub) {
		return "text/plain"
	}
	if typ == "" || !tokenPattern.MatchString(sub) {
		return "application/octet-stream"
	}
	return typ + "/" + sub
}

var subtypes = map[string]string{
	"pdf": "application/pdf", "html": "text/html", "htm": "text/html", "rtf": "text/rtf", "jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "gif": "image/gif",
	"tiff": "image/tiff", "tif": "image/tiff", "dicom": "application/dicom", "xml": "application/xml", "plain": "text/plain", "text": "text/plain", "txt": "text/plain",
	"x-hl7-cda-level-one": "application/hl7-cda+xml", "cda": "application/hl7-cda+xml", "octet-stream": "application/octet-stream", "json": "application/json",
	"msword": "application/msword", "zip": "application/zip", "mp4": "video/mp4",
}
