package chaincode

import "github.com/emrbridge/emrbridge/evidence"

// registerPatient writes T_R. The same registration again changes nothing; another digest
// under the same tag means that one hospital knows the patient by two identities, which it
// has to sort out before it says so.
func registerPatient(t *tx, s *said, body evidence.RegisterPatient) (effect, error) {
	key := patientKey(body.Tag, s.member.Info.Number)
	held, found, err := getJSON[evidence.Registration](t.ledger, key)
	switch {
	case err != nil:
		return effect{}, err
	case found && !held.Digest.Equal(body.Digest):
		return effect{}, refuse(evidence.CodeConflict, "%s registered this patient with another digest", s.Actor)
	case found:
		return effect{}, nil
	}
	return effect{}, t.putJSON(key, evidence.Registration{Hospital: s.Actor, Tag: body.Tag, Digest: body.Digest, Signed: s.signed})
}

// destroyKey records that the acting hospital destroyed a key of its own.
func destroyKey(t *tx, s *said, body evidence.DestroyKey) (effect, error) {
	if body.Record != (evidence.RecordID{}) && body.Record.HospitalNumber() != s.member.Info.Number {
		return effect{}, refuseIDs(evidence.CodeUnauthorized, []evidence.RecordID{body.Record}, "the record is not one of hospital number %d", s.member.Info.Number)
	}
	key := indexKey(tagPrefix(familyDestruction, body.Tag), t.now, s.Nonce)
	return effect{}, t.putJSON(key, evidence.Destruction{ID: s.Nonce, Hospital: s.Actor, Terms: body, At: t.now, Signed: s.signed})
}
