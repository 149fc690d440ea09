package integration_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/devsite"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// lab is a research institute with a folder of its own, admitted and on the ledger.
type lab struct {
	w   *world
	id  string
	dir string
}

// newLab makes an institute whose proxy is a site, lets the consortium's authority admit it,
// and lets the carrier bring the registration to the ledger.
func (w *world) newLab(t *testing.T, id string, proxy, carrier *site) *lab {
	t.Helper()
	l := &lab{w: w, id: id, dir: filepath.Join(t.TempDir(), "inst")}
	admission := filepath.Join(t.TempDir(), "admission")
	ca := func(name string) string { return filepath.Join(filepath.Dir(w.net.ConsortiumCA()), name) }
	l.must(t, "research", "init", "--dir", l.dir, "--id", id, "--name", "研究所 "+id, "--proxy", proxy.Config.Gateway.Endpoint)
	l.must(t, "research", "admit", "--id", id, "--name", "研究所 "+id, "--requests", l.dir, "--out", admission,
		"--authority-cert", w.net.ConsortiumCA(), "--authority-key", ca("sm2-ca.key"), "--gateway-ca-cert", w.net.GatewayCA(), "--gateway-ca-key", ca("tls-ca.key"))
	l.must(t, "research", "import", "--dir", l.dir, "--from", admission)
	carrier.must(t, "research", "submit", filepath.Join(admission, institute.RegistrationName))
	out, code, err := carrier.Run(t.Context(), "research", "submit", filepath.Join(admission, institute.RegistrationName))
	require.NoError(t, err)
	require.Equal(t, 1, code)
	require.Contains(t, string(out), "REPLAYED", "the same file once more does nothing")
	return l
}

// run runs a command without any hospital's configuration.
func (l *lab) run(t *testing.T, args ...string) ([]byte, int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), l.w.program("emrbridge"), args...)
	cmd.Env = append(os.Environ(), "EMRBRIDGE_PASSPHRASE=")
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Logf("emrbridge %v: %s", args, problem.String())
	}
	return out, cmd.ProcessState.ExitCode()
}

func (l *lab) must(t *testing.T, args ...string) []byte {
	t.Helper()
	out, code := l.run(t, args...)
	require.Zero(t, code, "emrbridge %v: %s", args, out)
	return out
}

// answer runs a command of the institute and decodes the JSON that it printed.
func (l *lab) answer(t *testing.T, v any, args ...string) {
	t.Helper()
	out := l.must(t, append(args, "--dir", l.dir, "--json")...)
	require.NoError(t, json.Unmarshal(out, v), "%s", out)
}

// apply applies for records of hospitals, by MSP id, and returns the project's id.
func (l *lab) apply(t *testing.T, name, proxy string, hospitals ...string) string {
	t.Helper()
	day := func(months int) string { return time.Now().AddDate(0, months, 0).Format(time.DateOnly) }
	text := strings.NewReplacer("INST1.2026-001", l.id+"."+name, "proxy: H1MSP", "proxy: "+proxy,
		"[H1MSP, H2MSP]", "["+strings.Join(hospitals, ", ")+"]", "2027-06-30", day(6), "2027-12-31", day(12),
		"diagnoses: [E11]", "diagnoses: []", "period: {from: 2024-01-01, to: 2026-12-31}", "period: {}", "age: {from: 18, to: 90}", "age: {}",
		"[ORU^R01, ADT^A01]", "[]").Replace(string(institute.Example()))
	path := filepath.Join(t.TempDir(), "application.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	l.must(t, "research", "apply", "--dir", l.dir, path)
	return l.id + "." + name
}

// projectStatus is what `research status --json` says.
type projectStatus struct {
	State     evidence.ProjectState `json:"state"`
	Terms     string                `json:"terms"`
	Hospitals []struct {
		Hospital string                `json:"hospital"`
		State    evidence.ProjectState `json:"state"`
	} `json:"hospitals"`
	Releases []struct {
		Hospital string          `json:"hospital"`
		Sequence uint32          `json:"sequence"`
		Root     evidence.Digest `json:"root"`
		Subjects uint32          `json:"subjects"`
	} `json:"releases"`
	Notices []struct {
		Hospital  string `json:"hospital"`
		Sequence  uint32 `json:"sequence"`
		Count     uint32 `json:"count"`
		Confirmed string `json:"confirmed"`
	} `json:"notices"`
}

// TestAResearchProjectOnTheLedger goes from the admission of an institute to a confirmed
// deletion on a real network: the institute speaks through its proxy hospital alone, one
// hospital decides by command, the other's client says what a release says.
func TestAResearchProjectOnTheLedger(t *testing.T) {
	h1 := w.up(t, 1, nil)
	third := w.net.Hospitals()[2]
	h3, err := devsite.Client(t.Context(), w.net, third, nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = h3.Close() })
	require.NoError(t, devsite.Register(t.Context(), w.net, third, h3))

	l := w.newLab(t, "LEDGERLAB", h1, h1)
	id := l.apply(t, "p1", h1.hospital.MSPID, h1.hospital.MSPID, third.MSPID)
	var status projectStatus
	l.answer(t, &status, "research", "status", id)
	require.Equal(t, evidence.ProjectApplied, status.State)

	h1.must(t, "research", "approve", id, "--committee", "E-01", "--committee", "E-02", "--terms", status.Terms)
	_, code, err := h1.Run(t.Context(), "research", "approve", id, "--committee", "E-01", "--committee", "E-01")
	require.NoError(t, err)
	require.Equal(t, 1, code, "one person is not two")
	p, err := h3.Project(t.Context(), id)
	require.NoError(t, err)
	release := evidence.RecordRelease{Project: id, Sequence: 1, Root: evidence.Digest{1}, Package: evidence.Digest{2}, Recipient: l.recipient(t),
		Rows: 60, Subjects: 30, Policy: p.Terms.Policy.Digest, Risk: evidence.Risk{K: 6, MaxPermille: 166, AveragePermille: 90}, Gate: true}
	_, err = h3.Submit(t.Context(), release)
	refusal, ok := chainclient.RefusalOf(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, evidence.CodeNotApproved, refusal.Code)

	_, err = h3.Submit(t.Context(), evidence.DecideProject{Project: id, Terms: evidence.StatementDigest(p.Signed.Statement), Approved: true,
		Committee: []evidence.Digest{{1}, {2}}, NotAfter: p.Terms.NotAfter})
	require.NoError(t, err)
	_, err = h3.Submit(t.Context(), release)
	require.NoError(t, err)
	_, err = h3.Submit(t.Context(), release)
	require.NoError(t, err, "the same again is quiet")
	release.Root = evidence.Digest{9}
	_, err = h3.Submit(t.Context(), release)
	refusal, ok = chainclient.RefusalOf(err)
	require.True(t, ok, "%v", err)
	require.Equal(t, evidence.CodeConflict, refusal.Code)

	gone := []string{"S-1", "S-2"}
	_, err = h3.Submit(t.Context(), evidence.WithdrawSubjects{Project: id, Sequence: 1, Subjects: evidence.SubjectsDigest(gone), Count: 2,
		Reason: "consent-withdrawn", DueBy: time.Now().Add(time.Hour).UnixMilli()})
	require.NoError(t, err)
	eventually(t, "the proxy shows the notice", func() bool {
		l.answer(t, &status, "research", "status", id)
		return len(status.Notices) == 1
	})
	assert.Equal(t, evidence.ProjectApproved, status.State)
	require.Len(t, status.Releases, 1)
	list := filepath.Join(t.TempDir(), "deleted.txt")
	require.NoError(t, os.WriteFile(list, []byte("S-1\n"), 0o600))
	confirm := []string{"research", "confirm-deletion", id, "--dir", l.dir, "--hospital", third.MSPID, "--notice", "1", "--pseudonyms", list}
	_, code = l.run(t, confirm...)
	require.Equal(t, 1, code, "one of two is not all")
	require.NoError(t, os.WriteFile(list, []byte(strings.Join(gone, "\n")), 0o600))
	l.must(t, confirm...)
	l.answer(t, &status, "research", "status", id)
	assert.NotEmpty(t, status.Notices[0].Confirmed)

	h1.must(t, "research", "approve", id, "--committee", "E-01", "--committee", "E-02", "--refuse", "--reason", "withdrawn")
	release.Sequence = 2
	eventually(t, "nothing is released without the proxy", func() bool {
		_, err := h3.Submit(t.Context(), release)
		refusal, ok := chainclient.RefusalOf(err)
		return ok && refusal.Code == evidence.CodeNotApproved
	})
	l.must(t, "research", "close", id, "--dir", l.dir)
	_, code = l.run(t, "research", "status", l.id+".none", "--dir", l.dir)
	assert.Equal(t, 1, code, "there is no such project")
	stranger := w.newLab(t, "STRANGERLAB", h1, h1)
	_, code = stranger.run(t, "research", "status", id, "--dir", stranger.dir)
	assert.Equal(t, 1, code, "a project is for its institute")
}

// recipient is the digest by which releases name the institute's encryption certificate.
func (l *lab) recipient(t *testing.T) evidence.Digest {
	t.Helper()
	f, err := institute.Open(l.dir)
	require.NoError(t, err)
	cert, err := f.EncryptionCertificate()
	require.NoError(t, err)
	return smcrypto.Default().SM3(cert.DER())
}
