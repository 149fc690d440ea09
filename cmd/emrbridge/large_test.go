package main

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/smcrypto"
)

type nullBus struct{ last bus.Message }

func (b *nullBus) Publish(_ context.Context, m bus.Message) error { b.last = m; return nil }

// TestLargeMessageFromAFile: what comes in memory and is too long for the bus goes into a
// claim as well, and is not left there when it is refused.
func TestLargeMessageFromAFile(t *testing.T) {
	key, err := smcrypto.ParseKey([]byte("0123456789abcdef"))
	require.NoError(t, err)
	cs, err := claims.Open(filepath.Join(t.TempDir(), "claims"), claims.Options{Keys: claims.Keys{Current: 1, Master: map[uint32]smcrypto.Key{1: key}}})
	require.NoError(t, err)
	s, b := &site{claims: cs}, &nullBus{}
	in, err := intake.New(intake.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Bus: b, RouteKey: make([]byte, 16)})
	require.NoError(t, err)
	raw := append([]byte("MSH|^~\\&|A|B|||20260301||ORU^R01|1|P|2.5||||||UNICODE UTF-8\rPID|1||张三\rOBX|1|ED|||^^^Base64^"), bytes.Repeat([]byte("QUJD"), 3<<20)...)
	m := hl7.Submission{Raw: raw, Sender: "A|B", ControlID: "1", Kind: "ORU^R01", Charset: "UNICODE UTF-8"}
	for _, take := range []bool{false, true} {
		sub, done, err := s.submission(t.Context(), in, m)
		require.NoError(t, err)
		require.Nil(t, sub.Raw)
		require.Contains(t, string(sub.Skeleton), "张三")
		require.Less(t, len(sub.Skeleton), 200)
		if take {
			_, err = in.Submit(t.Context(), sub)
			require.NoError(t, err)
		}
		done()
		require.Equal(t, take, cs.Stats().Files == 1)
	}
	ref, err := claims.ParseReference(b.last.Body)
	require.NoError(t, err)
	body, err := cs.Open(ref.Claim)
	require.NoError(t, err)
	got, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	require.True(t, bytes.Equal(raw, got))

	m.Raw = raw[:200]
	sub, done, err := s.submission(t.Context(), in, m)
	require.NoError(t, err)
	done()
	require.Nil(t, sub.Claim, "a short one stays in memory")
}
