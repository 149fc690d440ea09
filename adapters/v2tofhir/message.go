package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// structural reports fields that say how a message is built or carried and nothing of its
// content: set ids, delimiters, acknowledgement rules, the value type of OBX-5.
func structural(segment string, field int) bool {
	switch segment {
	case "MSH":
		return field <= 2 || field == 9 || field == 12 || (field >= 13 && field <= 16) || field == 18 || field == 20
	case "OBX":
		return field <= 2
	case "PID", "NK1", "PV1", "PV2", "DG1", "PR1", "AL1", "IAM", "IN1", "GT1", "FT1", "OBR", "TQ1", "SPM", "NTE", "TXA", "AIS", "AIG", "AIL", "AIP", "RGS":
		return field == 1 && segment != "PV2"
	}
	return false
}

// msh reads the header (segment maps MSH[MessageHeader], MSH[Bundle], MSH[Provenance]).
func (c *converter) msh(s seg) {
	if c.header != nil { // a second header inside one message is kept as it stands
		c.unknown = append(c.unknown, s.Segment)
		c.unknownAt = append(c.unknownAt, s.path)
		return
	}
	h := c.add("MessageHeader", s.path)
	c.header = h
	kind := c.msg.Header()
	h.Set("eventCoding", eventCoding(kind.MessageCode, kind.TriggerEvent, kind.Structure))
	c.activity = tree.New("coding", []any{h.Get("eventCoding")})
	c.sender(s)
	c.destinations(s)
	c.bundle.Set("identifier", tree.New("value", s.f(10).text()))
	if s.f(7).has() && c.setInstant(c.bundle.Object, "timestamp", s.f(7)) {
		c.recorded = c.bundle.Text("timestamp")
	}
	if code := s.f(11).text(); code != "" {
		h.Set("meta", tree.New("tag", []any{tree.Code(hl7Table+"0103", code, "")}))
	}
	if lang := s.f(19).peek(); len(lang) == 2 || len(lang) == 5 {
		s.f(19).c(1).done()
		h.Set("language", strings.ReplaceAll(strings.ToLower(lang[:2])+lang[2:], "_", "-"))
	}
}

// sender is the facility of MSH-4, or the organisation of MSH-22, and the application.
func (c *converter) sender(s seg) {
	c.facility = c.facilityOf(hd(s.f(4).c))
	if c.facility == nil {
		c.facility = c.organization(s.f(22))
	}
	if country := s.f(17).peek(); country != "" && c.facility != nil {
		s.f(17).c(1).done()
		c.facility.Add("address", tree.New("country", country))
	}
	c.header.Set("sender", c.facility.Ref())
	c.header.Set("source", c.endpoint(hd(s.f(3).c), hd(s.f(24).c)))
}

// destinations are the receiving application and, where it is another, the network on the
// way there.
func (c *converter) destinations(s seg) {
	h, to, network := c.header, hd(s.f(5).c), hd(s.f(25).c)
	receiver := c.facilityOf(hd(s.f(6).c))
	if receiver == nil {
		receiver = c.organization(s.f(23))
	}
	if to.empty() {
		to = network
	}
	if !to.empty() || receiver != nil {
		d := c.endpoint(to, network)
		d.Set("receiver", receiver.Ref())
		h.Add("destination", d)
	}
	if !network.empty() && network != to {
		h.Add("destination", c.endpoint(network, network))
	}
}

// eventCoding is the event of MSH-9: a code of table 0003, the whole type as display.
func eventCoding(code, event, structure string) *tree.Object {
	display := code
	for _, part := range []string{event, structure} {
		if part != "" {
			display += "^" + part
		}
	}
	code, event = token(code), token(event)
	if event == "" {
		return tree.New("system", hl7Table+"0076", "code", firstText(code, "ACK"), "display", display)
	}
	return tree.Code(hl7Table+"0003", event, display)
}

// token returns a text that may stand as a FHIR code, "" for any other.
func token(s string) string {
	if s = clean(s); !codePattern.MatchString(s) {
		return ""
	}
	return s
}

// endpoint makes a source or destination of an application and a network address. FHIR
// requires an address, which HL7 v2 gives only as an object identifier, if at all.
func (c *converter) endpoint(app, network authority) *tree.Object {
	o := tree.New("name", firstText(app.name, app.id))
	address := c.uri(network)
	if address == "" {
		address = c.uri(authority{id: app.id, kind: app.kind})
	}
	if address == "" {
		absentPrimitive(o, "endpoint")
		return o
	}
	return o.Set("endpoint", address)
}

// msa reads an acknowledgement (segment map MSA[MessageHeader]).
func (c *converter) msa(s seg) {
	if c.header == nil {
		return
	}
	code := map[string]string{"AA": "ok", "CA": "ok", "AE": "transient-error", "CE": "transient-error", "AR": "fatal-error", "CR": "fatal-error"}
	o := tree.New("identifier", fhirID(s.f(2).text()), "code", pick(s.f(1), code))
	if !o.Has("identifier") {
		o.Set("identifier", "unknown")
	}
	if o.Has("code") {
		c.header.Set("response", o)
	}
}

// fhirID makes an id of a control id: letters, digits, '-' and '.', at most 64.
func fhirID(s string) string {
	out := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') || r == '.' || r == '-' {
			return r
		}
		return '-'
	}, s)
	return out[:min(len(out), 64)]
}

// sft reads the sending software (segment map SFT[MessageHeader]).
func (c *converter) sft(s seg) {
	if c.header == nil {
		return
	}
	source, ok := c.header.Get("source").(*tree.Object)
	if !ok || source.Has("software") {
		return
	}
	source.Set("software", s.f(3).text())
	source.Set("version", s.f(2).text())
}

// evn reads the event (segment map EVN[Provenance]).
func (c *converter) evn(s seg) {
	s.f(1).done()
	at := tree.New()
	if c.setInstant(at, "recorded", s.f(2)) {
		c.recorded = at.Text("recorded")
	}
	c.setDateTime(at, "occurred", s.f(6))
	c.occurred = at.Text("occurred")
	c.reason = c.concept(s.f(4), hl7Table+"0062")
	c.operator = c.practitioner(s.f(5))
	if place := c.facilityOf(hd(s.f(7).c)); place != nil && c.facility == nil {
		c.facility = place
	}
}

// finish completes the Bundle: what the header points to, where it came from, and what no
// map covers.
func (c *converter) finish() {
	if c.header == nil {
		return
	}
	c.closeOrder()
	for _, r := range c.bundle.Resources {
		if focal[r.Type] {
			c.header.Add("focus", r.Ref())
		}
	}
	c.header.Set("reason", c.reason)
	c.closeBooking()
	c.closeDocument()
	c.provenance()
	c.leftOver()
}

// focal are the types that a message is about.
var focal = map[string]bool{
	"Patient": true, "Encounter": true, "DiagnosticReport": true, "ServiceRequest": true, "MedicationRequest": true, "MedicationDispense": true,
	"MedicationAdministration": true, "Immunization": true, "DocumentReference": true, "Appointment": true, "ChargeItem": true, "Account": true,
}

// provenance says who sent what and when (segment maps EVN[Provenance], MSH[Provenance]).
func (c *converter) provenance() {
	p := tree.NewResource("Provenance", tree.NameID(c.o.RecordID, "Provenance", "MSH"))
	targets, _ := c.header.Get("focus").([]any)
	if len(targets) == 0 {
		targets = []any{c.header.Ref()}
	}
	p.Set("target", targets)
	p.Set("occurredDateTime", c.occurred)
	switch {
	case c.recorded != "":
		p.Set("recorded", c.recorded)
	case !c.o.Received.IsZero():
		p.Set("recorded", c.o.Received.In(c.o.Zone).Format(layoutMilli))
	default:
		absentPrimitive(p.Object, "recorded")
	}
	p.Add("policy", "http://hl7.org/fhir/uv/v2mappings")
	p.Add("reason", c.reason)
	p.Set("activity", c.activity)
	const roles = terminology + "provenance-participant-type"
	sender := c.facility.Ref()
	if sender == nil {
		sender = tree.Absent("unknown")
	}
	p.Add("agent", tree.New("type", tree.Concept(roles, "author", "Author"), "who", sender))
	if c.operator != nil {
		p.Add("agent", tree.New("type", tree.Concept(roles, "enterer", "Enterer"), "who", c.operator.Ref()))
	}
	c.bundle.Append(p)
}
