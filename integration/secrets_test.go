package integration_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// TestNoSecretsAtRest lets messages of known persons through everything, with logs at
// their most talkative, and then searches everything that two hospitals and the
// consortium wrote for anything that would tell a person or a key.
func TestNoSecretsAtRest(t *testing.T) {
	talkative := func(c *config.Config) { c.Observe.LogLevel = "debug" }
	s, other := w.up(t, 1, talkative), w.up(t, 2, talkative)
	d := day("SECRET", 20)
	persons := personal(d)
	l := s.send(t, d)
	l.wait(t)
	for _, m := range d.Messages[:5] { // and refused ones
		s.one(t, bytes.Replace(m.Raw, []byte("\rPID|"), []byte("\rP?D|"), 1))
	}
	s.reconcile(t)

	said := outputs(t, s, other, d)
	keys := secretKeys(t, s)
	for _, site := range []*site{s, other} {
		assert.Empty(t, search(t, site.Dir(), persons...), "persons at %s", site.hospital.MSPID)
		assert.Empty(t, search(t, site.Config.DataDir, keys...), "keys at %s", site.hospital.MSPID)
		log, err := os.ReadFile(site.LogFile())
		require.NoError(t, err)
		assert.Empty(t, searchBytes("log", log, keys...))
	}
	for _, h := range w.net.Hospitals() {
		assert.Empty(t, search(t, filepath.Join(h.Dir, "peer"), persons...), "persons on the ledger of %s", h.MSPID)
		assert.Empty(t, search(t, filepath.Join(h.Dir, "peer"), keys...), "keys on the ledger of %s", h.MSPID)
	}
	assert.Empty(t, search(t, filepath.Join(w.net.Dir(), "logs"), persons...), "persons in the logs of nodes and contracts")
	assert.Empty(t, search(t, filepath.Join(w.net.Dir(), "orderers"), persons...), "persons at the orderers")
	assert.Empty(t, searchBytes("output", said, persons...))
	assert.Empty(t, searchBytes("output", said, keys...))
}

// personal lists what tells the persons of a day.
func personal(d *hospitalday.Day) (all [][]pattern) {
	for _, p := range d.Patients {
		if utf8.RuneCountInString(p.Name()) > 2 {
			all = append(all, secret("name", p.Name()))
		}
		all = append(all, secret("resident number", p.ResidentID), secret("telephone", p.Phone), secret("address", p.Address),
			secret("insurance number", p.InsuranceNo), secret("health card", p.HealthCardNo))
	}
	return all
}

// outputs runs what an operator would run, rightly and wrongly, and returns all that was
// said, with metrics and profiles.
func outputs(t *testing.T, s, other *site, d *hospitalday.Day) []byte {
	t.Helper()
	var said bytes.Buffer
	idFile := filepath.Join(t.TempDir(), "id")
	bad := filepath.Join(t.TempDir(), "bad.hl7")
	require.NoError(t, os.WriteFile(bad, append([]byte("MSH|^~\\&|X|Y|||1||ADT^A08||P|2.5\r"), d.Messages[0].Raw...), 0o600))
	require.NoError(t, os.WriteFile(idFile, []byte(resident(d).ResidentID), 0o600))
	for _, c := range []struct {
		at   *site
		args []string
	}{
		{s, []string{"trace", d.Messages[0].ControlID}}, {s, []string{"verify"}}, {s, []string{"verify", "--json"}},
		{s, []string{"quarantine", "list", "--json"}}, {s, []string{"config", "check"}},
		{other, []string{"retrieve", "--id-file", idFile}}, // without consent
		{s, []string{"consent", "grant", "--id-file", idFile, "--to", "H2MSP"}}, {s, []string{"consent", "list", "--id-file", idFile, "--json"}},
		{other, []string{"retrieve", "--id-file", idFile, "--json"}},
		{other, []string{"retrieve", "--id-file", bad}}, // no number at all
		{other, []string{"retrieve", "--id-file", idFile, "--emergency", "--reason", "unconscious", "--staff", "D-1", "--staff", "D-1"}},
	} {
		out, _ := exec.CommandContext(t.Context(), c.at.Self, append(c.args, "--config", c.at.Path)...).CombinedOutput()
		said.Write(out)
	}
	out, _ := exec.CommandContext(t.Context(), s.Self, "hl7", "send", "--addr", s.mllp(), bad, "--json").CombinedOutput()
	said.Write(out)
	for _, path := range []string{"/metrics", "/readyz", "/debug/pprof/goroutine?debug=2"} {
		status, body, err := s.get(t.Context(), path)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		said.Write(body)
	}
	require.Contains(t, said.String(), "anchored")
	return said.Bytes()
}

// resident is the first patient that has a resident number and messages.
func resident(d *hospitalday.Day) hospitalday.Patient {
	for _, m := range d.Messages {
		if p := d.Patients[m.PatientIndex]; p.ResidentID != "" {
			return p
		}
	}
	panic("no patient has a resident number")
}

// secretKeys lists keys that the hospital holds: identity key, passphrase, SM2 scalars, data
// keys of bus and quarantine, and the keys of some records.
func secretKeys(t *testing.T, s *site) (all [][]pattern) {
	t.Helper()
	identity, err := os.ReadFile(w.net.IdentityKeyFile())
	require.NoError(t, err)
	raw, err := hex.DecodeString(string(bytes.TrimSpace(identity)))
	require.NoError(t, err)
	all = append(all, secretBytes("identity key", raw))
	for _, path := range []string{s.hospital.SignKey, s.hospital.EncKey} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		key, err := smcrypto.ParsePrivateKeyPEM(text)
		require.NoError(t, err)
		scalar, err := key.ExposeScalar()
		require.NoError(t, err)
		all = append(all, secretBytes("SM2 key", scalar))
	}
	for _, path := range []string{s.hospital.GatewayKey, s.hospital.ClientKey} {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		block, _ := pem.Decode(text)
		require.NotNil(t, block)
		_, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		require.NoError(t, err)
		all = append(all, secretBytes("TLS key", block.Bytes[len(block.Bytes)-100:]))
	}
	pass, err := os.ReadFile(s.Config.Keystore.PassphraseFile)
	require.NoError(t, err)
	pass = bytes.TrimSpace(pass)
	all = append(all, secretBytes("passphrase", pass))
	return append(all, dataKeys(t, s, pass)...)
}

func dataKeys(t *testing.T, s *site, pass []byte) (all [][]pattern) {
	t.Helper()
	ctx := t.Context()
	ks, err := keystore.OpenReader(ctx, s.Config.Keystore.Dir, pass)
	require.NoError(t, err)
	defer ks.Close()
	for _, use := range []keystore.DataUse{keystore.UseBus, keystore.UseQuarantine} {
		_, key, err := ks.DataKey(ctx, use, 0)
		require.NoError(t, err)
		all = append(all, secretBytes("key for "+string(use), key[:]))
	}
	for _, item := range someRecords(ctx, t, s) {
		key, err := ks.RecordKey(ctx, keystore.Tag(item.Tag), item.Epoch, keystore.RecordID(item.ID))
		require.NoError(t, err)
		all = append(all, secretBytes("record key", key[:]))
	}
	return all
}

func someRecords(ctx context.Context, t *testing.T, s *site) []recordstore.Item {
	t.Helper()
	store, err := s.OpenStore(ctx)
	require.NoError(t, err)
	defer store.Close()
	items, err := store.List(ctx, 0, 20)
	require.NoError(t, err)
	require.NotEmpty(t, items)
	return items
}
