package chainclient

import (
	"slices"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
)

var taken = &evidence.Refusal{Code: evidence.CodeConflict, Message: "taken", IDs: []evidence.RecordID{{0, 1, 2}}}

// A refusal is believed from the own peer, or from two organisations.
func TestWhoIsBelieved(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(f *fixture)
		refused bool
	}{
		"the own peer refuses": {refused: true, prepare: func(f *fixture) {
			f.links[0].onEndorse = func(proposal) error { return refusedBy(taken, "H1MSP") }
		}},
		"one foreign endorser lies": {prepare: func(f *fixture) {
			f.links[0].onEndorse = func(p proposal) error {
				if slices.Contains(p.orgs, "H2MSP") {
					return refusedBy(taken, "H2MSP")
				}
				return nil
			}
		}},
		"two foreign endorsers agree": {refused: true, prepare: func(f *fixture) {
			f.links[0].onEndorse = func(proposal) error { return refusedBy(taken, "H2MSP", "H3MSP") }
		}},
		"one foreign gateway lies in the name of all": {prepare: func(f *fixture) {
			f.links[0].setDown(true)
			f.links[1].onEndorse = func(proposal) error { return refusedBy(taken, orgs...) }
		}},
		"two foreign gateways say the same": {refused: true, prepare: func(f *fixture) {
			f.links[0].setDown(true)
			for _, l := range f.links[1:] {
				l.onEndorse = func(proposal) error { return refusedBy(taken, orgs...) }
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, f *fixture) {
				tc.prepare(f)
				_, err := f.Submit(t.Context(), somePatient)
				if !tc.refused {
					require.NoError(t, err)
					return
				}
				r, ok := RefusalOf(err)
				require.True(t, ok)
				assert.Equal(t, taken, r)
				var e *EndorseError
				require.ErrorAs(t, err, &e)
				assert.False(t, IsRetriable(err))
			})
		})
	}
}

// Foreign peers that have not seen the newest block refuse what the own peer endorses.
// That neither ends the transaction nor costs more than the moment they need.
func TestForeignPeersABlockBehind(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		behind := time.Now().Add(30 * time.Millisecond)
		f.links[0].onEndorse = func(p proposal) error {
			if time.Now().Before(behind) {
				return refusedBy(&evidence.Refusal{Code: evidence.CodeNotFound, Message: "no such request"}, p.orgs[1:]...)
			}
			return nil
		}
		begun := time.Now()
		commit, err := f.Submit(t.Context(), somePatient)
		require.NoError(t, err)
		assert.Greater(t, commit.Attempts, 1)
		assert.Less(t, time.Since(begun)-commit.Steps.Order-commit.Steps.Block, 100*time.Millisecond)
	})
}

// A peer tells of a block some milliseconds before its state shows it.
func TestOwnPeerHasNotAppliedTheBlock(t *testing.T) {
	for name, tc := range map[string]struct {
		code    evidence.Code
		until   time.Duration
		refused bool
	}{
		"for a moment":           {code: evidence.CodeBadState, until: 8 * time.Millisecond},
		"for good":               {code: evidence.CodeBadState, until: time.Hour, refused: true},
		"a code that stays true": {code: evidence.CodeMalformed, until: 8 * time.Millisecond, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, f *fixture) {
				_, err := f.Submit(t.Context(), somePatient) // its block has come just now
				require.NoError(t, err)
				begun := time.Now()
				f.links[0].onEndorse = func(proposal) error {
					if time.Since(begun) < tc.until {
						return refusedBy(&evidence.Refusal{Code: tc.code, Message: "not yet"}, "H1MSP")
					}
					return nil
				}
				_, err = f.Submit(t.Context(), somePatient)
				if _, refused := RefusalOf(err); !tc.refused {
					require.NoError(t, err)
				} else {
					assert.True(t, refused)
					assert.Less(t, time.Since(begun), 200*time.Millisecond)
				}
			})
		})
	}
}

func TestLiarAmongEndorsersIsSetAside(t *testing.T) {
	for name, complainants := range map[string]func(orgs []string) []string{
		"liar answers last": func([]string) []string { return []string{"H3MSP"} },
		"liar answers first": func(o []string) []string {
			return slices.DeleteFunc(slices.Clone(o), func(s string) bool { return s == "H3MSP" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, f *fixture) {
				bad := 0
				f.links[0].onEndorse = func(p proposal) error {
					if slices.Contains(p.orgs, "H3MSP") {
						bad++
						return complained(mismatch, complainants(p.orgs)...)
					}
					return nil
				}
				for range 8 {
					_, err := f.Submit(t.Context(), somePatient)
					require.NoError(t, err)
				}
				assert.LessOrEqual(t, bad, 2)
			})
		})
	}
}

// An endorser that signs nonsense shows only in the block.
func TestBadEndorsementIsTriedWithOthers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.ledger.spoil = func(tx *fakeTx) peer.TxValidationCode {
			if slices.Contains(tx.orgs, "H2MSP") {
				return peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE
			}
			return peer.TxValidationCode_VALID
		}
		for range 4 {
			_, err := f.Submit(t.Context(), somePatient)
			require.NoError(t, err)
		}
	})
}

func TestPolicyFailureEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.ledger.spoil = func(*fakeTx) peer.TxValidationCode { return peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE }
		_, err := f.Submit(t.Context(), somePatient)
		var e *CommitError
		require.ErrorAs(t, err, &e)
		assert.Equal(t, peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE, e.Code)
		assert.False(t, IsRetriable(err))
	})
}

func TestForgedEnvelopeIsNotSigned(t *testing.T) {
	input := must(&peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{ChaincodeId: &peer.ChaincodeID{Name: "emrbridge"}}})
	header := &common.Header{ChannelHeader: []byte("channel header"), SignatureHeader: []byte("signature header")}
	asked := must(&gateway.ProposedTransaction{Proposal: &peer.SignedProposal{ProposalBytes: must(&peer.Proposal{
		Header:  must(header),
		Payload: must(&peer.ChaincodeProposalPayload{Input: input, TransientMap: map[string][]byte{"entries": {1}}}),
	})}})
	prepare := func(h *common.Header, call *peer.ChaincodeProposalPayload, actions int) []byte {
		tx := &peer.Transaction{}
		for range actions {
			tx.Actions = append(tx.Actions, &peer.TransactionAction{Payload: must(&peer.ChaincodeActionPayload{ChaincodeProposalPayload: must(call)})})
		}
		return must(&gateway.PreparedTransaction{Envelope: &common.Envelope{Payload: must(&common.Payload{Header: h, Data: must(tx)})}})
	}
	honest := &peer.ChaincodeProposalPayload{Input: input}
	require.NoError(t, checkPrepared(asked, prepare(header, honest, 1)))
	for name, forged := range map[string][]byte{
		"other channel header":   prepare(&common.Header{ChannelHeader: []byte("x"), SignatureHeader: header.SignatureHeader}, honest, 1),
		"other signature header": prepare(&common.Header{ChannelHeader: header.ChannelHeader}, honest, 1),
		"other call":             prepare(header, &peer.ChaincodeProposalPayload{Input: []byte{}}, 1),
		"transient data leaks":   prepare(header, &peer.ChaincodeProposalPayload{Input: input, TransientMap: map[string][]byte{"entries": {1}}}, 1),
		"two actions":            prepare(header, honest, 2),
		"no action":              prepare(header, honest, 0),
		"no transaction":         {0xff},
	} {
		t.Run(name, func(t *testing.T) { require.ErrorIs(t, checkPrepared(asked, forged), errForged) })
	}
}
