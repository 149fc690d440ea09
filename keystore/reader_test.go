package keystore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/keystore"
)

func TestReaderReadsBesideTheOwner(t *testing.T) {
	ctx := t.Context()
	dir := t.TempDir() + "/keys"
	pass := []byte("a passphrase that is long enough")
	owner, err := keystore.Create(ctx, dir, pass, keystore.CreateOptions{Number: 1, MSPID: "H1MSP", KDF: keystore.MinKDF()})
	require.NoError(t, err)
	defer owner.Close()
	tag := keystore.Tag{1}
	epoch, _, err := owner.EnsurePatient(ctx, tag)
	require.NoError(t, err)
	id, gone := keystore.RecordID{0, 1, 2}, keystore.RecordID{0, 1, 3}
	require.NoError(t, owner.DestroyRecord(ctx, tag, epoch, gone))
	want, err := owner.RecordKey(ctx, tag, epoch, id)
	require.NoError(t, err)

	_, err = keystore.Open(ctx, dir, pass)
	require.ErrorIs(t, err, keystore.ErrLocked)
	reader, err := keystore.OpenReader(ctx, dir, pass)
	require.NoError(t, err)
	got, err := reader.RecordKey(ctx, tag, epoch, id)
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = reader.RecordKey(ctx, tag, epoch, gone)
	require.ErrorIs(t, err, keystore.ErrDestroyed)
	_, err = reader.RecordKey(ctx, keystore.Tag{9}, 1, id)
	require.ErrorIs(t, err, keystore.ErrNoKey)
	version, key, err := reader.DataKey(ctx, keystore.UseQuarantine, 0)
	require.NoError(t, err)
	_, ownerKey, err := owner.DataKey(ctx, keystore.UseQuarantine, version)
	require.NoError(t, err)
	require.Equal(t, ownerKey, key)
	require.NoError(t, reader.Close())

	_, err = keystore.OpenReader(ctx, dir, []byte("another passphrase altogether"))
	require.ErrorIs(t, err, keystore.ErrPassphrase)
}
