package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// ErrConsent reports a Consent that cannot become a consent on the ledger.
var ErrConsent = errors.New("ledger: the Consent cannot be kept on the ledger")

// ConsentError says which element keeps a Consent off the ledger, and the cure.
type ConsentError struct {
	Expression string // FHIRPath of the element
	Problem    string // cause and cure, free of content
}

// Error implements error.
func (e *ConsentError) Error() string {
	return fmt.Sprintf("%s: %s: %s", ErrConsent.Error(), e.Expression, e.Problem)
}

// Unwrap lets errors.Is find ErrConsent.
func (e *ConsentError) Unwrap() error { return ErrConsent }

func refuse(expression, problem string) error {
	return &ConsentError{Expression: expression, Problem: problem}
}

// limits of a Consent that is read.
var consentLimits = fhir.Limits{MaxBytes: 8 << 20, MaxDepth: 32, MaxValues: 20000}

// residentSystems are the identifier systems of Chinese resident numbers.
var residentSystems = []string{"urn:oid:2.16.156.10011.1.3"}

// ReadConsent reads a FHIR R4 Consent into the terms of a consent on the ledger. Errors are
// *ConsentError or those of fhir.Parse.
//
// Taken are: patient (an identifier, or a contained Patient with one; optional), organization,
// provision with type permit, period, actor (role IRCP, or PRCP; CST for whose records),
// purpose (TREAT, HRESCH), class (record kinds of SystemKind), action access; the form by
// the extension form-digest or as sourceAttachment.data. Anything else in the provision would
// limit the consent, so it refuses it. Dates without a time are days in zone; the last day
// counts to its end.
func ReadConsent(data []byte, zone *time.Location) (Consent, error) {
	root, err := fhir.Parse(data, consentLimits)
	if err != nil {
		return Consent{}, err
	}
	if root.Get("resourceType").Str() != "Consent" {
		return Consent{}, refuse("Consent", "this is not a Consent resource of FHIR R4")
	}
	if root.Get("status").Str() != "active" {
		return Consent{}, refuse("Consent.status", "only an active consent is recorded; revoke one by its id on the ledger")
	}
	if root.Get("modifierExtension") != nil || root.Get("implicitRules") != nil {
		return Consent{}, refuse("Consent.modifierExtension", "it changes the meaning in a way that is not known here")
	}
	c := Consent{ResidentID: residentID(root), Hospital: organization(root)}
	if err := c.readForm(root); err != nil {
		return Consent{}, err
	}
	p := root.Get("provision")
	if p == nil {
		return Consent{}, refuse("Consent.provision", "it says nothing of who may read what")
	}
	return c, c.readProvision(p, zone)
}

// provisionMembers are the elements of a provision that the ledger can keep.
var provisionMembers = []string{"id", "extension", "type", "period", "actor", "action", "purpose", "class"}

func (c *Consent) readProvision(p *fhir.Node, zone *time.Location) error {
	for _, name := range p.Names {
		if !slices.Contains(provisionMembers, strings.TrimPrefix(name, "_")) {
			return refuse("Consent.provision."+name, "the ledger has no place for this limit; leave it out only if the patient means it so")
		}
	}
	if t := p.Get("type").Str(); t != "permit" {
		return refuse("Consent.provision.type", "must be permit: the ledger allows what is granted and nothing else")
	}
	for _, a := range p.Get("action").List() {
		if code(a) != "access" && code(a) != "use" && code(a) != "disclose" {
			return refuse("Consent.provision.action", "only access can be granted")
		}
	}
	if err := c.readPeriod(p.Get("period"), zone); err != nil {
		return err
	}
	for i, a := range p.Get("actor").List() {
		if err := c.readActor(i, a); err != nil {
			return err
		}
	}
	if len(c.Grantees) == 0 {
		return refuse("Consent.provision.actor", "no actor with the role IRCP: nobody is allowed anything")
	}
	if err := c.readPurposes(p.Get("purpose").List()); err != nil {
		return err
	}
	return c.readKinds(p.Get("class").List())
}

func (c *Consent) readPeriod(p *fhir.Node, zone *time.Location) error {
	if start := p.Get("start"); start != nil {
		from, _, ok := fhir.DateRangeIn(start.Str(), zone)
		if !ok {
			return refuse("Consent.provision.period.start", "not a dateTime")
		}
		c.Since = from
	}
	end := p.Get("end")
	if end == nil {
		return refuse("Consent.provision.period.end", "a consent on the ledger has an end; give one")
	}
	from, to, ok := fhir.DateRangeIn(end.Str(), zone)
	if !ok {
		return refuse("Consent.provision.period.end", "not a dateTime")
	}
	c.NotAfter = to // a day, month or year counts to its end
	if strings.Contains(end.Str(), "T") {
		c.NotAfter = from
	}
	return nil
}

func (c *Consent) readActor(i int, a *fhir.Node) error {
	at := fmt.Sprintf("Consent.provision.actor[%d]", i)
	ref := a.Get("reference")
	msp := ref.At("identifier", "value").Str()
	if system := ref.At("identifier", "system").Str(); msp == "" || (system != "" && system != SystemMember) {
		return refuse(at+".reference", "name a member by identifier, system "+SystemMember+", value its MSP id")
	}
	switch code(a.Get("role")) {
	case "IRCP", "PRCP":
		c.Grantees = append(c.Grantees, msp)
	case "CST":
		c.Owners = append(c.Owners, msp)
	default:
		return refuse(at+".role", "must be IRCP (who may read) or CST (whose records)")
	}
	return nil
}

func (c *Consent) readPurposes(list []*fhir.Node) error {
	for i, p := range list {
		switch p.Get("code").Str() {
		case "TREAT", "ETREAT", "CAREMGT":
			c.addPurpose("treatment")
		case "HRESCH", "CLINTRCH":
			c.addPurpose("research")
		default:
			return refuse(fmt.Sprintf("Consent.provision.purpose[%d]", i), "must be TREAT or HRESCH of "+actReason)
		}
	}
	return nil
}

func (c *Consent) addPurpose(p string) {
	if !slices.Contains(c.Purposes, p) {
		c.Purposes = append(c.Purposes, p)
	}
}

func (c *Consent) readKinds(list []*fhir.Node) error {
	for i, k := range list {
		kind := k.Get("code").Str()
		if k.Get("system").Str() != SystemKind || kind == "" {
			return refuse(fmt.Sprintf("Consent.provision.class[%d]", i), "must be a record kind of "+SystemKind)
		}
		c.Kinds = append(c.Kinds, kind)
	}
	return nil
}

func (c *Consent) readForm(root *fhir.Node) error {
	for _, e := range root.Get("extension").List() {
		if e.Get("url").Str() == formDigestURL {
			c.Form = e.Get("valueString").Str()
		}
	}
	data := root.At("sourceAttachment", "data").Str()
	if data == "" || c.Form != "" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		return refuse("Consent.sourceAttachment.data", "not base64")
	}
	c.FormContent = b
	return nil
}

// code returns the first code of a CodeableConcept.
func code(concept *fhir.Node) string {
	for _, c := range concept.Get("coding").List() {
		if s := c.Get("code").Str(); s != "" {
			return s
		}
	}
	return ""
}

func organization(root *fhir.Node) string {
	for _, o := range root.Get("organization").List() {
		if o.At("identifier", "system").Str() == SystemMember {
			return o.At("identifier", "value").Str()
		}
	}
	return ""
}

// residentID finds the patient's resident number: in patient.identifier, or in the
// contained Patient that patient.reference names.
func residentID(root *fhir.Node) string {
	patient := root.Get("patient")
	if n := residentOf(patient.Get("identifier").List()); n != "" {
		return n
	}
	local, ok := strings.CutPrefix(patient.Get("reference").Str(), "#")
	if !ok {
		return ""
	}
	for _, r := range root.Get("contained").List() {
		if r.Get("id").Str() == local && r.Get("resourceType").Str() == "Patient" {
			return residentOf(r.Get("identifier").List())
		}
	}
	return ""
}

func residentOf(list []*fhir.Node) string {
	for _, id := range list {
		if slices.Contains(residentSystems, id.Get("system").Str()) {
			return id.Get("value").Str()
		}
	}
	return ""
}
