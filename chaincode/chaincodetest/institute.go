package chaincodetest

import (
	"testing"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Institute is a research institute with its SM2 keys.
type Institute struct {
	ID, Name              string
	SignKey, EncryptKey   *smcrypto.PrivateKey
	SignCert, EncryptCert *smcrypto.Certificate

	consortium *Consortium
}

// NewInstitute makes an institute with certificates of the authority, without registering it.
func (c *Consortium) NewInstitute(t testing.TB, id string) *Institute {
	t.Helper()
	i := &Institute{ID: id, Name: "Institute " + id, SignKey: newKey(t), EncryptKey: newKey(t), consortium: c}
	i.SignCert = Issue(t, c.Authority, i.SignKey, id, smcrypto.UsageSign)
	i.EncryptCert = Issue(t, c.Authority, i.EncryptKey, id, smcrypto.UsageEncipher)
	return i
}

// Registration is the statement body with which the authority registers the institute.
func (i *Institute) Registration() evidence.RegisterInstitute {
	return evidence.RegisterInstitute{
		ID: i.ID, Name: i.Name, SignCert: i.SignCert.DER(), EncryptCert: i.EncryptCert.DER(), TLSKey: evidence.Digest{1},
	}
}

// KeyDigest is the digest of the encryption certificate that releases name.
func (i *Institute) KeyDigest() evidence.Digest { return smcrypto.Default().SM3(i.EncryptCert.DER()) }

// Say signs a statement of the institute and lets a member carry it.
func (i *Institute) Say(carrier *Member, body evidence.Body) error {
	raw, err := Sign(i.SignKey, i.ID, NewNonce(), i.consortium.Now().UnixMilli(), body)
	if err != nil {
		return err
	}
	_, _, err = i.consortium.Submit(carrier.MSP, Transactions[body.Kind()], [][]byte{raw}, nil)
	return err
}

// Decree lets the authority sign a statement, carried by a member.
func (c *Consortium) Decree(carrier *Member, body evidence.Body) error {
	raw, err := Sign(c.Authority.Key, evidence.AuthorityActor, NewNonce(), c.Now().UnixMilli(), body)
	if err != nil {
		return err
	}
	_, _, err = c.Submit(carrier.MSP, Transactions[body.Kind()], [][]byte{raw}, nil)
	return err
}

// Application is the body of a valid application of the institute to some members, the
// first of whom is the proxy.
func (i *Institute) Application(name string, asked ...*Member) evidence.ApplyProject {
	const day = 24 * 60 * 60 * 1000
	now := i.consortium.Now().UnixMilli()
	body := evidence.ApplyProject{
		ID: i.ID + "." + name, Proxy: asked[0].MSP, Purpose: "follow-up of diabetes",
		Ethics:   evidence.Ethics{Board: "Ethics committee", Number: "2026-17", NotAfter: now + 200*day, Document: evidence.Digest{2}},
		Protocol: evidence.Digest{3}, Cohort: evidence.Cohort{Diagnoses: []string{"E11"}},
		Sharing: evidence.ShareAgreement, Policy: evidence.DeidPolicy{Name: "gbt39725-agreement", Digest: evidence.Digest{4}},
		MinGroup: 6, NotAfter: now + 300*day,
	}
	for _, m := range asked {
		body.Hospitals = append(body.Hospitals, m.MSP)
	}
	return body
}

// Approval is the body with which a member approves a project that is on the ledger.
func (i *Institute) Approval(project string) (evidence.DecideProject, error) {
	p, err := Ask[evidence.Project](i.consortium.Ledger, evidence.QueryProject, project)
	return evidence.DecideProject{
		Project: project, Terms: evidence.StatementDigest(p.Signed.Statement), Approved: true,
		Committee: []evidence.Digest{{1}, {2}}, NotAfter: p.Terms.NotAfter,
	}, err
}

// Release is the body of a valid release to a project.
func (i *Institute) Release(terms evidence.ApplyProject, sequence uint32) evidence.RecordRelease {
	return evidence.RecordRelease{
		Project: terms.ID, Sequence: sequence, Root: evidence.Digest{5}, Package: evidence.Digest{6}, Recipient: i.KeyDigest(),
		Rows: 40, Subjects: 12, Policy: terms.Policy.Digest, Risk: evidence.Risk{K: 6, MaxPermille: 166, AveragePermille: 100}, Gate: true,
	}
}
