package dataset

import (
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
)

// Salts is the content of proof.key: what the salts of the leaves are derived from.
type Salts [32]byte

// saltSize is the length of the salt of a leaf in bytes.
const saltSize = 16

func parseSalts(b []byte) (s Salts, err error) {
	if len(b) != 2*len(s)+1 || b[len(b)-1] != '\n' {
		return s, fmt.Errorf("%w: %s has not 64 hexadecimal digits and a line feed", ErrMalformed, ProofKeyName)
	}
	if _, err := hex.Decode(s[:], b[:len(b)-1]); err != nil {
		return s, fmt.Errorf("%w: %s is not hexadecimal", ErrMalformed, ProofKeyName)
	}
	return s, nil
}

func (s Salts) encode() []byte { return append([]byte(hex.EncodeToString(s[:])), '\n') }

// hasher makes leaves with one set of buffers.
type hasher struct {
	mac, sum hash.Hash
	buf      [64]byte
}

func newHasher(s Salts) *hasher { return &hasher{mac: hmac.New(sm3.New, s[:]), sum: sm3.New()} }

func (h *hasher) salt(index int64) (salt [saltSize]byte) {
	h.mac.Reset()
	h.mac.Write(binary.BigEndian.AppendUint64(h.buf[:0], uint64(index)))
	copy(salt[:], h.mac.Sum(h.buf[:0]))
	return salt
}

func (h *hasher) leaf(index int64, name string, line []byte) evidence.Digest {
	salt := h.salt(index)
	return leafHash(h.sum, salt, name, line)
}

func leafHash(sum hash.Hash, salt [saltSize]byte, name string, line []byte) (d evidence.Digest) {
	sum.Reset()
	sum.Write([]byte{0})
	sum.Write(salt[:])
	sum.Write([]byte{byte(len(name))})
	sum.Write([]byte(name))
	sum.Write(line)
	sum.Sum(d[:0])
	return d
}

// tree computes the root of a list of leaves as they come, in a memory of its height: the
// roots of the complete subtrees so far, each half as large as the one before it or smaller.
type tree struct {
	count int64
	roots []evidence.Digest
	sum   hash.Hash
}

func newTree() *tree { return &tree{sum: sm3.New()} }

func (t *tree) node(left, right evidence.Digest) (d evidence.Digest) {
	t.sum.Reset()
	t.sum.Write([]byte{1})
	t.sum.Write(left[:])
	t.sum.Write(right[:])
	t.sum.Sum(d[:0])
	return d
}

func (t *tree) add(leaf evidence.Digest) {
	t.count++
	for n := t.count; n&1 == 0; n >>= 1 {
		last := len(t.roots) - 1
		leaf = t.node(t.roots[last], leaf)
		t.roots = t.roots[:last]
	}
	t.roots = append(t.roots, leaf)
}

func (t *tree) root() evidence.Digest {
	if len(t.roots) == 0 {
		return sm3.Sum(nil)
	}
	root := t.roots[len(t.roots)-1]
	for i := len(t.roots) - 2; i >= 0; i-- {
		root = t.node(t.roots[i], root)
	}
	return root
}
