package keystore

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTreeCoversEveryLeafButThePuncturedOne(t *testing.T) {
	var root node
	_, _ = rand.Read(root.secret[:])
	var gone RecordID
	_, _ = rand.Read(gone[:])
	cover := root.puncture(gone)
	assert.Len(t, cover, treeDepth*(treeFanout-1))

	find := func(id RecordID) (node, bool) {
		for depth := 0; depth <= treeDepth; depth++ {
			for _, c := range cover {
				if bytes.Equal(c.prefix, pathPrefix(id, depth)) {
					return c.node, true
				}
			}
		}
		return node{}, false
	}
	_, ok := find(gone)
	assert.False(t, ok)
	for bit := range 8 * len(gone) {
		id := gone
		id[bit/8] ^= 0x80 >> (bit % 8)
		n, ok := find(id)
		require.True(t, ok, "bit %d", bit)
		assert.Equal(t, root.leaf(id), n.leaf(id), "bit %d", bit)
		assert.NotEqual(t, root.leaf(gone), n.leaf(id))
	}
}

func TestTreeLeafIsStable(t *testing.T) {
	n := node{}
	for i := range n.secret {
		n.secret[i] = byte(i)
	}
	id := RecordID{0x00, 0x01, 0xab, 0xcd}
	leaf := n.leaf(id)
	// Pins the derivation: changing it would make every stored record unreadable.
	assert.Equal(t, goldenLeaf, fmtHex(leaf[:]))
}

func openTestStore(t *testing.T) (*File, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	f, err := Create(t.Context(), dir, []byte("a passphrase for tests"), CreateOptions{Number: 1, MSPID: "H1MSP", KDF: MinKDF()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f, dir
}

// The bytes that wrapped a destroyed key must be in no file any more.
func TestDestructionLeavesNothingOnDisk(t *testing.T) {
	f, dir := openTestStore(t)
	ctx := t.Context()
	onDisk := func(needle []byte) bool {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			raw, err := os.ReadFile(filepath.Join(dir, e.Name()))
			require.NoError(t, err)
			if bytes.Contains(raw, needle) {
				return true
			}
		}
		return false
	}
	wrappedRoot := func(tag Tag) (root []byte) {
		require.NoError(t, f.patients.read.QueryRow(`SELECT root FROM epoch WHERE tag=?`, tag[:]).Scan(&root))
		return root[1:]
	}
	for i := range byte(40) {
		_, _, err := f.EnsurePatient(ctx, Tag{1, i})
		require.NoError(t, err)
	}
	patient, whole := Tag{1, 5}, Tag{1, 6}
	secretA, secretB := wrappedRoot(patient), wrappedRoot(whole)
	require.True(t, onDisk(secretA))
	require.NoError(t, f.DestroyRecord(ctx, patient, 1, RecordID{0, 1, 9}))
	assert.False(t, onDisk(secretA), "the root is gone after one record was destroyed")
	var covering []byte
	prefix := pathPrefix(siblingID(RecordID{0, 1, 9}), 6)
	require.NoError(t, f.patients.read.QueryRow(`SELECT wrapped FROM node WHERE tag=? AND prefix=?`, patient[:], prefix).Scan(&covering))
	require.NoError(t, f.DestroyRecord(ctx, patient, 1, siblingID(RecordID{0, 1, 9})))
	assert.False(t, onDisk(covering[1:]), "so is the inner node after the second")
	require.NoError(t, f.DestroyPatient(ctx, whole))
	assert.False(t, onDisk(secretB))
}

// siblingID differs from id in the branch taken at depth 5.
func siblingID(id RecordID) RecordID {
	id[2] ^= 0x01
	return id
}

func TestSwappedAndAlteredRowsAreRefused(t *testing.T) {
	f, _ := openTestStore(t)
	ctx := t.Context()
	a, b := Tag{1}, Tag{2}
	for _, tag := range []Tag{a, b} {
		_, _, err := f.EnsurePatient(ctx, tag)
		require.NoError(t, err)
	}
	_, err := f.patients.write.Exec(`UPDATE epoch SET root=(SELECT root FROM epoch WHERE tag=?) WHERE tag=?`, a[:], b[:])
	require.NoError(t, err)
	_, err = f.RecordKey(ctx, b, 1, RecordID{1})
	assert.ErrorIs(t, err, ErrCorrupt, "another patient's key")
	_, err = f.patients.write.Exec(`UPDATE epoch SET epoch=2 WHERE tag=?`, a[:])
	require.NoError(t, err)
	_, err = f.RecordKey(ctx, a, 2, RecordID{1})
	assert.ErrorIs(t, err, ErrCorrupt, "another epoch's key")
}

func TestRootCacheIsBoundedAndWiped(t *testing.T) {
	wiped := 0
	c := newLRU[int](3, func(n *node) { n.zero(); wiped++ })
	for i := range 5 {
		c.put(i, node{depth: i})
	}
	_, ok := c.get(0)
	assert.False(t, ok)
	_, ok = c.get(2)
	assert.True(t, ok)
	c.put(9, node{})
	_, ok = c.get(3)
	assert.False(t, ok, "the least recently used one left")
	c.forget(2)
	c.clear()
	assert.Equal(t, 6, wiped)
	assert.Empty(t, c.entries)
}

func TestKeysAreZeroAfterClose(t *testing.T) {
	f, _ := openTestStore(t)
	sec := f.secrets
	require.NoError(t, f.Close())
	assert.True(t, bytes.Equal(sec.IdentityKey, make([]byte, 32)))
	assert.Zero(t, f.keys)
	assert.Zero(t, f.patients.key)
}

func FuzzParseMaster(f *testing.F) {
	m, err := wrapMaster(make([]byte, 16), make([]byte, 32), []byte("a passphrase for tests"), MinKDF())
	require.NoError(f, err)
	raw, err := m.encode()
	require.NoError(f, err)
	f.Add(raw)
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMaster(b)
		if err != nil {
			return
		}
		assert.NoError(t, m.KDF.validate())
		assert.Len(t, m.Salt, 16)
	})
}

func FuzzNormalizeResidentID(f *testing.F) {
	for _, s := range []string{"11010519491231002X", "110105491231002", "", "440524188001010014", "一二三"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, err := NormalizeResidentID(s)
		if err != nil {
			assert.ErrorIs(t, err, ErrIdentity)
			return
		}
		again, err := NormalizeResidentID(out)
		assert.NoError(t, err)
		assert.Equal(t, out, again)
	})
}

func BenchmarkEnsurePatient(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "keys")
	f, err := Create(b.Context(), dir, []byte("a passphrase for tests"), CreateOptions{Number: 1, MSPID: "H1MSP", KDF: MinKDF()})
	require.NoError(b, err)
	b.Cleanup(func() { assert.NoError(b, f.Close()) })
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var tag Tag
		for pb.Next() {
			_, _ = rand.Read(tag[:])
			if _, _, err := f.EnsurePatient(b.Context(), tag); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRecordKey(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "keys")
	f, err := Create(b.Context(), dir, []byte("a passphrase for tests"), CreateOptions{Number: 1, MSPID: "H1MSP", KDF: MinKDF()})
	require.NoError(b, err)
	b.Cleanup(func() { assert.NoError(b, f.Close()) })
	_, _, err = f.EnsurePatient(b.Context(), Tag{1})
	require.NoError(b, err)
	run := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := f.RecordKey(b.Context(), Tag{1}, 1, RecordID{1}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("whole", run)
	require.NoError(b, f.DestroyRecord(b.Context(), Tag{1}, 1, RecordID{9}))
	b.Run("punctured", run)
}
