package chaincode_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func TestBootstrapIsOnceAndForAll(t *testing.T) {
	c := chaincodetest.NewUnregistered(t, 2)
	root := c.Authority.Cert.DER()
	submit := func(args ...[]byte) error {
		_, _, err := c.Submit("H1MSP", evidence.TxBootstrap, args, nil)
		return err
	}
	_, err := chaincodetest.Ask[evidence.Authority](c.Ledger, evidence.QueryAuthority)
	refused(t, err, evidence.CodeNotFound)
	_, _, err = c.Members[0].Say(c.Members[0].Registration())
	refused(t, err, evidence.CodeBadState)

	refused(t, submit(), evidence.CodeMalformed)
	refused(t, submit([]byte("certificate")), evidence.CodeMalformed)
	refused(t, submit(root, root), evidence.CodeMalformed)
	refused(t, submit(c.Members[0].SignCert.DER()), evidence.CodeBadSignature)
	require.NoError(t, submit(root))
	require.NoError(t, submit(root), "the same certificate again")
	refused(t, submit(chaincodetest.NewAuthority(t).Cert.DER()), evidence.CodeBadState)

	got, err := chaincodetest.Ask[evidence.Authority](c.Ledger, evidence.QueryAuthority)
	require.NoError(t, err)
	assert.Equal(t, root, got.Certificate)
}

func TestRegisterMemberChecksEverything(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	foreign := chaincodetest.NewAuthority(t)
	cases := []struct {
		name   string
		change func(*chaincodetest.Member, *evidence.RegisterMember)
		code   evidence.Code
	}{
		{"good", nil, ""},
		{"number taken", func(m *chaincodetest.Member, r *evidence.RegisterMember) { r.Number = 1 }, evidence.CodeConflict},
		{"endpoint without TLS", func(_ *chaincodetest.Member, r *evidence.RegisterMember) { r.Endpoint = "http://h3.test" }, evidence.CodeMalformed},
		{"signing certificate of another authority", func(m *chaincodetest.Member, r *evidence.RegisterMember) {
			r.SignCert = chaincodetest.Issue(t, foreign, m.SignKey, m.MSP, smcrypto.UsageSign).DER()
		}, evidence.CodeBadSignature},
		{"encryption certificate of another authority", func(m *chaincodetest.Member, r *evidence.RegisterMember) {
			r.EncryptCert = chaincodetest.Issue(t, foreign, m.EncryptKey, m.MSP, smcrypto.UsageEncipher).DER()
		}, evidence.CodeBadSignature},
		{"certificates exchanged", func(_ *chaincodetest.Member, r *evidence.RegisterMember) {
			r.SignCert, r.EncryptCert = r.EncryptCert, r.SignCert
		}, evidence.CodeBadSignature},
		{"certificate of another member", func(m *chaincodetest.Member, r *evidence.RegisterMember) {
			r.SignCert = chaincodetest.Issue(t, c.Authority, m.SignKey, "H1MSP", smcrypto.UsageSign).DER()
		}, evidence.CodeBadSignature},
		{"not a certificate", func(_ *chaincodetest.Member, r *evidence.RegisterMember) { r.SignCert = []byte("x") }, evidence.CodeBadSignature},
		{"one key for both", func(m *chaincodetest.Member, r *evidence.RegisterMember) {
			r.EncryptCert = chaincodetest.Issue(t, c.Authority, m.SignKey, m.MSP, smcrypto.UsageEncipher).DER()
		}, evidence.CodeMalformed},
		{"signed with another key", func(m *chaincodetest.Member, r *evidence.RegisterMember) {
			r.SignCert = chaincodetest.Issue(t, c.Authority, chaincodetest.NewAuthority(t).Key, m.MSP, smcrypto.UsageSign).DER()
		}, evidence.CodeBadSignature},
	}
	for i, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			m := c.NewMember(t, "T"+string(rune('A'+i))+"MSP", uint16(100+i))
			body := m.Registration()
			if tc.change != nil {
				tc.change(m, &body)
			}
			_, _, err := m.Say(body)
			if tc.code != "" {
				refused(t, err, tc.code)
				_, err := chaincodetest.Ask[evidence.Member](c.Ledger, evidence.QueryMember, m.MSP)
				refused(t, err, evidence.CodeNotFound)
				return
			}
			require.NoError(t, err)
			got, err := chaincodetest.Ask[evidence.Member](c.Ledger, evidence.QueryMember, m.MSP)
			require.NoError(t, err)
			assert.Equal(t, evidence.MemberActive, got.Status)
			assert.Equal(t, body, got.Info)
			require.NoError(t, smcrypto.Default().Verify(m.SignKey.Public(), evidence.SigningBytes(got.Signed.Statement), got.Signed.Signature))
		})
	}
}

func TestNoMemberMayBearTheAuthoritysName(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	m := c.NewMember(t, evidence.AuthorityActor, 7)
	_, _, err := m.Say(m.Registration())
	refused(t, err, evidence.CodeUnauthorized)
}

func TestCertificatesAreCheckedAtTheTimeOfTheTransaction(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	m := c.NewMember(t, "H5MSP", 5)
	for name, at := range map[string]time.Time{"before": time.Now().AddDate(0, 0, -2), "after": time.Now().AddDate(11, 0, 0)} {
		c.SetClock(func() time.Time { return at })
		_, _, err := m.Say(m.Registration())
		refused(t, err, evidence.CodeBadSignature)
		_, err = c.Members[0].Anchor(entry(1, 1, 1))
		r := refused(t, err, evidence.CodeBadSignature)
		assert.Contains(t, r.Message, "not valid at the time", name)
	}
}

func TestRenewal(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	old := c.Members[0]
	renewed := *old
	fresh := c.NewMember(t, old.MSP, old.Number)
	renewed.SignKey, renewed.SignCert, renewed.EncryptKey, renewed.EncryptCert = fresh.SignKey, fresh.SignCert, fresh.EncryptKey, fresh.EncryptCert

	body := renewed.Registration()
	body.Number = 77
	_, _, err := renewed.Say(body)
	refused(t, err, evidence.CodeConflict)
	body = renewed.Registration()
	body.Name = "Another name"
	_, _, err = renewed.Say(body)
	refused(t, err, evidence.CodeConflict)

	raw, _, err := renewed.Sign(renewed.Registration())
	require.NoError(t, err)
	submit := func() error {
		_, _, err := c.Submit(renewed.MSP, evidence.TxRegisterMember, [][]byte{raw}, nil)
		return err
	}
	require.NoError(t, submit())
	refused(t, submit(), evidence.CodeReplayed)
	_, err = old.Anchor(entry(1, 1, 1))
	refused(t, err, evidence.CodeBadSignature)
	_, err = renewed.Anchor(entry(1, 1, 1))
	require.NoError(t, err, "the new key speaks now")
}

func TestSetMemberStatus(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1, h2 := c.Members[0], c.Members[1]
	suspend := evidence.SetMemberStatus{Member: h2.MSP, Status: evidence.MemberSuspended, Reason: "key-lost"}
	say := func(key *smcrypto.PrivateKey, actor, courier string, body evidence.SetMemberStatus) error {
		raw, err := chaincodetest.Sign(key, actor, chaincodetest.NewNonce(), c.Now().UnixMilli(), body)
		require.NoError(t, err)
		_, _, err = c.Submit(courier, evidence.TxSetMemberStatus, [][]byte{raw}, nil)
		return err
	}
	refused(t, say(h1.SignKey, h1.MSP, h1.MSP, suspend), evidence.CodeUnauthorized)
	refused(t, say(h1.SignKey, evidence.AuthorityActor, h1.MSP, suspend), evidence.CodeBadSignature)
	refused(t, say(c.Authority.Key, evidence.AuthorityActor, "H9MSP", suspend), evidence.CodeNotMember)
	unknown := suspend
	unknown.Member = "H9MSP"
	refused(t, say(c.Authority.Key, evidence.AuthorityActor, h1.MSP, unknown), evidence.CodeNotFound)
	require.NoError(t, say(c.Authority.Key, evidence.AuthorityActor, h1.MSP, suspend))
	refused(t, say(c.Authority.Key, evidence.AuthorityActor, h1.MSP, suspend), evidence.CodeBadState)

	got, err := chaincodetest.Ask[evidence.Member](c.Ledger, evidence.QueryMember, h2.MSP)
	require.NoError(t, err)
	assert.Equal(t, evidence.MemberSuspended, got.Status)
	require.NotNil(t, got.StatusSigned)
	require.NoError(t, smcrypto.Default().Verify(c.Authority.Cert.PublicKey(), evidence.SigningBytes(got.StatusSigned.Statement), got.StatusSigned.Signature))

	require.NoError(t, c.SetStatus(h1, h1.MSP, evidence.MemberSuspended), "the last one too")
	require.NoError(t, c.SetStatus(h1, h1.MSP, evidence.MemberActive), "and back, though nobody is active")
	_, err = h1.Anchor(entry(1, 1, 1))
	require.NoError(t, err)
}

func TestRegisterPatient(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	body := evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)}
	for range 2 {
		_, _, err := c.Members[0].Say(body)
		require.NoError(t, err)
	}
	other := body
	other.Digest = digestOf(2)
	_, _, err := c.Members[0].Say(other)
	refused(t, err, evidence.CodeConflict)
	_, _, err = c.Members[1].Say(other)
	require.NoError(t, err, "each hospital has its own digest")

	got, err := chaincodetest.Ask[[]evidence.Registration](c.Ledger, evidence.QueryPatient, body.Tag.String())
	require.NoError(t, err)
	require.Len(t, got, 2)
	assert.Equal(t, "H1MSP", got[0].Hospital)
	assert.Equal(t, digestOf(2), got[1].Digest)
}

func TestDestroyKey(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	foreign := entry(2, 1, 1).ID
	_, _, err := c.Members[0].Say(evidence.DestroyKey{Tag: tagOf(1), Record: foreign, Reason: "erasure"})
	assert.Equal(t, []evidence.RecordID{foreign}, refused(t, err, evidence.CodeUnauthorized).IDs)
	_, one, err := c.Members[0].Say(evidence.DestroyKey{Tag: tagOf(1), Record: entry(1, 1, 1).ID, Reason: "erasure"})
	require.NoError(t, err)
	_, all, err := c.Members[1].Say(evidence.DestroyKey{Tag: tagOf(1), Reason: "erasure"})
	require.NoError(t, err)

	page, err := chaincodetest.Ask[evidence.Page[evidence.Destruction]](c.Ledger, evidence.QueryDestructions, tagOf(1).String(), "10", "")
	require.NoError(t, err)
	require.Len(t, page.Items, 2)
	assert.ElementsMatch(t, []evidence.Nonce{one, all}, []evidence.Nonce{page.Items[0].ID, page.Items[1].ID})
}
