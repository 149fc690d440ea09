package risk

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// DefaultC is the constant c of recursive (c,l)-diversity where none is given.
const DefaultC = 3

// SensitiveRisk says what can be learnt of a sensitive column by one who knows a person's
// class. Each figure is that of the worst class.
type SensitiveRisk struct {
	Column string `json:"column"`
	// Values is the number of different values in the table.
	Values int `json:"values"`
	// Distinct is distinct l-diversity: the least number of different values in a class.
	Distinct int `json:"l_distinct"`
	// Entropy is entropy l-diversity: 2 to the least entropy of a class, so that the table
	// is entropy l-diverse for every l up to it.
	Entropy float64 `json:"l_entropy"`
	// Recursive is the largest l for which the table is recursive (C,l)-diverse, 0 if none.
	Recursive int     `json:"l_recursive"`
	C         float64 `json:"c"`
	// EqualT is the greatest distance of a class from the table where all values are equally
	// far apart (total variation).
	EqualT float64 `json:"t_equal"`
	// OrderedT is the same over the order of numbers; absent where a value is not a number.
	OrderedT *float64 `json:"t_ordered,omitempty"`
	// HierarchicalT is the same over a hierarchy of the column; absent without one.
	HierarchicalT *float64 `json:"t_hierarchical,omitempty"`
	// Homogeneous counts the persons whose class has one value only.
	Homogeneous int `json:"homogeneous_persons"`
}

// distribution is a sensitive column over the whole table, prepared for comparison.
type distribution struct {
	p         []float64 // share of each value
	order     []uint32  // values by number; nil if not all are numbers
	hierarchy *compiled // nil without one
	scratch   [2][]float64
}

func (t *Table) distribution(column int, all []share, h Hierarchy) (*distribution, error) {
	d := &distribution{p: make([]float64, len(t.sensitive[column].values))}
	total := 0
	for _, s := range all {
		d.p[s.value] += float64(s.n)
		total += s.n
	}
	for i := range d.p {
		d.p[i] /= float64(max(total, 1))
	}
	d.order = numericOrder(t.sensitive[column].values)
	if h != nil {
		c, err := compile(h, t.schema.Sensitive[column], t.sensitive[column].values)
		if err != nil {
			return nil, err
		}
		d.hierarchy = c
	}
	d.scratch = [2][]float64{make([]float64, len(d.p)), make([]float64, len(d.p))}
	return d, nil
}

// numericOrder gives the codes of the values in rising order, or nil if one is no number.
func numericOrder(values []string) []uint32 {
	numbers, order := make([]float64, len(values)), make([]uint32, len(values))
	for i, v := range values {
		x, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil || math.IsNaN(x) {
			return nil
		}
		numbers[i], order[i] = x, uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		switch {
		case numbers[a] < numbers[b]:
			return -1
		case numbers[a] > numbers[b]:
			return 1
		}
		return 0
	})
	return order
}

// perClass calls f with the shares of each class; f must not keep them.
func perClass(all []share, f func(class uint32, values []share)) {
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].class == all[i].class {
			j++
		}
		f(all[i].class, all[i:j])
		i = j
	}
}

func (t *Table) assessSensitive(column int, g classes, o Options) (SensitiveRisk, error) {
	all := t.histogram(column, g)
	d, err := t.distribution(column, all, o.Hierarchies[t.schema.Sensitive[column]])
	if err != nil {
		return SensitiveRisk{}, err
	}
	r := SensitiveRisk{Column: t.schema.Sensitive[column], C: o.C}
	for _, p := range d.p {
		if p > 0 {
			r.Values++
		}
	}
	first := true
	perClass(all, func(class uint32, values []share) {
		distinct, entropy, recursive := len(values), math.Exp2(entropyOf(values)), recursiveL(values, o.C)
		if first {
			r.Distinct, r.Entropy, r.Recursive, first = distinct, entropy, recursive, false
		}
		r.Distinct, r.Entropy, r.Recursive = min(r.Distinct, distinct), min(r.Entropy, entropy), min(r.Recursive, recursive)
		if distinct == 1 {
			r.Homogeneous += g.size[class]
		}
		r.EqualT = max(r.EqualT, d.equal(values))
		if d.order != nil {
			r.OrderedT = greater(r.OrderedT, d.ordered(values))
		}
		if d.hierarchy != nil {
			r.HierarchicalT = greater(r.HierarchicalT, d.hierarchical(values))
		}
	})
	return r, nil
}

func greater(old *float64, x float64) *float64 {
	if old == nil || x > *old {
		return &x
	}
	return old
}

func sum(values []share) float64 {
	n := 0
	for _, s := range values {
		n += s.n
	}
	return float64(n)
}

// entropyOf is the entropy of a class in bits.
func entropyOf(values []share) float64 {
	n, h := sum(values), 0.0
	for _, s := range values {
		p := float64(s.n) / n
		h -= p * math.Log2(p)
	}
	return h
}

// recursiveL is the largest l for which r1 < c·(rl + … + rm), where r1 ≥ … ≥ rm are the
// frequencies of the values in the class.
func recursiveL(values []share, c float64) int {
	f := make([]int, len(values))
	for i, s := range values {
		f[i] = s.n
	}
	slices.Sort(f) // rising: f[len-1] is r1
	tail := 0
	for i, n := range f {
		tail += n
		if float64(f[len(f)-1]) < c*float64(tail) {
			return len(f) - i
		}
	}
	return 0
}

// equal is the earth mover's distance with equal distances: half the sum of the differences.
func (d *distribution) equal(values []share) float64 {
	n, diff, covered := sum(values), 0.0, 0.0
	for _, s := range values {
		diff += math.Abs(float64(s.n)/n - d.p[s.value])
		covered += d.p[s.value]
	}
	return min(1, max(0, (diff+1-covered)/2))
}

// ordered is the earth mover's distance over ranks, divided by the greatest rank.
func (d *distribution) ordered(values []share) float64 {
	if len(d.order) < 2 {
		return 0
	}
	q, n := d.spread(values), sum(values)
	cumulative, moved := 0.0, 0.0
	for _, v := range d.order {
		cumulative += q[v]/n - d.p[v]
		moved += math.Abs(cumulative)
	}
	d.clear(values)
	return moved / float64(len(d.order)-1)
}

// hierarchical is the earth mover's distance over a tree: mass that must pass a node at
// height h costs h/H (Li et al. 2007, section 4.2).
func (d *distribution) hierarchical(values []share) float64 {
	height := d.hierarchy.height()
	if height == 0 {
		return 0
	}
	q, n := d.spread(values), sum(values)
	surplus := d.scratch[1][:0]
	for v := range d.p {
		surplus = append(surplus, q[v]/n-d.p[v])
	}
	d.clear(values)
	moved := 0.0
	level := surplus
	for h := 1; h <= height; h++ {
		up, width := d.hierarchy.parents(h)
		positive, negative := make([]float64, width), make([]float64, width)
		for child, x := range level {
			if x > 0 {
				positive[up[child]] += x
			} else {
				negative[up[child]] -= x
			}
		}
		next := make([]float64, width)
		for i := range next {
			moved += float64(h) / float64(height) * min(positive[i], negative[i])
			next[i] = positive[i] - negative[i]
		}
		level = next
	}
	for _, x := range level { // trees that share no root are as far apart as can be
		if len(level) > 1 {
			moved += max(0, x)
		}
	}
	return moved
}

// spread lays the class's counts out over all values; clear undoes it.
func (d *distribution) spread(values []share) []float64 {
	for _, s := range values {
		d.scratch[0][s.value] = float64(s.n)
	}
	return d.scratch[0]
}

func (d *distribution) clear(values []share) {
	for _, s := range values {
		d.scratch[0][s.value] = 0
	}
}
