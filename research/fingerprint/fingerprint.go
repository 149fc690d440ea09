// Package fingerprint marks each recipient's copy of a dataset, and names the recipient of a
// part that turned up elsewhere.
//
// A mark must not change what the data say. Two things in a released dataset are free:
//
//   - The choice of surrogates. A surrogate is 80 bits that stand for a subject or a resource,
//     and a mark of 40 bits that only the holder of the recipient's key can tell from chance.
//     One surviving surrogate names the recipient with an error of 2⁻⁴⁰ for each candidate.
//   - The order of rows. Rows are sorted by a keyed digest of their content without
//     surrogates, so the order holds where all surrogates were cut out and rows were dropped. Ten rows
//     left in their order name the recipient; see [Trace].
//
// A part without surrogates and in another order bears no mark. Two recipients that compare
// their copies see that surrogates and order differ, and can remove both; the package does
// not claim to withstand that.
//
// Whoever traces needs the keys of the candidates and no copy of what was released.
package fingerprint

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"hash"
	"log/slog"

	"github.com/emmansun/gmsm/sm3"
)

// Domains of the keyed digests.
const (
	keyDomain  = "emrbridge/research/fingerprint/v1"
	markDomain = "emrbridge/research/mark/v1"
	rankDomain = "emrbridge/research/rank/v1"
)

// Sizes of a surrogate: 16 characters that identify and 8 that mark, of a-z and 2-7.
const (
	BodySize      = 10 // bytes
	bodyLength    = 16
	SurrogateSize = 24 // characters
)

var alphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Key marks the copies of one recipient in one project. It is a secret of the hospitals and
// prints as "[redacted]".
type Key [32]byte

// String implements fmt.Stringer.
func (Key) String() string { return "[redacted]" }

// GoString implements fmt.GoStringer.
func (Key) GoString() string { return "[redacted]" }

// LogValue implements slog.LogValuer.
func (Key) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// NewKey derives the key for a recipient from the key of a project, so that all hospitals
// mark alike: the same subject has the same surrogate in all parts.
func NewKey(project [32]byte, recipient string) (k Key) {
	mac := hmac.New(sm3.New, project[:])
	mac.Write([]byte(keyDomain))
	mac.Write([]byte(recipient))
	mac.Sum(k[:0])
	return k
}

// Marker marks with one key. It is not safe for concurrent use.
type Marker struct {
	mac hash.Hash
	buf [sm3.Size]byte
}

// NewMarker returns a marker.
func NewMarker(k Key) *Marker { return &Marker{mac: hmac.New(sm3.New, k[:])} }

func (m *Marker) digest(domain string, b []byte) []byte {
	m.mac.Reset()
	m.mac.Write([]byte(domain))
	m.mac.Write(b)
	return m.mac.Sum(m.buf[:0])
}

// Surrogate returns the marked text of a surrogate, whose body the caller has drawn from a
// keyed digest: 24 characters that FHIR allows as an id.
func (m *Marker) Surrogate(body [BodySize]byte) string {
	var out [SurrogateSize]byte
	alphabet.Encode(out[:bodyLength], body[:])
	m.mark(out[:])
	return string(out[:])
}

// mark writes the last eight characters after the first sixteen.
func (m *Marker) mark(text []byte) {
	alphabet.Encode(text[bodyLength:], m.digest(markDomain, text[:bodyLength])[:5])
}

// Marked reports whether a surrogate bears this key's mark.
func (m *Marker) Marked(surrogate []byte) bool {
	if len(surrogate) != SurrogateSize {
		return false
	}
	var want [SurrogateSize]byte
	copy(want[:], surrogate[:bodyLength])
	m.mark(want[:])
	return subtle.ConstantTimeCompare(want[:], surrogate) == 1
}

// Rank is by what rows are sorted, ascending. line is a row without its end.
func (m *Marker) Rank(line []byte) uint64 {
	return binary.BigEndian.Uint64(m.digest(rankDomain, Content(nil, line)))
}

// Content appends a row to dst with every surrogate in it replaced by an asterisk: what is
// left if somebody cuts out the marks.
func Content(dst, line []byte) []byte {
	for len(line) > 0 {
		start, end := next(line)
		if start < 0 {
			return append(dst, line...)
		}
		dst = append(append(dst, line[:start]...), '*')
		line = line[end:]
	}
	return dst
}

// Surrogates calls yield with every text in a line that has the form of a surrogate.
func Surrogates(line []byte, yield func([]byte)) {
	for len(line) > 0 {
		start, end := next(line)
		if start < 0 {
			return
		}
		yield(line[start:end])
		line = line[end:]
	}
}

// next finds the first word of exactly 24 characters of the alphabet; start is -1 if
// there is none.
func next(line []byte) (start, end int) {
	for i := 0; i < len(line); {
		if !word[line[i]] {
			i++
			continue
		}
		from, plain := i, true
		for i < len(line) && word[line[i]] {
			plain = plain && base[line[i]]
			i++
		}
		if plain && i-from == SurrogateSize {
			return from, i
		}
	}
	return -1, -1
}

// word are the characters that belong to a word, base those of a surrogate.
var word, base [256]bool

func init() {
	for c := range 128 {
		lower := c >= 'a' && c <= 'z'
		word[c] = lower || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
		base[c] = lower || c >= '2' && c <= '7'
	}
}
