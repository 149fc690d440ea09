package fhir

import (
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// harmless reports a value that may stay. A rule that keeps codes means codes: a name or a
// number that somebody wrote where a code belongs does not get out with them. Codes of a
// required binding must be one of it; what is known of the people in the record is searched
// everywhere; and what is no plain token must pass the recognisers of free text.
func (o *object) harmless(e *edge, n *fhir.Node) (bool, error) {
	people := o.w.guarded()
	if n.Kind != fhir.String {
		return n.Kind == fhir.Bool || !guard.Names(people, n.Text), nil
	}
	if len(e.elem.Codes) > 0 {
		return slices.Contains(e.elem.Codes, n.Text), nil
	}
	switch e.elem.Primitive {
	case "date", "dateTime", "instant":
		// Dates are kept where a policy names them, and a date is all that one can be.
		_, _, ok := fhir.DateRange(n.Text)
		return ok, nil
	case "time":
		return guard.OnlyOf(n.Text, "0123456789:.") && len(n.Text) <= len("23:59:59.123456789"), nil
	}
	if o.w.session.Holds(n.Text) {
		return false, nil
	}
	if guard.Token(people, n.Text) {
		return true, nil
	}
	if guard.Names(people, n.Text) {
		return false, nil
	}
	switch e.elem.Primitive {
	case "uri", "url", "canonical", "oid", "uuid":
		return plainURI(n.Text), nil
	}
	if e.what == desensitize.Address || e.what == desensitize.Postcode {
		return guard.Digits(n.Text) <= 6, nil
	}
	if o.published(e, n) {
		return true, nil
	}
	return o.w.clean(n.Text)
}

// guarded are the names and numbers of the people in the record.
func (w *walk) guarded() guard.People {
	if w.guard == nil {
		w.guard = guard.PeopleOf(w.session.Known())
	}
	return w.guard
}

// maxClean bounds the texts of which a walk remembers what recognisers said.
const maxClean = 4096

// maxRemembered is the length in bytes up to which a text is remembered.
const maxRemembered = 200

// clean reports a text in which the recognisers of free text find nothing.
func (w *walk) clean(text string) (bool, error) {
	if ok, seen := w.cleaned[text]; seen {
		return ok, nil
	}
	ok, err := w.session.Clean(text)
	if err != nil {
		return false, err
	}
	w.remember(text, ok)
	return ok, nil
}

// remember keeps what the recognisers said of a short text: displays of codes and units stand
// many times in a record.
func (w *walk) remember(text string, clean bool) {
	if len(text) > maxRemembered || len(w.cleaned) >= maxClean {
		return
	}
	if w.cleaned == nil {
		w.cleaned = map[string]bool{}
	}
	w.cleaned[text] = clean
}

// publishedSystems begin the addresses of code systems whose codes are long numbers.
var publishedSystems = []string{
	"http://snomed.info/", "http://loinc.org", "http://www.nlm.nih.gov/research/umls/", "http://hl7.org/", "http://terminology.hl7.org/",
	"http://unitsofmeasure.org", "http://dicom.nema.org/", "http://www.whocc.no/atc", "http://fdasis.nlm.nih.gov", "http://www.ama-assn.org/go/cpt",
	"urn:oid:2.16.156.10011.", "urn:iso:std:iso:", "urn:ietf:bcp:", "urn:ietf:rfc:",
}

// published reports a code of a published system in the form of its codes.
func (o *object) published(e *edge, n *fhir.Node) bool {
	if e.elem.Name != "code" || len(n.Text) > 32 || !guard.OnlyOf(n.Text, codeChars) {
		return false
	}
	system := o.node.Get("system").Str()
	return slices.ContainsFunc(publishedSystems, func(s string) bool { return strings.HasPrefix(system, s) })
}

const codeChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/:{}[]%+*^|'"

// plainURI reports an address of a definition: a URN or an address of the net without a
// query, of ASCII.
func plainURI(s string) bool {
	if len(s) > 256 || strings.ContainsAny(s, "?@ %") {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "urn:") || !strings.Contains(s, ":")
}
