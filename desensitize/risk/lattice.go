package risk

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Metric is a measure of the information that a generalisation takes away.
type Metric string

// Metrics. All but the first are there for comparison with other tools.
const (
	// Loss is the mean over cells of the part of the domain that a cell stands for
	// (Iyengar 2002); a suppressed cell stands for all of it.
	Loss Metric = "loss"
	// LossGeometric is the geometric mean over the columns' losses, each plus one.
	LossGeometric Metric = "loss-geometric"
	// LossRank compares the columns' losses, the greatest first.
	LossRank Metric = "loss-rank"
	// Entropy is non-uniform entropy (Gionis and Tassa 2009): the bits that the cells lose,
	// summed over the table.
	Entropy Metric = "entropy"
	// Precision is the mean over cells of level over height (Sweeney 2002).
	Precision Metric = "precision"
)

// Metrics lists the metrics.
func Metrics() []Metric { return []Metric{Loss, LossGeometric, LossRank, Entropy, Precision} }

// lattice is the space of all full-domain generalisations of a table: a node gives each
// quasi-identifying column one level.
type lattice struct {
	t       *Table
	w       weights
	columns []*compiled
	levels  [][]int // for each column: the levels worth trying, rising
	metric  Metric

	cell  [][][]float64 // for each column, index into levels and value: loss of one cell
	full  [][]float64   // for each column and value: loss of a suppressed cell
	mean  [][]float64   // for each column and index: mean loss over the rows
	goal  Thresholds
	base  [][]share // for each sensitive column: values by tuple
	dists []*distribution

	fold folder
}

// node gives for each column an index into its levels.
type node []int

func (n node) clone() node { return slices.Clone(n) }

// newLattice compiles the hierarchies of the table's columns; a column without one may only
// be kept or taken out.
func newLattice(t *Table, hierarchies map[string]Hierarchy, goal Goal) (*lattice, error) {
	l := &lattice{t: t, w: t.weigh(), metric: goal.Metric, goal: goal.Thresholds, fold: newFolder()}
	for i, name := range t.schema.Quasi {
		h := hierarchies[name]
		if h == nil {
			h = builtin{top}
		}
		c, err := compile(h, name, t.quasi[i].values)
		if err != nil {
			return nil, err
		}
		levels, err := atLeast(c, goal.AtLeast[name])
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
		l.columns, l.levels = append(l.columns, c), append(l.levels, levels)
		l.price(i)
	}
	if goal.L > 0 || goal.EntropyL > 0 || goal.T > 0 {
		return l, l.prepareSensitive(hierarchies)
	}
	return l, nil
}

// atLeast lists the useful levels of a hierarchy from a level on, that level included.
func atLeast(c *compiled, level int) ([]int, error) {
	if level < 0 || level > c.height() {
		return nil, fmt.Errorf("%w: there is no level %d, the highest is %d", ErrHierarchy, level, c.height())
	}
	levels := []int{level}
	for _, l := range c.useful() {
		if l > level {
			levels = append(levels, l)
		}
	}
	return levels, nil
}

// prepareSensitive counts the sensitive values of each tuple once, for all nodes.
func (l *lattice) prepareSensitive(hierarchies map[string]Hierarchy) error {
	if len(l.t.sensitive) == 0 {
		return fmt.Errorf("%w: l and t need a sensitive column", ErrSchema)
	}
	raw := classes{of: make([]uint32, l.t.tupleCount()), out: make([]bool, l.t.tupleCount())}
	for i := range raw.of {
		raw.of[i] = uint32(i)
		raw.out[i] = l.t.out[i]
	}
	for i, name := range l.t.schema.Sensitive {
		all := l.t.histogram(i, raw)
		d, err := l.t.distribution(i, all, hierarchies[name])
		if err != nil {
			return err
		}
		l.base, l.dists = append(l.base, all), append(l.dists, d)
	}
	return nil
}

// price works out what cells of a column lose at each level.
func (l *lattice) price(column int) {
	c, values := l.columns[column], len(l.t.quasi[column].values)
	rows := make([]float64, values)
	for tuple, n := range l.w.rows {
		rows[l.t.code(tuple, column)] += float64(n)
	}
	total := float64(l.t.Rows())
	full := make([]float64, values)
	var cells [][]float64
	var means []float64
	for _, level := range l.levels[column] {
		cell, mean := make([]float64, values), 0.0
		labels := make([]float64, len(c.labels[level]))
		for v, n := range rows {
			labels[c.codes[level][v]] += n
		}
		for v, n := range rows {
			label := c.codes[level][v]
			switch l.metric {
			case Entropy:
				cell[v], full[v] = math.Log2(labels[label]/n)*total, math.Log2(total/n)*total
			case Precision:
				cell[v], full[v] = float64(level)/float64(c.height()), 1
			default:
				cell[v], full[v] = c.share[level][label], 1
			}
			mean += n * cell[v] / total
		}
		cells, means = append(cells, cell), append(means, mean)
	}
	l.cell, l.full, l.mean = append(l.cell, cells), append(l.full, full), append(l.mean, means)
}

// cost joins the losses of the columns into what nodes are compared by.
func (l *lattice) cost(perColumn []float64) []float64 {
	sum, product, ranked := 0.0, 1.0, make([]float64, len(perColumn))
	for i, x := range perColumn {
		sum, product, ranked[i] = sum+x, product*(1+x), l.rounded(x)
	}
	switch n := float64(len(perColumn)); l.metric {
	case Entropy:
		return []float64{l.rounded(sum)}
	case LossGeometric:
		return []float64{l.rounded(math.Pow(product, 1/n) - 1)}
	case LossRank:
		slices.SortFunc(ranked, func(a, b float64) int { return cmp.Compare(b, a) })
		return ranked
	default:
		return []float64{l.rounded(sum / n)}
	}
}

// bound is what a node costs at least: what it costs if nothing is suppressed.
func (l *lattice) bound(n node) []float64 {
	per := make([]float64, len(n))
	for i, x := range n {
		per[i] = l.mean[i][x]
	}
	return l.cost(per)
}

// less compares costs.
func less(a, b []float64) bool { return slices.Compare(a, b) < 0 }

// rounded takes off the noise of adding up, so that equal costs compare equal: to the
// twelfth decimal, or for sums of bits, which are large, to the sixth.
func (l *lattice) rounded(x float64) float64 {
	if l.metric == Entropy {
		return math.Round(x*1e6) / 1e6
	}
	return math.Round(x*1e12) / 1e12
}

// group forms the classes of a node.
func (l *lattice) group(n node) classes {
	columns := make([]folded, len(n))
	for i, c := range l.columns {
		level := l.levels[i][n[i]]
		columns[i] = folded{c.codes[level], len(c.labels[level])}
	}
	g := classes{}
	var count int
	g.of, count = l.fold.classes(l.t, columns)
	g.size, g.out = l.w.count(g.of, count), make([]bool, count)
	return g
}

// outcome is a node tried.
type outcome struct {
	at         node
	ok         bool
	cost       []float64
	perColumn  []float64
	suppressed int // rows
	g          classes
}

// try forms the classes of a node, takes out those that break a limit of a class, and says
// whether the limits of the table are kept.
func (l *lattice) try(n node) outcome {
	g := l.group(n)
	least := l.goal.Least()
	for c, size := range g.size {
		g.out[c] = size < least
	}
	o := outcome{at: n, g: g}
	allowed := int(l.goal.Suppressed*float64(l.t.Rows()) + 1e-9)
	if o.suppressed = l.suppressed(g); o.suppressed > allowed {
		return o
	}
	if l.base != nil {
		l.takeOutSensitive(&g)
		if o.suppressed = l.suppressed(g); o.suppressed > allowed {
			return o
		}
	}
	o.ok = l.averageKept(g)
	if o.ok {
		o.perColumn = l.losses(n, g)
		o.cost = l.cost(o.perColumn)
	}
	return o
}

// suppressed counts the rows of the classes taken out.
func (l *lattice) suppressed(g classes) int {
	rows := 0
	for tuple, c := range g.of {
		if c != noClass && g.out[c] {
			rows += l.w.rows[tuple]
		}
	}
	return rows
}

// averageKept checks the limit of the average risk.
func (l *lattice) averageKept(g classes) bool {
	if l.goal.AverageRisk == 0 {
		return true
	}
	n, persons := 0, 0
	for c, size := range g.size {
		if !g.out[c] && size > 0 {
			n, persons = n+1, persons+size
		}
	}
	return float64(n) <= l.goal.AverageRisk*float64(persons)*(1+1e-12)
}

// losses are the mean losses of the columns: those of the level, and more for the rows that
// are suppressed.
func (l *lattice) losses(n node, g classes) []float64 {
	per, total := make([]float64, len(n)), float64(l.t.Rows())
	for i, x := range n {
		per[i] = l.mean[i][x]
	}
	for tuple, c := range g.of {
		if c == noClass || !g.out[c] {
			continue
		}
		for i, x := range n {
			v := l.t.code(tuple, i)
			per[i] += float64(l.w.rows[tuple]) * (l.full[i][v] - l.cell[i][x][v]) / total
		}
	}
	return per
}

// takeOutSensitive takes out the classes that are not diverse or not close enough.
func (l *lattice) takeOutSensitive(g *classes) {
	for i := range l.base {
		merged := make([]share, 0, len(l.base[i]))
		for _, s := range l.base[i] {
			if c := g.of[s.class]; c != noClass && !g.out[c] {
				merged = append(merged, share{c, s.value, s.n})
			}
		}
		slices.SortFunc(merged, func(a, b share) int { return cmp.Compare(pack(a.class, a.value), pack(b.class, b.value)) })
		perClass(join(merged), func(class uint32, values []share) {
			if l.breaksSensitive(l.dists[i], values) {
				g.out[class] = true
			}
		})
	}
}

// join adds up neighbours of the same class and value, in place.
func join(all []share) []share {
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && out[n-1].class == s.class && out[n-1].value == s.value {
			out[n-1].n += s.n
			continue
		}
		out = append(out, s)
	}
	return out
}

func (l *lattice) breaksSensitive(d *distribution, values []share) bool {
	if len(values) < l.goal.L {
		return true
	}
	if l.goal.EntropyL > 0 && math.Exp2(entropyOf(values)) < l.goal.EntropyL-1e-9 {
		return true
	}
	if l.goal.T == 0 {
		return false
	}
	t := 0.0
	switch {
	case d.hierarchy != nil:
		t = d.hierarchical(values)
	case d.rank != nil:
		t = d.ordered(values)
	default:
		t = d.equal(values)
	}
	return t > l.goal.T+1e-9
}
