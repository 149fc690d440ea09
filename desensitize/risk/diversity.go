package risk

import (
	"cmp"
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

// distribution is a sensitive column over the whole table, prepared so that a class is
// compared with it in the time of the class's own values.
type distribution struct {
	p []float64 // share of each value

	rank       []int     // of each value by number; nil if not all are numbers
	cumulative []float64 // share of the values up to each rank
	prefix     []float64 // sum of the cumulative shares before each rank

	hierarchy *compiled   // nil without one
	mass      [][]float64 // for each level, for each label: share
}

func (t *Table) distribution(column int, all []share, h Hierarchy) (*distribution, error) {
	values := t.sensitive[column].values
	d := &distribution{p: make([]float64, len(values))}
	total := 0
	for _, s := range all {
		d.p[s.value] += float64(s.n)
		total += s.n
	}
	for i := range d.p {
		d.p[i] /= float64(max(total, 1))
	}
	d.rankBy(numericOrder(values))
	if h == nil {
		return d, nil
	}
	var err error
	if d.hierarchy, err = compile(h, t.schema.Sensitive[column], values); err != nil {
		return nil, err
	}
	for level, labels := range d.hierarchy.labels {
		mass := make([]float64, len(labels))
		for v, p := range d.p {
			mass[d.hierarchy.codes[level][v]] += p
		}
		d.mass = append(d.mass, mass)
	}
	return d, nil
}

// rankBy prepares the ordered distance; order is nil where the values have none.
func (d *distribution) rankBy(order []uint32) {
	if order == nil {
		return
	}
	d.rank, d.cumulative = make([]int, len(order)), make([]float64, len(order))
	d.prefix = make([]float64, len(order)+1)
	reached := 0.0
	for i, v := range order {
		reached += d.p[v]
		d.rank[v], d.cumulative[i] = i, reached
		d.prefix[i+1] = d.prefix[i] + reached
	}
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
		if d.rank != nil {
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

// ordered is the earth mover's distance over ranks, divided by the greatest rank: the sum over
// the ranks of the difference of the cumulative shares. That of the class changes only at its
// own values; between two of them that of the table, which rises, is summed up by its prefix.
func (d *distribution) ordered(values []share) float64 {
	if len(d.rank) < 2 {
		return 0
	}
	own := slices.Clone(values)
	slices.SortFunc(own, func(a, b share) int { return cmp.Compare(d.rank[a.value], d.rank[b.value]) })
	n, at, moved, from := sum(values), 0.0, 0.0, 0
	for _, s := range own {
		to := d.rank[s.value]
		moved += d.between(from, to, at)
		at, from = at+float64(s.n)/n, to
	}
	moved += d.between(from, len(d.rank), at)
	return moved / float64(len(d.rank)-1)
}

// between sums |at - cumulative share| over the ranks from, …, to-1.
func (d *distribution) between(from, to int, at float64) float64 {
	cross, _ := slices.BinarySearch(d.cumulative[from:to], at)
	cross += from // the first rank at which the table's share is not smaller
	low := float64(cross-from)*at - (d.prefix[cross] - d.prefix[from])
	high := d.prefix[to] - d.prefix[cross] - float64(to-cross)*at
	return max(0, low) + max(0, high)
}

// part is the share that a class has in a subtree.
type part struct {
	label uint32
	share float64
}

// hierarchical is the earth mover's distance over a tree: mass that must pass a node at
// height h costs h/H (Li et al. 2007, section 4.2). What a subtree has too much or too little
// is its share in the class less its share in the table, so that only the nodes above the
// class's own values need a look: all others just lack their share.
func (d *distribution) hierarchical(values []share) float64 {
	height := d.hierarchy.height()
	n, moved := sum(values), 0.0
	level := make([]part, len(values))
	for i, s := range values {
		level[i] = part{d.hierarchy.codes[0][s.value], float64(s.n) / n}
	}
	for h := 1; h <= height; h++ {
		up, _ := d.hierarchy.parents(h)
		// In the order of parents, then labels: sums of the same numbers in the same order.
		slices.SortFunc(level, func(a, b part) int {
			return cmp.Or(cmp.Compare(up[a.label], up[b.label]), cmp.Compare(a.label, b.label))
		})
		above := level[:0:0]
		for i := 0; i < len(level); {
			parent, in, over, under, known := up[level[i].label], 0.0, 0.0, 0.0, 0.0
			for ; i < len(level) && up[level[i].label] == parent; i++ {
				q, p := level[i].share, d.mass[h-1][level[i].label]
				in, known = in+q, known+p
				over, under = over+max(0, q-p), under+max(0, p-q)
			}
			under += max(0, d.mass[h][parent]-known) // children that the class has nothing of
			moved += float64(h) / float64(height) * min(over, under)
			above = append(above, part{parent, in})
		}
		level = above
	}
	for _, p := range level { // trees that share no root are as far apart as can be
		moved += max(0, p.share-d.mass[height][p.label])
	}
	return moved
}
