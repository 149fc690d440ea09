package keystore_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/keystore"
)

const crashDir = "EMRBRIDGE_KEYSTORE_CRASH_DIR"

// TestKilledWriter is the child of TestKilledAtAnyMoment: it registers, rotates,
// destroys and re-seals until it is killed, and prints what was answered.
func TestKilledWriter(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		return // not started as a child
	}
	ctx := t.Context()
	f, err := keystore.Open(ctx, dir, passphrase)
	require.NoError(t, err)
	for i := uint32(0); ; i++ {
		tag := keystore.Tag{1, byte(i), byte(i >> 8), byte(os.Getpid()), byte(os.Getpid() >> 8)}
		_, _, err := f.EnsurePatient(ctx, tag)
		require.NoError(t, err)
		key, err := f.RecordKey(ctx, tag, 1, keystore.RecordID{0, 1})
		require.NoError(t, err)
		fmt.Printf("patient %x %x\n", tag, key[:])
		switch i % 4 {
		case 1:
			require.NoError(t, f.DestroyRecord(ctx, tag, 1, keystore.RecordID{0, 2}))
			fmt.Printf("destroyed %x %x\n", tag, keystore.RecordID{0, 2})
		case 2:
			_, err = f.RotateDataKey(ctx, keystore.UseBus)
			require.NoError(t, err)
		case 3:
			require.NoError(t, f.ChangePassphrase(ctx, passphrase, passphrase, keystore.MinKDF()))
		}
	}
}

// What was answered must hold after kill -9 at any moment, and the keystore must open.
func TestKilledAtAnyMoment(t *testing.T) {
	f, dir := create(t)
	require.NoError(t, f.Close())
	for round := range 4 {
		lines := runAndKill(t, dir, time.Duration(150+rand.IntN(250))*time.Millisecond)
		f, err := keystore.Open(t.Context(), dir, passphrase)
		require.NoError(t, err, "round %d", round)
		for _, line := range lines {
			checkAnswer(t, f, line)
		}
		require.NoError(t, f.Close())
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func runAndKill(t *testing.T, dir string, after time.Duration) (lines []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWriter$", "-test.v")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var timer *time.Timer
	scan := bufio.NewScanner(out)
	for scan.Scan() {
		lines = append(lines, scan.Text())
		if timer == nil && len(lines) > 1 { // the test's own "=== RUN" comes first
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	require.NotNil(t, timer, "the child answered nothing: %v", lines)
	timer.Stop()
	return lines
}

func checkAnswer(t *testing.T, f *keystore.File, line string) {
	t.Helper()
	var kind, tagHex, restHex string
	if n, _ := fmt.Sscan(line, &kind, &tagHex, &restHex); n != 3 {
		return
	}
	rawTag, errTag := hex.DecodeString(tagHex)
	rest, errRest := hex.DecodeString(restHex)
	if errTag != nil || errRest != nil || len(rawTag) != 16 || len(rest) != 16 {
		return // the line that the kill cut
	}
	tag := keystore.Tag(rawTag)
	switch kind {
	case "patient":
		key, err := f.RecordKey(t.Context(), tag, 1, keystore.RecordID{0, 1})
		require.NoError(t, err)
		require.Equal(t, rest, key[:])
	case "destroyed":
		_, err := f.RecordKey(t.Context(), tag, 1, keystore.RecordID(rest))
		require.ErrorIs(t, err, keystore.ErrDestroyed)
	}
}
