package risk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// Limits bound what a reader takes. Zero means the default.
type Limits struct {
	Bytes  int64 // of the file, default 8 GiB
	Rows   int   // default 50 million
	Record int   // bytes of one row, default 1 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Bytes == 0 {
		l.Bytes = 8 << 30
	}
	if l.Rows == 0 {
		l.Rows = 50_000_000
	}
	if l.Record == 0 {
		l.Record = 1 << 20
	}
	return l
}

// CSV reads a table of separated values (RFC 4180) row by row: UTF-8, GB 18030 or UTF-16, told
// apart by the beginning of the file, comma, semicolon, tab or bar between the cells, told apart by
// the header row. Memory does not grow with the file.
type CSV struct {
	Header []string // names of the columns, without white space around them

	comma  rune
	limits Limits
	in     *meter
	r      *csv.Reader
	rows   int
	ctx    context.Context
}

// errRecord is what the meter says of a row that does not end.
var errRecord = errors.New("a row is too long")

// meter counts bytes, of the whole and since the last row.
type meter struct {
	r            io.Reader
	total, since int64
	maxTotal     int64
	maxRecord    int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.total, m.since = m.total+int64(n), m.since+int64(n)
	switch {
	case m.total > m.maxTotal:
		return 0, fmt.Errorf("%w: over %d bytes", ErrLimit, m.maxTotal)
	case m.since > m.maxRecord:
		return 0, errRecord
	}
	return n, err
}

// utf16 is what spreadsheets call Unicode text; its first character tells the byte order.
var utf16 = unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM)

// sniff is how much of the beginning tells encoding and separator.
const sniff = 64 << 10

// NewCSV reads the header row. Errors are ErrFormat and ErrLimit.
func NewCSV(ctx context.Context, r io.Reader, l Limits) (*CSV, error) {
	l = l.withDefaults()
	head := bufio.NewReaderSize(r, sniff)
	start, err := head.Peek(sniff)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	var text io.Reader = head
	switch {
	case bytes.HasPrefix(start, []byte("\xEF\xBB\xBF")):
		_, _ = head.Discard(3)
		start = start[3:]
	case bytes.HasPrefix(start, []byte("\xFF\xFE")), bytes.HasPrefix(start, []byte("\xFE\xFF")):
		text = transform.NewReader(head, utf16.NewDecoder())
		start, _ = utf16.NewDecoder().Bytes(start[:len(start)&^1])
	case !validUTF8(start):
		text = transform.NewReader(head, simplifiedchinese.GB18030.NewDecoder())
		// The second byte of a Chinese character can equal a bar.
		start, _ = simplifiedchinese.GB18030.NewDecoder().Bytes(start)
	}
	c := &CSV{limits: l, ctx: ctx, comma: separator(start)}
	// Two buffers' worth of slack: the reader below reads ahead.
	c.in = &meter{r: text, maxTotal: l.Bytes, maxRecord: int64(l.Record) + 16<<10}
	c.r = csv.NewReader(c.in)
	c.r.Comma, c.r.ReuseRecord, c.r.LazyQuotes = c.comma, true, true
	header, err := c.read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = ErrEmpty
		}
		return nil, err
	}
	for _, name := range header {
		c.Header = append(c.Header, strings.TrimSpace(strings.Clone(name)))
	}
	return c, nil
}

// Next returns the next row; its cells are valid until the next call. io.EOF is the end.
func (c *CSV) Next() ([]string, error) {
	if c.rows&0xFFF == 0 && c.ctx.Err() != nil {
		return nil, c.ctx.Err()
	}
	if c.rows >= c.limits.Rows {
		return nil, fmt.Errorf("%w: more than %d rows", ErrLimit, c.limits.Rows)
	}
	row, err := c.read()
	if err == nil {
		c.rows++
	}
	return row, err
}

// Separator is the character between two cells.
func (c *CSV) Separator() rune { return c.comma }

// read gives the next record, and says what is wrong with it by its number, not its text.
func (c *CSV) read() ([]string, error) {
	c.in.since = 0
	row, err := c.r.Read()
	var parse *csv.ParseError
	switch {
	case err == nil, errors.Is(err, io.EOF):
		return row, err
	case errors.Is(err, errRecord):
		return nil, fmt.Errorf("%w: row %d is longer than %d bytes, or a quotation mark is not closed",
			ErrLimit, c.rows+1, c.limits.Record)
	case errors.As(err, &parse) && errors.Is(err, csv.ErrFieldCount):
		return nil, fmt.Errorf("%w: line %d does not have as many cells as the header", ErrFormat, parse.Line)
	case errors.As(err, &parse):
		return nil, fmt.Errorf("%w: line %d: %w", ErrFormat, parse.Line, parse.Err)
	}
	return nil, err
}

// ReadCSV reads a table with a header row.
func ReadCSV(ctx context.Context, r io.Reader, s Schema, l Limits) (*Table, error) {
	c, err := NewCSV(ctx, r, l)
	if err != nil {
		return nil, err
	}
	return c.Table(s)
}

// Table reads the rest of the rows into a table.
func (c *CSV) Table(s Schema) (*Table, error) {
	p, err := newPicker(c.Header, s)
	if err != nil {
		return nil, err
	}
	t, err := NewTable(s)
	if err != nil {
		return nil, err
	}
	scan := newDirectScan(c.Header)
	for {
		row, err := c.Next()
		if errors.Is(err, io.EOF) {
			t.direct = scan.found()
			return t, nil
		}
		if err != nil {
			return nil, err
		}
		scan.add(row)
		if err := p.add(t, row); err != nil {
			return nil, err
		}
	}
}

// validUTF8 forgives a character cut at the end of a full sample.
func validUTF8(b []byte) bool {
	if len(b) == sniff {
		for i := 0; i < utf8.UTFMax-1 && !utf8.Valid(b); i++ {
			b = b[:len(b)-1]
		}
	}
	return utf8.Valid(b)
}

// separator is the candidate that the header row holds most of, outside quotation marks.
func separator(start []byte) rune {
	count, quoted := map[rune]int{}, false
	for _, b := range start {
		if b == '"' {
			quoted = !quoted
		}
		if quoted {
			continue
		}
		if b == '\n' || b == '\r' {
			break
		}
		count[rune(b)]++
	}
	best := ','
	for _, r := range []rune{';', '\t', '|'} {
		if count[r] > count[best] {
			best = r
		}
	}
	return best
}
