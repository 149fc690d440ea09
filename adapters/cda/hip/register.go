package hip

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// registration is a document with what the message around it says of it.
type registration struct {
	raw []byte // the document as it was encoded
	doc *cda.Document

	ids                             []cda.ID
	code, display, title, time, ver string
	patientIDs, personIDs           []cda.ID
	patientName                     string
}

// maxDocument bounds the text of a document in base64, beyond what the envelope bounds.
func readRegistration(m *message, p Partner, l safexml.Limits) (*registration, error) {
	n := find(m.doc.Root, "clinicalDocument")
	if n == nil {
		return nil, refuse("REGISTER", "the message holds no clinicalDocument")
	}
	patient := n.Find("recordTarget", "patient")
	person := patient.Child("patientPerson")
	r := &registration{
		ids: readIDs(n.Child("id")), code: n.Child("code").Attr("code"), display: displayOf(n.Child("code")),
		title: valueOf(n.Child("title")), time: n.Child("effectiveTime").Attr("value"), ver: valueOf(n.Child("versionNumber")),
		patientIDs: readIDs(patient.Child("id")), personIDs: readIDs(person.Child("id")), patientName: nameOf(person.Child("name")),
	}
	text := contentOf(n)
	if text == "" {
		return nil, refuse("NO_DOCUMENT", "the registration holds no document (storageCode/originalText, base64)")
	}
	raw, err := decodeBase64(text)
	if err != nil {
		return nil, refuse("BASE64", "the document in the registration is not base64")
	}
	r.raw = raw
	return r, r.read(p, l)
}

// contentOf returns the document in base64: storageCode/originalText/@value, as the
// platform's schema has it, or as the content of text, data or originalText.
func contentOf(n *safexml.Node) string {
	for _, at := range []*safexml.Node{n.Find("storageCode", "originalText"), n.Child("text"), n.Child("data"), n.Child("originalText")} {
		if at == nil {
			continue
		}
		if v := at.Attr("value"); v != "" {
			return v
		}
		for _, inner := range []*safexml.Node{at.Child("data"), at} {
			if v := strings.TrimSpace(inner.Content()); v != "" {
				return v
			}
		}
	}
	return ""
}

// decodeBase64 allows white space, and a missing padding.
func decodeBase64(text string) ([]byte, error) {
	text = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || r == '\r' || r == '\t' {
			return -1
		}
		return r
	}, text)
	return base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
}

// read parses the document by the partner's rules.
func (r *registration) read(p Partner, l safexml.Limits) (err error) {
	r.doc, err = cda.Parse(r.raw, cda.ReadOptions{Encoding: p.encoding(), Limits: l, AnyNamespace: p.AnyNamespace})
	if err == nil {
		err = cda.Check(r.doc, p.Rules)
	}
	var invalid *cda.Invalid
	switch {
	case errors.As(err, &invalid):
		return refuse("INVALID_DOCUMENT", "the document breaks its rules: %s", strings.TrimPrefix(invalid.Error(), "cda: "))
	case err != nil:
		return refuse("UNREADABLE_DOCUMENT", "%s", err.Error())
	}
	return r.compare(p)
}

// compare holds the document against the message around it. A document filed under another
// patient, type or number than its own is worse than one that is not filed.
func (r *registration) compare(p Partner) error {
	d := r.doc
	mismatch := func(what string) error {
		return refuse("MISMATCH", "the %s of the registration is not that of the document in it", what)
	}
	switch {
	case len(r.ids) > 0 && !r.sameID():
		return mismatch("document id")
	case r.code != "" && !p.sameType(r.code, d.Code.Code):
		return mismatch("document type")
	case r.title != "" && !r.sameTitle(r.title):
		return mismatch("title")
	case r.time != "" && !sameTime(r.time, d.Time):
		return mismatch("time")
	case r.ver != "" && d.Version != "" && r.ver != d.Version:
		return mismatch("version")
	}
	return r.comparePatient(p, mismatch)
}

func (r *registration) sameID() bool {
	for _, id := range r.ids {
		if id.Extension == r.doc.ID.Extension || r.doc.ID.Extension == "" && id.Extension == r.doc.ID.Root {
			return true
		}
	}
	return false
}

func (r *registration) sameTitle(title string) bool {
	return cda.SameTitle(title, r.doc.Title) || r.doc.Type != nil && cda.SameTitle(title, r.doc.Type.Title)
}

// sameTime compares two times as far as the less precise of them goes.
func sameTime(a, b string) bool {
	ta, errA := hl7.ParseTime(a, nil)
	tb, errB := hl7.ParseTime(b, nil)
	if errA != nil || errB != nil {
		return a == b
	}
	if ta.Precision >= record.Second && tb.Precision >= record.Second {
		return ta.UnixMilli/1000 == tb.UnixMilli/1000
	}
	n := min(len(a), len(b), 14)
	return a[:n] == b[:n]
}

// comparePatient compares numbers of the same kind. Where there is none that both give, the
// names decide; where neither is there, nothing says that it is the same patient.
func (r *registration) comparePatient(p Partner, mismatch func(string) error) error {
	d := r.doc.Patient
	inside := byKind(p, d.IDs, d.PersonIDs)
	common := 0
	for kind, want := range byKind(p, r.patientIDs, r.personIDs) {
		have, ok := inside[kind]
		if !ok {
			continue
		}
		if !overlap(want, have) {
			return mismatch("patient (" + kind + ")")
		}
		common++
	}
	names := r.patientName != "" && d.Name != ""
	switch {
	case names && strings.Join(strings.Fields(r.patientName), "") != strings.Join(strings.Fields(d.Name), ""):
		return mismatch("patient (name)")
	case common == 0 && !names:
		return refuse("MISMATCH", "neither number nor name shows that registration and document are about the same patient")
	}
	return nil
}

// byKind groups numbers by what they are: the kind of number, or the root.
func byKind(p Partner, lists ...[]cda.ID) map[string][]string {
	out := map[string][]string{}
	for _, ids := range lists {
		for _, id := range ids {
			if id.Extension == "" {
				continue
			}
			kind, value := id.Root, id.Extension
			if t, ok := p.Rules.Roots.Type(id.Root); ok {
				kind = string(t)
				if number, valid := hl7.NormalResidentID(value); t == record.ResidentID && valid {
					value = number
				}
			}
			out[kind] = append(out[kind], value)
		}
	}
	return out
}

func overlap(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}
