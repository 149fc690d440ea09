package pdf

import (
	"bytes"
	"fmt"
)

// file is a document with its objects found.
type file struct {
	data     []byte
	limits   Limits
	objects  map[int]any // dict, array, stream, …
	trailer  dict
	fonts    map[int]*font // by object number
	inflated int
	ops      int
}

// load finds all objects, those in object streams included, and the trailer.
func (f *file) load() error {
	f.trailer = dict{}
	var packed []stream
	for pos := 0; ; {
		at := bytes.Index(f.data[pos:], []byte("obj"))
		if at < 0 {
			break
		}
		at += pos
		number, ok := f.numberBefore(at)
		if !ok {
			pos = at + 3
			continue
		}
		v, end := f.object(at + 3)
		pos = end
		if err := f.add(number, v); err != nil {
			return err
		}
		if s, ok := v.(stream); ok {
			switch s.dict["Type"] {
			case name("ObjStm"):
				packed = append(packed, s)
			case name("XRef"):
				f.takeTrailer(s.dict)
			}
		}
	}
	f.findTrailers()
	if _, yes := f.trailer["Encrypt"]; yes {
		return ErrEncrypted
	}
	for _, s := range packed {
		if err := f.unpack(s); err != nil {
			return err
		}
	}
	return nil
}

func (f *file) add(number int, v any) error {
	f.objects[number] = v
	if len(f.objects) > f.limits.MaxObjects {
		return fmt.Errorf("objects: %w", ErrTooLarge)
	}
	return nil
}

// numberBefore reads "12 0 " backwards from the word obj.
func (f *file) numberBefore(at int) (int, bool) {
	i := at
	part := func() (int, bool) {
		end := i
		for i > 0 && isSpace(f.data[i-1]) {
			i--
		}
		if end == i {
			return 0, false
		}
		n, scale, start := 0, 1, i
		for i > 0 && f.data[i-1] >= '0' && f.data[i-1] <= '9' && start-i < 9 {
			n += int(f.data[i-1]-'0') * scale
			scale *= 10
			i--
		}
		return n, start != i
	}
	if _, ok := part(); !ok {
		return 0, false
	}
	return part()
}

// object reads the object at pos, with its stream if it has one, and says where it ends.
func (f *file) object(pos int) (any, int) {
	l := &lexer{data: f.data, pos: pos, refs: true}
	v, ok := l.next(0)
	if !ok {
		return nil, len(f.data)
	}
	d, isDict := v.(dict)
	if !isDict {
		return v, l.pos
	}
	l.skip()
	if !bytes.HasPrefix(f.data[l.pos:], []byte("stream")) {
		return v, l.pos
	}
	start := l.pos + len("stream")
	if bytes.HasPrefix(f.data[start:], []byte("\r\n")) {
		start += 2
	} else if start < len(f.data) && (f.data[start] == '\n' || f.data[start] == '\r') {
		start++
	}
	end := f.streamEnd(d, start)
	return stream{dict: d, raw: f.data[start:end]}, end
}

// streamEnd trusts a direct Length only if endstream stands there, and looks for the word
// otherwise.
func (f *file) streamEnd(d dict, start int) int {
	const mark = "endstream"
	if n, ok := d["Length"].(float64); ok && n >= 0 && n <= float64(len(f.data)-start) {
		end := start + int(n)
		rest := bytes.TrimLeft(f.data[end:min(end+16, len(f.data))], "\r\n ")
		if bytes.HasPrefix(rest, []byte(mark)) {
			return end
		}
	}
	at := bytes.Index(f.data[start:], []byte(mark))
	if at < 0 {
		return len(f.data)
	}
	end := start + at
	for trimmed := 0; trimmed < 2 && end > start && (f.data[end-1] == '\n' || f.data[end-1] == '\r'); trimmed++ {
		end--
	}
	return end
}

func (f *file) findTrailers() {
	for pos := 0; ; {
		at := bytes.Index(f.data[pos:], []byte("trailer"))
		if at < 0 {
			return
		}
		l := &lexer{data: f.data, pos: pos + at + len("trailer"), refs: true}
		if v, ok := l.next(0); ok {
			if d, ok := v.(dict); ok {
				f.takeTrailer(d)
			}
		}
		pos += at + len("trailer")
	}
}

// takeTrailer keeps what the pages need; a later trailer overrides an earlier one.
func (f *file) takeTrailer(d dict) {
	for _, key := range []name{"Root", "Encrypt"} {
		if v, ok := d[key]; ok && v != keyword("null") {
			f.trailer[key] = v
		}
	}
}

// unpack takes the objects out of an object stream (§7.5.7).
func (f *file) unpack(s stream) error {
	body, err := f.decode(s)
	if err != nil {
		return fmt.Errorf("object stream: %w", err)
	}
	first, count := f.integer(s.dict["First"]), f.integer(s.dict["N"])
	if first < 0 || first > len(body) || count < 0 || count > f.limits.MaxObjects {
		return fmt.Errorf("object stream: %w", ErrSyntax)
	}
	index := &lexer{data: body[:first]}
	for range count {
		number, ok1 := index.next(0)
		offset, ok2 := index.next(0)
		n, isNumber := number.(float64)
		at, isOffset := offset.(float64)
		if !ok1 || !ok2 || !isNumber || !isOffset || at < 0 || first+int(at) > len(body) {
			return nil
		}
		l := &lexer{data: body, pos: first + int(at), refs: true}
		v, _ := l.next(0)
		if err := f.add(int(n), v); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows references, a few of them at most.
func (f *file) resolve(v any) any {
	for range 16 {
		r, ok := v.(ref)
		if !ok {
			return v
		}
		v = f.objects[int(r)]
	}
	return nil
}

// dictOf resolves to a dictionary, that of a stream included.
func (f *file) dictOf(v any) dict {
	switch v := f.resolve(v).(type) {
	case dict:
		return v
	case stream:
		return v.dict
	}
	return nil
}

func (f *file) integer(v any) int {
	n, ok := f.resolve(v).(float64)
	if !ok || n < -1<<31 || n > 1<<31 {
		return -1
	}
	return int(n)
}

func (f *file) number(v any) float64 {
	n, _ := f.resolve(v).(float64)
	return n
}
