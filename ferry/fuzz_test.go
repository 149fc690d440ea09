package ferry

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// FuzzOpen reads manifests and control files that a stranger brought: nothing but what the
// other side signed is ever accepted.
func FuzzOpen(f *testing.F) {
	key, err := smcrypto.Default().GenerateKey()
	require.NoError(f, err)
	signer := Signer{Provider: smcrypto.Default(), Key: key}
	trust := Trust{Provider: smcrypto.Default(), Keys: []smcrypto.PublicKey{key.Public()}}
	m := Manifest{Ferry: Version, Channel: "c", Lane: Bulk, Seq: 1, Content: Signed, Size: 1, Count: 1, Signer: signer.fingerprint()}
	manifest, _, err := signer.sign(m)
	require.NoError(f, err)
	control, _, err := signer.sign(Control{Ferry: Version, Channel: "c", Number: 1, Signer: signer.fingerprint()})
	require.NoError(f, err)
	f.Add(manifest)
	f.Add(control)
	f.Fuzz(func(t *testing.T, file []byte) {
		if m, _, err := trust.manifest(file, "c", Limits{}); err == nil {
			again, _, err := ownManifest(file)
			require.NoError(t, err)
			require.Equal(t, again, m)
			require.Equal(t, string(manifest), string(file), "nothing else was signed")
		}
		if _, err := trust.control(file, "c"); err == nil {
			require.Equal(t, string(control), string(file))
		}
	})
}

// FuzzUnpack reads the content of bundles.
func FuzzUnpack(f *testing.F) {
	for _, c := range []Content{Signed, Plain} {
		body, err := pack(c, []Message{{ID: "1", Subject: "s", Header: map[string][]string{"a": {"b"}}, Data: []byte("x")}, {ID: "2", Subject: "s"}})
		require.NoError(f, err)
		f.Add(body, c == Plain)
	}
	f.Fuzz(func(t *testing.T, body []byte, plain bool) {
		c := Signed
		if plain {
			c = Plain
		}
		messages, err := unpack(c, body)
		if err != nil {
			return
		}
		again, err := pack(c, messages)
		if err != nil {
			return // what cannot be written, such as text that is no UTF-8
		}
		back, err := unpack(c, again)
		require.NoError(t, err)
		require.Equal(t, len(messages), len(back))
		for i := range back {
			require.Equal(t, messages[i].ID, back[i].ID)
			require.Equal(t, string(messages[i].Data), string(back[i].Data))
		}
	})
}
