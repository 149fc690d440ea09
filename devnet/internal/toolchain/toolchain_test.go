package toolchain

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPinnedVersion(t *testing.T) {
	repo, err := findRepo()
	require.NoError(t, err)
	v, err := pinnedVersion(repo)
	require.NoError(t, err)
	assert.Regexp(t, `^v\d+\.\d+\.\d+`, v)

	other := t.TempDir()
	module := filepath.Join(other, "devnet", "fabric")
	require.NoError(t, os.MkdirAll(module, 0o755))
	write := func(text string) {
		require.NoError(t, os.WriteFile(filepath.Join(module, "go.mod"), []byte(text), 0o600))
	}
	write("module x\nrequire github.com/hyperledger/fabric v1.2.3-x\n")
	v, err = pinnedVersion(other)
	require.NoError(t, err)
	assert.Equal(t, "v1.2.3-x", v)
	write("module x\nrequire (\n\tgithub.com/hyperledger/fabric-lib-go v9.9.9\n)\n")
	_, err = pinnedVersion(other)
	require.ErrorContains(t, err, "does not require")
}

func TestMissingGoNamesTheCure(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(EnvFabricBin, "")
	t.Setenv(EnvContract, "")
	o := Options{BuildDir: t.TempDir()}
	_, err := EnsureFabric(t.Context(), o)
	require.ErrorContains(t, err, "install Go")
	require.ErrorContains(t, err, EnvFabricBin)
	_, err = EnsureContract(t.Context(), o)
	require.ErrorContains(t, err, "install Go")
	require.ErrorContains(t, err, EnvContract)
}

func TestSecondRunNeedsNoGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(EnvFabricBin, "")
	t.Setenv(EnvContract, "")
	build := t.TempDir()
	repo, err := findRepo()
	require.NoError(t, err)
	version, err := pinnedVersion(repo)
	require.NoError(t, err)
	root := filepath.Join(build, "fabric", version)
	fakePrograms(t, filepath.Join(root, "bin"), programs...)
	fakeConfig(t, filepath.Join(root, "sampleconfig"))
	f, err := EnsureFabric(t.Context(), Options{BuildDir: build})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(root, "bin", "peer"), f.Path("peer"))

	fakePrograms(t, filepath.Join(build, "bin"), contractName)
	path, err := EnsureContract(t.Context(), Options{BuildDir: build})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(build, "bin", contractName), path)
}

func TestGivenProgramsAreChecked(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	fakePrograms(t, bin, "peer", "orderer")
	fakeConfig(t, filepath.Join(dir, "config"))
	_, err := EnsureFabric(t.Context(), Options{FabricBin: bin})
	require.ErrorContains(t, err, "configtxgen is missing")
	fakePrograms(t, bin, programs...)
	require.NoError(t, os.Chmod(filepath.Join(bin, "osnadmin"), 0o600))
	_, err = EnsureFabric(t.Context(), Options{FabricBin: bin})
	require.ErrorContains(t, err, "not executable")
	require.NoError(t, os.Chmod(filepath.Join(bin, "osnadmin"), 0o700))
	f, err := EnsureFabric(t.Context(), Options{FabricBin: bin})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "config"), f.SampleConfig)

	_, err = EnsureContract(t.Context(), Options{Contract: filepath.Join(dir, "none")})
	require.ErrorContains(t, err, "is missing")
	got, err := EnsureContract(t.Context(), Options{Contract: filepath.Join(bin, "peer")})
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(bin, "peer"), got)
}

func TestLockWaitsForTheOtherBuild(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "build")
	unlock, err := lockDir(t.Context(), dir)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = lockDir(ctx, dir)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	unlock()
	unlock, err = lockDir(t.Context(), dir)
	require.NoError(t, err)
	unlock()
}

func fakePrograms(t *testing.T, dir string, names ...string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range names {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o700))
	}
}

func fakeConfig(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range []string{"core.yaml", "orderer.yaml"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
}
