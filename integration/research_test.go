package integration_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/research/dataset"
)

// study is a research project between an institute and hospitals 1 and 2, with patients of
// its own, of whom some are in both.
type study struct {
	t         *testing.T
	hospitals [2]*site
	dir       string // of the institute and all that it gets
	id        string
}

const studyApplication = `id: %s
proxy: H1MSP
hospitals: [H1MSP, H2MSP]
purpose: complications of type 2 diabetes and hypertension
until: %s
zone: Asia/Shanghai
ethics:
  board: Ethics committee of the institute
  number: 2026-017
  until: %s
  letter: sm3:66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0
protocol: sm3:debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732
cohort:
  diagnoses: [E11, I10]
  age: {from: 18}
fields: []
sharing: agreement
policy: gbt39725-agreement
min_group: 6
`

// institute runs a command as the institute does: without any hospital's configuration.
func (s *study) institute(code int, args ...string) []byte {
	s.t.Helper()
	cmd := exec.Command(w.program("emrbridge"), args...)
	cmd.Dir = s.dir
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run()
	require.Equal(s.t, code, cmd.ProcessState.ExitCode(), "emrbridge %v\n%s%s", args, out.Bytes(), errs.Bytes())
	return out.Bytes()
}

// openStudy admits the institute, brings patients into both hospitals, and has the project approved and
// the patients consent.
func openStudy(t *testing.T) *study {
	t.Helper()
	s := &study{t: t, hospitals: [2]*site{w.up(t, 1, nil), w.up(t, 2, nil)}, dir: t.TempDir(), id: "INST1.2026-001"}
	require.NoError(t, os.Chmod(s.dir, 0o700))
	ca := filepath.Join(w.net.Dir(), "consortium")
	proxy := s.hospitals[0].Config.Gateway.Endpoint
	s.institute(0, "research", "init", "--dir", "inst", "--id", "INST1", "--name", "第一研究所", "--proxy", proxy)
	s.institute(0, "research", "admit", "--id", "INST1", "--name", "第一研究所", "--requests", "inst", "--out", "admission",
		"--authority-cert", filepath.Join(ca, "sm2-ca.crt"), "--authority-key", filepath.Join(ca, "sm2-ca.key"),
		"--gateway-ca-cert", filepath.Join(ca, "tls-ca.crt"), "--gateway-ca-key", filepath.Join(ca, "tls-ca.key"))
	s.institute(0, "research", "import", "--dir", "inst", "--from", "admission")
	s.hospitals[0].must(t, "research", "submit", filepath.Join(s.dir, "admission", "registration.statement"))
	s.institute(0, "research", "cohort", "--out", "cohort", "--patients", "120", "--hospital", "H1,H2", "--shared", "0.3", "--seed", "7")
	for i, h := range s.hospitals {
		name := fmt.Sprintf("H%d", i+1)
		s.institute(0, "hl7", "send", "--addr", h.mllp(), filepath.Join("cohort", name+".hl7"))
		sent, err := os.ReadFile(filepath.Join(s.dir, "cohort", name+".hl7"))
		require.NoError(t, err)
		for _, m := range hl7.SplitMessages(sent).Messages() {
			h.note(t, m, true)
		}
		eventually(t, "the whole cohort is anchored", func() bool { return h.compare(t).lost == 0 && h.idle(t) })
	}
	day := func(d int) string { return time.Now().AddDate(0, 0, d).Format(time.DateOnly) }
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "application.yaml"), fmt.Appendf(nil, studyApplication, s.id, day(300), day(400)), 0o600))
	s.institute(0, "research", "apply", "--dir", "inst", "application.yaml")
	for i, h := range s.hospitals {
		h.must(t, "research", "approve", s.id, "--committee", "E-01", "--committee", "E-07")
		h.must(t, "research", "consent", filepath.Join(s.dir, "cohort", fmt.Sprintf("H%d.ids", i+1)), "--to", s.id)
	}
	return s
}

// released runs research release and returns what it prints.
func (s *study) released(h *site, code int, args ...string) local.ReleaseStatus {
	s.t.Helper()
	var out local.ReleaseStatus
	h.answer(s.t, code, &out, append([]string{"research", "release", s.id}, args...)...)
	return out
}

// opened fetches and opens everything that is there.
func (s *study) opened(name string) (report struct {
	Parts []struct {
		Hospital, Kind, Folder, Root string
		Sequence                     uint32
		Subjects                     int
		Anchored                     bool
	}
	Subjects, Shared, Withdrawn int
}) {
	s.t.Helper()
	s.institute(0, "research", "fetch", s.id, "--dir", "inst", "--out", "parts")
	require.NoError(s.t, json.Unmarshal(s.institute(0, "research", "open", "parts", "--dir", "inst", "--out", name, "--json"), &report))
	return report
}

func (s *study) column(path string) (out []string) {
	b, err := os.ReadFile(filepath.Join(s.dir, path))
	require.NoError(s.t, err)
	rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	require.NoError(s.t, err)
	for _, r := range rows[1:] {
		out = append(out, r[0])
	}
	return out
}

// TestResearchRelease takes a project through its life on the real network.
func TestResearchRelease(t *testing.T) {
	s := openStudy(t)
	first := s.released(s.hospitals[0], 0).Releases[0]
	assert.Equal(t, release.Delivered, first.Stage)
	t.Logf("hospital 1: %d of %d patients consent, %d subjects, %d held back, %d records, %d rows, k %d, not released %v, generalised %v", first.Consenting, first.Patients,
		first.Subjects, first.Suppressed, first.Records, first.Rows, first.Risk.K, first.Held, first.Risk.Generalise)
	again := s.released(s.hospitals[0], 0).Releases
	require.Len(t, again, 1, "asking again releases nothing twice")
	assert.Equal(t, first.Root, again[0].Root)

	// Hospital 2 is killed while it releases; what comes of it is one release.
	s.hospitals[1].must(t, "research", "release", s.id, "--no-wait")
	time.Sleep(400 * time.Millisecond)
	var stopped local.ReleaseStatus
	s.hospitals[1].answer(t, 0, &stopped, "research", "release", s.id, "--no-wait")
	s.hospitals[1].kill()
	for _, r := range stopped.Releases {
		t.Logf("hospital 2 is killed at stage %s, %s %d of %d", r.Stage, stopped.Progress.Step, stopped.Progress.Done, stopped.Progress.Of)
	}
	s.hospitals[1].start(t)
	second := s.released(s.hospitals[1], 0)
	require.Len(t, second.Releases, 1)
	assert.Equal(t, release.Delivered, second.Releases[0].Stage)

	report := s.opened("data")
	t.Logf("%d subjects, %d in both hospitals", report.Subjects, report.Shared)
	require.Len(t, report.Parts, 2)
	for _, p := range report.Parts {
		assert.True(t, p.Anchored)
		assert.Equal(t, uint32(1), p.Sequence)
	}
	assert.Positive(t, report.Shared, "the same person in two hospitals is one subject")
	s.nothingNamed("data")
	s.rowsAreProved(report.Parts[0].Folder, report.Parts[0].Root)
	s.copyIsTraced(report.Parts[0].Folder)
	s.withdrawal(report.Parts[0].Folder)
}

// nothingNamed searches what was opened for the numbers, telephones and names of the cohort.
func (s *study) nothingNamed(dir string) {
	var known [][]byte
	for _, name := range []string{"H1", "H2"} {
		b, err := os.ReadFile(filepath.Join(s.dir, "cohort", name+".hl7"))
		require.NoError(s.t, err)
		for line := range bytes.SplitSeq(b, []byte("\r")) {
			f := strings.Split(string(line), "|")
			if f[0] != "PID" {
				continue
			}
			for id := range strings.SplitSeq(f[3], "~") {
				known = append(known, []byte(strings.Split(id, "^")[0]))
			}
			street, _, _ := strings.Cut(f[11], "^")
			known = append(known, []byte(f[13]), []byte(street))
		}
	}
	require.NoError(s.t, filepath.WalkDir(filepath.Join(s.dir, dir), func(path string, d os.DirEntry, err error) error {
		require.NoError(s.t, err)
		if d.IsDir() {
			return nil
		}
		b, err := os.ReadFile(path)
		require.NoError(s.t, err)
		for _, k := range known {
			require.False(s.t, bytes.Contains(b, k), "%s holds an identifier", path)
		}
		return nil
	}))
}

// rowsAreProved proves a row by itself and under no other root.
func (s *study) rowsAreProved(folder, root string) {
	proof := s.institute(0, "research", "prove", folder, "tables/conditions.csv", "3")
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "row.json"), proof, 0o600))
	s.institute(0, "research", "check-proof", "row.json", "--root", root)
	s.institute(1, "research", "check-proof", "row.json", "--root", strings.Repeat("0", 64))
}

// copyIsTraced finds the project of some rows that turned up.
func (s *study) copyIsTraced(folder string) {
	b, err := os.ReadFile(filepath.Join(s.dir, folder, "tables", "observations.csv"))
	require.NoError(s.t, err)
	lines := bytes.SplitAfter(b, []byte("\n"))
	leak := filepath.Join(s.dir, "leak.csv")
	require.NoError(s.t, os.WriteFile(leak, bytes.Join(lines[5:7], nil), 0o600))
	var found []struct {
		Recipient string
		Named     bool
	}
	s.hospitals[0].answer(s.t, 0, &found, "research", "trace", leak)
	assert.True(s.t, found[0].Named)
	assert.Equal(s.t, s.id, found[0].Recipient)
}

// withdrawal ends the consent of one subject of hospital 1 who is in no other hospital.
func (s *study) withdrawal(folder string) {
	t, h := s.t, s.hospitals[0]
	before := s.column(filepath.Join(folder, "tables", "subjects.csv"))
	var gone string
	for _, number := range strings.Fields(string(s.read("cohort/H1.ids"))) {
		if !bytes.Contains(s.read("cohort/H2.ids"), []byte(number)) {
			gone = number
			break
		}
	}
	var consents []struct{ ID string }
	h.answer(t, 0, &consents, "consent", "list", "--id-file", h.patientFile(t, gone))
	require.NotEmpty(t, consents)
	h.must(t, "consent", "revoke", consents[0].ID)
	status := s.released(h, 0, "--next")
	require.Len(t, status.Releases, 2)
	report := s.opened("data2")
	assert.LessOrEqual(t, report.Withdrawn, 1)
	var after []string
	for _, p := range report.Parts {
		if p.Hospital == "H1MSP" && p.Kind == string(dataset.Release) && p.Sequence == 2 {
			after = s.column(filepath.Join(p.Folder, "tables", "subjects.csv"))
		}
	}
	require.NotEmpty(t, after)
	if report.Withdrawn == 0 {
		t.Log("the patient who withdrew was not in the first release")
		return
	}
	assert.Len(t, status.Notices, 1)
	assert.Less(t, len(after), len(before)+1)
	s.institute(0, "research", "confirm-deletion", s.id, "--dir", "inst", "--hospital", "H1MSP", "--notice", "1",
		"--pseudonyms", filepath.Join("data2", "H1MSP", "notice-000001", "withdrawn.txt"))
}

func (s *study) read(name string) []byte {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	require.NoError(s.t, err)
	return b
}
