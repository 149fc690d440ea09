package cda

import (
	"slices"
	"strings"
	"unicode"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// statements are the elements that carry a clinical statement.
var statements = []string{"observation", "organizer", "procedure", "substanceAdministration", "act", "supply",
	"encounter", "observationMedia", "regionOfInterest"}

func (d *Document) readBody(root *safexml.Node) {
	body := d.mark("component", root.Child("component"))
	if n := body.Child("nonXMLBody"); n != nil {
		text := n.Child("text")
		d.NonXML = &NonXML{MediaType: text.Attr("mediaType"), Base64: text.Attr("representation") == "B64",
			Data: text.Content(), Reference: text.Child("reference").Attr("value")}
	}
	for _, c := range body.Child("structuredBody").All("component") {
		for _, s := range c.All("section") {
			d.Sections = append(d.Sections, readSection(s))
		}
	}
}

func readSection(n *safexml.Node) Section {
	s := Section{Code: readCode(n.Child("code")), Title: n.Child("title").Trimmed(), Text: narrative(n.Child("text"))}
	for _, t := range n.All("templateId") {
		s.Templates = append(s.Templates, readID(t))
	}
	for _, e := range n.All("entry") {
		s.Entries = append(s.Entries, readStatements(e)...)
	}
	for _, c := range n.All("component") {
		for _, sub := range c.All("section") {
			s.Sections = append(s.Sections, readSection(sub))
		}
	}
	return s
}

// narrative returns the text of a narrative block, with white space folded and blocks
// apart.
func narrative(n *safexml.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	var walk func(n *safexml.Node)
	walk = func(n *safexml.Node) {
		for _, c := range n.Children {
			if c.IsText() {
				b.WriteString(c.Text)
				continue
			}
			if !slices.Contains([]string{"content", "sub", "sup", "linkHtml", "footnoteRef"}, c.Name.Local) {
				b.WriteByte(' ')
			}
			walk(c)
		}
	}
	walk(n)
	return strings.Join(strings.Fields(b.String()), " ")
}

// readStatements reads what hangs on an entry, entryRelationship or component.
func readStatements(link *safexml.Node) []Entry {
	var out []Entry
	for _, n := range link.Elements() {
		if !slices.Contains(statements, n.Name.Local) {
			continue
		}
		e := readEntry(n)
		e.Relation = link.Attr("typeCode")
		out = append(out, e)
	}
	return out
}

func readEntry(n *safexml.Node) Entry {
	e := Entry{Statement: n.Name.Local, ClassCode: n.Attr("classCode"), Mood: n.Attr("moodCode"),
		Code: readCode(n.Child("code")), Status: n.Child("statusCode").Attr("code"), Text: narrative(n.Child("text")),
		Time: readInterval(n.Child("effectiveTime")), Route: readCode(n.Child("routeCode")), Dose: readValue(n.Child("doseQuantity")),
		Rate: readValue(n.Child("rateQuantity")), Unit: readCode(n.Child("administrationUnitCode")), Site: readCode(n.Child("targetSiteCode"))}
	for _, id := range n.All("id") {
		e.IDs = append(e.IDs, readID(id))
	}
	for _, v := range n.All("value") {
		e.Values = append(e.Values, readValue(v))
	}
	for _, name := range []string{"manufacturedLabeledDrug", "manufacturedMaterial"} {
		if p := n.Find("consumable", "manufacturedProduct", name); p != nil {
			e.Product = readCode(p.Child("code"))
			if name := p.Child("name").Trimmed(); name != "" {
				e.Product.Display = name
			}
		}
	}
	for _, p := range n.All("performer") {
		e.Performer = append(e.Performer, readPerson(p, "assignedEntity", "assignedPerson"))
	}
	for _, p := range n.All("author") {
		e.Author = append(e.Author, readPerson(p, "assignedAuthor", "assignedPerson"))
	}
	for _, name := range []string{"entryRelationship", "component"} {
		for _, link := range n.All(name) {
			e.Entries = append(e.Entries, readStatements(link)...)
		}
	}
	return e
}

func readValue(n *safexml.Node) Value {
	if n == nil {
		return Value{}
	}
	kind, _ := n.Lookup(schemaInstance, "type")
	if i := strings.LastIndexByte(kind, ':'); i >= 0 {
		kind = kind[i+1:]
	}
	v := Value{Type: kind, Value: n.Attr("value"), Unit: n.Attr("unit"), Text: strings.TrimSpace(n.Content())}
	if n.Attr("code") != "" || n.Attr("displayName") != "" || n.Attr("nullFlavor") != "" {
		v.Code = readCode(n)
	}
	return v
}

func hasHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}
