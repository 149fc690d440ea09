package ledger

import (
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// Consent is a consent as the ledger keeps it.
type Consent struct {
	ID        string // of the consent on the ledger; empty in one that was read from FHIR
	Hospital  string // MSP id of the hospital that recorded it
	Tag       string // keyed tag of the patient
	Grantees  []string
	Owners    []string
	Purposes  []string // treatment, research
	Kinds     []string // record kinds; empty means all
	Since     time.Time
	NotAfter  time.Time
	Revoked   bool
	RevokedAt time.Time
	Form      string // SM3 of the signed form, 64 hexadecimal digits, "" if there is none

	// ResidentID is the patient's resident number, if a Consent that was read names it. It
	// never goes into a resource made here.
	ResidentID string
	// FormContent is the signed form that a Consent brought with it, to be digested.
	FormContent []byte
}

// LogValue implements slog.LogValuer.
func (c Consent) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", c.ID), slog.String("hospital", c.Hospital))
}

const formDigestURL = tree.LocalURL + "StructureDefinition/form-digest"

// Resource returns the consent as FHIR Consent: policy OPTIN, one permit provision with
// actors (IRCP: who may read, CST: whose records), purposes, record kinds as class, and the
// period in which it holds.
func (c Consent) Resource() *tree.Resource {
	r := tree.NewResource("Consent", tree.NameID("consent", c.ID))
	r.Add("extension", tree.Extension(formDigestURL, "valueString", c.Form))
	if c.ID != "" {
		r.Add("identifier", tree.New("system", SystemConsent, "value", c.ID))
	}
	r.Set("status", map[bool]string{false: "active", true: "inactive"}[c.Revoked])
	r.Set("scope", c.scope())
	r.Add("category", tree.Concept("http://loinc.org", "59284-0", "Consent Document"))
	r.Set("patient", bearer(c.Tag))
	r.Set("dateTime", instant(c.Since))
	r.Add("organization", member(c.Hospital))
	r.Set("policyRule", tree.Concept(terminology+"v3-ActCode", "OPTIN", "opt-in"))
	r.Set("provision", c.provision())
	return r
}

func (c Consent) scope() *tree.Object {
	if len(c.Purposes) == 1 && c.Purposes[0] == "research" {
		return tree.Concept(terminology+"consentscope", "research", "Research")
	}
	return tree.Concept(terminology+"consentscope", "patient-privacy", "Privacy Consent")
}

func (c Consent) provision() *tree.Object {
	end := c.NotAfter
	if c.Revoked && !c.RevokedAt.IsZero() && c.RevokedAt.Before(end) {
		end = c.RevokedAt
	}
	p := tree.New("type", "permit", "period", tree.New("start", instant(c.Since), "end", instant(end)))
	for _, m := range c.Grantees {
		p.Add("actor", actor("IRCP", "information recipient", m))
	}
	for _, m := range c.Owners {
		p.Add("actor", actor("CST", "custodian", m))
	}
	p.Add("action", tree.Concept(terminology+"consentaction", "access", "Access"))
	for _, purpose := range c.Purposes {
		p.Add("purpose", purposeCoding(purpose))
	}
	for _, kind := range c.Kinds {
		p.Add("class", tree.Code(SystemKind, kind, ""))
	}
	return p
}

func actor(code, display, msp string) *tree.Object {
	return tree.New("role", tree.Concept(partTypes, code, display), "reference", member(msp))
}
