package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// localOrder says which number stands for a patient without a resident identity number:
// those that stay with a person before those that belong to a visit.
var localOrder = []record.IdentifierType{
	record.LocalPatient, record.MedicalNo, record.HealthCard, record.Passport, record.TravelPermit, record.InsuranceNo,
	record.OutpatientNo, record.InpatientNo, record.OtherID,
}

// typeUnnamed is the identity of a record that names no patient at all. It is sealed under
// a key of its own, since what was acknowledged must not be dropped for that.
const typeUnnamed = "unnamed-record"

// patients is the patient index; patientindex.Index is one.
type patients interface {
	Observe(ctx context.Context, e patientindex.Evidence) (patientindex.Filing, error)
	Merge(ctx context.Context, e patientindex.Evidence, merges ...patientindex.Merge) (patientindex.Filing, error)
	Filed(ctx context.Context, id record.ID, tag evidence.Tag) (patientindex.Filing, error)
}

// patient is who a record belongs to, as the ledger knows it, with what the record says
// about who is who.
type patient struct {
	tag          evidence.Tag
	registration evidence.Digest // of T_R
	links        []patientindex.Link
	incidents    []patientindex.Code
}

func patientOf(f patientindex.Filing) patient {
	return patient{tag: f.Tag, registration: f.Registration, links: f.Links, incidents: f.Incidents}
}

// who files a record that is not in the store: the index learns from it. Without an index
// each number stands for itself.
func who(ctx context.Context, c custody, index patients, r *record.Record) (patient, error) {
	if index == nil {
		return identify(ctx, c, r)
	}
	e := patientindex.Evidence{Record: r.ID, Event: r.Kind, At: r.EventTime.UnixMilli, Identifiers: r.Patient.Identifiers}
	merges, unread := patientindex.MergesOf(r)
	var f patientindex.Filing
	var err error
	if len(merges) > 0 {
		f, err = index.Merge(ctx, e, merges...)
	} else {
		f, err = index.Observe(ctx, e)
	}
	if errors.Is(err, patientindex.ErrUnnamed) {
		return identify(ctx, c, r)
	}
	if err != nil {
		return patient{}, err
	}
	p := patientOf(f)
	if unread != nil {
		p.incidents = append(p.incidents, patientindex.MergeUnreadable)
	}
	return p, nil
}

// filed files a record again that is in the store under a tag: nothing is learned from it.
func filed(ctx context.Context, c custody, index patients, r *record.Record, tag evidence.Tag) (patient, error) {
	if index == nil {
		p, err := identify(ctx, c, r)
		p.tag = tag
		return p, err
	}
	f, err := index.Filed(ctx, r.ID, tag)
	if err != nil || !f.Registration.IsZero() {
		return patientOf(f), err
	}
	// The index does not know the tag: it was made anew, or the record names nobody.
	p, err := identify(ctx, c, r)
	if err != nil || p.tag != tag {
		return patientOf(f), err
	}
	p.links, p.incidents = f.Links, f.Incidents
	return p, nil
}

// identify derives tag and T_R digest of the record's patient from its best number alone. A
// resident number that fails its check is passed over: a typing error at the front desk must
// not stop a record.
func identify(ctx context.Context, c custody, r *record.Record) (patient, error) {
	var last error
	for _, who := range identities(r) {
		token, err := c.PatientToken(ctx, who)
		if errors.Is(err, keystore.ErrIdentity) {
			last = err
			continue
		}
		if err != nil {
			return patient{}, err
		}
		tag, err := c.Tag(ctx, token)
		if err != nil {
			return patient{}, err
		}
		digest, err := c.RegistrationDigest(ctx, numberOf(who), insuranceOf(r))
		if err != nil {
			return patient{}, err
		}
		return patient{tag: tag, registration: digest}, nil
	}
	return patient{}, last
}

// identities lists who the patient may be, the best first.
func identities(r *record.Record) []keystore.Identity {
	var out []keystore.Identity
	for _, id := range r.Patient.Identifiers {
		if id.Type == record.ResidentID && id.Value != "" {
			out = append(out, keystore.Identity{ResidentID: id.Value})
		}
	}
	for _, t := range localOrder {
		if id, ok := r.Patient.Find(t); ok && id.Value != "" {
			out = append(out, local(r, id.Authority, string(id.Type), id.Value))
		}
	}
	if id, ok := r.Patient.Find(record.ResidentID); ok && id.Value != "" {
		// A number that is no resident number is still this hospital's name for somebody.
		out = append(out, local(r, id.Authority, string(id.Type), id.Value))
	}
	return append(out, local(r, "", typeUnnamed, r.ID.String()))
}

func local(r *record.Record, authority, kind, value string) keystore.Identity {
	return keystore.Identity{Local: keystore.LocalIdentity{MSPID: r.HospitalMSP, Authority: authority, Type: kind, Value: value}}
}

// numberOf is PI of T_R.
func numberOf(who keystore.Identity) string {
	if who.ResidentID != "" {
		return who.ResidentID
	}
	return who.Local.Value
}

// insuranceOf is No of T_R.
func insuranceOf(r *record.Record) string {
	id, _ := r.Patient.Find(record.InsuranceNo)
	return id.Value
}

// statementOf is what the hospital signs for a record.
func statementOf(r *record.Record, emr [32]byte) ([]byte, error) {
	b, err := evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: r.HospitalMSP, Kind: r.Kind,
		EventTime: r.EventTime.UnixMilli, Precision: uint8(r.EventTime.Precision), EMR: emr}.SigningBytes()
	if err != nil {
		return nil, fmt.Errorf("seal statement: %w", err)
	}
	return b, nil
}
