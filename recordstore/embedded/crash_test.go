package embedded_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/recordstore/storetest"
)

// childEnv makes the test program the process that is killed: its value is the folder.
const childEnv = "EMRBRIDGE_TEST_STORE_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := putUntilKilled(dir); err != nil {
			fmt.Println("failed", err)
		}
		os.Exit(1) // it should have been killed
	}
	os.Exit(m.Run())
}

// sizeOf gives every record a size that its id determines: mostly small, some of several
// chunks.
func sizeOf(id record.ID) int {
	if id[15]%32 == 0 {
		return 1<<20 + int(id[14])<<12
	}
	return 100 + int(id[14])<<6
}

// putUntilKilled puts from several goroutines and prints each id that was acknowledged, and
// each that was marked as anchored.
func putUntilKilled(dir string) error {
	ctx := context.Background()
	s, err := embedded.Open(ctx, dir, embedded.Options{})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	say := func(what string, id record.ID) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = fmt.Println(what, id) // one write call per line
	}
	failed := make(chan error, 8)
	for range 8 {
		go func() {
			for {
				if err := putOne(ctx, s, say); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

func putOne(ctx context.Context, s recordstore.Store, say func(string, record.ID)) (err error) {
	r := storetest.Record(0)
	r = storetest.With(r.ID, r.Tag, storetest.Bytes(r.ID, sizeOf(r.ID)))
	if len(r.Data) > 1<<20 {
		_, _, err = s.PutStream(ctx, r.Draft, bytes.NewReader(r.Data))
	} else {
		_, _, err = s.Put(ctx, r.Draft, r.Data)
	}
	if err != nil {
		return err
	}
	say("put", r.ID)
	if r.ID[13]%4 != 0 {
		return nil
	}
	if err := s.MarkAnchored(ctx, []record.ID{r.ID}, recordstore.AnchorRef{TxID: "tx", Block: 1}); err != nil {
		return err
	}
	say("marked", r.ID)
	return nil
}

func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	acknowledged := map[string][]record.ID{}
	for range 6 {
		got := runAndKill(t, dir, time.Duration(50+rand.IntN(250))*time.Millisecond)
		verifyAcknowledged(t, dir, got, embedded.CheckQuick)
		for what, ids := range got {
			acknowledged[what] = append(acknowledged[what], ids...)
		}
	}
	verifyAcknowledged(t, dir, acknowledged, embedded.CheckFull)
	require.NotEmpty(t, acknowledged["put"])
	t.Logf("%d puts and %d marks acknowledged over 6 kills", len(acknowledged["put"]), len(acknowledged["marked"]))
}

// runAndKill runs a child, kills it after a while and returns what it had acknowledged.
func runAndKill(t *testing.T, dir string, after time.Duration) map[string][]record.ID {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	got := map[string][]record.ID{}
	for first := true; lines.Scan(); {
		if first { // the store is open
			first = false
			kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			defer kill.Stop()
		}
		what, text, _ := strings.Cut(lines.Text(), " ")
		require.NotEqual(t, "failed", what, lines.Text())
		if id, err := record.ParseID(text); err == nil { // the last line may be cut
			got[what] = append(got[what], id)
		}
	}
	require.Error(t, cmd.Wait())
	return got
}

func verifyAcknowledged(t *testing.T, dir string, acknowledged map[string][]record.ID, check embedded.CheckLevel) {
	s, err := embedded.Open(t.Context(), dir, embedded.Options{Check: check})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	for _, id := range acknowledged["put"] {
		item, data, err := recordstore.ReadAll(t.Context(), s, id, 8<<20)
		require.NoError(t, err)
		require.True(t, bytes.Equal(storetest.Bytes(id, sizeOf(id)), data))
		require.NotEqual(t, evidence.Digest{}, item.CipherHash)
	}
	for _, id := range acknowledged["marked"] {
		item, err := s.Stat(t.Context(), id)
		require.NoError(t, err)
		require.NotNil(t, item.Anchor)
	}
}
