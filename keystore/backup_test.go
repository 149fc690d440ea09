package keystore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/keystore"
)

func backup(t testing.TB, f *keystore.File) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, f.Backup(t.Context(), &out))
	return out.Bytes()
}

func TestBackupAndRestore(t *testing.T) {
	ctx := t.Context()
	f, dir := create(t)
	tag, id := keystore.Tag{7}, keystore.RecordID{0, 1, 7}
	_, _, err := f.EnsurePatient(ctx, tag)
	require.NoError(t, err)
	key, err := f.RecordKey(ctx, tag, 1, id)
	require.NoError(t, err)
	require.NoError(t, f.DestroyRecord(ctx, tag, 1, keystore.RecordID{0, 1, 8}))
	want, err := f.Hospital(ctx)
	require.NoError(t, err)
	saved := backup(t, f)
	left, err := filepath.Glob(filepath.Join(dir, "snapshot-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	require.NoError(t, f.Close())

	require.NoError(t, keystore.VerifyBackup(ctx, bytes.NewReader(saved), passphrase))
	_, err = keystore.Restore(ctx, dir, bytes.NewReader(saved), passphrase)
	assert.ErrorIs(t, err, keystore.ErrExists, "a keystore in the way is never overwritten")

	fresh := filepath.Join(t.TempDir(), "restored")
	f, err = keystore.Restore(ctx, fresh, bytes.NewReader(saved), passphrase)
	require.NoError(t, err)
	defer func() { assert.NoError(t, f.Close()) }()
	got, err := f.Hospital(ctx)
	require.NoError(t, err)
	assert.Equal(t, want, got)
	again, err := f.RecordKey(ctx, tag, 1, id)
	require.NoError(t, err)
	assert.True(t, key.Equal(again))
	_, err = f.RecordKey(ctx, tag, 1, keystore.RecordID{0, 1, 8})
	assert.ErrorIs(t, err, keystore.ErrDestroyed)
}

func TestBackupThatWasTouchedDoesNotRestore(t *testing.T) {
	ctx := t.Context()
	f, _ := create(t)
	saved := backup(t, f)
	require.NoError(t, f.Close())
	refuse := func(name string, b []byte, pass []byte) {
		dir := filepath.Join(t.TempDir(), "r")
		_, err := keystore.Restore(ctx, dir, bytes.NewReader(b), pass)
		assert.Error(t, err, name)
		assert.NoDirExists(t, dir, name)
	}
	refuse("wrong passphrase", saved, []byte("quite another one"))
	refuse("one byte more", append(bytes.Clone(saved), 0), passphrase)
	refuse("empty", nil, passphrase)
	refuse("end frame cut off", saved[:len(saved)-38], passphrase)
	for _, at := range []int{0, 4, 10, 24, len(saved) / 2, len(saved) - 34, len(saved) - 1} {
		bad := bytes.Clone(saved)
		bad[at] ^= 1
		refuse("changed byte", bad, passphrase)
	}
	for _, at := range []int{3, 20, 200, 1000, len(saved) / 2, len(saved) - 1} {
		refuse("cut", saved[:at], passphrase)
	}
}

func TestBackupGoesOnBesideUse(t *testing.T) {
	f, _ := create(t)
	defer func() { assert.NoError(t, f.Close()) }()
	done := make(chan error, 1)
	go func() {
		for i := range 200 {
			if _, _, err := f.EnsurePatient(t.Context(), keystore.Tag{1, byte(i)}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 3 {
		saved := backup(t, f)
		assert.NoError(t, keystore.VerifyBackup(t.Context(), bytes.NewReader(saved), passphrase))
	}
	require.NoError(t, <-done)
}

func FuzzRestore(f *testing.F) {
	store, dir := create(f)
	saved := backup(f, store)
	require.NoError(f, store.Close())
	f.Add(saved[:25])
	f.Add(saved[:400])
	f.Add([]byte("EMRK\x01"))
	head, err := os.ReadFile(filepath.Join(dir, "master.json"))
	require.NoError(f, err)
	f.Add(append(append([]byte("EMRK\x01"), make([]byte, 19)...), append([]byte{byte(len(head))}, head...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.HasPrefix(b, saved[:100]) {
			return // would spend the fuzzing time in argon2id
		}
		if err := keystore.VerifyBackup(t.Context(), bytes.NewReader(b), passphrase); err == nil {
			t.Fatal("a backup that nobody made was accepted")
		}
	})
}
