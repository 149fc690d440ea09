package risk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// Suppressed is the value that stands for a cell taken out. A row with nothing else in its
// quasi-identifying columns counts as taken out of the table.
const Suppressed = "*"

// Limits of a schema.
const (
	maxColumns = 64 // quasi-identifying and sensitive columns together
)

// Errors that tables and their readers return, wrapped with the place.
var (
	ErrSchema = errors.New("the schema does not fit the table")
	ErrLimit  = errors.New("the table is over a limit")
	ErrFormat = errors.New("the table cannot be read")
	ErrEmpty  = errors.New("the table has no rows")
)

// Schema says what the columns of a table mean for re-identification.
type Schema struct {
	// Quasi names the quasi-identifying columns (准标识符), at least one.
	Quasi []string
	// Sensitive names the columns that must not be learnt of a person; may be empty.
	Sensitive []string
	// Subject names the column that tells persons apart, a pseudonym. Where it is empty,
	// each row is a person of its own.
	Subject string
}

// Check says what is wrong with the schema, or nil.
func (s Schema) Check() error {
	if len(s.Quasi) == 0 {
		return fmt.Errorf("%w: name at least one quasi-identifying column", ErrSchema)
	}
	if len(s.Quasi)+len(s.Sensitive) > maxColumns {
		return fmt.Errorf("%w: more than %d columns", ErrSchema, maxColumns)
	}
	seen := map[string]bool{}
	for _, name := range s.columns() {
		if name == "" {
			return fmt.Errorf("%w: a column without a name", ErrSchema)
		}
		if seen[name] {
			return fmt.Errorf("%w: column %q is named twice", ErrSchema, name)
		}
		seen[name] = true
	}
	return nil
}

// columns lists all columns of the schema, the subject last.
func (s Schema) columns() []string {
	out := slices.Concat(s.Quasi, s.Sensitive)
	if s.Subject != "" {
		out = append(out, s.Subject)
	}
	return out
}

// Table is a table reduced to what risk needs: each distinct value and each distinct tuple
// of quasi-identifiers is kept once, a row costs a few bytes.
type Table struct {
	schema    Schema
	quasi     []dictionary
	sensitive []dictionary
	subjects  dictionary

	tuples     map[string]uint32 // codes of the quasi columns → number of the tuple
	tupleCodes []uint32          // len(quasi) codes for each tuple
	out        []bool            // for each tuple: it is suppressed as a whole

	rowTuple   []uint32   // for each row
	rowSubject []uint32   // for each row; empty without a subject column
	rowValues  [][]uint32 // for each sensitive column, for each row

	direct []Direct // what looks like a direct identifier
	key    []byte   // scratch
}

// LogValue keeps the contents out of logs.
func (t *Table) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("rows", t.Rows()), slog.Int("tuples", t.tupleCount()))
}

// dictionary numbers the distinct values of a column in order of appearance.
type dictionary struct {
	values []string
	codes  map[string]uint32
}

func newDictionary() dictionary { return dictionary{codes: map[string]uint32{}} }

func (d *dictionary) code(value string) uint32 {
	if c, ok := d.codes[value]; ok {
		return c
	}
	c := uint32(len(d.values))
	value = strings.Clone(value) // a row's buffer must not be kept alive by one cell
	d.values = append(d.values, value)
	d.codes[value] = c
	return c
}

// NewTable returns an empty table.
func NewTable(s Schema) (*Table, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	t := &Table{schema: s, tuples: map[string]uint32{}, subjects: newDictionary(),
		rowValues: make([][]uint32, len(s.Sensitive)), key: make([]byte, 0, 4*len(s.Quasi))}
	for range s.Quasi {
		t.quasi = append(t.quasi, newDictionary())
	}
	for range s.Sensitive {
		t.sensitive = append(t.sensitive, newDictionary())
	}
	return t, nil
}

// Add appends a row: the values of the quasi-identifying and of the sensitive columns in the
// order of the schema, and the person ("" without a subject column). White space around a
// value does not count.
func (t *Table) Add(quasi, sensitive []string, subject string) error {
	if len(quasi) != len(t.quasi) || len(sensitive) != len(t.sensitive) {
		return fmt.Errorf("%w: row %d has %d and %d values where %d and %d are due", ErrSchema,
			t.Rows()+1, len(quasi), len(sensitive), len(t.quasi), len(t.sensitive))
	}
	codes, key, hidden := make([]uint32, 0, maxColumns), t.key[:0], true
	for i, v := range quasi {
		v = strings.TrimSpace(v)
		hidden = hidden && v == Suppressed
		c := t.quasi[i].code(v)
		codes, key = append(codes, c), appendCode(key, c)
	}
	n, ok := t.tuples[string(key)]
	if !ok {
		n = uint32(t.tupleCount())
		t.tuples[string(key)] = n
		t.tupleCodes, t.out = append(t.tupleCodes, codes...), append(t.out, hidden)
	}
	t.rowTuple = append(t.rowTuple, n)
	for i, v := range sensitive {
		t.rowValues[i] = append(t.rowValues[i], t.sensitive[i].code(strings.TrimSpace(v)))
	}
	if t.schema.Subject != "" {
		t.rowSubject = append(t.rowSubject, t.subjects.code(strings.TrimSpace(subject)))
	}
	return nil
}

// FromRows makes a table of rows in memory, whose cells are in the order of header.
func FromRows(header []string, rows [][]string, s Schema) (*Table, error) {
	p, err := newPicker(header, s)
	if err != nil {
		return nil, err
	}
	t, err := NewTable(s)
	if err != nil {
		return nil, err
	}
	scan := newDirectScan(header)
	for i, row := range rows {
		scan.add(row)
		if len(row) != len(header) {
			return nil, fmt.Errorf("%w: row %d has %d cells, the header %d", ErrFormat, i+1, len(row), len(header))
		}
		if err := p.add(t, row); err != nil {
			return nil, err
		}
	}
	t.direct = scan.found()
	return t, nil
}

// Rows is the number of rows.
func (t *Table) Rows() int { return len(t.rowTuple) }

// Schema is the schema that the table was made with.
func (t *Table) Schema() Schema { return t.schema }

func (t *Table) tupleCount() int { return len(t.out) }

// code is the value code of a tuple's column.
func (t *Table) code(tuple, column int) uint32 { return t.tupleCodes[tuple*len(t.quasi)+column] }

// Persons is the number of different persons: of rows, where no column tells them apart.
func (t *Table) Persons() int {
	if t.schema.Subject == "" {
		return t.Rows()
	}
	return len(t.subjects.values)
}

// picker takes the cells of a schema's columns out of a row.
type picker struct {
	quasi, sensitive []int
	subject          int
	q, s             []string
}

func newPicker(header []string, s Schema) (*picker, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	at := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		if _, twice := at[name]; twice && slices.Contains(s.columns(), name) {
			return nil, fmt.Errorf("%w: the header names column %q twice", ErrSchema, name)
		}
		at[name] = i
	}
	p := &picker{subject: -1, q: make([]string, len(s.Quasi)), s: make([]string, len(s.Sensitive))}
	var missing []string
	find := func(name string) int {
		i, ok := at[name]
		if !ok {
			missing = append(missing, fmt.Sprintf("%q", name))
		}
		return i
	}
	for _, name := range s.Quasi {
		p.quasi = append(p.quasi, find(name))
	}
	for _, name := range s.Sensitive {
		p.sensitive = append(p.sensitive, find(name))
	}
	if s.Subject != "" {
		p.subject = find(s.Subject)
	}
	if missing != nil {
		return nil, fmt.Errorf("%w: no column %s in the header", ErrSchema, strings.Join(missing, ", "))
	}
	return p, nil
}

func (p *picker) add(t *Table, row []string) error {
	for i, c := range p.quasi {
		p.q[i] = row[c]
	}
	for i, c := range p.sensitive {
		p.s[i] = row[c]
	}
	subject := ""
	if p.subject >= 0 {
		subject = row[p.subject]
	}
	return t.Add(p.q, p.s, subject)
}

// keyOf writes the key that another table's tuple has in this one; false if one of its values
// does not occur here.
func (t *Table) keyOf(key []byte, other *Table, tuple int) ([]byte, bool) {
	for i := range t.quasi {
		c, ok := t.quasi[i].codes[other.quasi[i].values[other.code(tuple, i)]]
		if !ok {
			return nil, false
		}
		key = appendCode(key, c)
	}
	return key, true
}

func appendCode(key []byte, c uint32) []byte { return binary.LittleEndian.AppendUint32(key, c) }
