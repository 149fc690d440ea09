package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/research/institute/institutetest"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// command runs the command line and returns the exit code and what it printed.
func command(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// authorityFlags writes the authorities of a consortium as PEM files.
func authorityFlags(t *testing.T, c *chaincodetest.Consortium) []string {
	t.Helper()
	dir := t.TempDir()
	a := institutetest.Authority(t, c.Authority)
	sm2Key, err := smcrypto.MarshalPrivateKeyPEM(c.Authority.Key)
	require.NoError(t, err)
	tlsKey, err := x509.MarshalPKCS8PrivateKey(a.TLSKey)
	require.NoError(t, err)
	for name, text := range map[string][]byte{
		"sm2.crt": c.Authority.Cert.PEM(), "sm2.key": sm2Key,
		"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.TLS.Raw}),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: tlsKey}),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	return []string{"--authority-cert", in("sm2.crt"), "--authority-key", in("sm2.key"), "--gateway-ca-cert", in("tls.crt"), "--gateway-ca-key", in("tls.key")}
}

// What an institute does with its folder alone, up to files that a hospital submits, and
// that the contract takes.
func TestAnInstituteWorksWithItsFolder(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	dir := t.TempDir()
	inst, admission := filepath.Join(dir, "inst"), filepath.Join(dir, "admission")
	authority := authorityFlags(t, c)
	ok := func(args ...string) string {
		t.Helper()
		code, out, errs := command(t, args...)
		require.Zero(t, code, "%v: %s", args, errs)
		return out
	}
	submit := func(file, function string) {
		t.Helper()
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		_, _, err = c.Submit("H1MSP", function, [][]byte{raw}, nil)
		require.NoError(t, err)
	}

	ok("research", "init", "--dir", inst, "--id", "INST1", "--name", "第一研究所")
	code, _, errs := command(t, "research", "apply", "--dir", inst, "missing.yaml")
	require.Equal(t, exitUsage, code)
	assert.Contains(t, errs, "missing.yaml")
	file := filepath.Join(dir, "application.yaml")
	example := ok("research", "apply", "--example")
	require.NoError(t, os.WriteFile(file, []byte(example), 0o600))
	code, _, errs = command(t, "research", "apply", "--dir", inst, "--out", filepath.Join(dir, "a"), file)
	require.Equal(t, exitUsage, code)
	assert.Contains(t, errs, "research import")

	ok(append([]string{"research", "admit", "--id", "INST1", "--name", "第一研究所", "--requests", inst, "--out", admission}, authority...)...)
	ok("research", "import", "--dir", inst, "--from", admission)
	submit(filepath.Join(admission, institute.RegistrationName), evidence.TxRegisterInstitute)

	// The example's days pass; those of the test do not.
	later := strings.NewReplacer("until: 2027-06-30", "until: "+c.Now().AddDate(1, 0, 0).Format("2006-01-02"),
		"until: 2027-12-31", "until: "+c.Now().AddDate(2, 0, 0).Format("2006-01-02")).Replace(example)
	require.NoError(t, os.WriteFile(file, []byte(later), 0o600))
	signed := filepath.Join(dir, "application.statement")
	var report statementReport
	require.NoError(t, json.Unmarshal([]byte(ok("research", "apply", "--dir", inst, "--json", "--out", signed, file)), &report))
	assert.Equal(t, []any{evidence.KindApplyProject, "INST1.2026-001"}, []any{report.Kind, report.Ref})
	submit(signed, evidence.TxApplyProject)
	assert.Contains(t, ok("research", "submit", "--show", signed), `"kind":"apply-project","actor":"INST1"`)

	other := strings.Replace(later, "id: INST1.", "id: INST2.", 1)
	require.NoError(t, os.WriteFile(file, []byte(other), 0o600))
	code, _, errs = command(t, "research", "apply", "--dir", inst, "--out", signed, file)
	require.Equal(t, exitFailed, code)
	assert.Contains(t, errs, "INST1.")

	list := filepath.Join(dir, "deleted.txt")
	require.NoError(t, os.WriteFile(list, []byte("b\n a \n\nb\n"), 0o600))
	ok("research", "confirm-deletion", "INST1.2026-001", "--dir", inst, "--hospital", "H1MSP", "--notice", "1", "--pseudonyms", list, "--out", signed)
	raw, err := os.ReadFile(signed)
	require.NoError(t, err)
	_, st, err := evidence.ParseSigned(raw)
	require.NoError(t, err)
	var said evidence.ConfirmDeletion
	require.NoError(t, st.DecodeBody(&said))
	assert.Equal(t, evidence.ConfirmDeletion{Project: "INST1.2026-001", Hospital: "H1MSP", Sequence: 1,
		Subjects: evidence.SubjectsDigest([]string{"a", "b"}), Count: 2, Method: "erased"}, said)

	ok("research", "close", "INST1.2026-001", "--dir", inst, "--out", signed)
	submit(signed, evidence.TxCloseProject)
	ok(append([]string{"research", "admit", "--id", "INST1", "--status", "suspended", "--reason", "audit", "--out", admission}, authority...)...)
	submit(filepath.Join(admission, "status.statement"), evidence.TxSetInstituteStatus)
}

func TestResearchCommandsSayWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	require.NoError(t, os.WriteFile(junk, []byte("no statement"), 0o600))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"research", "status", "--dir", dir}, exitUsage, "research init"},
		{[]string{"research", "apply"}, exitUsage, "--example"},
		{[]string{"research", "init", "--dir", dir, "--id", "a.b", "--name", "n"}, exitUsage, "id"},
		{[]string{"research", "submit", "--show", junk}, exitFailed, ""},
		{[]string{"research", "submit", "--show", filepath.Join(dir, "gone")}, exitUsage, "gone"},
		{[]string{"research", "approve", "I.p", "--committee", "a", "--refuse", "-c", junk}, exitUsage, "--reason"},
		{[]string{"research", "reidentify", "I.p", "s", "--reason", "r", "--staff", "a", "--finding", filepath.Join(dir, "gone")}, exitUsage, "--finding"},
		{[]string{"research", "confirm-deletion", "I.p", "--dir", dir, "--out", "x"}, exitUsage, "research init"},
	} {
		code, _, errs := command(t, c.args...)
		assert.Equal(t, c.code, code, "%v: %s", c.args, errs)
		assert.Contains(t, errs, c.says, "%v", c.args)
	}
}
