package keystore

import (
	"hash"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// The record tree makes it possible to forget one record's key and keep the rest
// (a puncturable pseudo-random function after Goldreich, Goldwasser and Micali).
//
// A patient key K_p is the root of a 16-ary tree of depth 32 whose path is the
// record id, four bits a level; child = SM3("emrtree1" ‖ node ‖ level ‖ branch). K_r
// derives from the leaf. Nodes give their descendants and nothing else, so to
// destroy a record the root is replaced by the siblings along its path: every
// other leaf stays reachable and this one is not, even for custody itself.
const (
	treeDepth  = 2 * smcrypto.RecordIDSize
	treeFanout = 16
	nodeSize   = smcrypto.DigestSize
	treeDomain = "emrtree1"
)

// node is a secret of the tree at a depth from 0 (root, K_p) to treeDepth (leaf).
type node struct {
	depth  int
	secret [nodeSize]byte
}

func (n *node) zero() { smcrypto.Zero(n.secret[:]) }

// branchAt is the branch taken from depth to depth+1 on the way to id.
func branchAt(id RecordID, depth int) byte {
	if depth%2 == 0 {
		return id[depth/2] >> 4
	}
	return id[depth/2] & 0x0f
}

// treeHasher steps down the tree with one hash state.
type treeHasher struct {
	h   hash.Hash
	buf [len(treeDomain) + nodeSize + 2]byte
}

func newTreeHasher() *treeHasher {
	t := &treeHasher{h: smcrypto.Default().NewSM3()}
	copy(t.buf[:], treeDomain)
	return t
}

func (t *treeHasher) child(n *node, branch byte, out *node) {
	copy(t.buf[len(treeDomain):], n.secret[:])
	t.buf[len(t.buf)-2] = byte(n.depth)
	t.buf[len(t.buf)-1] = branch
	t.h.Reset()
	t.h.Write(t.buf[:])
	out.depth = n.depth + 1
	t.h.Sum(out.secret[:0])
}

func (t *treeHasher) zero() {
	smcrypto.Zero(t.buf[:])
	t.h.Reset()
}

// leaf walks from n, which must lie on the path of id, to the leaf.
func (n node) leaf(id RecordID) [nodeSize]byte {
	t := newTreeHasher()
	defer t.zero()
	for n.depth < treeDepth {
		t.child(&n, branchAt(id, n.depth), &n)
	}
	return n.secret
}

// prefixNode is a node together with the path that leads to it.
type prefixNode struct {
	prefix []byte
	node
}

// puncture returns the nodes that together cover all leaves under n but id.
func (n node) puncture(id RecordID) []prefixNode {
	t := newTreeHasher()
	defer t.zero()
	out := make([]prefixNode, 0, (treeDepth-n.depth)*(treeFanout-1))
	for n.depth < treeDepth {
		on := branchAt(id, n.depth)
		for b := range byte(treeFanout) {
			if b == on {
				continue
			}
			sibling := prefixNode{prefix: siblingPrefix(id, n.depth, b)}
			t.child(&n, b, &sibling.node)
			out = append(out, sibling)
		}
		t.child(&n, on, &n)
	}
	n.zero()
	return out
}

// pathPrefix names the node at depth on the path of id: depth ‖ the path's bits,
// padded with zero bits.
func pathPrefix(id RecordID, depth int) []byte {
	out := make([]byte, 1, 1+smcrypto.RecordIDSize)
	out[0] = byte(depth)
	out = append(out, id[:(depth+1)/2]...)
	if depth%2 == 1 {
		out[len(out)-1] &= 0xf0
	}
	return out
}

// siblingPrefix names the node reached from the path of id at depth by branch.
func siblingPrefix(id RecordID, depth int, branch byte) []byte {
	if depth%2 == 0 {
		id[depth/2] = branch << 4
	} else {
		id[depth/2] = id[depth/2]&0xf0 | branch
	}
	return pathPrefix(id, depth+1)
}
