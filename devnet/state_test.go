package devnet

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/devnet/internal/toolchain"
)

func TestAllotPortsAreFreeDistinctAndNotEphemeral(t *testing.T) {
	ports, err := allotPorts(40)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, p := range ports {
		assert.False(t, seen[p], "port %d twice", p)
		seen[p] = true
		assert.NoError(t, checkPort("x", p))
		assert.GreaterOrEqual(t, p, lowestPort)
		assert.Less(t, p, max(ephemeralStart(), lowestPort+160))
	}
}

func TestCheckPortNamesRoleAndHolder(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close() //nolint:errcheck // test
	port := l.Addr().(*net.TCPAddr).Port
	err = checkPort("orderer2", port)
	require.ErrorIs(t, err, ErrPortTaken)
	assert.ErrorContains(t, err, "orderer2")
	pid, name := portHolder(port)
	assert.Equal(t, os.Getpid(), pid)
	assert.NotEmpty(t, name)
	assert.ErrorContains(t, err, name)
}

func TestStateRoundTrip(t *testing.T) {
	dir := t.TempDir()
	s, err := newSettings(Options{})
	require.NoError(t, err)
	st, err := newState(s)
	require.NoError(t, err)
	require.NoError(t, st.save(dir))
	got, err := loadState(dir)
	require.NoError(t, err)
	assert.Equal(t, st, got)
	require.NoError(t, got.checkPorts())
}

func TestLoadStateRefusesForeignAndDamagedFiles(t *testing.T) {
	dir := t.TempDir()
	_, err := Load(t.Context(), dir)
	require.ErrorIs(t, err, ErrNoNetwork)
	for _, text := range []string{"", "{", "{}", `{"format":2}`, `{"format":1}`, "[]", `{"format":"x"}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, stateFile), []byte(text), 0o600))
		_, err := Load(t.Context(), dir)
		require.ErrorContains(t, err, "--purge", text)
	}
}

func FuzzLoadState(f *testing.F) {
	s, err := newSettings(Options{})
	require.NoError(f, err)
	st, err := newState(s)
	require.NoError(f, err)
	good, err := json.Marshal(st)
	require.NoError(f, err)
	f.Add(good)
	f.Add([]byte(`{"format":1,"hospitals":[{}],"orderers":[{}]}`))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, stateFile), data, 0o600))
		if n, err := Load(t.Context(), dir); err == nil {
			require.NotEmpty(t, n.Hospitals())
			require.NotEmpty(t, n.Orderers())
		}
	})
}

func TestPurgeLeavesForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{stateFile, "notes.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "logs", "x"), 0o700))
	require.NoError(t, purgeDir(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	assert.Equal(t, "notes.txt", entries[0].Name())
	require.NoError(t, os.Remove(filepath.Join(dir, "notes.txt")))
	require.NoError(t, purgeDir(dir))
	assert.NoDirExists(t, dir)
	require.NoError(t, purgeDir(dir), "again")
}

func TestUpRefusesASecondUpAndOpenFolders(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	_, err := Up(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "chmod", "keys must not be readable by others")
	require.NoError(t, os.Chmod(dir, 0o700))
	unlock, err := lockUp(dir)
	require.NoError(t, err)
	defer unlock()
	_, err = Up(t.Context(), Options{Dir: dir})
	require.ErrorContains(t, err, "being started by another process")
}

func TestUpNamesAMissingProgram(t *testing.T) {
	empty := t.TempDir()
	t.Setenv(toolchain.EnvContract, "")
	_, err := Up(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "net"), FabricBin: empty})
	require.ErrorContains(t, err, filepath.Join(empty, "peer")+" is missing")
}

func TestIdentitiesArePrivate(t *testing.T) {
	root := t.TempDir()
	s, err := newSettings(Options{})
	require.NoError(t, err)
	require.NoError(t, makeIdentities(root, fixedState(t, s)))
	keys := 0
	require.NoError(t, filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && (strings.HasSuffix(path, ".key") || strings.Contains(path, "keystore/")) && !info.IsDir() {
			keys++
			assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path)
		}
		return err
	}))
	// Three of the consortium; MSP (two) and TLS per orderer; MSP (three), TLS (two), SM2 (two), gateway per hospital.
	assert.Equal(t, 3+4*3+4*8, keys)
}

func TestParseGauges(t *testing.T) {
	text := strings.Join([]string{
		"# HELP ledger_blockchain_height Height", "# TYPE ledger_blockchain_height gauge",
		`ledger_blockchain_height{channel="other"} 99`, `ledger_blockchain_height{channel="emr"} 17`,
		`ledger_blockchain_height_max{channel="emr"} 5`, `big{channel="emr",x="y z"} 1.5e+06`, "",
	}, "\n")
	got, err := parseGauges(strings.NewReader(text), []string{"ledger_blockchain_height", "big", "absent"})
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"ledger_blockchain_height": 17, "big": 1.5e6}, got)
	_, err = parseGauges(strings.NewReader(`big{channel="emr"} many`), []string{"big"})
	require.Error(t, err)
}

func FuzzParseGauges(f *testing.F) {
	f.Add("a{channel=\"emr\"} 1\n")
	f.Add("a{channel=\"emr\"}")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseGauges(strings.NewReader(text), []string{"a"})
		if err == nil {
			require.LessOrEqual(t, len(got), 1)
		}
	})
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for _, tc := range []struct {
		text string
		n    int
		want []string
	}{
		{"", 3, nil},
		{"a\n", 3, []string{"a"}},
		{"a\nb\nc\n", 2, []string{"b", "c"}},
		{"a\nb", 1, []string{"b"}},
	} {
		require.NoError(t, os.WriteFile(path, []byte(tc.text), 0o600))
		got, err := lastLines(path, tc.n)
		require.NoError(t, err)
		assert.Equal(t, tc.want, got, "%q", tc.text)
	}
}
