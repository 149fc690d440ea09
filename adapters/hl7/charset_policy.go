package hl7

import (
	"bytes"
	"errors"
)

// CharsetPolicy says which charset an endpoint's frames are in.
type CharsetPolicy struct {
	// Default is used where MSH-18 is empty. The zero Charset means UTF-8.
	Default Charset
	// Force makes Default the charset of every frame, whatever MSH-18 says: for a sender
	// whose declaration is wrong and cannot be mended.
	Force bool
}

func (p CharsetPolicy) fallback() Charset {
	if p.Default.IsZero() {
		return UTF8
	}
	return p.Default
}

// Resolve finds the charset of a raw frame: byte order mark, MSH-18, policy. The error
// is a *CharsetError with Unknown set if MSH-18 holds a name that is not supported.
//
// A frame of plain ASCII is the same in every charset that extends ASCII, so a name that is
// not supported does no harm there and the frame is taken as ASCII. Of several names (HL7
// v2 chapter 2, §2.14.9.18) the first counts; the others are for switching in the middle
// of a value, except that senders write ASCII, or nothing, first and mean the second.
func (p CharsetPolicy) Resolve(raw []byte) (cs Charset, declared bool, err error) {
	switch {
	case hasUTF16(raw):
		return Charset{}, false, &CharsetError{Charset: "UNICODE UTF-16", Offset: 0, Unknown: true,
			Problem: "two bytes per character cannot be framed; send UTF-8 or GB 18030"}
	case bytes.HasPrefix(raw, utf8BOM):
		return UTF8, true, nil
	case p.Force:
		return p.fallback(), false, nil
	}
	name, consistent := p.declaredName(raw)
	if len(name) == 0 {
		return p.fallback(), false, nil
	}
	cs, ok := CharsetByName(string(name))
	switch {
	case ok && consistent:
		return cs, true, nil
	case ok:
		return Charset{}, true, &CharsetError{Charset: printableName(name), Declared: true, Offset: firstNonASCII(raw),
			Problem: "the header read in this charset declares no such charset"}
	case plainASCII(raw):
		return ASCII, true, nil
	}
	return Charset{}, true, &CharsetError{Charset: printableName(name), Declared: true, Offset: -1,
		Unknown: true, Problem: "not a supported name of HL7 table 0211"}
}

// plainASCII reports that every charset which extends ASCII reads b alike: no byte above
// 0x7F and none that switches charsets (ESC, SO, SI).
func plainASCII(b []byte) bool {
	return firstNonASCII(b) == len(b) && !bytes.ContainsAny(b, "\x1b\x0e\x0f")
}

// hasUTF16 reports a byte order mark of UTF-16 or a header with zero bytes between letters.
func hasUTF16(raw []byte) bool {
	for _, mark := range [][]byte{{0xff, 0xfe}, {0xfe, 0xff}, []byte("M\x00S\x00H\x00"), []byte("\x00M\x00S\x00H")} {
		if bytes.HasPrefix(raw, mark) {
			return true
		}
	}
	return false
}

// declaredName returns the name in MSH-18 of a raw frame. Fields before it may hold
// double-byte characters whose second byte equals the separator, and which reading is right
// depends on the answer: the header is read in the policy's own way first, then in the
// other, and a reading whose MSH-18 names a charset of the way it was read in is consistent.
func (p CharsetPolicy) declaredName(raw []byte) (name []byte, consistent bool) {
	ascii := firstNonASCII(raw) == len(raw)
	raw = raw[leadIn(raw):]
	line := raw[:lineLength(raw)]
	if !bytes.HasPrefix(line, []byte("MSH")) {
		return nil, false
	}
	first := p.fallback().def.family
	own := chooseName(line, rawField(line, 18, first), ascii)
	if firstNonASCII(line) == len(line) || p.names(own, first) {
		return own, true
	}
	if other := chooseName(line, rawField(line, 18, 1-first), ascii); p.names(other, 1-first) {
		return other, true
	}
	return own, false
}

// names reports whether a name is that of a charset of the family.
func (p CharsetPolicy) names(name []byte, f family) bool {
	cs, ok := CharsetByName(string(name))
	return ok && cs.def.family == f
}

// rawField returns a field of a raw MSH line, stepping over characters of the given
// family. The separator and MSH-2 are ASCII by definition.
func rawField(line []byte, field int, f family) []byte {
	if len(line) < 5 {
		return nil
	}
	sep := line[3]
	n, start := 2, 4
	for pos := 4; ; {
		if pos >= len(line) || line[pos] == sep {
			if n == field {
				return line[start:min(pos, len(line))]
			}
			if pos >= len(line) {
				return nil
			}
			n, start = n+1, pos+1
			pos++
			continue
		}
		pos += f.width(line[pos:])
	}
}

// chooseName returns the name that counts of a raw MSH-18: the first, or the next one if
// the first says ASCII, or nothing, and the frame is not ASCII.
func chooseName(line, v []byte, ascii bool) []byte {
	if len(v) == 0 || len(line) < 6 || line[4] == line[3] {
		return bytes.TrimSpace(v)
	}
	names := [][]byte{v}
	if line[5] != line[3] {
		names = bytes.SplitN(v, line[5:6], 8)
	}
	for i, name := range names {
		name, _, _ = bytes.Cut(name, line[4:5])
		names[i] = bytes.TrimSpace(name)
	}
	cs, _ := CharsetByName(string(names[0]))
	if ascii || len(names[0]) > 0 && cs != ASCII {
		return names[0]
	}
	for _, name := range names[1:] {
		if cs, ok := CharsetByName(string(name)); ok && cs != ASCII {
			return name
		}
	}
	return names[0]
}

// Decode turns a raw frame into UTF-8 text by MSH-18 or the policy. Errors are
// *CharsetError.
//
// Every byte fits an ISO 8859 charset, so that a wrong declaration would go unnoticed. Text
// in one of them is therefore refused, unless Force is set, if it holds control characters
// (0x80 to 0x9F, which only other charsets use) or reads as Chinese in GB 2312 throughout.
func (p CharsetPolicy) Decode(raw []byte) (text []byte, cs Charset, err error) {
	cs, declared, err := p.Resolve(raw)
	if err != nil {
		return nil, cs, err
	}
	text, err = cs.Decode(raw)
	if err == nil && !p.Force {
		if err = cs.doubt(raw); err != nil {
			text = nil
		}
	}
	var ce *CharsetError
	if errors.As(err, &ce) {
		ce.Declared = declared
		if likely, ok := DetectCharset(raw); ok && likely != cs {
			ce.Problem += "; the bytes look like " + likely.String()
		}
	}
	return text, cs, err
}
