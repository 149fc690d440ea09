package evidence_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
)

// application is a valid application with every field set.
func application() *evidence.ApplyProject {
	return &evidence.ApplyProject{
		ID: "INST1.p", Proxy: "H1MSP", Hospitals: []string{"H1MSP", "H2MSP"}, Purpose: "2型糖尿病随访",
		Ethics:   evidence.Ethics{Board: "伦理委员会", Number: "2026-17", NotAfter: 8, Document: digest(5)},
		Protocol: digest(6),
		Cohort: evidence.Cohort{Diagnoses: []string{"E11", "I21.0", "E11.900x001"}, AgeFrom: 18, AgeTo: 90, Sex: "female",
			From: 1, To: 7, Kinds: []string{"ORU^R01"}},
		Fields: []string{"Observation.value"}, Sharing: evidence.ShareAgreement,
		Policy: evidence.DeidPolicy{Name: "gbt39725-agreement@1", Digest: digest(7)}, MinGroup: 6, NotAfter: 9,
	}
}

// The canonical bytes of every statement about research are pinned: they are evidence.
func TestResearchStatementsGolden(t *testing.T) {
	var got strings.Builder
	for _, body := range bodies()[14:] {
		actor := "H1MSP"
		st, err := evidence.NewStatement(actor, nonce(9), 1, body)
		require.NoError(t, err)
		b, err := st.Canonical()
		require.NoError(t, err)
		got.WriteString(string(body.Kind()) + " " + hex.EncodeToString(b) + "\n")
	}
	path := filepath.Join("testdata", "research.golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got.String(), "a change of form needs a new version; UPDATE_GOLDEN=1 writes the file")
}

func TestInvalidResearchBodiesAreRefused(t *testing.T) {
	for what, spoil := range map[string]func(*evidence.ApplyProject){
		"id without institute":    func(b *evidence.ApplyProject) { b.ID = "project" },
		"id of an institute":      func(b *evidence.ApplyProject) { b.ID = "INST1." },
		"id with a slash":         func(b *evidence.ApplyProject) { b.ID = "INST1.a/b" },
		"id of the authority":     func(b *evidence.ApplyProject) { b.ID = "authority.a" },
		"long id":                 func(b *evidence.ApplyProject) { b.ID = "INST1." + strings.Repeat("p", 60) },
		"no proxy":                func(b *evidence.ApplyProject) { b.Proxy = "" },
		"anyone's records":        func(b *evidence.ApplyProject) { b.Hospitals = []string{evidence.Anyone} },
		"no hospitals":            func(b *evidence.ApplyProject) { b.Hospitals = nil },
		"a hospital twice":        func(b *evidence.ApplyProject) { b.Hospitals = []string{"H1MSP", "H1MSP"} },
		"no purpose":              func(b *evidence.ApplyProject) { b.Purpose = "" },
		"no ethics number":        func(b *evidence.ApplyProject) { b.Ethics.Number = "" },
		"no ethics board":         func(b *evidence.ApplyProject) { b.Ethics.Board = "" },
		"no ethics end":           func(b *evidence.ApplyProject) { b.Ethics.NotAfter = 0 },
		"no ethics letter":        func(b *evidence.ApplyProject) { b.Ethics.Document = evidence.Digest{} },
		"no protocol":             func(b *evidence.ApplyProject) { b.Protocol = evidence.Digest{} },
		"a word as diagnosis":     func(b *evidence.ApplyProject) { b.Cohort.Diagnoses = []string{"糖尿病"} },
		"an empty diagnosis":      func(b *evidence.ApplyProject) { b.Cohort.Diagnoses = []string{""} },
		"a small letter first":    func(b *evidence.ApplyProject) { b.Cohort.Diagnoses = []string{"e11"} },
		"ages reversed":           func(b *evidence.ApplyProject) { b.Cohort.AgeFrom = 91 },
		"an age of 200":           func(b *evidence.ApplyProject) { b.Cohort.AgeTo = 200 },
		"an unknown sex":          func(b *evidence.ApplyProject) { b.Cohort.Sex = "F" },
		"period reversed":         func(b *evidence.ApplyProject) { b.Cohort.From = 8 },
		"a field too long":        func(b *evidence.ApplyProject) { b.Fields = []string{strings.Repeat("f", 65)} },
		"another sharing":         func(b *evidence.ApplyProject) { b.Sharing = "all" },
		"small groups":            func(b *evidence.ApplyProject) { b.MinGroup = 5 },
		"small groups in public":  func(b *evidence.ApplyProject) { b.Sharing, b.MinGroup = evidence.SharePublic, 5 },
		"single persons anywhere": func(b *evidence.ApplyProject) { b.Sharing, b.MinGroup = evidence.ShareEnclave, 1 },
		"no policy":               func(b *evidence.ApplyProject) { b.Policy.Digest = evidence.Digest{} },
		"no policy name":          func(b *evidence.ApplyProject) { b.Policy.Name = "" },
		"no end":                  func(b *evidence.ApplyProject) { b.NotAfter = 0 },
	} {
		b := application()
		require.NoError(t, b.Validate())
		spoil(b)
		assert.ErrorIs(t, b.Validate(), evidence.ErrMalformed, what)
	}
	two := []evidence.Digest{digest(1), digest(2)}
	release := evidence.RecordRelease{Project: "INST1.p", Sequence: 1, Root: digest(1), Package: digest(2), Recipient: digest(3),
		Rows: 20, Subjects: 10, Policy: digest(4), Risk: evidence.Risk{K: 6, MaxPermille: 166, AveragePermille: 100}, Gate: true}
	require.NoError(t, release.Validate())
	noRows, many, risky := release, release, release
	noRows.Rows, many.Subjects, risky.Risk.AveragePermille = 0, 21, 167
	for _, body := range []evidence.Body{
		evidence.RegisterInstitute{ID: "I.1", Name: "n", SignCert: []byte{1}, EncryptCert: []byte{1}},
		evidence.RegisterInstitute{ID: "authority", Name: "n", SignCert: []byte{1}, EncryptCert: []byte{1}},
		evidence.RegisterInstitute{ID: "I", SignCert: []byte{1}, EncryptCert: []byte{1}}, evidence.RegisterInstitute{ID: "I", Name: "n"},
		evidence.SetInstituteStatus{Institute: "I", Status: "gone", Reason: "r"}, evidence.SetInstituteStatus{},
		evidence.DecideProject{Project: "I.p", Terms: digest(1), Approved: true, Committee: two},
		evidence.DecideProject{Project: "I.p", Terms: digest(1), Committee: two},
		evidence.DecideProject{Project: "I.p", Terms: digest(1), Reason: "no", Committee: two, NotAfter: 4},
		evidence.DecideProject{Project: "I.p", Terms: digest(1), Reason: "no", Committee: two[:1]},
		evidence.DecideProject{Project: "I.p", Terms: digest(1), Reason: "no", Committee: []evidence.Digest{digest(1), digest(2), digest(1)}},
		evidence.DecideProject{Project: "I.p", Terms: digest(1), Reason: "no", Committee: []evidence.Digest{digest(1), {}}},
		evidence.DecideProject{Project: "I.p", Reason: "no", Committee: two},
		evidence.CloseProject{Project: "I.p"}, evidence.RecordRelease{}, noRows, many, risky,
		evidence.WithdrawSubjects{Project: "I.p", Sequence: 1, Reason: "r", DueBy: 1},
		evidence.WithdrawSubjects{Project: "I.p", Sequence: 1, All: true, Count: 3, Reason: "r", DueBy: 1},
		evidence.WithdrawSubjects{Project: "I.p", Sequence: 1, All: true, Reason: "r"},
		evidence.ConfirmDeletion{Project: "I.p", Hospital: "H", Sequence: 1, Count: 1, Method: "erased"},
		evidence.ConfirmDeletion{Project: "I.p", Hospital: "H", Sequence: 1},
		evidence.Reidentify{Project: "I.p", Subject: digest(1), Reason: "r", Staff: two[:1]}, evidence.Reidentify{Project: "I.p", Staff: two},
	} {
		assert.ErrorIs(t, body.Validate(), evidence.ErrMalformed, "%T", body)
	}
}

func TestSubjectsDigestIsOfTheSet(t *testing.T) {
	one := evidence.SubjectsDigest([]string{"b", "a", "b"})
	assert.Equal(t, one, evidence.SubjectsDigest([]string{"a", "b"}))
	assert.NotEqual(t, one, evidence.SubjectsDigest([]string{"ab"}))
	assert.NotEqual(t, one, evidence.SubjectsDigest(nil))
}

func TestProjectStates(t *testing.T) {
	part := func(msp string, ok bool, until int64) evidence.ProjectPart {
		return evidence.ProjectPart{MSP: msp, Decision: evidence.DecideProject{Approved: ok, NotAfter: until}}
	}
	base := evidence.Project{Terms: evidence.ApplyProject{Proxy: "P", Hospitals: []string{"A", "B"}, NotAfter: 100, Ethics: evidence.Ethics{NotAfter: 90}}}
	for _, c := range []struct {
		name  string
		at    int64
		parts []evidence.ProjectPart
		want  evidence.ProjectState
	}{
		{"nobody said anything", 10, nil, evidence.ProjectApplied},
		{"the proxy alone", 10, []evidence.ProjectPart{part("P", true, 50)}, evidence.ProjectApplied},
		{"a hospital without the proxy", 10, []evidence.ProjectPart{part("A", true, 50)}, evidence.ProjectApplied},
		{"proxy and hospital", 10, []evidence.ProjectPart{part("A", true, 50), part("P", true, 50)}, evidence.ProjectApproved},
		{"the hospital's approval is over", 60, []evidence.ProjectPart{part("A", true, 50), part("P", true, 70)}, evidence.ProjectApplied},
		{"the proxy refused", 10, []evidence.ProjectPart{part("A", true, 50), part("P", false, 0)}, evidence.ProjectRefused},
		{"all refused", 10, []evidence.ProjectPart{part("A", false, 0), part("B", false, 0), part("P", true, 50)}, evidence.ProjectRefused},
		{"the ethics approval is over", 91, []evidence.ProjectPart{part("A", true, 99), part("P", true, 99)}, evidence.ProjectExpired},
	} {
		p := base
		p.Parts = c.parts
		assert.Equal(t, c.want, p.State(c.at), c.name)
	}
	base.ClosedAt = 20
	assert.Equal(t, evidence.ProjectClosed, base.State(20))
	assert.Equal(t, evidence.ProjectExpired, evidence.Project{Parts: []evidence.ProjectPart{part("A", true, 5)}}.PartState("A", 6))
}
