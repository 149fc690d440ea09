package hl7

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// Decoding of bodies that are too long for memory. The verdict on the charset is that of
// CharsetPolicy.Decode: every byte has to fit, and the bytes must not be those of another
// charset.

// headSize is how much of a body is looked at to find its charset, and the longest header
// segment of such a body, in bytes.
const headSize = 64 << 10

// opener opens a body at its beginning.
type opener func() (io.ReadCloser, error)

// resolveStream is Resolve for a body. Where the answer depends on whether the whole body
// is ASCII, the body is read once for that.
func (p CharsetPolicy) resolveStream(open opener) (cs Charset, declared bool, err error) {
	r, err := open()
	if err != nil {
		return Charset{}, false, err
	}
	defer func() { _ = r.Close() }()
	head := make([]byte, headSize, headSize+2)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Charset{}, false, err
	}
	head = head[:n]
	// With nothing behind the head, with something that is not ASCII, and with something that
	// switches charsets.
	plain, plainDeclared, plainErr := p.Resolve(head)
	other, otherDeclared, otherErr := p.Resolve(append(head, '\r', 0x80))
	if plain == other && plainDeclared == otherDeclared && (plainErr == nil) == (otherErr == nil) {
		return plain, plainDeclared, plainErr
	}
	switch witness, err := stranger(r); {
	case err != nil:
		return Charset{}, false, err
	case witness >= 0x80:
		return other, otherDeclared, otherErr
	case witness != 0:
		return p.Resolve(append(head, '\r', witness))
	}
	return plain, plainDeclared, plainErr
}

// stranger reads to the end and returns a byte above 0x7F if there is one, else one that
// switches charsets, else 0.
func stranger(r io.Reader) (witness byte, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if i := firstNonASCII(buf[:n]); i < n {
			return buf[i], nil
		}
		if i := bytes.IndexAny(buf[:n], "\x1b\x0e\x0f"); i >= 0 {
			witness = buf[i]
		}
		if errors.Is(err, io.EOF) {
			return witness, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// textReader turns raw bytes into UTF-8 as they are read. Its errors are *CharsetError and
// those of the source.
type textReader struct {
	src   io.Reader
	cs    Charset
	doubt bool // look for signs of another charset

	raw    []byte // read; the first used bytes of it are decoded
	used   int
	offset int64  // of raw in the body
	text   []byte // decoded, not yet taken
	eof    bool
	err    error

	first   int64 // offset of the first byte above 0x7F, -1 for none
	likely  utf8Watch
	chinese bool // all that is not ASCII so far reads as Chinese in GB 2312
}

// textChunk is how much is decoded at a time, in bytes.
const textChunk = 32 << 10

func newTextReader(src io.Reader, cs Charset, doubt bool) *textReader {
	return &textReader{src: src, cs: cs, doubt: doubt, raw: make([]byte, 0, textChunk), first: -1, chinese: true}
}

// Read implements io.Reader.
func (t *textReader) Read(p []byte) (int, error) {
	for len(t.text) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		t.fill()
	}
	n := copy(p, t.text)
	t.text = t.text[n:]
	return n, nil
}

// fill reads and decodes the next chunk. At the end it gives the verdict on the whole.
func (t *textReader) fill() {
	t.offset += int64(t.used) // text may have shared memory with raw until now
	t.raw, t.used = t.raw[:copy(t.raw, t.raw[t.used:])], 0
	if !t.eof {
		n, err := io.ReadFull(t.src, t.raw[len(t.raw):cap(t.raw)])
		t.raw = t.raw[:len(t.raw)+n]
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			t.eof = true
		case err != nil:
			t.err = err
			return
		}
	}
	if len(t.raw) == 0 {
		if t.err = t.whole(); t.err == nil {
			t.err = io.EOF
		}
		return
	}
	part := t.raw[:t.cut()]
	if t.text, t.err = t.decode(part); t.err != nil {
		t.text = nil
		return
	}
	t.used = len(part)
}

// cut returns how many bytes of raw can be decoded now: all but a character whose end may
// not have been read yet.
func (t *textReader) cut() int {
	if t.eof || firstNonASCII(t.raw) == len(t.raw) {
		return len(t.raw)
	}
	if t.cs.def == nil || t.cs.def.family == singleByte {
		return t.cutUTF8()
	}
	pos := 0
	for pos < len(t.raw)-3 { // no character has more than four bytes
		pos += t.cs.def.family.width(t.raw[pos:])
	}
	return pos
}

// cutUTF8 leaves out an unfinished UTF-8 sequence at the end. In a charset of single bytes
// that does no harm.
func (t *textReader) cutUTF8() int {
	end := len(t.raw)
	for back := 1; back <= min(utf8.UTFMax-1, end-1); back++ {
		if c := t.raw[end-back]; utf8.RuneStart(c) {
			if !utf8.FullRune(t.raw[end-back:]) {
				return end - back
			}
			break
		}
	}
	return end
}

// decode decodes one part and notes what the verdict on the whole needs.
func (t *textReader) decode(part []byte) ([]byte, error) {
	first := firstNonASCII(part)
	if first == len(part) {
		return part, nil
	}
	if t.first < 0 {
		t.first = t.offset + int64(first)
	}
	legacy := t.cs.def != nil && t.cs.def.codec != nil
	if !legacy {
		text, err := t.cs.Decode(part)
		return text, t.moved(err)
	}
	t.likely.add(part)
	if t.doubt && t.cs.def.family == singleByte {
		if n := c1Control(part); n >= 0 && t.cs.doubt(part[n:n+1]) != nil {
			return nil, t.moved(t.cs.doubt(part))
		}
		t.chinese = t.chinese && t.cs.doubt(part) != nil
	}
	text, err := t.cs.def.codec.NewDecoder().Bytes(part)
	if err != nil || bytes.Contains(text, []byte("\uFFFD")) {
		return nil, t.moved(&CharsetError{Charset: t.cs.String(), Offset: t.cs.misfitOffset(part), Problem: "not a character of this charset"})
	}
	return text, nil
}

// moved makes the offset of an error count from the beginning of the body.
func (t *textReader) moved(err error) error {
	var ce *CharsetError
	if errors.As(err, &ce) && ce.Offset >= 0 {
		ce.Offset += int(t.offset)
	}
	return err
}

// whole gives the verdict on all of the bytes: a legacy charset that reads them although
// they are in another one.
func (t *textReader) whole() error {
	if t.first < 0 || t.cs.def == nil || t.cs.def.codec == nil {
		return nil
	}
	fail := func(problem string) error {
		return &CharsetError{Charset: t.cs.String(), Offset: int(t.first), Problem: problem}
	}
	switch {
	case t.likely.is(t.cs.def.family):
		return fail("the text is UTF-8, not the charset declared or configured")
	case t.doubt && t.cs.def.family == singleByte && t.chinese:
		return fail("every character above 0x7F is half of a Chinese one")
	}
	return nil
}

// utf8Watch tells what looksLikeUTF8 tells, of bytes that come in parts.
type utf8Watch struct {
	broken   bool
	two      bool // a sequence of two bytes was seen
	more     bool // a longer one was seen
	leftover []byte
}

// add takes the next bytes.
func (u *utf8Watch) add(b []byte) {
	if u.broken {
		return
	}
	if len(u.leftover) > 0 {
		b = append(u.leftover, b...)
		u.leftover = nil
	}
	for len(b) > 0 {
		if i := firstNonASCII(b); i > 0 {
			b = b[i:]
			continue
		}
		if !utf8.FullRune(b) {
			u.leftover = bytes.Clone(b)
			return
		}
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			u.broken = true
			return
		}
		u.two, u.more = u.two || n == 2, u.more || n > 2
		b = b[n:]
	}
}

// is reports the verdict at the end.
func (u *utf8Watch) is(f family) bool {
	return !u.broken && len(u.leftover) == 0 && (u.more || u.two && f == singleByte)
}
