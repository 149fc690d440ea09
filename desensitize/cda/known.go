package cda

import (
	"strings"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// collect puts what header and entries say about the people of the document into the session.
func (r *run) collect(root *safexml.Node) {
	role := root.Find("recordTarget", "patientRole")
	for _, id := range role.Child("patient").All("id") {
		r.session.SetLocalSubject(numberOf(id))
	}
	for _, id := range role.All("id") {
		r.session.SetLocalSubject(numberOf(id))
	}
	r.learnBelow(root, staff)
}

// whose says whom an element is about.
type whose uint8

const (
	staff whose = iota
	patient
	relative
)

// roles are the elements that begin to speak of somebody else.
var roles = map[string]whose{
	"patientRole": patient, "guardian": relative, "relatedEntity": relative, "associatedEntity": relative, "relatedSubject": relative,
	"subject": relative, "providerOrganization": staff, "assignedEntity": staff, "assignedAuthor": staff,
}

func (r *run) learnBelow(n *safexml.Node, who whose) {
	if w, ok := roles[n.Name.Local]; ok {
		who = w
	}
	for _, c := range n.Children {
		if c.IsText() {
			continue
		}
		s := classify(c)
		switch s.kind {
		case structure:
			r.learnBelow(c, who)
		case identifier:
			r.learnNumber(s.meaning, numberOf(c))
		case name:
			r.learnName(c, s, who)
		case telecom:
			if v := withoutScheme(c.Attr("value")); len(v) > minNumber && s.meaning != desensitize.URL {
				r.session.Known().Add(s.meaning, v)
			}
		case address:
			if who != staff {
				r.learnAddress(c)
			}
		case timed:
			if v := c.Attr("value"); s.meaning == desensitize.BirthDate && len(v) >= 8 {
				r.session.Known().Add(s.meaning, v[:8])
			}
		}
	}
}

// Shorter values are not put into Known: they would take ordinary words out of texts.
const (
	minNumber = 4 // characters of a number
	minPlace  = 4 // bytes of the name of an institution
)

// numberOf is the number of an identifier, which WS/T 500 also writes as text.
func numberOf(n *safexml.Node) string {
	if v := strings.TrimSpace(n.Attr("extension")); v != "" {
		return v
	}
	return n.Trimmed()
}

func (r *run) learnNumber(t desensitize.Type, number string) {
	if len(number) >= minNumber {
		if t == desensitize.Ward || t == desensitize.Bed {
			return
		}
		r.session.Known().Add(t, number)
	}
}

func (r *run) learnName(n *safexml.Node, s sort, who whose) {
	text, known := nameText(n), r.session.Known()
	switch {
	case s.meaning != desensitize.Name:
		if len(text) >= minPlace && (s.meaning == desensitize.Hospital || s.meaning == desensitize.Employer) {
			known.Add(s.meaning, text)
		}
	case utf8.RuneCountInString(text) < 2:
	case who == patient:
		known.Add(desensitize.Name, text)
	case who == relative:
		known.AddRelative(text)
	default:
		known.AddStaff(text)
	}
}

func (r *run) learnAddress(n *safexml.Node) {
	a := areaOf(n)
	if full := a.String(); len(full) > 2*minPlace {
		r.session.Known().Add(desensitize.Address, full)
	}
	if len(a.Street) > 2*minPlace {
		r.session.Known().Add(desensitize.Address, a.Street)
	}
	if text := strings.Join(strings.Fields(n.Content()), ""); len(n.Elements()) == 0 && len(text) > 2*minPlace {
		r.session.Known().Add(desensitize.Address, text)
	}
}

// nameText is the name that an EN writes as text or in parts, without titles.
func nameText(n *safexml.Node) string {
	part := func(local string) string {
		var out []string
		for _, c := range n.All(local) {
			out = append(out, c.Trimmed())
		}
		return strings.Join(out, " ")
	}
	family, given := part("family"), part("given")
	if family == "" && given == "" {
		return strings.Join(strings.Fields(n.Content()), " ")
	}
	if guard.Han(family) || guard.Han(given) {
		given = strings.ReplaceAll(given, " ", "")
	}
	return guard.JoinName(family, given, "")
}

// areaOf reads the parts of an address.
func areaOf(n *safexml.Node) guard.Area {
	part := func(names ...string) string {
		var out []string
		for _, c := range n.Elements() {
			for _, name := range names {
				if c.Name.Local == name {
					out = append(out, c.Trimmed())
				}
			}
		}
		return strings.Join(out, " ")
	}
	return guard.Area{State: part("state"), City: part("city"), County: part("county"), Township: part("township", "precinct"),
		Street: part("streetName", "streetAddressLine", "streetNameBase", "streetNameType"),
		Other:  part("houseNumber", "houseNumberNumeric", "unitID", "additionalLocator", "buildingNumberSuffix", "postBox", "censusTract", "careOf")}
}

// withoutScheme is the number or address of a TEL.
func withoutScheme(value string) string {
	if scheme, rest, ok := strings.Cut(value, ":"); ok && guard.OnlyOf(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz-+.0123456789") {
		return strings.TrimPrefix(strings.TrimPrefix(rest, "//"), "+86")
	}
	return strings.TrimSpace(value)
}
