package desensitize

import (
	"bytes"
	"encoding"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"math"
	"strings"
	"sync"

	"github.com/emmansun/gmsm/sm3"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// KeySize is the size of a project's key in bytes.
const KeySize = 32

// ErrProject reports a project that cannot be used.
var ErrProject = errors.New("desensitize: unusable project")

// ProjectConfig sets a Project up.
type ProjectConfig struct {
	ID  string // 1 to 64 bytes; part of every keyed digest
	Key []byte // KeySize bytes, secret; the same in all hospitals of the project
	// Copy names a recipient's copy. Surrogates, but neither pseudonyms nor date shifts, are
	// different between copies, so that a leaked part can tell whose it was. May be empty.
	Copy []byte
}

// Project is the identity of a research project: everything that must be the same for one
// patient in all formats and hospitals of the project, and unlinkable between projects. All of
// it is HMAC-SM3 under the project's key over the project's id, a purpose, a type and a value.
// It is safe for concurrent use.
type Project struct {
	id     string
	prefix []byte // what every message begins with
	copy   []byte
	inner  []byte // marshalled state of SM3 behind the inner pad of HMAC
	outer  []byte
	pool   sync.Pool
}

// NewProject returns a project. It does not keep cfg.Key.
func NewProject(cfg ProjectConfig) (*Project, error) {
	if cfg.ID == "" || len(cfg.ID) > 64 {
		return nil, fmt.Errorf("%w: the id must have 1 to 64 bytes", ErrProject)
	}
	if len(cfg.Key) != KeySize {
		return nil, fmt.Errorf("%w: the key must have %d bytes", ErrProject, KeySize)
	}
	if len(bytes.Trim(cfg.Key, "\x00")) == 0 {
		return nil, fmt.Errorf("%w: the key is all zero", ErrProject)
	}
	p := &Project{id: cfg.ID, copy: bytes.Clone(cfg.Copy)}
	p.prefix = appendPart(appendPart(nil, "emrbridge-deid/1"), p.id)
	p.pool.New = func() any { return sm3.New() }
	var err error
	if p.inner, err = padded(cfg.Key, 0x36); err != nil {
		return nil, err
	}
	p.outer, err = padded(cfg.Key, 0x5c)
	return p, err
}

// padded returns the state of SM3 after the key with a pad of HMAC (RFC 2104 §2), so that the
// two blocks need not be hashed for every value.
func padded(key []byte, pad byte) ([]byte, error) {
	block := bytes.Repeat([]byte{pad}, sm3.BlockSize)
	for i, k := range key {
		block[i] ^= k
	}
	h := sm3.New()
	_, _ = h.Write(block) // a hash never fails
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("%w: SM3 cannot save its state", ErrProject)
	}
	return m.MarshalBinary()
}

// ID is the project's id.
func (p *Project) ID() string { return p.id }

// LogValue implements slog.LogValuer: the key stays where it is.
func (p *Project) LogValue() slog.Value {
	if p == nil {
		return slog.StringValue("no project")
	}
	return slog.StringValue("project " + p.id)
}

// Digest is HMAC-SM3 under the project's key over the project's id and parts. Each part is
// preceded by its length, so that parts cannot run together.
func (p *Project) Digest(parts ...string) [sm3.Size]byte {
	var room [256]byte
	message := append(room[:0], p.prefix...)
	for _, part := range parts {
		message = appendPart(message, part)
	}
	h, _ := p.pool.Get().(hash.Hash)
	defer p.pool.Put(h)
	restore(h, p.inner)
	_, _ = h.Write(message)
	var sum [sm3.Size]byte
	h.Sum(sum[:0])
	restore(h, p.outer)
	_, _ = h.Write(sum[:])
	h.Sum(sum[:0])
	return sum
}

func restore(h hash.Hash, state []byte) {
	if u, ok := h.(encoding.BinaryUnmarshaler); ok {
		_ = u.UnmarshalBinary(state) // a state that MarshalBinary returned
	}
}

func appendPart(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// Number returns a number in [0, n) that depends on parts alone. It is unbiased: digests that
// would favour small numbers are passed over. n must not be 0.
func (p *Project) Number(n uint64, parts ...string) uint64 {
	limit := math.MaxUint64 - math.MaxUint64%n // a multiple of n
	for round := byte('0'); ; round++ {
		d := p.Digest(append(parts[:len(parts):len(parts)], string(round))...)
		for i := 0; i < len(d); i += 8 {
			if v := binary.BigEndian.Uint64(d[i:]); v < limit {
				return v % n
			}
		}
	}
}

// pseudonymChars is the length of a pseudonym: 128 bits in base 32.
const pseudonymChars = 26

var pseudonymText = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Pseudonym returns the pseudonym of a value: 26 letters and digits (128 bits), which may
// stand wherever a FHIR id, an HL7 v2 ID or the extension of an II may. Values are compared
// without blanks, hyphens, case and width of characters; types that name numbers share one
// namespace, so that the same number has one pseudonym in all formats.
func (p *Project) Pseudonym(t Type, value string) string {
	if t != Reference { // ids of resources are case-sensitive
		value = Normal(value)
	}
	return p.readable("pseudonym", t.domain(), value)
}

// PseudonymBits returns the 128 bits of a whole pseudonym without a prefix; of anything else
// they are of no use.
func PseudonymBits(pseudonym string) (bits [16]byte) {
	var room [2 * 16]byte
	if len(pseudonym) == pseudonymChars {
		if n, err := pseudonymText.Decode(room[:], []byte(pseudonym)); err == nil {
			copy(bits[:], room[:n])
		}
	}
	return bits
}

// SubjectPseudonym returns the pseudonym of a patient whom subject names.
func (p *Project) SubjectPseudonym(subject []byte) string {
	return p.readable("subject", string(subject))
}

// longRun is the length of a run of digits that no pseudonym has: nobody, and no gate, is to
// take a part of it for a number.
const longRun = 4

// readable returns 128 bits of the digest of parts in base 32. The few digests whose text has
// a long run of digits are passed over.
func (p *Project) readable(parts ...string) string {
	d := p.Digest(parts...)
	for round := byte('0'); ; round++ {
		s := pseudonymText.EncodeToString(d[:16])
		run := 0
		for i := 0; i < len(s) && run < longRun; i++ {
			if run++; s[i] > '9' {
				run = 0
			}
		}
		if run < longRun {
			return s
		}
		d = p.Digest(append(parts[:len(parts):len(parts)], string(round))...)
	}
}

// Hash returns HMAC-SM3 of a value as it stands, in 64 hexadecimal digits.
func (p *Project) Hash(t Type, value string) string {
	d := p.Digest("hash", t.domain(), value)
	return fmt.Sprintf("%x", d)
}

// Shift returns by how many days the dates of a patient move in this project: from -days to
// days, never 0, all equally likely. days must be at least 1.
func (p *Project) Shift(subject []byte, days int) int {
	n := int(p.Number(uint64(2*days), "shift", string(subject))) - days
	if n >= 0 {
		n++
	}
	return n
}

// Normal brings an identifier into the form in which identifiers are compared: compatibility
// forms and full-width characters made plain, letters in lower case, blanks, hyphens and
// other separators left out.
func Normal(value string) string {
	plain := true
	for i := range len(value) {
		c := value[i]
		plain = plain && (c >= '0' && c <= '9' || c >= 'a' && c <= 'z')
	}
	if plain {
		return value
	}
	var b strings.Builder
	for _, r := range strings.ToLower(norm.NFKC.String(width.Narrow.String(value))) {
		switch {
		case r <= ' ' || r == '\u3000' || r == '\u00a0':
		case strings.ContainsRune("-‐‑‒–—_./·•()[]{}'\"`,;:", r):
		default:
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return value
	}
	return b.String()
}
