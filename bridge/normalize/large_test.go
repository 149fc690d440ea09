package normalize_test

import (
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
)

const claimID = "000102030405060708090a0b0c0d0e0f"

// largeMessage refers to payload and carries skeleton.
func largeMessage(t *testing.T, payload, skeleton string, partial bool) bus.Message {
	t.Helper()
	m := message(payload)
	ref := claims.Reference{Claim: claimID, Size: int64(len(payload)), Digest: sm3.Sum([]byte(payload)), Head: []byte(skeleton), Partial: partial}
	var err error
	m.Body, err = ref.Encode()
	require.NoError(t, err)
	m.Meta.Claim, m.Meta.Charset = claimID, "GB 18030-2000"
	return m
}

func TestSkeletonIsReadAndTheEnvelopeGoesOn(t *testing.T) {
	h := normalize.New(normalize.Deps{Parsers: map[string]normalize.Parser{"test/raw": parse}, Now: func() time.Time { return time.UnixMilli(2000) }})
	for _, partial := range []bool{false, true} {
		in := largeMessage(t, "a long payload", "skeleton", partial)
		out, err := h.Handle(t.Context(), in)
		require.NoError(t, err)
		require.Equal(t, topology.Normalized, out[0].Subject)
		require.Equal(t, claimID, out[0].Meta.Claim)
		ref, err := claims.ParseReference(out[0].Body)
		require.NoError(t, err)
		r, size, err := record.ParsePrefix(ref.Head)
		require.NoError(t, err)
		require.Equal(t, int64(len("a long payload")), size)
		require.Equal(t, in.Meta.Record, r.ID)
		require.Equal(t, "GB 18030-2000", r.Charset, "of the bytes, not of the skeleton")
		require.Equal(t, partial, r.Confidentiality == record.VeryRestricted, "what nobody has read in full is kept closest")
	}
}

func TestNothingLargeIsRejectedForGood(t *testing.T) {
	h := normalize.New(normalize.Deps{Parsers: map[string]normalize.Parser{"test/raw": parse}})
	foreign, broken, other := largeMessage(t, "p", "s", false), largeMessage(t, "p", "s", false), largeMessage(t, "p", "s", false)
	foreign.Meta.Record[5] ^= 1
	broken.Body = []byte("no reference")
	other.Meta.Claim = "ff0102030405060708090a0b0c0d0e0f"
	for code, m := range map[string]bus.Message{normalize.CodeUnparseable: largeMessage(t, "p", "bad", false), normalize.CodeInvalid: largeMessage(t, "p", "kindless", false),
		normalize.CodeIDMismatch: foreign, normalize.CodeReference: broken} {
		_, err := h.Handle(t.Context(), m)
		var park *stage.ParkError
		require.ErrorAs(t, err, &park, code)
		require.Equal(t, code, park.Code)
	}
	_, err := h.Handle(t.Context(), other)
	require.Equal(t, normalize.CodeReference, stage.CodeOf(err))
}
