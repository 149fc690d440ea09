package chaincode_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
)

// refused asserts that the contract refused with a code and returns the refusal.
func refused(t testing.TB, err error, code evidence.Code) *evidence.Refusal {
	t.Helper()
	var r *evidence.Refusal
	require.ErrorAs(t, err, &r, "a refusal with code %s is wanted", code)
	require.Equal(t, code, r.Code, r.Message)
	assert.NotEmpty(t, r.Message)
	return r
}

func tagOf(b byte) evidence.Tag {
	return evidence.Tag(bytes.Repeat([]byte{b}, evidence.TagSize))
}

func digestOf(b byte) evidence.Digest { return evidence.Digest(bytes.Repeat([]byte{b}, 32)) }

// entry makes an entry of a hospital; seed tells records apart.
func entry(number uint16, tag byte, seed uint32) evidence.Entry {
	e := evidence.Entry{Tag: tagOf(tag), CipherHash: digestOf(byte(seed)), Pointer: []byte{byte(seed >> 8), byte(seed)}}
	e.ID[0], e.ID[1] = byte(number>>8), byte(number)
	for i := 2; i < len(e.ID); i++ {
		seed = seed*1664525 + 1013904223
		e.ID[i] = byte(seed >> 24)
	}
	return e
}

func TestInvokeRefusesWhatItDoesNotKnow(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	for _, name := range []string{"", "devnet:probe", "Init", "anchorbatch", string(bytes.Repeat([]byte("x"), 1<<20)), "\xff\xfe"} {
		_, _, err := c.Submit("H1MSP", name, nil, nil)
		r := refused(t, err, evidence.CodeMalformed)
		assert.Less(t, len(r.Message), 400)
	}
}

func TestOnlyClientsAndAdminsSubmit(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	m := c.Members[0]
	for unit, ok := range map[string]bool{"client": true, "admin": true, "peer": false, "orderer": false, "Client": false} {
		raw, _, err := m.Sign(evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)})
		require.NoError(t, err)
		_, err = c.Endorse(chaincodetest.Call{MSP: m.MSP, Unit: unit, Function: evidence.TxRegisterPatient, Args: [][]byte{raw}})
		if ok {
			assert.NoError(t, err, unit)
		} else {
			refused(t, err, evidence.CodeUnauthorized)
		}
	}
	_, err := c.Endorse(chaincodetest.Call{MSP: "bad/msp", Function: evidence.TxRegisterPatient, Args: [][]byte{nil}})
	refused(t, err, evidence.CodeUnauthorized)
}

func TestTheTimeOfATransactionIsChecked(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(-5, 0), time.UnixMilli(1 << 48), time.Date(10001, 1, 1, 0, 0, 0, 0, time.UTC)} {
		_, err := c.Endorse(chaincodetest.Call{MSP: "H1MSP", Function: evidence.TxRegisterPatient, Args: [][]byte{{1}}, At: at})
		refused(t, err, evidence.CodeMalformed)
	}
}

// Every statement of an active member passes the same gate; here it is tried with one kind.
func TestStatementsAreAdmitted(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1, h2 := c.Members[0], c.Members[1]
	stranger := c.NewMember(t, "H9MSP", 9)
	now := time.Now()
	c.SetClock(func() time.Time { return now })
	body := evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)}
	sign := func(m *chaincodetest.Member, actor string, shift time.Duration) []byte {
		raw, err := chaincodetest.Sign(m.SignKey, actor, chaincodetest.NewNonce(), now.Add(shift).UnixMilli(), body)
		require.NoError(t, err)
		return raw
	}
	good := sign(h1, "H1MSP", 0)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	otherKind, _, err := h1.Sign(evidence.RevokeConsent{Consent: evidence.Nonce{1}})
	require.NoError(t, err)

	cases := []struct {
		name      string
		submitter string
		args      [][]byte
		code      evidence.Code
	}{
		{"no argument", "H1MSP", nil, evidence.CodeMalformed},
		{"two arguments", "H1MSP", [][]byte{good, good}, evidence.CodeMalformed},
		{"no CBOR", "H1MSP", [][]byte{[]byte("statement")}, evidence.CodeMalformed},
		{"trailing byte", "H1MSP", [][]byte{append(bytes.Clone(good), 0)}, evidence.CodeMalformed},
		{"too large", "H1MSP", [][]byte{make([]byte, 1<<20)}, evidence.CodeMalformed},
		{"another kind", "H1MSP", [][]byte{otherKind}, evidence.CodeMalformed},
		{"submitted by another", "H2MSP", [][]byte{good}, evidence.CodeUnauthorized},
		{"in another's name", "H1MSP", [][]byte{sign(h1, "H2MSP", 0)}, evidence.CodeUnauthorized},
		{"not registered", "H9MSP", [][]byte{sign(stranger, "H9MSP", 0)}, evidence.CodeNotMember},
		{"signature changed", "H1MSP", [][]byte{flipped}, evidence.CodeBadSignature},
		{"signed by another", "H1MSP", [][]byte{sign(h2, "H1MSP", 0)}, evidence.CodeBadSignature},
		{"too old", "H1MSP", [][]byte{sign(h1, "H1MSP", -10*time.Minute-time.Second)}, evidence.CodeStale},
		{"from the future", "H1MSP", [][]byte{sign(h1, "H1MSP", 10*time.Minute+time.Second)}, evidence.CodeStale},
		{"as old as allowed", "H1MSP", [][]byte{sign(h1, "H1MSP", -10*time.Minute)}, ""},
		{"good", "H1MSP", [][]byte{good}, ""},
		{"good, but again", "H1MSP", [][]byte{good}, evidence.CodeReplayed},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := c.Submit(tc.submitter, evidence.TxRegisterPatient, tc.args, nil)
			if tc.code == "" {
				require.NoError(t, err)
				return
			}
			refused(t, err, tc.code)
		})
	}
}

func TestASuspendedMemberCanDoNothing(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1, h2 := c.Members[0], c.Members[1]
	require.NoError(t, c.SetStatus(h1, h2.MSP, evidence.MemberSuspended))
	for _, body := range bodies(h2, h1) {
		if body.Kind() == evidence.KindAnchorBatch {
			_, err := h2.Anchor(entry(2, 1, 1))
			refused(t, err, evidence.CodeNotMember)
			continue
		}
		_, _, err := h2.Say(body)
		refused(t, err, evidence.CodeNotMember)
	}
}

// bodies returns a valid body of every kind that a member signs.
func bodies(m, other *chaincodetest.Member) []evidence.Body {
	id := evidence.Nonce{1}
	e := entry(m.Number, 1, 1)
	return []evidence.Body{
		m.Registration(),
		evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)},
		evidence.AnchorBatch{Root: evidence.BatchRoot([]evidence.Entry{e}), Count: 1},
		evidence.GrantConsent{
			Tag: tagOf(1), Grantees: []string{other.MSP}, Owners: []string{evidence.Anyone},
			Purposes: []evidence.Purpose{evidence.Treatment}, NotAfter: 1 << 45,
		},
		evidence.RevokeConsent{Consent: id},
		evidence.RequestAccess{Tag: tagOf(1), Owner: other.MSP, Purpose: evidence.Treatment, RequesterKey: m.KeyDigest()},
		evidence.DecideAccess{Request: id, Reason: "no-consent"},
		evidence.Deliver{Request: id, Grants: digestOf(1)},
		evidence.Confirm{Request: id, Verdict: evidence.Genuine},
		evidence.ReviewEmergency{Request: id, Reviewer: digestOf(1)},
		evidence.DestroyKey{Tag: tagOf(1), Reason: "erasure"},
		evidence.LinkTag{From: tagOf(2), To: tagOf(1), Order: 1},
		evidence.UnlinkTag{From: tagOf(2), To: tagOf(1), Order: 2},
		evidence.DecideProject{Project: "INST1.p1", Terms: digestOf(1), Reason: "no", Committee: []evidence.Digest{digestOf(1), digestOf(2)}},
		evidence.RecordRelease{Project: "INST1.p1", Sequence: 1, Root: digestOf(1), Package: digestOf(2), Recipient: digestOf(3), Policy: digestOf(4)},
		evidence.WithdrawSubjects{Project: "INST1.p1", Sequence: 1, All: true, Reason: "project-ended", DueBy: 1 << 45},
		evidence.Reidentify{Project: "INST1.p1", Subject: digestOf(1), Reason: "urgent-finding", Staff: []evidence.Digest{digestOf(1), digestOf(2)}},
	}
}

func TestEveryTransactionSetsOneEvent(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	_, _, err := c.Members[0].Say(evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)})
	require.NoError(t, err)
	_, err = c.Members[0].Anchor(entry(1, 1, 1), entry(1, 1, 2))
	require.NoError(t, err)
	require.NoError(t, c.SetStatus(c.Members[0], "H2MSP", evidence.MemberSuspended))

	var got []evidence.Event
	var names []string
	for _, block := range c.Blocks() {
		for _, tx := range block {
			var e evidence.Event
			require.NoError(t, json.Unmarshal(tx.Event, &e))
			e.ID = evidence.Nonce{}
			got, names = append(got, e), append(names, tx.EventName)
		}
	}
	assert.Equal(t, []evidence.Event{
		{Kind: "bootstrap", Actor: "H1MSP"},
		{Kind: evidence.KindRegisterMember, Actor: "H1MSP", Ref: "H1MSP"},
		{Kind: evidence.KindRegisterMember, Actor: "H2MSP", Ref: "H2MSP"},
		{Kind: evidence.KindRegisterPatient, Actor: "H1MSP"},
		{Kind: evidence.KindAnchorBatch, Actor: "H1MSP", Count: 2},
		{Kind: evidence.KindSetMemberStatus, Actor: evidence.AuthorityActor, Ref: "H2MSP", Owner: "H2MSP"},
	}, got)
	assert.Equal(t, []string{"changed", "changed", "changed", "changed", "anchored", "changed"}, names)
}

func TestInitDoesNothing(t *testing.T) {
	assert.EqualValues(t, 200, (&chaincode.Contract{}).Init(nil).GetStatus())
}
