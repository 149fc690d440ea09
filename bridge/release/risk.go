package release

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize/risk"
	"github.com/emrbridge/emrbridge/research/dataset"
)

// ErrNobody says that there is nothing to release.
var ErrNobody = errors.New("release: no patient of this hospital consents to the project and fits its criteria")

// suppressedCell stands for a value that was generalised to nothing.
const suppressedCell = risk.Suppressed

// maxSuppressed is the share of the cohort that may be held back before values are
// generalised further instead.
const maxSuppressed = 0.1

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

// gate generalises the subjects until each is one of enough that look the same, holds back
// those for whom that would cost all others too much, and refuses what is still over the
// limits of the sharing model.
func (m *making) gate(ctx context.Context) (verdict, error) {
	if len(m.cohort) == 0 {
		return verdict{}, ErrNobody
	}
	limits, err := risk.ThresholdsFor(m.p.Model)
	if err != nil {
		return verdict{}, fmt.Errorf("%w: %w", ErrRisk, err)
	}
	limits.K = max(limits.K, m.p.MinGroup)
	v := verdict{out: make([]bool, len(m.cohort))}
	raw := m.raw()
	before, err := m.table(raw, v.out)
	if err != nil {
		return verdict{}, err
	}
	if err := m.propose(ctx, before, limits, &v); err != nil {
		return verdict{}, err
	}
	if err := v.generalise(raw, least(limits)); err != nil {
		return verdict{}, err
	}
	after, err := m.table(v.rows, v.out)
	if err != nil {
		return verdict{}, err
	}
	return v, m.judge(before, after, limits, &v)
}

// raw are the quasi-identifiers as they are: sex, full years at the last record, region.
func (m *making) raw() [][]string {
	out := make([][]string, len(m.cohort))
	for i, p := range m.cohort {
		age := ""
		if n, ok := ageAt(p.birth, p.last); ok {
			age = strconv.Itoa(n)
		}
		out[i] = []string{p.sex, age, p.region}
	}
	return out
}

// table is the table of those who stay.
func (m *making) table(rows [][]string, out []bool) (*risk.Table, error) {
	t, err := risk.NewTable(risk.Schema{Quasi: quasiNames(), Sensitive: []string{sensitive}})
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	for i, row := range rows {
		if out[i] {
			continue
		}
		if err := t.Add(row, []string{category(m.cohort[i].diagnosis)}, ""); err != nil {
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

// propose chooses how far each column is generalised: what loses least and keeps the limits,
// and no less than in any earlier release of the project.
func (m *making) propose(ctx context.Context, t *risk.Table, limits risk.Thresholds, v *verdict) error {
	hierarchies := map[string]risk.Hierarchy{}
	for _, q := range quasi {
		h, err := risk.Builtin(q.hierarchy)
		if err != nil {
			return fmt.Errorf("release: %w", err)
		}
		hierarchies[q.column] = h
	}
	limits.Suppressed = maxSuppressed
	proposal, err := risk.Propose(ctx, t, hierarchies, risk.Goal{Thresholds: limits})
	if errors.Is(err, risk.ErrNoSolution) {
		return fmt.Errorf("%w: %d subjects are too few for groups of %d", ErrRisk, len(m.cohort), least(limits))
	}
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	v.levels = map[string]int{}
	for _, c := range proposal.Columns {
		v.levels[c.Column] = c.Level
	}
	earlier, err := m.States(m.p.ID, dataset.Release)
	if err != nil {
		return err
	}
	for _, s := range earlier {
		for column, level := range s.Levels {
			if s.Sequence < m.s.Sequence {
				v.levels[column] = max(v.levels[column], level)
			}
		}
	}
	return nil
}

// least is the smallest group that the limits allow.
func least(limits risk.Thresholds) int {
	k := max(limits.K, 1)
	if limits.MaxRisk > 0 {
		k = max(k, int(math.Ceil(1/limits.MaxRisk-1e-9)))
	}
	return k
}

// generalise applies the levels and holds back whoever is in a group that is too small.
func (v *verdict) generalise(raw [][]string, k int) error {
	hierarchies := make([]risk.Hierarchy, len(quasi))
	for i, q := range quasi {
		var err error
		if hierarchies[i], err = risk.Builtin(q.hierarchy); err != nil {
			return fmt.Errorf("release: %w", err)
		}
	}
	groups := map[string][]int{}
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
		key := strings.Join(v.rows[i], "\x00")
		groups[key] = append(groups[key], i)
	}
	for _, members := range groups {
		if len(members) >= k {
			continue
		}
		for _, i := range members {
			v.out[i] = true
		}
		v.suppressed += len(members)
	}
	return nil
}

// judge measures what is left and refuses it if it is over a limit.
func (m *making) judge(before, after *risk.Table, limits risk.Thresholds, v *verdict) error {
	if after.Rows() == 0 {
		return fmt.Errorf("%w: nobody is left in a group of %d", ErrRisk, least(limits))
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
	was, err := risk.Assess(before, risk.Options{})
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	v.report, err = m.report(was, is, limits, *v)
	return err
}
