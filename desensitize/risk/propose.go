package risk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// ErrNoSolution says that no generalisation keeps the limits, not even taking every column
// out: too few rows, or too little suppression allowed.
var ErrNoSolution = errors.New("no generalisation keeps the limits")

// Goal is what a proposal must reach.
type Goal struct {
	Thresholds
	// Metric is what is kept small, default Loss.
	Metric Metric
	// AtLeast names levels under which columns must not be generalised, such as those of an
	// earlier release of the same project.
	AtLeast map[string]int
	// MaxChecks bounds the search, default 20,000 generalisations tried. Where it does not
	// suffice, the best one found is proposed and said not to be proven.
	MaxChecks int
	// Options are those of the assessment of the result.
	Options Options
}

// maxNodes bounds the lattices that are searched in full.
const maxNodes = 500_000

// Proposal is a generalisation of a table that keeps the limits.
type Proposal struct {
	Columns []ProposedColumn `json:"columns"`
	Metric  Metric           `json:"metric"`
	// Cost is the information lost by the metric.
	Cost []float64 `json:"cost"`
	// Suppressed counts the records to be taken out.
	Suppressed int `json:"suppressed_records"`
	// Exact says that no other generalisation loses less; Tried and Possible how many were
	// looked at, of how many.
	Exact    bool `json:"exact"`
	Tried    int  `json:"tried"`
	Possible int  `json:"possible"`
	// After is the table once generalised.
	After *Assessment `json:"after"`
	// Others are the next best ones that were found on the way, at most five.
	Others []Alternative `json:"others,omitempty"`

	t       *Table
	columns []*compiled
	levels  []int
	g       classes
}

// ProposedColumn is the level that a column is generalised to.
type ProposedColumn struct {
	Column string  `json:"column"`
	Level  int     `json:"level"`  // 0 leaves the values as they are
	Levels int     `json:"levels"` // the most general level
	Loss   float64 `json:"loss"`   // by the metric, suppressed rows included
	Values [2]int  `json:"values"` // different values before and after
}

// Alternative is another generalisation that keeps the limits.
type Alternative struct {
	Levels     []int     `json:"levels"`
	Cost       []float64 `json:"cost"`
	Suppressed int       `json:"suppressed_records"`
}

// Propose searches the generalisations of a table for the one that keeps the limits and
// loses least. Columns without a hierarchy may only be kept or taken out.
//
// The search is exact: the loss without suppression is the sum of what the columns lose
// alone, so it bounds each node from below at no cost. A first solution comes from walking
// down from the top; then the nodes that might be better are taken in the order of their
// bounds, along paths that are halved (as in Flash, Kohlmayer et al. 2012), and what fails
// rules out all that is less general, as far as the limits are monotonic.
func Propose(ctx context.Context, t *Table, hierarchies map[string]Hierarchy, goal Goal) (*Proposal, error) {
	if err := goal.prepare(); err != nil {
		return nil, err
	}
	if t.Rows() == 0 {
		return nil, ErrEmpty
	}
	l, err := newLattice(t, hierarchies, goal)
	if err != nil {
		return nil, err
	}
	s := &search{ctx: ctx, l: l, left: goal.MaxChecks, exact: true,
		monotonic: l.base == nil && goal.AverageRisk == 0 || goal.Suppressed == 0}
	if err := s.run(); err != nil {
		return nil, err
	}
	return s.proposal(goal.Options)
}

func (g *Goal) prepare() (err error) {
	if err := g.Check(); err != nil {
		return err
	}
	if g.Metric == "" {
		g.Metric = Loss
	}
	if !slices.Contains(Metrics(), g.Metric) {
		return fmt.Errorf("%w: no metric %q, there are %v", ErrSchema, g.Metric, Metrics())
	}
	if g.MaxChecks == 0 {
		g.MaxChecks = 20_000
	}
	g.Options, err = g.Options.withDefaults()
	return err
}

// search is one search through a lattice.
type search struct {
	ctx       context.Context
	l         *lattice
	left      int // checks that may still be made
	tried     int
	exact     bool
	monotonic bool // what fails rules out all below

	best   outcome
	found  []Alternative
	failed []bool // by number of the node; nil while the lattice is too large
	done   []bool
}

// errBudget ends a search that may not look at more nodes.
var errBudget = errors.New("budget")

func (s *search) run() error {
	top := make(node, len(s.l.levels))
	for i := range top {
		top[i] = len(s.l.levels[i]) - 1
	}
	if s.size() <= maxNodes {
		s.failed, s.done = make([]bool, s.size()), make([]bool, s.size())
	}
	first, err := s.try(top)
	if err == nil && !first.ok {
		return ErrNoSolution
	}
	if err == nil {
		err = s.descend(top)
	}
	if err == nil && s.failed != nil {
		err = s.sweep()
	} else if s.failed == nil {
		s.exact = false
	}
	if errors.Is(err, errBudget) && s.best.at != nil {
		s.exact, err = false, nil
	}
	return err
}

// size is the number of nodes of the lattice, or more than maxNodes.
func (s *search) size() int {
	n := 1
	for _, levels := range s.l.levels {
		if n *= len(levels); n > maxNodes {
			return maxNodes + 1
		}
	}
	return n
}

// number is the place of a node in the enumeration.
func (s *search) number(n node) int {
	id := 0
	for i, x := range n {
		id = id*len(s.l.levels[i]) + x
	}
	return id
}

func (s *search) nodeAt(id int) node {
	n := make(node, len(s.l.levels))
	for i := len(n) - 1; i >= 0; i-- {
		n[i], id = id%len(s.l.levels[i]), id/len(s.l.levels[i])
	}
	return n
}

// try looks at one node and keeps it if it is the best so far.
func (s *search) try(n node) (outcome, error) {
	if err := s.ctx.Err(); err != nil {
		return outcome{}, err
	}
	if s.left == 0 {
		return outcome{}, errBudget
	}
	s.left--
	s.tried++
	o := s.l.try(n.clone())
	if s.done != nil {
		s.done[s.number(n)] = true
	}
	switch {
	case o.ok:
		s.keep(o)
	case s.monotonic && s.failed != nil:
		s.fail(n)
	}
	return o, nil
}

// keep remembers an outcome that keeps the limits.
func (s *search) keep(o outcome) {
	levels := make([]int, len(o.at))
	for i, x := range o.at {
		levels[i] = s.l.levels[i][x]
	}
	s.found = append(s.found, Alternative{levels, o.cost, o.suppressed})
	slices.SortStableFunc(s.found, func(a, b Alternative) int {
		return cmp.Or(slices.Compare(a.Cost, b.Cost), cmp.Compare(a.Suppressed, b.Suppressed))
	})
	s.found = s.found[:min(len(s.found), 6)]
	if s.best.at == nil || less(o.cost, s.best.cost) {
		s.best = o
	}
}

// fail marks a node and all that is less general.
func (s *search) fail(n node) {
	id := s.number(n)
	if s.failed[id] {
		return
	}
	s.failed[id] = true
	for i := range n {
		if n[i] > 0 {
			n[i]--
			s.fail(n)
			n[i]++
		}
	}
}

// descend walks down from a node that keeps the limits, each time to the neighbour that
// loses least, until none keeps them.
func (s *search) descend(n node) error {
	for {
		var next outcome
		for i := range n {
			if n[i] == 0 {
				continue
			}
			m := n.clone()
			m[i]--
			if s.failed != nil && s.failed[s.number(m)] {
				continue
			}
			o, err := s.try(m)
			if err != nil {
				return err
			}
			if o.ok && (next.at == nil || less(o.cost, next.cost)) {
				next = o
			}
		}
		if next.at == nil {
			return nil
		}
		n = next.at
	}
}

// sweep proves the best node or finds a better one.
func (s *search) sweep() error {
	type candidate struct {
		id    int
		bound []float64
	}
	var all []candidate
	for id := range s.failed {
		if b := s.l.bound(s.nodeAt(id)); !s.failed[id] && !s.done[id] && less(b, s.best.cost) {
			all = append(all, candidate{id, b})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return slices.Compare(a.bound, b.bound) })
	for _, c := range all {
		if s.failed[c.id] || s.done[c.id] {
			continue
		}
		if !less(c.bound, s.best.cost) {
			return nil
		}
		if err := s.halve(s.path(s.nodeAt(c.id))); err != nil {
			return err
		}
	}
	return nil
}

// path leads from a node up through nodes that might still be better, each time to the one
// that loses least.
func (s *search) path(n node) []node {
	path := []node{n.clone()}
	for s.monotonic {
		var next node
		var bound []float64
		for i := range n {
			if n[i]+1 == len(s.l.levels[i]) {
				continue
			}
			m := n.clone()
			m[i]++
			id, b := s.number(m), s.l.bound(m)
			if s.failed[id] || s.done[id] || !less(b, s.best.cost) {
				continue
			}
			if next == nil || less(b, bound) {
				next, bound = m, b
			}
		}
		if next == nil {
			break
		}
		path, n = append(path, next), next
	}
	return path
}

// halve finds the least general node of a path that keeps the limits.
func (s *search) halve(path []node) error {
	low, high := 0, len(path)-1
	for low <= high {
		middle := (low + high) / 2
		o, err := s.try(path[middle])
		if err != nil {
			return err
		}
		if o.ok {
			high = middle - 1
		} else {
			low = middle + 1
		}
	}
	return nil
}

// proposal tells the outcome.
func (s *search) proposal(o Options) (*Proposal, error) {
	l, n := s.l, s.best.at
	p := &Proposal{Metric: l.metric, Cost: s.best.cost, Suppressed: s.best.suppressed, Exact: s.exact,
		Tried: s.tried, Possible: s.size(), t: l.t, columns: l.columns, g: s.best.g}
	for i, x := range n {
		level := l.levels[i][x]
		p.levels = append(p.levels, level)
		p.Columns = append(p.Columns, ProposedColumn{Column: l.t.schema.Quasi[i], Level: level,
			Levels: l.columns[i].height(), Loss: s.best.perColumn[i],
			Values: [2]int{len(l.columns[i].labels[0]), len(l.columns[i].labels[level])}})
	}
	for _, a := range s.found {
		if !slices.Equal(a.Levels, p.levels) && len(p.Others) < 5 {
			p.Others = append(p.Others, a)
		}
	}
	var err error
	p.After, err = l.t.assess(p.g, o)
	return p, err
}

// Generalise gives a value of a quasi-identifying column, counted from 0 in the order of the
// schema, as it is proposed; false for a value that the table does not hold.
func (p *Proposal) Generalise(column int, value string) (string, bool) {
	c, ok := p.t.quasi[column].codes[value]
	if !ok {
		return "", false
	}
	level := p.levels[column]
	return p.columns[column].labels[level][p.columns[column].codes[level][c]], true
}

// SuppressedRow says whether a row, counted from 0, is to be taken out.
func (p *Proposal) SuppressedRow(row int) bool {
	c := p.g.of[p.t.rowTuple[row]]
	return c == noClass || p.g.out[c]
}

// SuppressedRows lists the rows to be taken out, counted from 0.
func (p *Proposal) SuppressedRows() []int {
	var rows []int
	for i := range p.t.rowTuple {
		if p.SuppressedRow(i) {
			rows = append(rows, i)
		}
	}
	return rows
}
