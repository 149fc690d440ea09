package chaincode_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
)

// What a dishonest member with a valid key and a valid MSP identity tries.

func TestAttackAnchorInAnothersName(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	mine, theirs := entry(2, 1, 1), entry(1, 1, 2)
	_, err := c.Members[1].Anchor(mine, theirs)
	assert.Equal(t, []evidence.RecordID{theirs.ID}, refused(t, err, evidence.CodeUnauthorized).IDs)
	_, err = chaincodetest.Ask[evidence.Anchor](c.Ledger, evidence.QueryAnchor, mine.Tag.String(), mine.ID.String())
	refused(t, err, evidence.CodeNotFound)
}

func TestAttackCarryAnothersStatement(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	call, err := c.Members[0].AnchorCall(entry(1, 1, 1))
	require.NoError(t, err)
	_, _, err = c.Submit("H2MSP", call.Function, call.Args, call.Transient)
	refused(t, err, evidence.CodeUnauthorized)
}

func TestAttackEntriesThatWereNotSigned(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	h1 := c.Members[0]
	call, err := h1.AnchorCall(batchOf(1, 1, 1, 4)...)
	require.NoError(t, err)
	honest, err := evidence.DecodeEntries(call.Transient[evidence.TransientEntries])
	require.NoError(t, err)
	encode := func(entries []evidence.Entry) []byte {
		var out []byte
		for _, e := range entries {
			out = e.Append(out)
		}
		return out
	}
	changed := func(change func([]evidence.Entry) []evidence.Entry) []byte {
		return encode(change(slices.Clone(honest)))
	}
	for name, raw := range map[string][]byte{
		"another hash":  changed(func(e []evidence.Entry) []evidence.Entry { e[1].CipherHash[0] ^= 1; return e }),
		"another tag":   changed(func(e []evidence.Entry) []evidence.Entry { e[3].Tag = tagOf(2); return e }),
		"one left out":  changed(func(e []evidence.Entry) []evidence.Entry { return e[:3] }),
		"one added":     changed(func(e []evidence.Entry) []evidence.Entry { return append(e, entry(1, 2, 9)) }),
		"two exchanged": changed(func(e []evidence.Entry) []evidence.Entry { e[0], e[1] = e[1], e[0]; return e }),
		"one doubled":   changed(func(e []evidence.Entry) []evidence.Entry { return append(e[:1], e...) }),
		"hashes swapped": changed(func(e []evidence.Entry) []evidence.Entry {
			e[0].CipherHash, e[1].CipherHash = e[1].CipherHash, e[0].CipherHash
			return e
		}),
		"nothing": {}, "rubbish": []byte("rubbish"), "cut": encode(honest)[:100], "too large": make([]byte, 1<<20),
	} {
		_, _, err := c.Submit(call.MSP, call.Function, call.Args, map[string][]byte{evidence.TransientEntries: raw})
		var r *evidence.Refusal
		require.ErrorAs(t, err, &r, name)
		assert.Contains(t, []evidence.Code{evidence.CodeMalformed, evidence.CodeLimit}, r.Code, name)
	}
	_, _, err = c.Submit(call.MSP, call.Function, call.Args, call.Transient)
	require.NoError(t, err, "the honest batch is not burnt by the attempts")
}

// A statement cannot be turned into one of another kind, and a nonce serves once whatever
// the kind.
func TestAttackNonceAcrossKinds(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1 := c.Members[0]
	entries := []evidence.Entry{entry(1, 1, 1)}
	encoded, err := evidence.EncodeEntries(entries)
	require.NoError(t, err)
	nonce := chaincodetest.NewNonce()
	sign := func(body evidence.Body) []byte {
		raw, err := chaincodetest.Sign(h1.SignKey, h1.MSP, nonce, c.Now().UnixMilli(), body)
		require.NoError(t, err)
		return raw
	}
	header := sign(evidence.AnchorBatch{Root: evidence.BatchRoot(entries), Count: 1})
	patient := sign(evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)})
	transient := map[string][]byte{evidence.TransientEntries: encoded}

	for _, function := range chaincodetest.Transactions {
		if function == evidence.TxRegisterPatient {
			continue
		}
		_, _, err := c.Submit(h1.MSP, function, [][]byte{patient}, nil)
		refused(t, err, evidence.CodeMalformed)
	}
	_, _, err = c.Submit(h1.MSP, evidence.TxAnchorBatch, [][]byte{header}, transient)
	require.NoError(t, err)
	_, _, err = c.Submit(h1.MSP, evidence.TxRegisterPatient, [][]byte{patient}, nil)
	refused(t, err, evidence.CodeReplayed)

	nonce = chaincodetest.NewNonce()
	_, _, err = c.Submit(h1.MSP, evidence.TxRegisterPatient, [][]byte{sign(evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)})}, nil)
	require.NoError(t, err)
	_, _, err = c.Submit(h1.MSP, evidence.TxAnchorBatch, [][]byte{sign(evidence.AnchorBatch{Root: evidence.BatchRoot(entries), Count: 1})}, transient)
	refused(t, err, evidence.CodeReplayed)
}

// Using up another member's nonces is not possible, except as the id of a consent or a
// request, where the victim draws another one.
func TestAttackTakeAnothersNonce(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1, h2 := c.Members[0], c.Members[1]
	nonce := chaincodetest.NewNonce()
	say := func(m *chaincodetest.Member, body evidence.Body) error {
		raw, err := chaincodetest.Sign(m.SignKey, m.MSP, nonce, c.Now().UnixMilli(), body)
		require.NoError(t, err)
		_, _, err = c.Submit(m.MSP, chaincodetest.Transactions[body.Kind()], [][]byte{raw}, nil)
		return err
	}
	require.NoError(t, say(h2, evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)}))
	require.NoError(t, say(h1, evidence.RegisterPatient{Tag: tagOf(1), Digest: digestOf(1)}))

	nonce = chaincodetest.NewNonce()
	require.NoError(t, say(h2, consentFor(tagOf(1))))
	refused(t, say(h1, consentFor(tagOf(1))), evidence.CodeConflict)
	nonce = chaincodetest.NewNonce()
	require.NoError(t, say(h2, requestOf(h2, h1)))
	refused(t, say(h1, requestOf(h1, h2)), evidence.CodeConflict)
}

// A peer that changed its own copy of the state cannot make the contract misbehave on it
// beyond an error: damaged state never panics and is never taken for an answer.
func TestAttackDamagedState(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1 := c.Members[0]
	_, consent, err := h1.Say(consentFor(tagOf(1)))
	require.NoError(t, err)
	_, request, err := c.Members[1].Say(requestOf(c.Members[1], h1))
	require.NoError(t, err)
	_, err = h1.Anchor(entry(1, 1, 1))
	require.NoError(t, err)
	for _, key := range c.Keys() {
		original := c.State(key)
		for _, value := range [][]byte{{1}, {1, 2, 3}, []byte("null"), []byte(`{"state":"granted"}`), []byte(`{"state":"delivered"}`), nil} {
			c.Tamper(key, value)
			_, _ = h1.Anchor(entry(1, 1, 1), entry(1, 1, 2))
			_, _, _ = h1.Say(evidence.RevokeConsent{Consent: consent})
			_, _, _ = h1.Say(evidence.DecideAccess{Request: request, Granted: true, Consent: consent, NotAfter: c.Now().UnixMilli() + 1000})
			_, _, _ = h1.Say(evidence.Deliver{Request: request, Grants: digestOf(1)})
			for _, q := range everyQuery(tagOf(1), entry(1, 1, 1).ID, consent, request) {
				if _, err := c.Query("H1MSP", q[0], q[1:]...); err != nil {
					assert.NotContains(t, err.Error(), "internal error", "%s with %s = %q", q[0], key, value)
				}
			}
			c.Tamper(key, original)
		}
	}
}
