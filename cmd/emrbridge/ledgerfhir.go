package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
)

// What the ledger says, in the words of adapters/fhir/ledger, which does not know the
// evidence package.

// consentFHIR is a consent of the ledger.
func consentFHIR(k evidence.Consent, zone *time.Location) ledger.Consent {
	c := ledger.Consent{
		ID: k.ID.String(), Hospital: k.Hospital, Tag: k.Terms.Tag.String(), Grantees: k.Terms.Grantees, Owners: k.Terms.Owners, Kinds: k.Terms.Kinds,
		Since: time.UnixMilli(k.Since).In(zone), NotAfter: time.UnixMilli(k.Terms.NotAfter).In(zone), Revoked: k.Revoked,
	}
	for _, p := range k.Terms.Purposes {
		c.Purposes = append(c.Purposes, string(p))
	}
	if !k.Terms.Form.IsZero() {
		c.Form = k.Terms.Form.String()
	}
	if k.RevokedAt != 0 {
		c.RevokedAt = time.UnixMilli(k.RevokedAt).In(zone)
	}
	return c
}

// consentRequest turns a FHIR Consent into what the running bridge is asked to record. The
// resident number of the resource is used where the caller gave none, and must be the
// same where both did.
func consentRequest(data []byte, patient local.Patient, zone *time.Location, now time.Time) (local.ConsentRequest, error) {
	c, err := ledger.ReadConsent(data, zone)
	if err != nil {
		return local.ConsentRequest{}, err
	}
	if patient.ResidentID == "" {
		patient.ResidentID = c.ResidentID
	}
	switch {
	case patient.ResidentID == "":
		return local.ConsentRequest{}, errors.New("the Consent names no resident number: give it with --id-file")
	case c.ResidentID != "" && c.ResidentID != patient.ResidentID:
		return local.ConsentRequest{}, errors.New("the Consent is another patient's than --id-file or --id-number")
	case c.Since.After(now.Add(evidence.StatementWindow * time.Millisecond)):
		return local.ConsentRequest{}, errors.New("the Consent begins later: record it when it begins")
	case !c.NotAfter.After(now):
		return local.ConsentRequest{}, errors.New("the Consent has ended")
	}
	req := local.ConsentRequest{Patient: patient, Grantees: c.Grantees, Owners: c.Owners, Kinds: c.Kinds, NotAfter: c.NotAfter}
	for _, p := range c.Purposes {
		req.Purposes = append(req.Purposes, evidence.Purpose(p))
	}
	if len(c.FormContent) > 0 {
		req.Form = sm3.Sum(c.FormContent)
	}
	if c.Form != "" {
		if err := req.Form.UnmarshalText([]byte(c.Form)); err != nil {
			return req, fmt.Errorf("the extension form-digest: %w", err)
		}
	}
	return req, nil
}

// accessFHIR is an access of the ledger with its steps.
func accessFHIR(a evidence.Access, zone *time.Location) ledger.Access {
	out := ledger.Access{
		ID: a.ID.String(), Requester: a.Requester, Owner: a.Request.Owner, Tag: a.Request.Tag.String(), Purpose: string(a.Request.Purpose),
		Emergency: a.Request.Emergency, Reason: a.Request.Reason,
	}
	for _, id := range a.Request.Records {
		out.Records = append(out.Records, id.String())
	}
	if a.Decision != nil && !a.Decision.Consent.IsZero() {
		out.Consent = a.Decision.Consent.String()
	}
	for _, signed := range a.Statements {
		s, err := evidence.ParseStatement(signed.Statement)
		if err != nil {
			continue // the contract wrote none that cannot be read
		}
		out.Steps = append(out.Steps, stepFHIR(a, s, zone))
	}
	return out
}

// stepFHIR is one statement of an access.
func stepFHIR(a evidence.Access, s evidence.Statement, zone *time.Location) ledger.Step {
	step := ledger.Step{Kind: string(s.Kind), Actor: s.Actor, At: time.UnixMilli(s.IssuedAt).In(zone), Good: true}
	switch {
	case s.Kind == evidence.KindDecideAccess && a.Decision != nil:
		step.Good, step.Reason = a.Decision.Granted, a.Decision.Reason
	case s.Kind == evidence.KindDeliver && a.Delivery != nil:
		step.Count = int(a.Delivery.Count)
	case s.Kind == evidence.KindConfirm && a.Outcome != nil:
		step.Good, step.Reason, step.Count = a.Outcome.Verdict == evidence.Genuine, string(a.Outcome.Verdict), int(a.Outcome.Count)
	case s.Kind == evidence.KindReviewEmergency && a.Reviewed != nil:
		step.Good = a.Reviewed.Justified
	}
	return step
}

// trailFHIR is the trail of a message as AuditEvents.
func trailFHIR(events []trail.Event, hospital string, zone *time.Location) []*tree.Resource {
	out := make([]*tree.Resource, len(events))
	for i, e := range events {
		out[i] = ledger.Stage{
			Name: e.Stage, At: e.At.In(zone), Hospital: hospital, Sender: e.Sender, ControlID: e.ControlID, Kind: e.Kind,
			Record: e.Record, Tag: e.Tag, Batch: e.Batch, Tx: e.Tx, Block: e.Block, Code: e.Code,
		}.Event()
	}
	return out
}

// printFHIR prints a resource or Bundle, indented.
func printFHIR(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
