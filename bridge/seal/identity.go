package seal

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

// localOrder says which number stands for a patient without a resident identity number:
// those that stay with a person before those that belong to a visit.
var localOrder = []record.IdentifierType{
	record.LocalPatient, record.MedicalNo, record.HealthCard, record.Passport, record.InsuranceNo,
	record.OutpatientNo, record.InpatientNo, record.OtherID,
}

// typeUnnamed is the identity of a record that names no patient at all. It is sealed under
// a key of its own, since what was acknowledged must not be dropped for that.
const typeUnnamed = "unnamed-record"

// patient is who a record belongs to, as the ledger knows it.
type patient struct {
	tag          evidence.Tag
	registration evidence.Digest // of T_R
}

// identify derives tag and T_R digest of the record's patient. A resident number that fails
// its check is passed over: a typing error at the front desk must not stop a record.
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
