package pdf

import (
	"bytes"
	"compress/zlib"
	"encoding/ascii85"
	"fmt"
	"io"
)

// decode applies the filters of a stream (§7.4).
func (f *file) decode(s stream) ([]byte, error) {
	filters, params := f.filters(s.dict)
	data := s.raw
	if len(filters) > 8 {
		return nil, fmt.Errorf("filters: %w", ErrTooLarge)
	}
	for i, filter := range filters {
		var err error
		if data, err = f.filter(filter, data); err != nil {
			return nil, err
		}
		if data, err = f.unpredict(params[i], data); err != nil {
			return nil, err
		}
		if f.inflated += len(data); f.inflated > f.limits.MaxInflated {
			return nil, fmt.Errorf("decoded streams: %w", ErrTooLarge)
		}
	}
	return data, nil
}

// filters returns the names of the filters and the parameters of each.
func (f *file) filters(d dict) ([]name, []dict) {
	list := func(long, short name) array {
		v, ok := d[long]
		if !ok {
			v = d[short]
		}
		switch v := f.resolve(v).(type) {
		case array:
			return v
		case nil:
			return nil
		default:
			return array{v}
		}
	}
	parms := list("DecodeParms", "DP")
	var names []name
	var params []dict
	for i, v := range list("Filter", "F") {
		n, _ := f.resolve(v).(name)
		names = append(names, n)
		var p dict
		if i < len(parms) {
			p = f.dictOf(parms[i])
		}
		params = append(params, p)
	}
	return names, params
}

func (f *file) filter(filter name, data []byte) ([]byte, error) {
	switch filter {
	case "FlateDecode", "Fl":
		return f.inflate(data)
	case "ASCIIHexDecode", "AHx":
		if end := bytes.IndexByte(data, '>'); end >= 0 {
			data = data[:end]
		}
		return unhex(data), nil
	case "ASCII85Decode", "A85":
		return decode85(data)
	case "RunLengthDecode", "RL":
		return f.runLength(data)
	case "LZWDecode", "LZW":
		return f.lzw(data)
	}
	return nil, ErrUnsupported
}

// inflate reads zlib data; a stream that was cut, or has a wrong check sum, gives what can
// be read, as all readers of PDF do.
func (f *file) inflate(data []byte) ([]byte, error) {
	z, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("FlateDecode: %w", ErrSyntax)
	}
	left := f.limits.MaxInflated - f.inflated
	out, err := io.ReadAll(io.LimitReader(z, int64(left)+1))
	if len(out) > left {
		return nil, fmt.Errorf("FlateDecode: %w", ErrTooLarge)
	}
	if err != nil && len(out) == 0 {
		return nil, fmt.Errorf("FlateDecode: %w", ErrSyntax)
	}
	return out, nil
}

func decode85(data []byte) ([]byte, error) {
	data = bytes.TrimPrefix(bytes.TrimSpace(data), []byte("<~"))
	if end := bytes.Index(data, []byte("~")); end >= 0 {
		data = data[:end]
	}
	out := make([]byte, 4*len(data)+4)
	n, _, err := ascii85.Decode(out, data, true)
	if err != nil {
		return nil, fmt.Errorf("ASCII85Decode: %w", ErrSyntax)
	}
	return out[:n], nil
}

func (f *file) runLength(data []byte) ([]byte, error) {
	var out []byte
	for i := 0; i < len(data); {
		n := int(data[i])
		i++
		switch {
		case n == 128:
			return out, nil
		case n < 128:
			end := min(i+n+1, len(data))
			out = append(out, data[i:end]...)
			i = end
		case i < len(data):
			out = append(out, bytes.Repeat(data[i:i+1], 257-n)...)
			i++
		}
		if len(out) > f.limits.MaxInflated {
			return nil, fmt.Errorf("RunLengthDecode: %w", ErrTooLarge)
		}
	}
	return out, nil
}

// lzwEntry is one sequence of the table: another one and a byte.
type lzwEntry struct {
	prefix int32
	last   byte
	length int32
}

// lzwTable is the table of §7.4.4, with EarlyChange 1, the default that is in use.
type lzwTable struct {
	entries []lzwEntry
	prev    int // the last code, -1 at the start
	out     []byte
}

const (
	lzwClear = 256
	lzwEnd   = 257
)

func (f *file) lzw(data []byte) ([]byte, error) {
	t := &lzwTable{entries: make([]lzwEntry, 258, 4096), prev: -1}
	for i := range 256 {
		t.entries[i] = lzwEntry{-1, byte(i), 1}
	}
	bits := bitReader{data: data}
	for {
		code, ok := bits.read(t.width())
		if !ok || code == lzwEnd {
			return t.out, nil
		}
		if code == lzwClear {
			t.entries, t.prev = t.entries[:258], -1
			continue
		}
		if !t.take(code) {
			return nil, fmt.Errorf("LZWDecode: %w", ErrSyntax)
		}
		if len(t.out) > f.limits.MaxInflated {
			return nil, fmt.Errorf("LZWDecode: %w", ErrTooLarge)
		}
	}
}

// width is how many bits the next code has.
func (t *lzwTable) width() int {
	width := 9
	for width < 12 && len(t.entries)+1 >= 1<<width {
		width++
	}
	return width
}

// take writes the sequence of a code and adds one to the table.
func (t *lzwTable) take(code int) bool {
	fresh := code == len(t.entries) // the sequence that this very code adds
	if code > len(t.entries) || fresh && t.prev < 0 {
		return false
	}
	source := code
	if fresh {
		source = t.prev
	}
	start, length := len(t.out), int(t.entries[source].length)
	if length == 0 {
		return false
	}
	t.out = append(t.out, make([]byte, length)...)
	for at, i := source, start+length-1; at >= 0 && i >= start; i-- {
		t.out[i] = t.entries[at].last
		at = int(t.entries[at].prefix)
	}
	first := t.out[start]
	if fresh {
		t.out = append(t.out, first)
	}
	if t.prev >= 0 && len(t.entries) < 4096 {
		t.entries = append(t.entries, lzwEntry{int32(t.prev), first, t.entries[t.prev].length + 1})
	}
	t.prev = code
	return true
}

// bitReader reads codes from the most significant bit on.
type bitReader struct {
	data []byte
	pos  int
	acc  uint32
	have int
}

func (b *bitReader) read(width int) (int, bool) {
	for b.have < width {
		if b.pos >= len(b.data) {
			return 0, false
		}
		b.acc = b.acc<<8 | uint32(b.data[b.pos])
		b.pos++
		b.have += 8
	}
	b.have -= width
	return int(b.acc>>b.have) & (1<<width - 1), true
}

// unpredict undoes the PNG predictors (§7.4.4.4); the TIFF predictor is for pictures.
func (f *file) unpredict(p dict, data []byte) ([]byte, error) {
	kind := f.integer(p["Predictor"])
	if p == nil || kind <= 1 {
		return data, nil
	}
	if kind < 10 {
		return nil, ErrUnsupported
	}
	columns, colors, bits := f.integer(p["Columns"]), f.integer(p["Colors"]), f.integer(p["BitsPerComponent"])
	columns, colors = max(columns, 1), max(colors, 1)
	if bits <= 0 {
		bits = 8
	}
	if columns > 1<<20 || colors > 32 || bits > 32 {
		return nil, fmt.Errorf("predictor: %w", ErrTooLarge)
	}
	return unpredictRows(data, (columns*colors*bits+7)/8, max(1, colors*bits/8)), nil
}

func unpredictRows(data []byte, row, pixel int) []byte {
	out := make([]byte, 0, len(data))
	prev := make([]byte, row)
	for len(data) > 1 {
		tag, line := data[0], make([]byte, row)
		n := copy(line, data[1:])
		data = data[1+n:]
		for i := range line[:n] {
			var left, corner byte
			if i >= pixel {
				left, corner = line[i-pixel], prev[i-pixel]
			}
			line[i] += predicted(tag, left, prev[i], corner)
		}
		out = append(out, line[:n]...)
		prev = line
	}
	return out
}

func predicted(tag, left, up, corner byte) byte {
	switch tag {
	case 1:
		return left
	case 2:
		return up
	case 3:
		return byte((int(left) + int(up)) / 2)
	case 4:
		p := int(left) + int(up) - int(corner)
		dl, du, dc := distance(p, left), distance(p, up), distance(p, corner)
		switch {
		case dl <= du && dl <= dc:
			return left
		case du <= dc:
			return up
		}
		return corner
	}
	return 0
}

func distance(p int, b byte) int {
	if d := p - int(b); d >= 0 {
		return d
	}
	return int(b) - p
}
