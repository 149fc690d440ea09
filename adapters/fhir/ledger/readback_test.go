package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// TestProvenanceThereAndBack reads the proof that a document carries.
func TestProvenanceThereAndBack(t *testing.T) {
	want := ledger.Anchor{
		Record: strings.Repeat("5e", 16), Hospital: "H1MSP", EMR: [32]byte{1}, Cipher: [32]byte{2}, Signature: []byte("der"), Signed: []byte("signed"),
		SealedAt: now, Tx: strings.Repeat("6f", 32), Block: 1 << 40, Batch: strings.Repeat("7a", 16), At: now.Add(time.Second),
	}
	text := want.Provenance(nil, tree.New("display", "x")).AppendJSON(nil)
	got, err := ledger.ReadProvenance(text)
	require.NoError(t, err)
	require.True(t, want.SealedAt.Equal(got.SealedAt))
	require.True(t, want.At.Equal(got.At))
	got.SealedAt, got.At = want.SealedAt, want.At
	require.Equal(t, want, got)

	bare := ledger.Anchor{Record: want.Record, Hospital: "H1MSP"}
	got, err = ledger.ReadProvenance(bare.Provenance(nil, tree.New("display", "x")).AppendJSON(nil))
	require.NoError(t, err)
	require.Equal(t, bare, got)

	for name, change := range map[string][2]string{
		"other resource": {`"Provenance"`, `"Patient"`}, "no extension": {"ledger-anchor", "another"}, "digest": {`"01000000`, `"0100000`},
		"block": {`"1099511627776"`, `"many"`}, "time": {now.Format("2006-01-02T15:04"), "yesterday"}, "signature": {`"data":"`, `"data":"?`},
	} {
		_, err := ledger.ReadProvenance([]byte(strings.Replace(string(text), change[0], change[1], 1)))
		require.ErrorIs(t, err, ledger.ErrNotOurs, name)
	}
	_, err = ledger.ReadProvenance([]byte("{"))
	require.Error(t, err)
}

// TestEventsThereAndBack reads each step of an access from its AuditEvent.
func TestEventsThereAndBack(t *testing.T) {
	for name, a := range map[string]ledger.Access{"treatment": access(), "emergency": func() ledger.Access {
		a := access()
		a.Emergency, a.Reason, a.Consent = true, "unconscious", ""
		return a
	}()} {
		for i, r := range a.Events() {
			got, err := ledger.ReadEvent(r.AppendJSON(nil))
			require.NoError(t, err)
			want := a
			want.Requester, want.Owner = "", "" // the event tells who acted, and who else is concerned
			want.Steps = []ledger.Step{a.Steps[i]}
			require.True(t, want.Steps[0].At.Equal(got.Steps[0].At))
			got.Steps[0].At = want.Steps[0].At
			require.Equal(t, want, got, name)
		}
	}
	_, err := ledger.ReadEvent(ledger.Stage{Name: "received", At: now}.Event().AppendJSON(nil))
	require.ErrorIs(t, err, ledger.ErrNotOurs)
}

// FuzzReadBack reads anything: an answer or an error, never a panic.
func FuzzReadBack(f *testing.F) {
	f.Add(access().Events()[0].AppendJSON(nil))
	f.Add(ledger.Anchor{Record: "1", Signature: []byte("x"), SealedAt: now}.Provenance(nil, tree.New("display", "x")).AppendJSON(nil))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = ledger.ReadProvenance(data)
		_, _ = ledger.ReadEvent(data)
	})
}
