package chaincode_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
)

// answered asserts that the contract gave an answer: it never panics, and on a healthy
// ledger every error is a refusal.
func answered(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var r *evidence.Refusal
	require.ErrorAs(t, err, &r)
	assert.NotEmpty(t, r.Code)
	assert.LessOrEqual(t, len(r.Message), 400)
	assert.LessOrEqual(t, len(r.IDs), 100)
}

// FuzzInvoke calls any function with any arguments.
func FuzzInvoke(f *testing.F) {
	c := chaincodetest.NewConsortium(f, 2)
	call, err := c.Members[0].AnchorCall(entry(1, 1, 1), entry(1, 1, 2))
	require.NoError(f, err)
	f.Add(call.Function, call.Args[0], call.Transient[evidence.TransientEntries], []byte(nil), byte(1))
	for _, q := range everyQuery(tagOf(1), evidence.RecordID{0, 1}, evidence.Nonce{1}, evidence.Nonce{2}) {
		args := append(slices.Clone(q), "", "", "")
		f.Add(q[0], []byte(args[1]), []byte(args[2]), []byte(args[3]), byte(len(q)-1))
	}
	f.Add(evidence.TxBootstrap, c.Authority.Cert.DER(), []byte(nil), []byte(nil), byte(1))
	f.Fuzz(func(t *testing.T, function string, a, b, d []byte, n byte) {
		_, err := c.Endorse(chaincodetest.Call{
			MSP: "H1MSP", Function: function, Args: [][]byte{a, b, d}[:n%4],
			Transient: map[string][]byte{evidence.TransientEntries: b},
		})
		answered(t, err)
	})
}

// FuzzStatements signs any body as any kind, so that the handlers behind the signature are
// reached.
func FuzzStatements(f *testing.F) {
	c := chaincodetest.NewConsortium(f, 2)
	h1, h2 := c.Members[0], c.Members[1]
	_, consent, err := h1.Say(consentFor(tagOf(1)))
	require.NoError(f, err)
	_, request, err := h2.Say(emergencyOf(h2, h1))
	require.NoError(f, err)
	institute := c.NewInstitute(f, "INST1")
	require.NoError(f, c.Decree(h1, institute.Registration()))
	application := institute.Application("p1", h1)
	require.NoError(f, institute.Say(h1, application))
	kinds := make([]evidence.Kind, 0, len(chaincodetest.Transactions))
	for kind := range chaincodetest.Transactions {
		kinds = append(kinds, kind)
	}
	slices.SortFunc(kinds, func(a, b evidence.Kind) int { return strings.Compare(string(a), string(b)) })
	seeds := append(bodies(h1, h2),
		evidence.DecideAccess{Request: request, Granted: true, NotAfter: c.Now().UnixMilli() + hour},
		evidence.RevokeConsent{Consent: consent},
		evidence.ReviewEmergency{Request: request, Reviewer: digestOf(1)},
		institute.Registration(), institute.Application("p2", h1, h2), institute.Release(application, 1),
		evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberSuspended, Reason: "audit"},
		evidence.CloseProject{Project: application.ID, Reason: "done"},
		evidence.ConfirmDeletion{Project: application.ID, Hospital: h1.MSP, Sequence: 1, Method: "erased"})
	entries, err := evidence.EncodeEntries([]evidence.Entry{entry(1, 1, 1)})
	require.NoError(f, err)
	for _, body := range seeds {
		st, err := evidence.NewStatement(h1.MSP, evidence.Nonce{1}, 1, body)
		require.NoError(f, err)
		f.Add(byte(slices.Index(kinds, body.Kind())), []byte(st.Body), entries, int64(0))
	}
	f.Fuzz(func(t *testing.T, kind byte, body, entries []byte, shift int64) {
		k := kinds[int(kind)%len(kinds)]
		key, actor := h1.SignKey, h1.MSP
		switch k {
		case evidence.KindSetMemberStatus, evidence.KindRegisterInstitute, evidence.KindSetInstituteStatus:
			key, actor = c.Authority.Key, evidence.AuthorityActor
		case evidence.KindApplyProject, evidence.KindCloseProject, evidence.KindConfirmDeletion:
			key, actor = institute.SignKey, institute.ID
		}
		raw, err := chaincodetest.SignStatement(key, evidence.Statement{
			Version: evidence.StatementVersion, Kind: k, Actor: actor, Nonce: chaincodetest.NewNonce(),
			IssuedAt: c.Now().UnixMilli() + shift%(2*evidence.StatementWindow), Body: body,
		})
		if err != nil {
			return
		}
		_, err = c.Endorse(chaincodetest.Call{
			MSP: h1.MSP, Function: chaincodetest.Transactions[k], Args: [][]byte{raw},
			Transient: map[string][]byte{evidence.TransientEntries: entries},
		})
		answered(t, err)
	})
}
