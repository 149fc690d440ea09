package evidence

import (
	"fmt"
	"math/bits"

	"github.com/emmansun/gmsm/sm3"
)

// The tree is that of RFC 6962 §2.1 with SM3 in place of SHA-256: a leaf is
// SM3(0x00 ‖ data), a node SM3(0x01 ‖ left ‖ right), and a list of n > 1 leaves splits at
// the largest power of two smaller than n. An empty list has the root SM3("").

func nodeHash(left, right Digest) Digest {
	var buf [65]byte
	buf[0] = 1
	copy(buf[1:], left[:])
	copy(buf[33:], right[:])
	return sm3.Sum(buf[:])
}

// split returns the largest power of two smaller than n, for n > 1.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Root returns the Merkle root over leaf hashes.
func Root(leaves []Digest) Digest {
	switch len(leaves) {
	case 0:
		return sm3.Sum(nil)
	case 1:
		return leaves[0]
	}
	k := split(len(leaves))
	return nodeHash(Root(leaves[:k]), Root(leaves[k:]))
}

// Prove returns the audit path of leaf i, from the leaf upwards (RFC 6962 §2.1.1): with
// it one record can be proved without showing the others.
func Prove(leaves []Digest, i int) ([]Digest, error) {
	if i < 0 || i >= len(leaves) {
		return nil, fmt.Errorf("%w: leaf %d of %d", ErrMalformed, i, len(leaves))
	}
	return path(leaves, i), nil
}

func path(leaves []Digest, i int) []Digest {
	if len(leaves) == 1 {
		return nil
	}
	k := split(len(leaves))
	if i < k {
		return append(path(leaves[:k], i), Root(leaves[k:]))
	}
	return append(path(leaves[k:], i-k), Root(leaves[:k]))
}

// VerifyProof reports whether leaf is leaf i of the n leaves under root.
func VerifyProof(root, leaf Digest, i, n int, proof []Digest) bool {
	if i < 0 || n <= 0 || i >= n || len(proof) > 64 {
		return false
	}
	got, rest, ok := climb(leaf, i, n, proof)
	return ok && len(rest) == 0 && got.Equal(root)
}

func climb(leaf Digest, i, n int, proof []Digest) (Digest, []Digest, bool) {
	if n == 1 {
		return leaf, proof, true
	}
	k := split(n)
	left := i < k
	var below Digest
	var ok bool
	if left {
		below, proof, ok = climb(leaf, i, k, proof)
	} else {
		below, proof, ok = climb(leaf, i-k, n-k, proof)
	}
	if !ok || len(proof) == 0 {
		return Digest{}, nil, false
	}
	if left {
		return nodeHash(below, proof[0]), proof[1:], true
	}
	return nodeHash(proof[0], below), proof[1:], true
}
