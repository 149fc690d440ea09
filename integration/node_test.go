package integration_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// nodeFolder returns a folder with the programs of a folder below testdata, and the packages
// that they need as its lock file says. It is kept in the build folder from one run to the
// next.
func nodeFolder(t *testing.T, name string) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		_, err := exec.LookPath(program)
		require.NoError(t, err, "install it with: apt-get install nodejs npm (or make deps)")
	}
	base := os.Getenv("EMRBRIDGE_BUILD_DIR")
	if base == "" {
		base = filepath.Join("..", ".build")
	}
	dir, err := filepath.Abs(filepath.Join(base, "interop-"+name))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	files, err := filepath.Glob(filepath.Join("testdata", name, "*"))
	require.NoError(t, err)
	sum := sha256.New()
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o644))
		if strings.HasPrefix(filepath.Base(f), "package") {
			sum.Write(text)
		}
	}
	want, stamp := fmt.Sprintf("%x", sum.Sum(nil)), filepath.Join(dir, "node_modules", ".installed")
	if have, err := os.ReadFile(stamp); err == nil && string(have) == want {
		return dir
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.NoError(t, os.WriteFile(stamp, []byte(want), 0o644))
	return dir
}
