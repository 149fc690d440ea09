package intake_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func openClaims(t testing.TB) *claims.Store {
	t.Helper()
	key, err := smcrypto.ParseKey([]byte("master key of c."))
	require.NoError(t, err)
	s, err := claims.Open(filepath.Join(t.TempDir(), "claims"), claims.Options{Keys: claims.Keys{Current: 1, Master: map[uint32]smcrypto.Key{1: key}}})
	require.NoError(t, err)
	return s
}

// large is a submission whose body is in a claim.
func large(t testing.TB, cs *claims.Store, body []byte) intake.Submission {
	t.Helper()
	c, err := cs.Take(t.Context(), bytes.NewReader(body))
	require.NoError(t, err)
	s := submission("1", "")
	s.Raw, s.Claim, s.Skeleton, s.Partial = nil, c, []byte("MSH|"), true
	return s
}

func TestLargeBodyTravelsAsAReference(t *testing.T) {
	b, l, cs := &fakeBus{}, &fakeLedger{seen: map[string][32]byte{}}, openClaims(t)
	in := newIntake(t, b, l)
	body := bytes.Repeat([]byte("x"), 9<<20)
	s := large(t, cs, body)
	r, err := in.Submit(t.Context(), s)
	require.NoError(t, err)
	s.Claim.Discard() // as the transport does in any case
	require.Equal(t, 1, cs.Stats().Files)
	want := record.NewID(record.Origin{HospitalNumber: 7, HospitalMSP: "H7MSP", Sender: s.Sender, ControlID: s.ControlID, Payload: body})
	require.Equal(t, want, r.Record, "the id is that of the bytes, whichever way they took")
	m := b.got[0]
	require.Equal(t, s.Claim.ID(), m.Meta.Claim)
	ref, err := claims.ParseReference(m.Body)
	require.NoError(t, err)
	require.Equal(t, claims.Reference{Claim: s.Claim.ID(), Size: int64(len(body)), Digest: s.Claim.Digest(), Head: []byte("MSH|"), Partial: true}, ref)
	back, err := topology.MetaOf(m.Meta.Header())
	require.NoError(t, err)
	require.Equal(t, m.Meta.Claim, back.Claim)
	other := m.Meta
	other.Claim = ""
	require.NotEqual(t, m.Meta.Binding(), other.Binding(), "the reference is bound to the body")

	again := large(t, cs, body)
	r, err = in.Submit(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, intake.Duplicate, r.Outcome)
	again.Claim.Discard()
	require.Equal(t, 1, cs.Stats().Files, "the second copy is gone, the first stays")
}

// TestClaimOfARefusedSubmission: what surely is not on the bus is removed, what may be there
// is left to be collected.
func TestClaimOfARefusedSubmission(t *testing.T) {
	for cause, left := range map[error]int{bus.ErrFull: 0, bus.ErrClosed: 0, bus.ErrUnavailable: 1, errors.New("cut"): 1} {
		cs := openClaims(t)
		in := newIntake(t, &fakeBus{fail: cause}, nil)
		s := large(t, cs, []byte("body"))
		_, err := in.Submit(t.Context(), s)
		require.ErrorIs(t, err, cause)
		s.Claim.Discard()
		require.Equal(t, left, cs.Stats().Files, "%v", cause)
	}
}

func TestBoundsOfLargeSubmissions(t *testing.T) {
	cs := openClaims(t)
	in := newIntake(t, &fakeBus{}, nil)
	both := large(t, cs, []byte("body"))
	both.Raw = []byte("x")
	bare := large(t, cs, []byte("body"))
	bare.Skeleton = nil
	long := large(t, cs, []byte("body"))
	long.Skeleton = make([]byte, topology.DefaultMaxMessage+1)
	for want, s := range map[error]intake.Submission{intake.ErrEmpty: both, intake.ErrTooLarge: long} {
		_, err := in.Submit(t.Context(), s)
		require.ErrorIs(t, err, want)
	}
	_, err := in.Submit(t.Context(), bare)
	require.ErrorIs(t, err, intake.ErrEmpty)
	require.NotContains(t, long.LogValue().String(), "body")
}
