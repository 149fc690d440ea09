package institute_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/research/institute/institutetest"
	"github.com/emrbridge/emrbridge/smcrypto"
)

var about = institute.About{ID: "INST1", Name: "研究所", Proxy: "https://127.0.0.1:8443"}

// admitted makes a folder that an authority admitted.
func admitted(t *testing.T, a *institute.Authority) (*institute.Folder, *institute.Admission) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "inst")
	f, err := institute.Create(dir, about)
	require.NoError(t, err)
	requests, err := institute.ReadRequests(dir)
	require.NoError(t, err)
	admission, err := a.Admit(f.ID, f.Name, requests, time.Now())
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "admission")
	require.NoError(t, admission.Write(out))
	require.NoError(t, f.Import(out, time.Now()))
	return f, admission
}

// An institute made by this package is admitted by the contract, and its statements count.
func TestAdmissionEndsOnTheLedger(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	a := institutetest.Authority(t, c.Authority)
	f, admission := admitted(t, a)
	raw, err := admission.Registration.Encode()
	require.NoError(t, err)
	_, _, err = c.Submit("H2MSP", evidence.TxRegisterInstitute, [][]byte{raw}, nil)
	require.NoError(t, err)

	terms, err := institute.ParseApplication(institute.Example(), sources())
	require.NoError(t, err)
	terms.NotAfter = c.Now().AddDate(0, 6, 0).UnixMilli() // whenever the test runs
	terms.Ethics.NotAfter = terms.NotAfter
	signed, err := f.Sign(terms, c.Now())
	require.NoError(t, err)
	raw, err = signed.Encode()
	require.NoError(t, err)
	_, _, err = c.Submit("H1MSP", evidence.TxApplyProject, [][]byte{raw}, nil)
	require.NoError(t, err)

	view, err := chaincodetest.Ask[evidence.Institute](c.Ledger, evidence.QueryInstitute, "INST1")
	require.NoError(t, err)
	pair, pool, err := f.TLS()
	require.NoError(t, err)
	require.NotNil(t, pool)
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	assert.Equal(t, institutetest.KeyOf(leaf), view.Info.TLSKey)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	require.NoError(t, err)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	require.Error(t, err, "an institute serves nobody")

	again, err := institute.Open(f.Dir)
	require.NoError(t, err)
	cert, err := again.EncryptionCertificate()
	require.NoError(t, err)
	assert.Equal(t, cert.PublicKey(), again.EncryptionKey().Public())
	roots, err := again.Authority()
	require.NoError(t, err)
	assert.Equal(t, c.Authority.Cert.DER(), roots[0].DER())
}

func TestAFolderIsPrivateAndOfOneInstitute(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "inst")
	f, err := institute.Create(dir, about)
	require.NoError(t, err)
	_, err = f.Sign(evidence.CloseProject{Project: "INST1.p", Reason: "done"}, time.Now())
	require.ErrorIs(t, err, institute.ErrNotAdmitted)
	_, _, err = f.TLS()
	require.ErrorIs(t, err, institute.ErrNotAdmitted)
	_, err = f.Authority()
	require.ErrorIs(t, err, institute.ErrNotAdmitted)
	_, err = institute.Create(dir, about)
	require.ErrorContains(t, err, "already")
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("opened", "folder", f)
	assert.Contains(t, out.String(), "redacted")

	require.NoError(t, os.Chmod(filepath.Join(dir, "sign.key"), 0o644))
	_, err = institute.Open(dir)
	require.ErrorContains(t, err, "chmod")
	_, err = institute.Open(t.TempDir())
	require.ErrorContains(t, err, "research init")
	for _, bad := range []institute.About{{ID: "a.b", Name: "n"}, {ID: "authority", Name: "n"}, {ID: "I"}} {
		_, err := institute.Create(filepath.Join(t.TempDir(), "x"), bad)
		require.Error(t, err)
	}
}

func TestForeignAnswersAreRefused(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	a := institutetest.Authority(t, c.Authority)
	f, err := institute.Create(filepath.Join(t.TempDir(), "inst"), about)
	require.NoError(t, err)
	other, err := institute.Create(filepath.Join(t.TempDir(), "other"), about)
	require.NoError(t, err)
	requests, err := institute.ReadRequests(other.Dir)
	require.NoError(t, err)
	admission, err := a.Admit("INST1", "研究所", requests, time.Now())
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "admission")
	require.NoError(t, admission.Write(out))
	require.ErrorContains(t, f.Import(out, time.Now()), "not for this institute's key")
	_, err = os.Stat(filepath.Join(f.Dir, "sign.crt"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	require.NoError(t, os.WriteFile(filepath.Join(out, "authority.crt"), chaincodetest.NewAuthority(t).Cert.PEM(), 0o600))
	require.Error(t, other.Import(out, time.Now()))
	_, err = a.Admit("INST2", "另一研究所", requests, time.Now())
	require.ErrorContains(t, err, "INST2")
	requests.TLS = requests.Sign
	_, err = a.Admit("INST1", "研究所", requests, time.Now())
	require.Error(t, err)
	requests.Sign = []byte("-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n")
	_, err = a.Admit("INST1", "研究所", requests, time.Now())
	require.ErrorIs(t, err, smcrypto.ErrCertificate)
}

func sources() institute.Sources {
	return institute.Sources{Policy: func(name string) (evidence.DeidPolicy, error) {
		if name != "gbt39725-agreement" {
			return evidence.DeidPolicy{}, errors.New("no such policy")
		}
		return evidence.DeidPolicy{Name: name + "@1", Digest: evidence.Digest{1}}, nil
	}}
}

func TestApplications(t *testing.T) {
	b, err := institute.ParseApplication(institute.Example(), sources())
	require.NoError(t, err)
	assert.Equal(t, "INST1.2026-001", b.ID)
	assert.Equal(t, evidence.DeidPolicy{Name: "gbt39725-agreement@1", Digest: evidence.Digest{1}}, b.Policy)
	assert.Equal(t, time.Date(2027, 6, 30, 15, 59, 59, 999e6, time.UTC).UnixMilli(), b.NotAfter, "the last day counts to its end")
	assert.Equal(t, time.Date(2023, 12, 31, 16, 0, 0, 0, time.UTC).UnixMilli(), b.Cohort.From)
	assert.Equal(t, "66c7f0f4", hex.EncodeToString(b.Ethics.Document[:4]))

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "protocol.pdf"), []byte("abc"), 0o600))
	s := sources()
	s.Dir = dir
	text := strings.Replace(string(institute.Example()), "protocol: sm3:debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732", "protocol: protocol.pdf", 1)
	b, err = institute.ParseApplication([]byte(text), s)
	require.NoError(t, err)
	assert.Equal(t, "66c7f0f4", hex.EncodeToString(b.Protocol[:4]), "SM3 of abc, GB/T 32905-2016 A.1")

	_, err = institute.ParseApplication([]byte("id: INST1.p\nuntil: soon\nethics: {until: never, letter: sm3:00}\npolicy: none\nprotocol: gone.pdf\n"), s)
	for _, key := range []string{"until:", "ethics.until:", "ethics.letter:", "policy:", "protocol:"} {
		require.ErrorContains(t, err, key, "all faults at once")
	}
	for name, text := range map[string]string{
		"unknown key": "ident: x\n", "two documents": string(institute.Example()) + "---\nid: x\n", "no YAML": "\t",
		"no zone": "zone: Mars\n", "small groups": strings.Replace(string(institute.Example()), "min_group: 6", "min_group: 5", 1),
		"too long": strings.Repeat("#", institute.MaxApplication+1),
	} {
		_, err := institute.ParseApplication([]byte(text), s)
		assert.Error(t, err, name)
	}
}

func FuzzParseApplication(f *testing.F) {
	f.Add(institute.Example())
	f.Add([]byte("id: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := institute.ParseApplication(text, sources())
		if err == nil {
			require.NoError(t, b.Validate())
		}
	})
}
