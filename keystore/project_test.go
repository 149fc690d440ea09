package keystore_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/keystore"
)

func TestProjectKey(t *testing.T) {
	ctx := context.Background()
	open := func(msp string, number uint16, identity byte) *keystore.File {
		f, err := keystore.Create(ctx, filepath.Join(t.TempDir(), msp), []byte("correct horse battery staple"),
			keystore.CreateOptions{Number: number, MSPID: msp, IdentityKey: bytes.Repeat([]byte{identity}, 32), KDF: keystore.MinKDF()})
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	a, b, other := open("H1MSP", 1, 7), open("H2MSP", 2, 7), open("H3MSP", 3, 8)
	first, err := a.ProjectKey(ctx, "INST1.P1")
	require.NoError(t, err)
	second, err := b.ProjectKey(ctx, "INST1.P1")
	require.NoError(t, err)
	assert.Equal(t, first, second, "the same in all hospitals of the consortium")
	foreign, err := other.ProjectKey(ctx, "INST1.P1")
	require.NoError(t, err)
	assert.NotEqual(t, first, foreign)
	next, err := a.ProjectKey(ctx, "INST1.P2")
	require.NoError(t, err)
	assert.NotEqual(t, first, next)
	for _, bad := range []string{"", " ", strings.Repeat("x", 129)} {
		_, err := a.ProjectKey(ctx, bad)
		require.ErrorIs(t, err, keystore.ErrIdentity)
	}
}
