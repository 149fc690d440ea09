package desensitize_test

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
)

func newProject(t testing.TB, id string, key byte, copies ...byte) *desensitize.Project {
	t.Helper()
	p, err := desensitize.NewProject(desensitize.ProjectConfig{ID: id, Key: bytes.Repeat([]byte{key}, desensitize.KeySize), Copy: copies})
	require.NoError(t, err)
	return p
}

func TestProjectRefused(t *testing.T) {
	for _, c := range []desensitize.ProjectConfig{
		{}, {ID: "a"}, {ID: "a", Key: make([]byte, 16)}, {ID: "a", Key: make([]byte, desensitize.KeySize)}, {Key: bytes.Repeat([]byte{1}, desensitize.KeySize)},
	} {
		_, err := desensitize.NewProject(c)
		require.ErrorIs(t, err, desensitize.ErrProject)
	}
}

// TestPseudonyms: one number is one number in every format and spelling, and another one in
// another project or under another key.
func TestPseudonyms(t *testing.T) {
	p := newProject(t, "P1", 1)
	want := p.Pseudonym(desensitize.RecordNo, "ZY-20231234")
	require.Regexp(t, `^[a-z2-7]{26}$`, want)
	for _, same := range []string{"zy20231234", "ZY 2023 1234", "ＺＹ２０２３１２３４", "ZY.20231234"} {
		require.Equal(t, want, p.Pseudonym(desensitize.InpatientNo, same), same)
	}
	require.Equal(t, want, newProject(t, "P1", 1, 9).Pseudonym(desensitize.OtherID, "ZY-20231234"), "copies share pseudonyms")
	seen := map[string]bool{want: true}
	for _, other := range []string{
		p.Pseudonym(desensitize.Name, "ZY-20231234"), p.Pseudonym(desensitize.RecordNo, "ZY-20231235"),
		newProject(t, "P2", 1).Pseudonym(desensitize.RecordNo, "ZY-20231234"), newProject(t, "P1", 2).Pseudonym(desensitize.RecordNo, "ZY-20231234"),
		p.SubjectPseudonym([]byte("ZY-20231234")), p.Pseudonym(desensitize.Reference, "Patient/a1"), p.Pseudonym(desensitize.Reference, "Patient/A1"),
	} {
		require.False(t, seen[other])
		seen[other] = true
	}
}

// TestPseudonymsAreNoNumbers: no part of a pseudonym looks like a number of somebody.
func TestPseudonymsAreNoNumbers(t *testing.T) {
	p, digits := newProject(t, "P1", 1), regexp.MustCompile(`\d{4}`)
	for i := range 2000 {
		require.NotRegexp(t, digits, p.Pseudonym(desensitize.RecordNo, fmt.Sprint(i)))
		require.NotRegexp(t, digits, p.SubjectPseudonym(fmt.Append(nil, i)))
	}
}

// TestShift: the shift is never nothing, within its bounds, and no day is favoured.
func TestShift(t *testing.T) {
	p, counts, n := newProject(t, "P1", 1), map[int]int{}, 20000
	for i := range n {
		s := p.Shift([]byte(fmt.Sprint(i)), 10)
		require.NotZero(t, s)
		require.LessOrEqual(t, max(s, -s), 10)
		counts[s]++
	}
	require.Len(t, counts, 20)
	chi, expected := 0.0, float64(n)/20
	for _, c := range counts {
		chi += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	require.Less(t, chi, 43.8, "χ² with 19 degrees of freedom, p = 0.001")
	require.Equal(t, p.Shift([]byte("a"), 10), p.Shift([]byte("a"), 10))
}

func TestNumberUnbiased(t *testing.T) {
	p := newProject(t, "P1", 1)
	for range 3 {
		require.Less(t, p.Number(1<<63+1, "x"), uint64(1<<63+1))
	}
	require.Zero(t, p.Number(1, "x"))
}

func TestSurrogates(t *testing.T) {
	p, other := newProject(t, "P1", 1), newProject(t, "P1", 1, 7)
	values := map[desensitize.Type][]string{
		desensitize.Name: {"欧阳修", "John Smith"}, desensitize.IDCard: {"11010519491231002X"}, desensitize.Phone: {"13800138000", "020-81234567", "(212) 555-0147"},
		desensitize.Email: {"a@b.cn"}, desensitize.URL: {"http://h.cn/p/1"}, desensitize.IP: {"10.0.0.1"}, desensitize.Address: {"广州市天河区1号"},
		desensitize.Hospital: {"市一医院"}, desensitize.Employer: {"某厂"}, desensitize.Plate: {"粤A12345"}, desensitize.Passport: {"E12345678"},
	}
	for typ, list := range values {
		for _, v := range list {
			s := p.Surrogate(typ, v)
			require.True(t, desensitize.IsSurrogate(typ, s), "%s: %s", typ, s)
			require.False(t, desensitize.IsSurrogate(typ, v), "%s: %s", typ, v)
			require.Equal(t, s, p.Surrogate(typ, v))
			require.NotEqual(t, s, p.Surrogate(typ, v+"9"), typ)
			require.NotEqual(t, s, other.Surrogate(typ, v), "copies differ: %s", typ)
		}
	}
	id := p.Surrogate(desensitize.IDCard, "11010519491231002X")
	sum, weights := 0, []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	for i, w := range weights {
		sum += int(id[i]-'0') * w
	}
	require.Equal(t, "10X98765432"[sum%11], id[17], "the check digit is good")
}

func TestLogsNothing(t *testing.T) {
	p := newProject(t, "P1", 1)
	require.Equal(t, "project P1", p.LogValue().String())
	require.Equal(t, "[redacted]", (&desensitize.Known{Names: []string{"张三"}}).LogValue().String())
	require.Equal(t, "[redacted]", desensitize.Value{Text: "张三"}.LogValue().String())
}

// rules makes a job of rules for free text and one to call by hand.
func session(t testing.TB, subject []byte, rules ...desensitize.Rule) (*desensitize.Session, *desensitize.Report) {
	t.Helper()
	p := &desensitize.Policy{
		Language: desensitize.Language, Name: "test", Version: "1", Title: desensitize.Bilingual{EN: "t", ZH: "测"}, Release: true,
		Formats: map[desensitize.Format]*desensitize.RuleSet{desensitize.FreeText: {Rules: rules}},
	}
	require.NoError(t, p.Check())
	job, err := desensitize.NewJob(desensitize.JobConfig{
		Policy: p, Project: newProject(t, "P1", 1), AsOf: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Text: finder{},
		Rare: func(code string) bool { return code == "E75.2" },
	})
	require.NoError(t, err)
	report := &desensitize.Report{}
	return job.Session(context.Background(), subject, nil, report), report
}
