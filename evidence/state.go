package evidence

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// How the ledger keeps an anchor. The contract writes two keys for each record, and a
// verifier finds them in the write sets of the blocks:
//
//	m <tag85> <id85>            id[8:16] ‖ cipher hash ‖ pointer
//	m <tag85> <id85> <rest85>   cipher hash ‖ pointer
//	r <id85>                    id[8:10] of each record whose id begins with these 8 bytes
//
// The second form is for a record whose first 8 bytes of the id were in use already.
// tag85, id85 and rest85 are Z85 (ZeroMQ RFC 32) of the tag, id[0:8] and id[8:16]: 20, 10
// and 10 characters.
const (
	anchorFamily = "m"
	guardFamily  = "r"
	idHead       = 8
	shortAnchor  = len(anchorFamily) + 20 + 10
	longAnchor   = shortAnchor + 10
)

// GuardHead is how many bytes of a record id stand in the guard's key, GuardSuffix how
// many of those that follow stand in its value.
const (
	GuardHead   = idHead
	GuardSuffix = 2
)

// AnchorPrefix begins the keys of all anchors of a tag.
func AnchorPrefix(tag Tag) string { return string(appendZ85([]byte(anchorFamily), tag[:])) }

// AnchorKey returns the short or the long key of a record.
func AnchorKey(tag Tag, id RecordID, long bool) string {
	buf := make([]byte, 0, longAnchor)
	buf = append(buf, anchorFamily...)
	buf = appendZ85(buf, tag[:])
	buf = appendZ85(buf, id[:idHead])
	if long {
		buf = appendZ85(buf, id[idHead:])
	}
	return string(buf)
}

// GuardKey returns the key of the guard that stands for the record.
func GuardKey(id RecordID) string { return string(appendZ85([]byte(guardFamily), id[:idHead])) }

// AnchorValue is the value that belongs to the short or the long key.
func AnchorValue(e Entry, long bool) []byte {
	v := make([]byte, 0, idHead+len(e.CipherHash)+len(e.Pointer))
	if !long {
		v = append(v, e.ID[idHead:]...)
	}
	v = append(v, e.CipherHash[:]...)
	return append(v, e.Pointer...)
}

// IsAnchorKey reports whether a state key is that of an anchor.
func IsAnchorKey(key string) bool {
	return strings.HasPrefix(key, anchorFamily) && (len(key) == shortAnchor || len(key) == longAnchor)
}

// DecodeAnchor reads an anchor from its state key and value. It accepts exactly what
// AnchorKey and AnchorValue make.
func DecodeAnchor(key string, value []byte) (Entry, error) {
	var e Entry
	if !IsAnchorKey(key) {
		return e, fmt.Errorf("%w: not the key of an anchor", ErrMalformed)
	}
	raw, err := decodeZ85([]byte(key[len(anchorFamily):]))
	if err != nil {
		return e, err
	}
	copy(e.Tag[:], raw)
	n := copy(e.ID[:], raw[TagSize:])
	if len(value) < len(e.ID)-n+len(e.CipherHash) || len(value) > len(e.ID)-n+len(e.CipherHash)+MaxPointer {
		return Entry{}, fmt.Errorf("%w: anchor of %d bytes", ErrMalformed, len(value))
	}
	value = value[copy(e.ID[n:], value):]
	value = value[copy(e.CipherHash[:], value):]
	e.Pointer = append([]byte{}, value...)
	return e, nil
}

const z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

// appendZ85 appends the text of b, whose length is a multiple of four: each group of four
// bytes, big-endian, becomes five characters.
func appendZ85(dst, b []byte) []byte {
	for ; len(b) >= 4; b = b[4:] {
		v := binary.BigEndian.Uint32(b)
		dst = append(dst, z85[v/(85*85*85*85)], z85[v/(85*85*85)%85], z85[v/(85*85)%85], z85[v/85%85], z85[v%85])
	}
	return dst
}

// decodeZ85 reads what appendZ85 wrote and refuses anything else.
func decodeZ85(text []byte) ([]byte, error) {
	if len(text)%5 != 0 {
		return nil, fmt.Errorf("%w: Z85 text of %d characters", ErrMalformed, len(text))
	}
	out := make([]byte, 0, len(text)/5*4)
	for ; len(text) > 0; text = text[5:] {
		v := uint64(0)
		for _, c := range text[:5] {
			digit := bytes.IndexByte([]byte(z85), c)
			if digit < 0 {
				return nil, fmt.Errorf("%w: byte %#x is not Z85", ErrMalformed, c)
			}
			v = v*85 + uint64(digit)
		}
		if v > 1<<32-1 {
			return nil, fmt.Errorf("%w: Z85 group out of range", ErrMalformed)
		}
		out = binary.BigEndian.AppendUint32(out, uint32(v))
	}
	return out, nil
}
