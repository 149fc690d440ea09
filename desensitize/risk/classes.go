package risk

import (
	"cmp"
	"math"
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

// folder forms classes of tuples whose columns are mapped to groups of values.
type folder struct{ ids map[uint64]uint32 }

func newFolder() folder { return folder{map[uint64]uint32{}} }

// folded maps the values of a column to groups; codes nil leaves them as they are, and a
// column of one group does not count.
type folded struct {
	codes  []uint32
	groups int
}

// classes gives each tuple its class, and the number of classes. Columns are folded into one
// number as long as it fits 64 bits; then the numbers in use are renumbered and folding goes on.
func (f folder) classes(t *Table, columns []folded) ([]uint32, int) {
	ids, span := make([]uint64, t.tupleCount()), uint64(1)
	for i, c := range columns {
		width := uint64(c.groups)
		if width <= 1 {
			continue
		}
		if span > math.MaxUint64/width {
			span = uint64(f.renumber(ids))
		}
		for tuple := range ids {
			code := t.code(tuple, i)
			if c.codes != nil {
				code = c.codes[code]
			}
			ids[tuple] = ids[tuple]*width + uint64(code)
		}
		span *= width
	}
	count := f.renumber(ids)
	of := make([]uint32, len(ids))
	for tuple, id := range ids {
		of[tuple] = uint32(id)
		if t.out[tuple] {
			of[tuple] = noClass
		}
	}
	return of, count
}

// renumber replaces the numbers in use by 0, 1, … and says how many there are.
func (f folder) renumber(ids []uint64) int {
	clear(f.ids)
	for i, id := range ids {
		n, ok := f.ids[id]
		if !ok {
			n = uint32(len(f.ids))
			f.ids[id] = n
		}
		ids[i] = uint64(n)
	}
	return len(f.ids)
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
	keys := make([]uint64, 0, t.Rows())
	add := func(row int) {
		if c := g.of[t.rowTuple[row]]; c != noClass && !g.out[c] {
			keys = append(keys, pack(c, t.rowValues[column][row]))
		}
	}
	if t.schema.Subject == "" {
		for row := range t.rowTuple {
			add(row)
		}
		return tally(keys)
	}
	type seen struct{ subject, tuple, value uint32 }
	done := map[seen]struct{}{}
	for row, n := range t.rowTuple {
		s := seen{t.rowSubject[row], n, t.rowValues[column][row]}
		if _, ok := done[s]; !ok {
			done[s] = struct{}{}
			add(row)
		}
	}
	return tally(keys)
}

// pack makes one number of a class and a value, in whose order classes come first.
func pack(class, value uint32) uint64 { return uint64(class)<<32 | uint64(value) }

// tally counts equal numbers; it sorts them in place.
func tally(keys []uint64) []share {
	slices.Sort(keys)
	var out []share
	for i := 0; i < len(keys); {
		j := i
		for j < len(keys) && keys[j] == keys[i] {
			j++
		}
		out = append(out, share{uint32(keys[i] >> 32), uint32(keys[i]), j - i})
		i = j
	}
	return out
}
