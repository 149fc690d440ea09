package ledger

import (
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// Step is one statement on the way of an access.
type Step struct {
	Kind  string // request-access, decide-access, deliver, confirm, review-emergency
	Actor string // MSP id of the hospital that signed it
	At    time.Time
	// Good says that the step went as asked: granted, delivered, genuine, justified.
	Good bool
	// Reason is the code of a denial, or the verdict of a confirmation.
	Reason string
	Count  int // records delivered, or proved genuine
}

// Access is an access request on the ledger with all that followed.
type Access struct {
	ID        string
	Requester string // MSP id
	Owner     string // MSP id
	Tag       string
	Purpose   string // treatment, research
	Emergency bool
	Reason    string // code of an emergency
	Consent   string // id of the consent that allowed it
	Records   []string
	Steps     []Step
}

// stepNames are the statements with the DICOM event that an audit repository files them by
// (DICOM PS3.15 §A.5), and the action code of FHIR.
var stepNames = map[string]struct{ event, display, action string }{
	"request-access":   {"110112", "Query", "E"},
	"decide-access":    {"110113", "Security Alert", "E"},
	"deliver":          {"110106", "Export", "R"},
	"confirm":          {"110107", "Import", "C"},
	"review-emergency": {"110113", "Security Alert", "E"},
}

// Events returns the access as AuditEvents, one for each step.
func (a Access) Events() []*tree.Resource {
	out := make([]*tree.Resource, len(a.Steps))
	for i, s := range a.Steps {
		out[i] = a.event(i, s)
	}
	return out
}

func (a Access) event(i int, s Step) *tree.Resource {
	name, ok := stepNames[s.Kind]
	if !ok {
		name.event, name.display, name.action = "110100", "Application Activity", "E"
	}
	r := tree.NewResource("AuditEvent", tree.NameID("access", a.ID, s.Kind, fmt.Sprint(i)))
	r.Set("type", tree.Code(dicom, name.event, name.display))
	r.Add("subtype", tree.Code(SystemStep, s.Kind, ""))
	r.Set("action", name.action)
	setRecorded(r, s.At)
	r.Set("outcome", map[bool]string{true: "0", false: "4"}[s.Good])
	r.Set("outcomeDesc", s.Reason)
	r.Add("purposeOfEvent", a.purpose())
	r.Add("agent", agent(s.Actor, true))
	for _, other := range []string{a.Requester, a.Owner} {
		if other != s.Actor {
			r.Add("agent", agent(other, false))
		}
	}
	r.Set("source", observer())
	if a.Tag != "" {
		r.Add("entity", entity(SystemTag, a.Tag, "1", "1", "Patient"))
	}
	request := entity(SystemRequest, a.ID, "2", "20", "Job")
	if s.Count > 0 {
		request.Add("detail", tree.New("type", "records", "valueString", fmt.Sprint(s.Count)))
	}
	if a.Emergency {
		request.Add("detail", tree.New("type", "emergency", "valueString", a.Reason))
	}
	r.Add("entity", request)
	if a.Consent != "" {
		r.Add("entity", entity(SystemConsent, a.Consent, "2", "4", "Domain Resource"))
	}
	for _, id := range a.Records {
		r.Add("entity", entity(SystemRecord, id, "2", "4", "Domain Resource"))
	}
	return r
}

// purpose is why the access was made; an emergency breaks the glass (v3-ActReason BTG).
func (a Access) purpose() *tree.Object {
	if a.Emergency {
		return tree.New("coding", []any{tree.Code(actReason, "BTG", "break the glass"), purposeCoding(a.Purpose)})
	}
	if p := purposeCoding(a.Purpose); p != nil {
		return tree.New("coding", []any{p})
	}
	return nil
}

func setRecorded(r *tree.Resource, at time.Time) {
	if at.IsZero() {
		r.Set("_recorded", tree.Absent("unknown"))
		return
	}
	r.Set("recorded", instant(at))
}

func agent(msp string, requestor bool) *tree.Object {
	return tree.New("who", member(msp), "requestor", requestor)
}

// observer is who reports the event: the ledger, on which all members keep watch.
func observer() *tree.Object {
	return tree.New("observer", tree.New("display", "emrbridge ledger · 账本"),
		"type", []any{tree.Code(terminology+"security-source-type", "5", "Transaction processing")})
}

// entityRoles displays the roles of http://terminology.hl7.org/CodeSystem/object-role.
func entity(system, value, typ, role, display string) *tree.Object {
	return tree.New("what", tree.New("identifier", tree.New("system", system, "value", value)),
		"type", tree.Code(terminology+"audit-entity-type", typ, map[string]string{"1": "Person", "2": "System Object"}[typ]),
		"role", tree.Code(terminology+"object-role", role, display))
}

// Stage is one step of a record on its way from the message to the ledger.
type Stage struct {
	Name      string // received, normalized, stored, anchored, …
	At        time.Time
	Hospital  string // MSP id
	Sender    string // as the message names it
	ControlID string
	Kind      string
	Record    string
	Tag       string
	Batch     string
	Tx        string
	Block     uint64
	Code      string // of a refusal or an incident
}

// troubled are the stages in which something went wrong; the code says what.
var troubled = map[string]bool{"rejected": true, "parked": true, "incident": true, "quarantined": true}

// Event returns the stage as AuditEvent.
func (s Stage) Event() *tree.Resource {
	r := tree.NewResource("AuditEvent", tree.NameID("stage", s.Name, s.Record, s.ControlID, s.Batch, s.Tx, instant(s.At)))
	r.Set("type", tree.Code(dicom, "110100", "Application Activity"))
	r.Add("subtype", tree.Code(SystemStage, s.Name, ""))
	r.Set("action", "E")
	setRecorded(r, s.At)
	r.Set("outcome", map[bool]string{false: "0", true: "4"}[troubled[s.Name]])
	r.Set("outcomeDesc", s.Code)
	who := member(s.Hospital)
	if who == nil {
		who = tree.New("display", "emrbridge")
	}
	r.Add("agent", tree.New("who", who, "requestor", true))
	r.Set("source", tree.New("observer", who))
	if s.Tag != "" {
		r.Add("entity", entity(SystemTag, s.Tag, "1", "1", "Patient"))
	}
	e := tree.New()
	if s.Record != "" {
		e = entity(SystemRecord, s.Record, "2", "4", "Domain Resource")
	}
	for _, d := range []struct{ name, value string }{
		{"kind", s.Kind}, {"sender", s.Sender}, {"control id", s.ControlID}, {"batch", s.Batch}, {"transaction", s.Tx}, {"block", block(s.Block)},
	} {
		if d.value != "" {
			e.Add("detail", tree.New("type", d.name, "valueString", d.value))
		}
	}
	if !e.Has("what") && e.Has("detail") {
		e.Set("name", "message")
	}
	r.Add("entity", e)
	return r
}

func block(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// Bundle puts resources into a Bundle of type collection.
func Bundle(name string, resources ...*tree.Resource) *tree.Bundle {
	b := tree.NewBundle(tree.NameID("bundle", name), "collection")
	b.Append(resources...)
	return b
}
