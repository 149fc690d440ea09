package chaincodetest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Transactions names the contract's function for each kind of statement.
var Transactions = map[evidence.Kind]string{
	evidence.KindRegisterMember:  evidence.TxRegisterMember,
	evidence.KindSetMemberStatus: evidence.TxSetMemberStatus,
	evidence.KindRegisterPatient: evidence.TxRegisterPatient,
	evidence.KindAnchorBatch:     evidence.TxAnchorBatch,
	evidence.KindGrantConsent:    evidence.TxGrantConsent,
	evidence.KindRevokeConsent:   evidence.TxRevokeConsent,
	evidence.KindRequestAccess:   evidence.TxRequestAccess,
	evidence.KindDecideAccess:    evidence.TxDecideAccess,
	evidence.KindDeliver:         evidence.TxDeliver,
	evidence.KindConfirm:         evidence.TxConfirm,
	evidence.KindReviewEmergency: evidence.TxReviewEmergency,
	evidence.KindDestroyKey:      evidence.TxDestroyKey,
	evidence.KindLinkTag:         evidence.TxLinkTag,
	evidence.KindUnlinkTag:       evidence.TxUnlinkTag,

	evidence.KindRegisterInstitute:  evidence.TxRegisterInstitute,
	evidence.KindSetInstituteStatus: evidence.TxSetInstituteStatus,
	evidence.KindApplyProject:       evidence.TxApplyProject,
	evidence.KindDecideProject:      evidence.TxDecideProject,
	evidence.KindCloseProject:       evidence.TxCloseProject,
	evidence.KindRecordRelease:      evidence.TxRecordRelease,
	evidence.KindWithdrawSubjects:   evidence.TxWithdrawSubjects,
	evidence.KindConfirmDeletion:    evidence.TxConfirmDeletion,
	evidence.KindReidentify:         evidence.TxReidentify,
}

// Consortium is a ledger with an authority and registered members H1MSP, H2MSP, …
type Consortium struct {
	*Ledger
	Authority *smcrypto.Authority
	Members   []*Member
}

// Member is a hospital with its SM2 keys.
type Member struct {
	MSP                   string
	Number                uint16
	Name                  string
	SignKey, EncryptKey   *smcrypto.PrivateKey
	SignCert, EncryptCert *smcrypto.Certificate

	ledger *Ledger
}

// NewConsortium pins a fresh authority and registers n members. Certificates are valid
// from a day before the present to ten years after it.
func NewConsortium(t testing.TB, n int) *Consortium {
	t.Helper()
	c := NewUnregistered(t, n)
	_, _, err := c.Submit(c.Members[0].MSP, evidence.TxBootstrap, [][]byte{c.Authority.Cert.DER()}, nil)
	require.NoError(t, err)
	for _, m := range c.Members {
		_, _, err := m.Say(m.Registration())
		require.NoError(t, err)
	}
	return c
}

// NewUnregistered makes an authority and n members that the ledger knows nothing of.
func NewUnregistered(t testing.TB, n int) *Consortium {
	t.Helper()
	c := &Consortium{Ledger: NewLedger(), Authority: NewAuthority(t)}
	for i := 1; i <= n; i++ {
		c.Members = append(c.Members, c.NewMember(t, fmt.Sprintf("H%dMSP", i), uint16(i)))
	}
	return c
}

// NewAuthority makes a self-signed SM2 authority.
func NewAuthority(t testing.TB) *smcrypto.Authority {
	t.Helper()
	from, to := validity()
	a, err := smcrypto.NewAuthority(newKey(t), smcrypto.Subject{Country: "CN", Organization: "Consortium", CommonName: "Consortium SM2 CA"}, from, to)
	require.NoError(t, err)
	return a
}

// NewMember makes a member with certificates of the authority, without registering it.
func (c *Consortium) NewMember(t testing.TB, msp string, number uint16) *Member {
	t.Helper()
	m := &Member{
		MSP: msp, Number: number, Name: "Hospital " + msp, SignKey: newKey(t), EncryptKey: newKey(t), ledger: c.Ledger,
	}
	m.SignCert = Issue(t, c.Authority, m.SignKey, msp, smcrypto.UsageSign)
	m.EncryptCert = Issue(t, c.Authority, m.EncryptKey, msp, smcrypto.UsageEncipher)
	return m
}

// Issue certifies a key in the name of a member.
func Issue(t testing.TB, a *smcrypto.Authority, key *smcrypto.PrivateKey, msp string, usage smcrypto.Usage) *smcrypto.Certificate {
	t.Helper()
	from, to := validity()
	cert, err := a.Issue(key.Public(), smcrypto.Subject{Country: "CN", Organization: msp, CommonName: msp + " " + usage.String()}, usage, from, to)
	require.NoError(t, err)
	return cert
}

func validity() (from, to time.Time) {
	now := time.Now() //nolint:forbidigo // the authority has a clock
	return now.AddDate(0, 0, -1), now.AddDate(10, 0, 0)
}

func newKey(t testing.TB) *smcrypto.PrivateKey {
	t.Helper()
	key, err := smcrypto.Default().GenerateKey()
	require.NoError(t, err)
	return key
}

// Registration is the statement body that registers the member.
func (m *Member) Registration() evidence.RegisterMember {
	return evidence.RegisterMember{
		Number: m.Number, Name: m.Name, SignCert: m.SignCert.DER(), EncryptCert: m.EncryptCert.DER(),
		Endpoint: "https://" + m.MSP + ".test:8443",
	}
}

// KeyDigest is the digest of the encryption certificate that access requests name.
func (m *Member) KeyDigest() evidence.Digest {
	return smcrypto.Default().SM3(m.EncryptCert.DER())
}

// NewNonce draws a nonce.
func NewNonce() (n evidence.Nonce) {
	_, _ = rand.Read(n[:]) // crypto/rand never fails
	return n
}

// Sign makes the encoded signed statement of an actor.
func Sign(key *smcrypto.PrivateKey, actor string, nonce evidence.Nonce, issuedAt int64, body evidence.Body) ([]byte, error) {
	st, err := evidence.NewStatement(actor, nonce, issuedAt, body)
	if err != nil {
		return nil, err
	}
	return SignStatement(key, st)
}

// SignStatement signs a statement as it is.
func SignStatement(key *smcrypto.PrivateKey, st evidence.Statement) ([]byte, error) {
	canonical, err := st.Canonical()
	if err != nil {
		return nil, err
	}
	sig, err := smcrypto.Default().Sign(key, evidence.SigningBytes(canonical))
	if err != nil {
		return nil, fmt.Errorf("chaincodetest: sign: %w", err)
	}
	return evidence.Signed{Statement: canonical, Signature: sig}.Encode()
}

// Sign makes a signed statement of the member, issued now, with a fresh nonce.
func (m *Member) Sign(body evidence.Body) ([]byte, evidence.Nonce, error) {
	nonce := NewNonce()
	raw, err := Sign(m.SignKey, m.MSP, nonce, m.ledger.Now().UnixMilli(), body)
	return raw, nonce, err
}

// Say signs a statement of the member and submits it as the member. The nonce is the id of
// what the statement created.
func (m *Member) Say(body evidence.Body) (payload []byte, nonce evidence.Nonce, err error) {
	raw, nonce, err := m.Sign(body)
	if err != nil {
		return nil, nonce, err
	}
	payload, _, err = m.ledger.Submit(m.MSP, Transactions[body.Kind()], [][]byte{raw}, nil)
	return payload, nonce, err
}

// Anchor sorts the entries, signs their header and submits them in the transient map.
func (m *Member) Anchor(entries ...evidence.Entry) (evidence.AnchorReceipt, error) {
	call, err := m.AnchorCall(entries...)
	if err != nil {
		return evidence.AnchorReceipt{}, err
	}
	payload, _, err := m.ledger.Submit(call.MSP, call.Function, call.Args, call.Transient)
	if err != nil {
		return evidence.AnchorReceipt{}, err
	}
	var receipt evidence.AnchorReceipt
	return receipt, json.Unmarshal(payload, &receipt)
}

// AnchorCall is the proposal that Anchor submits.
func (m *Member) AnchorCall(entries ...evidence.Entry) (Call, error) {
	evidence.Sort(entries)
	encoded, err := evidence.EncodeEntries(entries)
	if err != nil {
		return Call{}, err
	}
	raw, _, err := m.Sign(evidence.AnchorBatch{Root: evidence.BatchRoot(entries), Count: uint32(len(entries))})
	return Call{
		MSP: m.MSP, Function: evidence.TxAnchorBatch, Args: [][]byte{raw},
		Transient: map[string][]byte{evidence.TransientEntries: encoded},
	}, err
}

// SetStatus lets the authority set a member's status, carried by the courier.
func (c *Consortium) SetStatus(courier *Member, msp string, status evidence.MemberStatus) error {
	raw, err := Sign(c.Authority.Key, evidence.AuthorityActor, NewNonce(), c.Now().UnixMilli(),
		evidence.SetMemberStatus{Member: msp, Status: status, Reason: "test"})
	if err != nil {
		return err
	}
	_, _, err = c.Submit(courier.MSP, evidence.TxSetMemberStatus, [][]byte{raw}, nil)
	return err
}

// Ask evaluates a query and decodes its answer.
func Ask[T any](l *Ledger, function string, args ...string) (T, error) {
	var v T
	raw, err := l.Query("H1MSP", function, args...)
	if err != nil {
		return v, err
	}
	return v, json.Unmarshal(raw, &v)
}
