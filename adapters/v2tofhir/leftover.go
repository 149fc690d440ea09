package v2tofhir

import (
	"fmt"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// Bounds of what is kept of values without a map: of one value, of all, and of how many are
// named one by one. What exceeds them is named by its path or counted; the message itself,
// which is sealed, has it.
const (
	maxLeftValue = 32 << 10
	maxLeftTotal = 1 << 20
	maxLeftNamed = 2000
)

const (
	unmappedURL   = tree.LocalURL + "StructureDefinition/hl7v2-unmapped"
	leftoverCodes = tree.LocalURL + "CodeSystem/hl7v2-conversion"
)

// leftOver keeps what no map covers in a Basic resource and names it in an OperationOutcome.
func (c *converter) leftOver() {
	c.t.settle()
	var all []leftover
	skip := map[int]bool{}
	for i, s := range c.unknown {
		skip[s.Offset()] = true
		all = append(all, leftover{path: c.unknownAt[i], raw: string(s.Raw())})
	}
	count := map[string]int{}
	for _, s := range c.msg.Segments() {
		name := s.Name()
		count[name]++
		if skip[s.Offset()] {
			continue
		}
		path := name
		if count[name] > 1 {
			path = fmt.Sprintf("%s[%d]", name, count[name])
		}
		c.t.leftovers(s, path, func(l leftover) { all = append(all, l) })
	}
	for _, l := range all {
		if !l.null {
			c.unmapped = append(c.unmapped, l.path)
		}
	}
	c.keep(all)
	c.outcome(all)
}

// keep puts the values into a Basic resource.
func (c *converter) keep(all []leftover) {
	b := tree.NewResource("Basic", tree.NameID(c.o.RecordID, "Basic", "unmapped"))
	b.Set("code", tree.Concept(leftoverCodes, "unmapped", "HL7 v2 content without a FHIR map"))
	if c.patient != nil {
		b.Set("subject", c.patient.Ref())
	}
	total, n := 0, 0
	for _, l := range all {
		if l.null || n == maxLeftNamed {
			continue
		}
		n++
		e := tree.New("url", unmappedURL)
		e.Add("extension", tree.Extension("path", "valueString", l.path))
		if total += len(l.raw); len(l.raw) <= maxLeftValue && total <= maxLeftTotal {
			e.Add("extension", tree.Extension("value", "valueString", l.raw))
		}
		b.Add("extension", e)
	}
	if n > 0 {
		c.bundle.Append(b)
	}
}

// outcome says what a reader of the Bundle must know of the conversion.
func (c *converter) outcome(all []leftover) {
	o := tree.NewResource("OperationOutcome", tree.NameID(c.o.RecordID, "OperationOutcome", "conversion"))
	issue := func(code, text string) {
		o.Add("issue", tree.New("severity", "information", "code", code, "diagnostics", text))
	}
	if c.zoneless > 0 {
		issue("informational", fmt.Sprintf("%d times without a zone were read as %s", c.zoneless, c.zoneName()))
	}
	for i, l := range all {
		if i == maxLeftNamed {
			issue("incomplete", fmt.Sprintf("%d further values have no map", len(all)-i))
			break
		}
		if l.null {
			issue("informational", l.path+" was sent as null: the sender asks to delete what was known")
			continue
		}
		issue("not-supported", l.path+" has no map")
	}
	if !o.Has("issue") {
		issue("informational", "every value of the message was mapped")
	}
	c.bundle.Append(o)
}

func (c *converter) zoneName() string {
	if name := c.o.Zone.String(); name != "" && name != "Local" {
		return name
	}
	return "the configured zone"
}
