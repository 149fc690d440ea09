package release

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/desensitize/risk"
	"github.com/emrbridge/emrbridge/research/dataset"
)

// ErrNobody says that there is nothing to release.
var ErrNobody = errors.New("release: no patient of this hospital consents to the project and fits its criteria")

// suppressedCell stands for a value that was generalised to nothing.
const suppressedCell = risk.Suppressed

// maxSuppressed is the share of the cohort that may be held back before values are
// generalised further instead.
const maxSuppressed = 0.15

// subjectName is the column that tells persons apart over releases.
const subjectName = "subject"

// quasi are the columns of the table of subjects by which somebody could be found again, with
// the hierarchies along which they are generalised.
var quasi = []struct{ column, hierarchy string }{{"sex", "sex"}, {"age", "age"}, {"region", "region"}}

// sensitive is what must not be learnt of somebody in the table. It is measured, not released
// beside the quasi-identifiers.
const sensitive = "diagnosis"

func quasiNames() (out []string) {
	for _, q := range quasi {
		out = append(out, q.column)
	}
	return out
}

// verdict is what the risk gate let through.
type verdict struct {
	rows       [][]string // sex, age and region of each of the cohort, generalised
	out        []bool     // held back
	levels     map[string]int
	risk       dataset.Risk
	suppressed int
	report     []byte
}

func (v verdict) stays(subject int32) bool { return !v.out[subject] }

// gate generalises the subjects until each is one of enough that look the same, also when
// this release is compared with earlier ones, holds back those for whom that would cost all
// others too much, and refuses what is still over the limits of the sharing model.
func (m *making) gate() (verdict, error) {
	if len(m.cohort) == 0 {
		return verdict{}, ErrNobody
	}
	limits, err := risk.ThresholdsFor(m.p.Model)
	if err != nil {
		return verdict{}, fmt.Errorf("%w: %w", ErrRisk, err)
	}
	limits.K = max(limits.K, m.p.MinGroup)
	earlier, levels, err := m.earlier()
	if err != nil {
		return verdict{}, err
	}
	v := verdict{out: make([]bool, len(m.cohort))}
	if err := m.climb(m.raw(), limits.Least(), levels, &v); err != nil {
		return verdict{}, err
	}
	after, err := m.holdBack(earlier, limits.Least(), &v)
	if err != nil {
		return verdict{}, err
	}
	return v, m.judge(append(earlier, after), limits, &v)
}

// earlier returns the tables of the releases of the project that left, and how far each
// column was generalised at most.
func (m *making) earlier() ([]*risk.Table, map[string]int, error) {
	list, err := m.States(m.p.ID, dataset.Release)
	if err != nil {
		return nil, nil, err
	}
	var tables []*risk.Table
	levels := map[string]int{}
	for _, s := range list {
		if s.Sequence >= m.s.Sequence || s.Stage != Anchored && s.Stage != Delivered {
			continue
		}
		for column, level := range s.Levels {
			levels[column] = max(levels[column], level)
		}
		subjects, err := m.subjects(s)
		if err != nil {
			return nil, nil, err
		}
		t, err := risk.NewTable(risk.Schema{Quasi: quasiNames(), Sensitive: []string{sensitive}, Subject: subjectName})
		if err != nil {
			return nil, nil, fmt.Errorf("release: %w", err)
		}
		for _, one := range subjects {
			if err := t.Add(one.Row, []string{""}, one.Name); err != nil {
				return nil, nil, fmt.Errorf("release: %w", err)
			}
		}
		tables = append(tables, t)
	}
	return tables, levels, nil
}

// oldest stands for itself and every higher age (45 CFR 164.514(b)(2)(i)(C)).
const oldest = 90

// raw are the quasi-identifiers as they are: sex, full years at the last record, region.
func (m *making) raw() [][]string {
	out := make([][]string, len(m.cohort))
	for i, p := range m.cohort {
		age := ""
		if n, ok := ageAt(p.birth, p.last); ok {
			age = strconv.Itoa(min(n, oldest))
		}
		out[i] = []string{p.sex, age, p.region}
	}
	return out
}

// table is the table of those who stay.
func (m *making) table(rows [][]string, out []bool) (*risk.Table, error) {
	t, err := risk.NewTable(risk.Schema{Quasi: quasiNames(), Sensitive: []string{sensitive}, Subject: subjectName})
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	for i, row := range rows {
		if out[i] {
			continue
		}
		if err := t.Add(row, []string{category(m.cohort[i].diagnosis)}, m.names[i]); err != nil {
			return nil, fmt.Errorf("release: %w", err)
		}
	}
	return t, nil
}

// category is the three-character category of an ICD-10 code.
func category(code string) string {
	code, _, _ = strings.Cut(code, ".")
	return code[:min(3, len(code))]
}

// rungs are the ways in which a release may be generalised, from fine to coarse: levels of
// sex, age and region. Each is at least as coarse as the one before in every column, so that
// parts of two hospitals which stand on different rungs tell together of a person whom both have
// no more than the finer one tells alone. What research misses least goes first: where
// somebody lives, then years of age. Sex stays: a cohort that is too small for it is refused.
var rungs = [][]int{
	{0, 0, 0}, // years, county or finer
	{0, 1, 1}, // 5 years, county
	{0, 1, 2}, // 5 years, city
	{0, 2, 2}, // 10 years, city
	{0, 2, 3}, // 10 years, province
	{0, 2, 4}, // 10 years
	{0, 3, 4}, // 20 years
	{0, 4, 4}, // sex alone
}

// climb takes the finest rung on which no more than 15 % of the cohort would have to be
// held back, and none that is finer than an earlier release of the project.
func (m *making) climb(raw [][]string, k int, levels map[string]int, v *verdict) error {
	for _, rung := range rungs {
		v.levels = map[string]int{}
		allowed := true
		for i, q := range quasi {
			v.levels[q.column] = rung[i]
			allowed = allowed && rung[i] >= levels[q.column]
		}
		if !allowed {
			continue
		}
		if err := v.generalise(raw); err != nil {
			return err
		}
		t, err := m.table(v.rows, v.out)
		if err != nil {
			return err
		}
		if small := len(t.RowsBelow(k)); float64(small) <= maxSuppressed*float64(len(raw)) {
			return nil
		}
	}
	return fmt.Errorf("%w: %d subjects are too few for groups of %d", ErrRisk, len(raw), k)
}

// generalise applies the levels.
func (v *verdict) generalise(raw [][]string) error {
	hierarchies := make([]risk.Hierarchy, len(quasi))
	for i, q := range quasi {
		var err error
		if hierarchies[i], err = risk.Builtin(q.hierarchy); err != nil {
			return fmt.Errorf("release: %w", err)
		}
	}
	v.rows = make([][]string, len(raw))
	for i, row := range raw {
		v.rows[i] = make([]string, len(row))
		for j, value := range row {
			general, ok := hierarchies[j].Generalise(value, v.levels[quasi[j].column])
			if !ok {
				general = suppressedCell
			}
			v.rows[i][j] = general
		}
	}
	return nil
}

// holdBack takes out whoever is in a group that is too small, in this release or in the
// comparison with the earlier ones, until nobody is, and returns the table that is left.
func (m *making) holdBack(earlier []*risk.Table, k int, v *verdict) (*risk.Table, error) {
	for {
		t, err := m.table(v.rows, v.out)
		if err != nil || t.Rows() == 0 {
			return t, err
		}
		small := t.RowsBelow(k)
		if len(earlier) > 0 {
			more, err := risk.HoldBack(append(slices.Clone(earlier), t), k)
			if err != nil {
				return nil, fmt.Errorf("release: %w", err)
			}
			small = append(small, more...)
		}
		if len(small) == 0 {
			return t, nil
		}
		v.suppress(small)
	}
}

// suppress takes rows of the present table out; rows are numbered among those that stay.
func (v *verdict) suppress(rows []int) {
	var present []int
	for i, out := range v.out {
		if !out {
			present = append(present, i)
		}
	}
	for _, r := range rows {
		if i := present[r]; !v.out[i] {
			v.out[i] = true
			v.suppressed++
		}
	}
}

// judge measures what is left and refuses it if it is over a limit. The last of the tables is
// that of this release.
func (m *making) judge(tables []*risk.Table, limits risk.Thresholds, v *verdict) error {
	after := tables[len(tables)-1]
	if after.Rows() == 0 {
		return fmt.Errorf("%w: nobody is left in a group of %d", ErrRisk, limits.Least())
	}
	is, err := risk.Assess(after, risk.Options{})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if breaches := is.Check(limits); len(breaches) > 0 {
		var why []string
		for _, b := range breaches {
			why = append(why, b.String())
		}
		return fmt.Errorf("%w: %s", ErrRisk, strings.Join(why, "; "))
	}
	v.risk = dataset.Risk{K: is.K, Maximum: is.Prosecutor.Max, Average: is.Prosecutor.Average, Quasi: quasiNames()}
	for _, q := range quasi {
		v.risk.Generalise = append(v.risk.Generalise, fmt.Sprintf("%s: level %d", q.column, v.levels[q.column]))
	}
	report := risk.Report{Title: fmt.Sprintf("%s, %s, release %d", m.p.ID, m.MSP, m.s.Sequence), Made: m.Now().UTC().Format(time.DateOnly),
		Schema: risk.Schema{Quasi: quasiNames(), Sensitive: []string{sensitive}, Subject: subjectName}, Assessment: is, Model: m.p.Model, Limits: limits}
	if len(tables) > 1 {
		if report.Sequence, err = risk.AssessReleases(tables, limits.Least()); err != nil {
			return fmt.Errorf("release: %w", err)
		}
	}
	var b bytes.Buffer
	if err := risk.WriteHTML(&b, report); err != nil {
		return fmt.Errorf("release: risk report: %w", err)
	}
	v.report = b.Bytes()
	return nil
}
