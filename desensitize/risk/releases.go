package risk

import (
	"fmt"
	"slices"
	"strings"
)

// Sequence is the risk that the releases of a project carry together. Each may keep its
// limits while the sequence does not: who compares two releases sees the persons that came
// and went, and who follows a pseudonym through them knows more than each release tells.
type Sequence struct {
	// Releases counts the releases, the one to come included.
	Releases int `json:"releases"`
	// Linked says that a subject column names the same persons in all releases.
	Linked bool `json:"linked"`
	// K is the size of the smallest group of persons of the last release whose whole history
	// through the releases looks alike; without a subject column that of the last release.
	K int `json:"k"`
	// Max and Average are the prosecutor's risk over these groups.
	Max     float64 `json:"max"`
	Average float64 `json:"average"`
	// Below counts the persons in groups smaller than the limit.
	Below int `json:"persons_below"`
	// Limit is the size that a group must have.
	Limit int `json:"limit"`
	// Differences are the classes that changed from an earlier release by at least one person
	// and fewer than the limit: whoever subtracts the releases sees that few.
	Differences int `json:"differences"`
	// Smallest is the smallest such change, 0 if there is none.
	Smallest int `json:"smallest_difference"`
	// Comparable is the least share of the last release's persons whose class has a class of
	// the same values in an earlier release; the rest cannot be subtracted.
	Comparable float64 `json:"comparable"`
}

// AssessReleases measures the successive releases of a project, the one to come last. All
// have the same quasi-identifying columns, in the same order.
func AssessReleases(releases []*Table, limit int) (*Sequence, error) {
	if len(releases) == 0 {
		return nil, ErrEmpty
	}
	last := releases[len(releases)-1]
	if last.Rows() == 0 {
		return nil, ErrEmpty
	}
	s := &Sequence{Releases: len(releases), Linked: true, Limit: max(limit, 1), Comparable: 1}
	for i, t := range releases {
		if !slices.Equal(t.schema.Quasi, last.schema.Quasi) {
			return nil, fmt.Errorf("%w: release %d has other quasi-identifying columns", ErrSchema, i+1)
		}
		s.Linked = s.Linked && t.schema.Subject != ""
	}
	if s.Linked {
		s.follow(releases)
	} else {
		s.measure(kept(last.raw()))
	}
	now := last.classSizes()
	for _, t := range releases[:len(releases)-1] {
		s.subtract(t.classSizes(), now)
	}
	return s, nil
}

// follow groups the persons of the last release by all tuples they have in all releases.
func (s *Sequence) follow(releases []*Table) {
	groups := map[string]int{}
	for _, h := range histories(releases) {
		if len(h) > 0 {
			groups[string(h)]++
		}
	}
	sizes := make([]int, 0, len(groups))
	for _, n := range groups {
		sizes = append(sizes, n)
	}
	slices.Sort(sizes)
	s.measure(sizes)
}

// histories gives for each person of the last release all tuples the person has in all
// releases, as a key; empty for one who is suppressed everywhere.
func histories(releases []*Table) [][]byte {
	last := releases[len(releases)-1]
	history := make([][]byte, len(last.subjects.values))
	for i, t := range releases {
		for _, p := range t.weigh().pairs { // ordered by subject and tuple
			if t.out[p.tuple] {
				continue
			}
			if code, ok := last.subjects.codes[t.subjects.values[p.subject]]; ok {
				history[code] = appendCode(appendCode(history[code], uint32(i)), p.tuple)
			}
		}
	}
	return history
}

// HoldBack lists the rows of the last release, counted from 0, of the persons whose history
// through the releases is shared by fewer than the limit. With them taken out, the k of the
// sequence is at least the limit: a group is held back whole or not at all. All releases need
// the same quasi-identifying columns and a subject column.
func HoldBack(releases []*Table, limit int) ([]int, error) {
	if len(releases) == 0 {
		return nil, ErrEmpty
	}
	last := releases[len(releases)-1]
	for i, t := range releases {
		if t.schema.Subject == "" || !slices.Equal(t.schema.Quasi, last.schema.Quasi) {
			return nil, fmt.Errorf("%w: release %d has other quasi-identifying columns or no subject column", ErrSchema, i+1)
		}
	}
	history, groups := histories(releases), map[string]int{}
	for _, h := range history {
		groups[string(h)]++
	}
	var rows []int
	for row, subject := range last.rowSubject {
		if h := history[subject]; len(h) > 0 && groups[string(h)] < limit {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// measure fills in the risk of groups of these sizes, rising.
func (s *Sequence) measure(sizes []int) {
	if len(sizes) == 0 {
		return
	}
	persons := 0
	for _, n := range sizes {
		persons += n
		if n < s.Limit {
			s.Below += n
		}
	}
	s.K = sizes[0]
	s.Max, s.Average = 1/float64(s.K), float64(len(sizes))/float64(persons)
}

// classSizes gives the classes by their values.
func (t *Table) classSizes() map[string]int {
	g, out := t.raw(), map[string]int{}
	var b strings.Builder
	for tuple, c := range g.of {
		if c == noClass {
			continue
		}
		b.Reset()
		for i := range t.quasi {
			v := t.quasi[i].values[t.code(tuple, i)]
			fmt.Fprintf(&b, "%d:%s", len(v), v)
		}
		out[b.String()] = g.size[c]
	}
	return out
}

// subtract compares an earlier release with the last.
func (s *Sequence) subtract(before, now map[string]int) {
	persons, matched := 0, 0
	change := func(n int) {
		if n < 0 {
			n = -n
		}
		if n == 0 || n >= s.Limit {
			return
		}
		s.Differences++
		if s.Smallest == 0 || n < s.Smallest {
			s.Smallest = n
		}
	}
	for key, n := range now {
		persons += n
		if old, ok := before[key]; ok {
			matched += n
			change(n - old)
		}
	}
	for key, n := range before {
		if _, ok := now[key]; !ok {
			change(n)
		}
	}
	if persons > 0 {
		s.Comparable = min(s.Comparable, float64(matched)/float64(persons))
	}
}

// Check lists what the sequence breaks: the size of the groups, and the smallest change.
func (s *Sequence) Check() []Breach {
	var out []Breach
	if s.K > 0 && s.K < s.Limit {
		out = append(out, Breach{Measure: "k_releases", Value: float64(s.K), Limit: float64(s.Limit)})
	}
	if s.Smallest > 0 {
		out = append(out, Breach{Measure: "difference", Value: float64(s.Smallest), Limit: float64(s.Limit)})
	}
	return out
}
