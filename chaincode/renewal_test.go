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

// renewals is a member that renews its keys, one second after another.
type renewals struct {
	*chaincodetest.Consortium
	t   *testing.T
	m   *chaincodetest.Member
	now time.Time
}

func newRenewals(t *testing.T) *renewals {
	c := chaincodetest.NewConsortium(t, 2)
	r := &renewals{Consortium: c, t: t, m: c.Members[0], now: time.Now()}
	c.SetClock(func() time.Time { return r.now })
	return r
}

// renew registers the member again a second later, with another signing key if key is given.
func (r *renewals) renew(key *smcrypto.PrivateKey) {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	if key != nil {
		r.m.SignKey = key
		r.m.SignCert = chaincodetest.Issue(r.t, r.Authority, key, r.m.MSP, smcrypto.UsageSign)
	}
	_, _, err := r.m.Say(r.m.Registration())
	require.NoError(r.t, err)
}

func (r *renewals) fresh() *smcrypto.PrivateKey {
	key, err := smcrypto.Default().GenerateKey()
	require.NoError(r.t, err)
	return key
}

func (r *renewals) member() evidence.Member {
	m, err := chaincodetest.Ask[evidence.Member](r.Ledger, evidence.QueryMember, r.m.MSP)
	require.NoError(r.t, err)
	return m
}

// earlier are the keys of the member's earlier registrations and their ends. The
// signatures of the statements are verified.
func (r *renewals) earlier() (keys []smcrypto.PublicKey, until []int64) {
	r.t.Helper()
	for _, e := range r.member().Earlier {
		_, said, err := e.Signed.Registration()
		require.NoError(r.t, err)
		cert, err := smcrypto.ParseCertificate(said.SignCert)
		require.NoError(r.t, err)
		require.NoError(r.t, smcrypto.Default().Verify(cert.PublicKey(), evidence.SigningBytes(e.Signed.Statement), e.Signed.Signature))
		keys, until = append(keys, cert.PublicKey()), append(until, e.Until)
	}
	return keys, until
}

func TestARenewalKeepsTheEarlierRegistration(t *testing.T) {
	r := newRenewals(t)
	a, b := r.m.SignKey, r.fresh()
	before := r.member().Signed
	assert.Empty(t, r.member().Earlier)
	r.renew(b)
	got := r.member()
	require.Equal(t, []evidence.Earlier{{Signed: before, Until: r.now.UnixMilli()}}, got.Earlier)
	assert.Equal(t, r.m.SignCert.DER(), got.Info.SignCert)

	// Suspension and reinstatement leave the list alone.
	require.NoError(t, r.SetStatus(r.Members[1], r.m.MSP, evidence.MemberSuspended))
	require.NoError(t, r.SetStatus(r.Members[1], r.m.MSP, evidence.MemberActive))
	keys, _ := r.earlier()
	assert.Equal(t, []smcrypto.PublicKey{a.Public()}, keys)
}

func TestEachKeyIsKeptOnce(t *testing.T) {
	r := newRenewals(t)
	a, b := r.m.SignKey, r.fresh()
	at := func(seconds int) int64 { return r.now.Add(time.Duration(seconds) * time.Second).UnixMilli() }

	r.renew(nil)
	assert.Empty(t, r.member().Earlier, "the same certificate again")
	r.m.SignCert = chaincodetest.Issue(t, r.Authority, a, r.m.MSP, smcrypto.UsageSign)
	r.m.EncryptKey = r.fresh()
	r.m.EncryptCert = chaincodetest.Issue(t, r.Authority, r.m.EncryptKey, r.m.MSP, smcrypto.UsageEncipher)
	r.renew(nil)
	assert.Empty(t, r.member().Earlier, "another certificate of the same key")

	r.renew(b)
	ended := at(0)
	r.renew(nil)
	keys, until := r.earlier()
	assert.Equal(t, []smcrypto.PublicKey{a.Public()}, keys)
	assert.Equal(t, []int64{ended}, until, "a later registration with the present key moves no end")

	r.renew(a)
	keys, until = r.earlier()
	assert.Equal(t, []smcrypto.PublicKey{b.Public()}, keys, "a key that came back is the present one")
	assert.Equal(t, []int64{at(0)}, until)
	c := r.fresh()
	r.renew(c)
	keys, until = r.earlier()
	assert.Equal(t, []smcrypto.PublicKey{a.Public(), b.Public()}, keys)
	assert.Equal(t, []int64{at(0), at(-1)}, until)
}

func TestTheListOfEarlierKeysIsBounded(t *testing.T) {
	r := newRenewals(t)
	want := []smcrypto.PublicKey{r.m.SignKey.Public()}
	for range evidence.MaxEarlier + 3 {
		key := r.fresh()
		r.renew(key)
		want = append([]smcrypto.PublicKey{key.Public()}, want...)
	}
	keys, until := r.earlier()
	assert.Equal(t, want[1:evidence.MaxEarlier+1], keys, "newest first")
	for i := range until[1:] {
		assert.Greater(t, until[i], until[i+1])
	}
}

// What an earlier key signs is history; the contract hears the present key alone.
func TestAnEarlierKeySignsNothingNew(t *testing.T) {
	r := newRenewals(t)
	old := *r.m
	issued := r.now.UnixMilli()
	r.renew(r.fresh())
	for name, body := range map[string]evidence.Body{
		"consent":      consentFor(tagOf(1)),
		"request":      requestOf(r.m, r.Members[1]),
		"registration": evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)},
	} {
		for _, at := range []int64{issued, r.now.UnixMilli()} { // dated back, and honestly dated
			raw, err := chaincodetest.Sign(old.SignKey, old.MSP, chaincodetest.NewNonce(), at, body)
			require.NoError(t, err)
			_, _, err = r.Submit(old.MSP, chaincodetest.Transactions[body.Kind()], [][]byte{raw}, nil)
			assert.Equal(t, evidence.CodeBadSignature, refused(t, err, evidence.CodeBadSignature).Code, name)
		}
	}
	_, err := old.Anchor(entry(1, 1, 1))
	refused(t, err, evidence.CodeBadSignature)
	// Nor does it renew the certificates of the key that replaced it.
	raw, err := chaincodetest.Sign(old.SignKey, old.MSP, chaincodetest.NewNonce(), r.now.UnixMilli(), r.m.Registration())
	require.NoError(t, err)
	_, _, err = r.Submit(old.MSP, evidence.TxRegisterMember, [][]byte{raw}, nil)
	refused(t, err, evidence.CodeBadSignature)
}

// A renewal dated back would end the former key before statements that it made.
func TestARenewalIsNotDatedBeforeWhatItReplaces(t *testing.T) {
	r := newRenewals(t)
	r.renew(r.fresh())
	r.m.SignKey = r.fresh()
	r.m.SignCert = chaincodetest.Issue(t, r.Authority, r.m.SignKey, r.m.MSP, smcrypto.UsageSign)
	r.now = r.now.Add(-time.Millisecond)
	_, _, err := r.m.Say(r.m.Registration())
	refused(t, err, evidence.CodeStale)
	r.now = r.now.Add(time.Millisecond)
	_, _, err = r.m.Say(r.m.Registration())
	require.NoError(t, err)
}
