package risk

import (
	"cmp"
	"slices"
)

// classes is a grouping of a table's tuples into equivalence classes. Sizes count persons: a
// person with several rows in a class counts once there.
type classes struct {
	of   []uint32 // for each tuple: its class
	size []int    // for each class: persons
	out  []bool   // for each class: taken out (suppressed)
}

// noClass marks a tuple that is suppressed as a whole.
const noClass = ^uint32(0)

// weights says how many persons stand behind each tuple, as pairs where a column tells
// persons apart, else as counts.
type weights struct {
	rows  []int  // for each tuple: rows
	pairs []pair // distinct, ordered by subject; nil without a subject column
}

type pair struct{ subject, tuple uint32 }

func (t *Table) weigh() weights {
	w := weights{rows: make([]int, t.tupleCount())}
	for _, n := range t.rowTuple {
		w.rows[n]++
	}
	if t.schema.Subject == "" {
		return w
	}
	w.pairs = make([]pair, 0, t.Rows())
	for i, n := range t.rowTuple {
		w.pairs = append(w.pairs, pair{t.rowSubject[i], n})
	}
	slices.SortFunc(w.pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.tuple, b.tuple))
	})
	w.pairs = slices.Compact(w.pairs)
	return w
}

// count fills the sizes of the classes of a grouping: of gives each tuple's class, n is the
// number of classes.
func (w weights) count(of []uint32, n int) []int {
	size := make([]int, n)
	if w.pairs == nil {
		for tuple, rows := range w.rows {
			if c := of[tuple]; c != noClass {
				size[c] += rows
			}
		}
		return size
	}
	last := make([]uint32, n) // subject counted last, plus one
	for _, p := range w.pairs {
		if c := of[p.tuple]; c != noClass && last[c] != p.subject+1 {
			last[c] = p.subject + 1
			size[c]++
		}
	}
	return size
}

// raw groups a table by its tuples as they are.
func (t *Table) raw() classes {
	g := classes{of: make([]uint32, t.tupleCount())}
	next := uint32(0)
	for i := range g.of {
		if t.out[i] {
			g.of[i] = noClass
			continue
		}
		g.of[i] = next
		next++
	}
	g.size, g.out = t.weigh().count(g.of, int(next)), make([]bool, next)
	return g
}

// rowsBelow lists the rows, from 0, whose class is smaller than k.
func (t *Table) rowsBelow(g classes, k int) []int {
	var rows []int
	for i, n := range t.rowTuple {
		if c := g.of[n]; c != noClass && g.size[c] < k {
			rows = append(rows, i)
		}
	}
	return rows
}

// RowsBelow lists the rows, counted from 0 in the order they were added, whose equivalence
// class holds fewer than k persons.
func (t *Table) RowsBelow(k int) []int { return t.rowsBelow(t.raw(), k) }

// share is how often a value occurs in a class.
type share struct {
	class, value uint32
	n            int
}

// histogram counts the values of a sensitive column within the classes, ordered by class and
// value. Where a column tells persons apart, a person counts once for each tuple and value.
func (t *Table) histogram(column int, g classes) []share {
	counts := map[uint64]int{}
	add := func(row int) {
		if c := g.of[t.rowTuple[row]]; c != noClass && !g.out[c] {
			counts[uint64(c)<<32|uint64(t.rowValues[column][row])]++
		}
	}
	if t.schema.Subject == "" {
		for row := range t.rowTuple {
			add(row)
		}
	} else {
		type seen struct{ subject, tuple, value uint32 }
		done := map[seen]struct{}{}
		for row, n := range t.rowTuple {
			s := seen{t.rowSubject[row], n, t.rowValues[column][row]}
			if _, ok := done[s]; !ok {
				done[s] = struct{}{}
				add(row)
			}
		}
	}
	out := make([]share, 0, len(counts))
	for key, n := range counts {
		out = append(out, share{uint32(key >> 32), uint32(key), n})
	}
	slices.SortFunc(out, func(a, b share) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.value, b.value))
	})
	return out
}
