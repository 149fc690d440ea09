package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Why a file is refused.
var (
	// ErrSyntax: not a DICOM file with a preamble, or its lengths do not fit.
	ErrSyntax = errors.New("not a readable DICOM file")
	// ErrTooLarge: a limit was reached.
	ErrTooLarge = errors.New("the DICOM file exceeds a limit")
	// ErrUnsupported: a transfer syntax that this reader does not have.
	ErrUnsupported = errors.New("the DICOM transfer syntax is not supported: store the file as explicit or implicit little endian")
)

// The limits.
const (
	MaxBytes    = 1 << 30 // size of a file
	maxElements = 1 << 20
	maxDepth    = 32
	maxValue    = 1 << 16 // of a kept attribute other than pixel data
)

// Options say how a file is treated.
type Options struct {
	// Pixels keeps pixel data, unless the file says that it shows annotations.
	Pixels bool
	// UID gives the replacement of an instance's UID. It must be a valid UID (at most 64
	// characters of digits and dots) and the same for the same value. Required.
	UID func(value string) string
	// Subject is the pseudonym written as patient name and id; empty leaves them empty.
	Subject string
}

// Result says what was done.
type Result struct {
	Data    []byte
	Removed int  // attributes left out or emptied, those within removed sequences not counted
	Kept    int  // attributes kept unchanged
	Pixels  bool // the pixel data is in Data
}

// Is reports the mark of PS3.10 §7.1: "DICM" after a preamble of 128 bytes.
func Is(data []byte) bool {
	return len(data) >= 132 && string(data[128:132]) == "DICM"
}

// Tag is group and element.
type Tag uint32

// element is one attribute as it stands in the file.
type element struct {
	tag   Tag
	vr    string // "" where the transfer syntax has none
	value []byte // without its header; of undefined length: with the items and the delimiter
	raw   []byte // header and value
	open  bool   // of undefined length
}

// syntax is how a data set is written.
type syntax struct {
	explicit bool
	order    binary.ByteOrder
}

var explicitLittle = syntax{explicit: true, order: binary.LittleEndian}

// Transfer syntaxes (PS3.5 annex A).
const (
	implicitLittleUID = "1.2.840.10008.1.2"
	deflatedUID       = "1.2.840.10008.1.2.1.99"
	explicitBigUID    = "1.2.840.10008.1.2.2"
)

// syntaxOf knows the transfer syntaxes: all that the standard assigns but the deflated ones.
func syntaxOf(uid string) (syntax, error) {
	s := explicitLittle
	switch {
	case !strings.HasPrefix(uid, standardUIDs), strings.HasPrefix(uid, deflatedUID), len(uid) > 64:
		return s, ErrUnsupported
	case uid == implicitLittleUID:
		s.explicit = false
	case uid == explicitBigUID:
		s.order = binary.BigEndian
	}
	return s, nil
}

// Deidentify returns the file without what identifies a person. The preamble, which may
// hold another format, is zeroed.
func Deidentify(data []byte, o Options) (Result, error) {
	switch {
	case len(data) > MaxBytes:
		return Result{}, ErrTooLarge
	case !Is(data):
		return Result{}, ErrSyntax
	}
	meta, rest, err := readMeta(data[132:])
	if err != nil {
		return Result{}, err
	}
	ts := text(meta[0x0002_0010].value)
	s, err := syntaxOf(ts)
	if err != nil {
		return Result{}, err
	}
	elements, err := readAll(rest, s)
	if err != nil {
		return Result{}, err
	}
	w := &writer{syntax: s, options: o}
	w.dataSet(elements)
	w.result.Data = slices.Concat(make([]byte, 128), []byte("DICM"), w.meta(meta, ts), w.out)
	return w.result, nil
}

// Values returns the values of all attributes that hold text, sequences included, each with
// its tag such as "(0010,0010)": what a leak gate has to look at. Pixel data is not among
// them; pixels reports that there is some.
func Values(data []byte, see func(tag, value string)) (pixels bool, err error) {
	if len(data) > MaxBytes {
		return false, ErrTooLarge
	}
	if !Is(data) {
		return false, ErrSyntax
	}
	meta, rest, err := readMeta(data[132:])
	if err != nil {
		return false, err
	}
	s, err := syntaxOf(text(meta[0x0002_0010].value))
	if err != nil {
		return false, err
	}
	see("preamble", string(bytes.Trim(data[:128], "\x00")))
	for _, e := range meta {
		see(e.tag.String(), text(e.value))
	}
	elements, err := readAll(rest, s)
	for _, e := range elements {
		if e.tag == pixelData || e.tag == 0x7FE0_0008 || e.tag == 0x7FE0_0009 {
			pixels = true
			continue
		}
		see(e.tag.String(), text(e.value)) // of a sequence: the bytes of its items, headers among them
	}
	return pixels, err
}

// String writes the tag as the standard does.
func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", uint32(t)>>16, uint32(t)&0xFFFF) }

// text trims the padding of a value.
func text(b []byte) string { return string(bytes.Trim(b, " \x00")) }

// readMeta reads the file meta information, always explicit little endian (PS3.10 §7.1).
func readMeta(data []byte) (map[Tag]element, []byte, error) {
	meta := map[Tag]element{}
	for len(data) >= 8 && binary.LittleEndian.Uint16(data) == 2 {
		e, n, err := readElement(data, explicitLittle, 0)
		if err != nil {
			return nil, nil, err
		}
		meta[e.tag] = e
		data = data[n:]
	}
	if len(meta) == 0 || len(meta) > 64 {
		return nil, nil, fmt.Errorf("file meta information: %w", ErrSyntax)
	}
	return meta, data, nil
}

func readAll(data []byte, s syntax) ([]element, error) {
	var out []element
	for pos := 0; pos < len(data); {
		if len(data)-pos < 8 && len(bytes.Trim(data[pos:], "\x00")) == 0 {
			break
		}
		e, n, err := readElement(data[pos:], s, 0)
		if err != nil {
			return out, err
		}
		if out = append(out, e); len(out) > maxElements {
			return out, ErrTooLarge
		}
		pos += n
	}
	return out, nil
}

// longVR are the value representations with a length of four bytes (PS3.5 §7.1.2).
var longVR = map[string]bool{
	"OB": true, "OD": true, "OF": true, "OL": true, "OV": true, "OW": true, "SQ": true, "SV": true,
	"UC": true, "UN": true, "UR": true, "UT": true, "UV": true,
}

const undefined = 0xFFFFFFFF

// readElement reads one attribute and says how many bytes it takes.
func readElement(data []byte, s syntax, depth int) (element, int, error) {
	if len(data) < 8 || depth > maxDepth {
		return element{}, 0, ErrSyntax
	}
	e := element{tag: Tag(uint32(s.order.Uint16(data))<<16 | uint32(s.order.Uint16(data[2:])))}
	head, length := 8, uint32(0)
	switch {
	case !s.explicit || e.tag>>16 == 0xFFFE:
		length = s.order.Uint32(data[4:])
	case longVR[string(data[4:6])]:
		if len(data) < 12 {
			return element{}, 0, ErrSyntax
		}
		e.vr, head, length = string(data[4:6]), 12, s.order.Uint32(data[8:])
	default:
		e.vr, length = string(data[4:6]), uint32(s.order.Uint16(data[6:]))
	}
	end := head + int(length)
	if length == undefined {
		var err error
		if end, err = skipItems(data, head, s, e.vr == "UN", depth); err != nil {
			return element{}, 0, err
		}
		e.open = true
	}
	if end > len(data) {
		return element{}, 0, fmt.Errorf("attribute %s: %w", e.tag, ErrSyntax)
	}
	e.value, e.raw = data[head:end], data[:end]
	return e, end, nil
}

const (
	itemStart = Tag(0xFFFE_E000)
	itemEnd   = Tag(0xFFFE_E00D)
	seqEnd    = Tag(0xFFFE_E0DD)
)

// skipItems passes the items of a sequence, or the fragments of pixel data, of undefined
// length, and returns where they end (PS3.5 §7.5). The items of an attribute of unknown VR
// are implicit little endian (§6.2.2).
func skipItems(data []byte, pos int, s syntax, unknown bool, depth int) (int, error) {
	if unknown {
		s = syntax{order: binary.LittleEndian}
	}
	for {
		if len(data)-pos < 8 {
			return 0, ErrSyntax
		}
		tag := Tag(uint32(s.order.Uint16(data[pos:]))<<16 | uint32(s.order.Uint16(data[pos+2:])))
		length := s.order.Uint32(data[pos+4:])
		pos += 8
		switch {
		case tag == seqEnd:
			return pos, nil
		case tag != itemStart:
			return 0, ErrSyntax
		case length != undefined:
			if int(length) > len(data)-pos {
				return 0, ErrSyntax
			}
			pos += int(length)
		default:
			var err error
			if pos, err = skipItem(data, pos, s, depth+1); err != nil {
				return 0, err
			}
		}
	}
}

// skipItem passes the attributes of an item of undefined length.
func skipItem(data []byte, pos int, s syntax, depth int) (int, error) {
	for {
		if len(data)-pos < 8 {
			return 0, ErrSyntax
		}
		tag := Tag(uint32(s.order.Uint16(data[pos:]))<<16 | uint32(s.order.Uint16(data[pos+2:])))
		if tag == itemEnd {
			return pos + 8, nil
		}
		_, n, err := readElement(data[pos:], s, depth)
		if err != nil {
			return 0, err
		}
		pos += n
	}
}
