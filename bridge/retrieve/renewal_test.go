package retrieve_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

const window = evidence.StatementWindow * time.Millisecond

// restart makes owner and requester anew, as after a renewal.
func (p *pair) restart() {
	p.peer = &direct{owner: p.h1.Owner(nil), trust: p.h1.Trust}
	p.request = p.h2.Requester(p.peer, nil)
}

// allGenuine retrieves and expects n genuine records.
func (p *pair) allGenuine(t *testing.T, n int) {
	t.Helper()
	res, err := p.ask(nil)
	require.NoError(t, err)
	require.Len(t, res.Records(), n)
	for _, r := range res.Records() {
		assert.Equal(t, evidence.Genuine, r.Verdict, r.Check)
	}
	assert.Equal(t, evidence.Genuine, res.Deliveries[0].Verdict)
}

func TestRecordsAndConsentsOutliveARenewalOfTheKey(t *testing.T) {
	for name, recorder := range map[string]int{"consent recorded by the owner": 0, "by the requester": 1} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil, nil)
			p.Hospitals[recorder].Consent(p.patient, "H2MSP", nil)
			p.h1.Renew()
			p.h2.Renew()
			p.restart()
			p.allGenuine(t, 2)
			p.h1.File(p.patient, "ADT^A01", []byte("MSH|under the new key"))
			p.h1.Renew()
			p.h2.Renew()
			p.restart()
			p.allGenuine(t, 3)
		})
	}
}

func TestADecisionAndADeliveryMadeBeforeARenewalHold(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	req := p.claim(t, nil)
	p.h2.Renew() // the request stands under the requester's former key
	_, first, err := p.deliver(t, req)
	require.NoError(t, err)
	p.h1.Renew() // decision and delivery stand under the owner's former key
	_, second, err := p.deliver(t, req)
	require.NoError(t, err)
	assert.Equal(t, first, second)
}

// Grants are wrapped to the present encryption key alone.
func TestARequestForAFormerEncryptionKeyIsRefused(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	req := p.claim(t, nil)
	key, err := smcrypto.Default().GenerateKey()
	require.NoError(t, err)
	p.h2.EncryptCert = chaincodetest.Issue(t, p.Authority, key, "H2MSP", smcrypto.UsageEncipher)
	p.h2.Renew()
	_, stream, err := p.deliver(t, req)
	assert.Equal(t, retrieve.CodeKey, codeOf(t, err))
	assert.Empty(t, stream)
}

// forgedConsent is a consent under a key, dated some time from the present, as a lying
// peer shows it.
func (p *pair) forgedConsent(t *testing.T, key *smcrypto.PrivateKey, at time.Time) func(string, []byte) []byte {
	t.Helper()
	body := evidence.GrantConsent{Tag: p.h1.Tag(p.patient), Grantees: []string{"H2MSP"}, Owners: []string{evidence.Anyone},
		Purposes: []evidence.Purpose{evidence.Treatment}, NotAfter: time.Now().Add(time.Hour).UnixMilli()}
	nonce := chaincodetest.NewNonce()
	raw, err := chaincodetest.Sign(key, "H2MSP", nonce, at.UnixMilli(), body)
	require.NoError(t, err)
	_, _, err = p.Submit("H2MSP", evidence.TxGrantConsent, [][]byte{raw}, nil)
	var refusal *evidence.Refusal
	require.ErrorAs(t, err, &refusal, "the contract hears the present key alone")
	signed, _, err := evidence.ParseSigned(raw)
	require.NoError(t, err)
	page, err := json.Marshal(evidence.Page[evidence.Consent]{Items: []evidence.Consent{
		{ID: nonce, Hospital: "H2MSP", Terms: body, Since: at.UnixMilli() - window.Milliseconds(), Signed: signed}}})
	require.NoError(t, err)
	return func(query string, answer []byte) []byte {
		if query == evidence.QueryConsents {
			return page
		}
		return answer
	}
}

func TestAFormerKeySignsNothingAfterItsEnd(t *testing.T) {
	p := newPair(t, nil, nil)
	old := p.h2.Renew()
	after := time.Now().Add(2 * time.Second)
	p.h1.Ledger.OnAnswer(p.forgedConsent(t, old, after))
	outcome, stream, err := p.deliver(t, p.claim(t, nil))
	assert.Equal(t, retrieve.CodeDenied, codeOf(t, err))
	assert.Equal(t, "no-consent", outcome.Reason)
	assert.Empty(t, stream)
}

// Dated back, it passes for one peer's own hospital, and stops at the contract.
func TestAStatementDatedBackUnderAFormerKeyBringsNothing(t *testing.T) {
	p := newPair(t, nil, nil)
	before := time.Now().Add(-time.Minute)
	old := p.h2.Renew()
	req := p.claim(t, nil)
	p.h1.Ledger.OnAnswer(p.forgedConsent(t, old, before))
	outcome, stream, err := p.deliver(t, req)
	assert.Equal(t, retrieve.CodeLedger, codeOf(t, err))
	assert.False(t, outcome.Granted)
	assert.Empty(t, stream)
	p.h1.Ledger.OnAnswer(nil)
	a, err := p.h1.Ledger.Access(ctx, req.Access)
	require.NoError(t, err)
	assert.Equal(t, evidence.AccessRequested, a.State)
}

// showing changes what a hospital's peer shows of one member.
func showing(msp string, change func(*evidence.Member)) func(string, []byte) []byte {
	return func(query string, answer []byte) []byte {
		var m evidence.Member
		if query != evidence.QueryMember || json.Unmarshal(answer, &m) != nil || m.MSP != msp {
			return answer
		}
		change(&m)
		out, _ := json.Marshal(m)
		return out
	}
}

func TestThePeerCannotStretchTheTimeOfAFormerKey(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Renew()
	p.h1.Renew()
	honest, err := p.h2.Trust.Party(ctx, "H1MSP")
	require.NoError(t, err)
	require.Len(t, honest.Former, 2)
	p.h2.Ledger.OnAnswer(showing("H1MSP", func(m *evidence.Member) {
		for i := range m.Earlier {
			m.Earlier[i].Until = time.Now().AddDate(1, 0, 0).UnixMilli()
		}
	}))
	bounded, err := p.h2.Trust.Party(ctx, "H1MSP")
	require.NoError(t, err)
	for i, f := range bounded.Former {
		assert.Equal(t, honest.Former[i].Key, f.Key)
		assert.InDelta(t, honest.Former[i].Until, f.Until, float64(window.Milliseconds()), "the renewal bears a signed time")
	}
}

func TestEarlierRegistrationsAreVerifiedOneByOne(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Renew()
	foreign := chaincodetest.NewAuthority(t)
	register := func(msp string, number uint16, authority *smcrypto.Authority) evidence.Signed {
		key, err := smcrypto.Default().GenerateKey()
		require.NoError(t, err)
		body := p.h1.Registration()
		body.Number, body.SignCert = number, chaincodetest.Issue(t, authority, key, msp, smcrypto.UsageSign).DER()
		raw, err := chaincodetest.Sign(key, msp, chaincodetest.NewNonce(), time.Now().UnixMilli(), body)
		require.NoError(t, err)
		signed, _, err := evidence.ParseSigned(raw)
		require.NoError(t, err)
		return signed
	}
	spoilt := register("H1MSP", 1, p.Authority)
	spoilt.Signature[20] ^= 1
	for name, c := range map[string]struct {
		signed evidence.Signed
		keys   int
	}{
		"of the member":           {register("H1MSP", 1, p.Authority), 2},
		"of another authority":    {register("H1MSP", 1, foreign), 1},
		"of another member":       {register("H2MSP", 1, p.Authority), 1},
		"with another number":     {register("H1MSP", 2, p.Authority), 1},
		"with a signature spoilt": {spoilt, 1},
		"of no kind":              {evidence.Signed{Statement: []byte("x"), Signature: make([]byte, 70)}, 1},
	} {
		p.h2.Ledger.OnAnswer(showing("H1MSP", func(m *evidence.Member) {
			m.Earlier = append([]evidence.Earlier{{Signed: c.signed, Until: time.Now().UnixMilli()}}, m.Earlier...)
		}))
		for range 2 { // verified, and remembered
			party, err := p.h2.Trust.Party(ctx, "H1MSP")
			require.NoError(t, err, name)
			assert.Len(t, party.Former, c.keys, name)
		}
	}
	p.h2.Ledger.OnAnswer(showing("H1MSP", func(m *evidence.Member) {
		for len(m.Earlier) < 1000 {
			m.Earlier = append(m.Earlier, m.Earlier[0])
		}
	}))
	party, err := p.h2.Trust.Party(ctx, "H1MSP")
	require.NoError(t, err)
	assert.Len(t, party.Former, evidence.MaxEarlier, "a long list costs no more")
}

// The certificate of a former key may have run out since.
func TestAFormerCertificateIsJudgedAtItsTime(t *testing.T) {
	p := newPair(t, nil, nil)
	cert, err := p.Authority.Issue(p.h1.SignKey.Public(), smcrypto.Subject{Country: "CN", Organization: "H1MSP", CommonName: "short"},
		smcrypto.UsageSign, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)
	p.h1.SignCert = cert
	_, _, err = p.h1.Say(p.h1.Registration())
	require.NoError(t, err)
	year := func() time.Time { return time.Now().AddDate(1, 0, 0) }
	later, err := retrieve.NewTrust(p.h2.Ledger, []*smcrypto.Certificate{p.Authority.Cert}, nil, year)
	require.NoError(t, err)
	_, err = later.Party(ctx, "H1MSP")
	require.ErrorIs(t, err, retrieve.ErrUntrusted, "the present one has to be valid")
	p.h1.Renew()
	party, err := later.Party(ctx, "H1MSP")
	require.NoError(t, err)
	assert.Len(t, party.Former, 1)
}

func TestARecordSealedUnderAFormerKeyAfterItsEndIsNotGenuine(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	old := p.h1.Renew()
	p.restart()
	file := func(payload string, sealedAt time.Time) any {
		tag := p.h1.Tag(p.patient)
		sealed := p.h1.SealAs(tag, p.h1.NewRecord("ADT^A01", []byte(payload)), old, func(h *smcrypto.Header) { h.SealedAt = sealedAt })
		item := p.h1.Put(tag, "ADT^A01", sealed)
		_, err := p.h1.Anchor(item.Entry())
		require.NoError(t, err)
		return item.ID
	}
	early := file("MSH|on its way when the key was renewed", time.Now())
	late := file("MSH|long after", time.Now().Add(window+time.Minute))
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Equal(t, evidence.Genuine, verdictOf(t, res, early).Verdict)
	assert.Equal(t, evidence.NotGenuine, verdictOf(t, res, late).Verdict)
	assert.Equal(t, retrieve.CheckSignature, verdictOf(t, res, late).Check)
}
