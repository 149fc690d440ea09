package dropfolder_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/dropfolder"
)

// childEnv names the folder in which a child process of the test works.
const childEnv = "DROPFOLDER_TEST_CHILD"

// child watches a folder until it is killed. Its receiver appends each control id to a
// file, as a bus would keep it.
func child() {
	base := os.Getenv(childEnv)
	bus, err := os.OpenFile(filepath.Join(base, "bus"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	r := &hl7.Receiver{Submit: func(_ context.Context, s hl7.Submission) error {
		time.Sleep(500 * time.Microsecond)
		_, err := fmt.Fprintln(bus, s.ControlID)
		return err
	}}
	f, err := dropfolder.Open(dropfolder.Config{Dir: filepath.Join(base, "in"), StateDir: filepath.Join(base, "state"),
		Receiver: r, StablePolls: -1, Poll: 5 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	f.Run(context.Background())
}

// A process that is killed again and again, at whatever instruction, in the end has taken
// every message, with a result for each file.
func TestKillMinusNine(t *testing.T) {
	base := t.TempDir()
	in := filepath.Join(base, "in")
	require.NoError(t, os.Mkdir(in, 0o700))
	const files, each = 8, 40
	for i := range files {
		var text strings.Builder
		text.WriteString(header)
		for n := range each {
			text.WriteString(adt(fmt.Sprintf("%d-%d", i, n)))
		}
		fmt.Fprintf(&text, "BTS|%d\r", each)
		require.NoError(t, os.WriteFile(filepath.Join(in, fmt.Sprintf("%d.hl7", i)), []byte(text.String()), 0o600))
	}
	kills := 0
	for ; kills < 200; kills++ {
		if done, _ := filepath.Glob(filepath.Join(in, "done", "*.hl7")); len(done) == files {
			break
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+base)
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration(40+7*kills) * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	text, err := os.ReadFile(filepath.Join(base, "bus"))
	require.NoError(t, err)
	times := map[string]int{}
	for id := range strings.Lines(string(text)) {
		times[id]++
	}
	assert.Len(t, times, files*each, "every message")
	repeated := 0
	for _, n := range times {
		repeated += n - 1
	}
	assert.LessOrEqual(t, repeated, kills, "a kill repeats one message at most, which the bus recognises")
	assert.Greater(t, kills, 1)
	for i := range files {
		b := &bench{dir: in}
		r := b.result(t, fmt.Sprintf("done/%d.hl7", i))
		assert.Equal(t, each, r.Accepted)
		require.Len(t, r.Items, each)
		for n, it := range r.Items {
			assert.Equal(t, fmt.Sprintf("%d-%d", i, n), it.ControlID)
		}
	}
	t.Logf("%d kills, %d messages taken twice", kills, repeated)
}
