package risk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ErrHierarchy says that a hierarchy does not fit: a value is missing, or a level splits what
// the level below had joined.
var ErrHierarchy = errors.New("the hierarchy does not fit")

// Hierarchy tells how the values of a column are generalised, level by level. Level 0 is the
// value itself; each level joins groups of the level below and never splits one.
type Hierarchy interface {
	// Levels is the number of levels above the value itself, at least one.
	Levels() int
	// Generalise gives the value at a level from 0 to Levels; false if it is not known.
	Generalise(value string, level int) (string, bool)
}

// domain is a hierarchy that knows all values a column can have, not only those of a table.
type domain interface {
	// leaves counts the values of the domain that a generalised value stands for.
	leaves(label string, level int) int
	size() int
}

// Listed is a hierarchy written out value by value.
type Listed struct {
	levels int
	rows   map[string][]string
	counts []map[string]int
}

// Limits of a listed hierarchy.
const (
	maxLevels = 32
	maxLeaves = 2_000_000
)

// NewListed makes a hierarchy of rows that each hold a value and its generalisations, the
// most general last. All rows have the same length.
func NewListed(rows [][]string) (*Listed, error) {
	if len(rows) == 0 || len(rows[0]) < 2 {
		return nil, fmt.Errorf("%w: each row holds a value and at least one generalisation of it", ErrHierarchy)
	}
	h := &Listed{levels: len(rows[0]) - 1, rows: make(map[string][]string, len(rows))}
	if h.levels > maxLevels || len(rows) > maxLeaves {
		return nil, fmt.Errorf("%w: more than %d levels or %d values", ErrLimit, maxLevels, maxLeaves)
	}
	h.counts = make([]map[string]int, len(rows[0]))
	for l := range h.counts {
		h.counts[l] = map[string]int{}
	}
	parent := make([]map[string]string, len(rows[0]))
	for n, row := range rows {
		if len(row) != len(rows[0]) {
			return nil, fmt.Errorf("%w: row %d has %d cells, the first %d", ErrHierarchy, n+1, len(row), len(rows[0]))
		}
		if err := h.add(n, slices.Clone(row), parent); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (h *Listed) add(n int, row []string, parent []map[string]string) error {
	for i := range row {
		row[i] = strings.TrimSpace(strings.Clone(row[i]))
	}
	if _, twice := h.rows[row[0]]; twice {
		return fmt.Errorf("%w: the value of row %d is listed before", ErrHierarchy, n+1)
	}
	for l := range h.levels {
		if parent[l] == nil {
			parent[l] = map[string]string{}
		}
		if up, ok := parent[l][row[l]]; ok && up != row[l+1] {
			return fmt.Errorf("%w: row %d takes apart at level %d what level %d had joined", ErrHierarchy, n+1, l+1, l)
		}
		parent[l][row[l]] = row[l+1]
	}
	h.rows[row[0]] = row
	for l, label := range row {
		h.counts[l][label]++
	}
	return nil
}

// ReadListed reads a listed hierarchy from a file of separated values without a header row,
// the form that ARX writes.
func ReadListed(ctx context.Context, r io.Reader) (*Listed, error) {
	c, err := NewCSV(ctx, r, Limits{Bytes: 1 << 30, Rows: maxLeaves})
	if err != nil {
		return nil, err
	}
	rows := [][]string{c.Header}
	for {
		row, err := c.Next()
		if errors.Is(err, io.EOF) {
			return NewListed(rows)
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, slices.Clone(row))
	}
}

// Levels implements Hierarchy.
func (h *Listed) Levels() int { return h.levels }

// Generalise implements Hierarchy. The suppressed value stays what it is.
func (h *Listed) Generalise(value string, level int) (string, bool) {
	if row, ok := h.rows[value]; ok && level >= 0 && level <= h.levels {
		return row[level], true
	}
	return Suppressed, value == Suppressed
}

func (h *Listed) leaves(label string, level int) int { return h.counts[level][label] }
func (h *Listed) size() int                          { return len(h.rows) }

// compiled is a hierarchy over the values of one column of one table.
type compiled struct {
	labels [][]string  // for each level: the generalised values
	codes  [][]uint32  // for each level, for each value of the column: number of its label
	share  [][]float64 // for each level, for each label: part of the domain it stands for
	up     [][]uint32  // for each level above 0, for each label below: its parent
}

// compile applies a hierarchy to the values of a column and checks that it nests.
func compile(h Hierarchy, column string, values []string) (*compiled, error) {
	levels := h.Levels()
	if levels < 1 || levels > maxLevels {
		return nil, fmt.Errorf("%w: column %q has %d levels, 1 to %d are possible", ErrHierarchy, column, levels, maxLevels)
	}
	c := &compiled{}
	for level := range levels + 1 {
		d, codes := newDictionary(), make([]uint32, len(values))
		for i, v := range values {
			label, ok := h.Generalise(v, level)
			if !ok {
				return nil, fmt.Errorf("%w: the hierarchy of column %q lacks the column's value no. %d in order of appearance",
					ErrHierarchy, column, i+1)
			}
			codes[i] = d.code(label)
		}
		c.labels, c.codes = append(c.labels, d.values), append(c.codes, codes)
		c.share = append(c.share, shares(h, d, codes, level, len(values)))
		if err := c.nest(column, level); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// shares tells for each label which part of the domain it stands for: of the listed values
// where the hierarchy lists them, else of the values of the column.
func shares(h Hierarchy, d dictionary, codes []uint32, level, values int) []float64 {
	out := make([]float64, len(d.values))
	listed, ok := h.(domain)
	for _, c := range codes {
		out[c]++
	}
	for c, label := range d.values {
		switch {
		case label == Suppressed:
			out[c] = 1
		case ok:
			out[c] = float64(listed.leaves(label, level)) / float64(max(1, listed.size()))
		default:
			out[c] /= float64(values)
		}
	}
	return out
}

// nest links a level to the one below and refuses one that splits a group.
func (c *compiled) nest(column string, level int) error {
	if level == 0 {
		c.up = append(c.up, nil)
		return nil
	}
	up := make([]uint32, len(c.labels[level-1]))
	set := make([]bool, len(up))
	for i, below := range c.codes[level-1] {
		above := c.codes[level][i]
		if set[below] && up[below] != above {
			return fmt.Errorf("%w: column %q: level %d takes apart what level %d had joined", ErrHierarchy, column, level, level-1)
		}
		up[below], set[below] = above, true
	}
	c.up = append(c.up, up)
	return nil
}

// height is the number of levels above the value.
func (c *compiled) height() int { return len(c.labels) - 1 }

// parents gives, for each label at level h-1, its parent at h, and the number of labels at h.
func (c *compiled) parents(h int) ([]uint32, int) { return c.up[h], len(c.labels[h]) }

// useful lists the levels that differ from the level below.
func (c *compiled) useful() []int {
	levels := []int{0}
	for l := 1; l < len(c.labels); l++ {
		if len(c.labels[l]) < len(c.labels[l-1]) {
			levels = append(levels, l)
		}
	}
	// A column with one value all over gains nothing from any level but may be taken out.
	return levels
}
