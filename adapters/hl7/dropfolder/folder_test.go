package dropfolder_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/dropfolder"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child()
		return
	}
	goleak.VerifyTestMain(m)
}

func adt(id string) string {
	return "MSH|^~\\&|LAB|H1|EMR|H1|2026||ADT^A01|" + id + "|P|2.5\rPID|1||" + id + "^^^H1^PI\r"
}

const (
	broken = "MSH|^~\\&|LAB|H1|EMR|H1|2026||ADT^A01|BAD|P|2.5\rpid|SECRET\r"
	header = "BHS|^~\\&|LAB|H1|EMR|H1|2026||||B-7\r"
)

// bench is a folder with a receiver behind it.
type bench struct {
	dir, state string
	folder     *dropfolder.Folder

	mu     sync.Mutex
	taken  []string // control ids
	fail   error
	events []dropfolder.Event
}

func newBench(t *testing.T, change func(*dropfolder.Config)) *bench {
	t.Helper()
	b := &bench{dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state")}
	b.open(t, change)
	return b
}

func (b *bench) open(t *testing.T, change func(*dropfolder.Config)) {
	t.Helper()
	c := dropfolder.Config{Name: "lab", Dir: b.dir, StateDir: b.state, StablePolls: -1, Receiver: b.receiver(),
		Observe: func(e dropfolder.Event) { b.mu.Lock(); defer b.mu.Unlock(); b.events = append(b.events, e) }}
	if change != nil {
		change(&c)
	}
	f, err := dropfolder.Open(c)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	b.folder = f
}

func (b *bench) receiver() *hl7.Receiver {
	return &hl7.Receiver{Submit: func(_ context.Context, s hl7.Submission) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.fail != nil {
			return b.fail
		}
		b.taken = append(b.taken, s.ControlID)
		return nil
	}}
}

func (b *bench) put(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644))
}

func (b *bench) kinds() (out []string) {
	for _, e := range b.events {
		out = append(out, e.Kind.String())
	}
	return out
}

// result reads the result of a file and checks that the file lies beside it.
func (b *bench) result(t *testing.T, path string) dropfolder.Result {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, path+dropfolder.ResultJSON))
	require.NoError(t, err)
	var r dropfolder.Result
	require.NoError(t, json.Unmarshal(text, &r))
	assert.FileExists(t, filepath.Join(b.dir, path))
	people, err := os.ReadFile(filepath.Join(b.dir, path+dropfolder.ResultText))
	require.NoError(t, err)
	assert.Contains(t, string(people), r.File)
	assert.NotContains(t, string(text)+string(people), "SECRET")
	return r
}

func TestFilesAreTaken(t *testing.T) {
	b := newBench(t, nil)
	b.put(t, "2.hl7", adt("B1")+adt("B2"))
	b.put(t, "1.HL7", "\xef\xbb\xbf"+strings.ReplaceAll(adt("A1"), "\r", "\r\n"))
	b.put(t, "3.txt", "FHS|^~\\&|LAB\r"+header+adt("C1")+adt("C2")+"BTS|2\rFTS|1\r")
	b.put(t, "4.hl7", adt("D1")+broken+adt("D2"))
	b.put(t, "5.hl7.tmp", adt("no"))
	b.put(t, ".6.hl7", adt("no"))
	require.NoError(t, b.folder.Poll(t.Context()))
	assert.Equal(t, []string{"A1", "B1", "B2", "C1", "C2", "D1", "D2"}, b.taken, "files by name, messages in order")
	for path, n := range map[string]int{"done/1.HL7": 1, "done/2.hl7": 2, "done/3.txt": 2} {
		r := b.result(t, path)
		assert.True(t, r.OK)
		assert.Equal(t, []int{n, 0}, []int{r.Accepted, r.Refused})
		assert.Len(t, r.SHA256, 64)
	}
	r := b.result(t, "failed/4.hl7")
	assert.False(t, r.OK)
	assert.Empty(t, r.Error)
	assert.Equal(t, []int{2, 1}, []int{r.Accepted, r.Refused})
	bad := r.Items[1]
	assert.Equal(t, []any{2, "BAD", "ADT^A01", false, "AE", 100}, []any{bad.Item, bad.ControlID, bad.Kind, bad.OK, bad.Code, bad.ErrorCode})
	left, err := os.ReadDir(b.dir)
	require.NoError(t, err)
	assert.Len(t, left, 4, "done, failed, and what is not complete")
	assert.Equal(t, []string{"done", "done", "done", "failed"}, b.kinds())
	journals, err := os.ReadDir(b.state)
	require.NoError(t, err)
	assert.Empty(t, journals)
}

func TestNothingOfAFaultyFileIsTaken(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"wrong count":       {header + adt("1") + "BTS|2\r", "BTS-1 says 2 messages, there are 1"},
		"cut short":         {header + adt("1"), "not closed by BTS"},
		"no message":        {"hello\r", "no message"},
		"empty":             {"", "no message"},
		"too large":         {strings.Repeat("x", 3000), "3000 bytes, the limit is 2048"},
		"too many messages": {adt("1") + adt("2") + adt("3") + adt("4"), "4 messages, the limit is 3"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(c *dropfolder.Config) { c.MaxFile, c.MaxMessages = 2048, 3 })
			b.put(t, "x.hl7", c.text)
			require.NoError(t, b.folder.Poll(t.Context()))
			r := b.result(t, "failed/x.hl7")
			assert.Contains(t, r.Error, c.says)
			assert.Empty(t, b.taken)
		})
	}
}

func TestJunkBetweenMessagesIsTold(t *testing.T) {
	b := newBench(t, nil)
	b.put(t, "x.hl7", "SECRET\r"+adt("1"))
	require.NoError(t, b.folder.Poll(t.Context()))
	r := b.result(t, "failed/x.hl7")
	assert.Equal(t, []string{"1"}, b.taken)
	assert.NotEmpty(t, r.Problems)
	assert.Equal(t, 1, r.Accepted)
}

func TestFileIsTakenWhenItNoLongerGrows(t *testing.T) {
	b := newBench(t, func(c *dropfolder.Config) { c.StablePolls = 2 })
	at := time.Now().Add(-time.Hour)
	grow := func(text string, n int) {
		b.put(t, "x.hl7", text)
		require.NoError(t, os.Chtimes(filepath.Join(b.dir, "x.hl7"), at, at.Add(time.Duration(n)*time.Second)))
		require.NoError(t, b.folder.Poll(t.Context()))
	}
	grow(adt("1")[:50], 1)
	grow(adt("1")[:50], 1)
	assert.Empty(t, b.taken)
	grow(adt("1"), 2)
	require.NoError(t, b.folder.Poll(t.Context()))
	assert.Empty(t, b.taken)
	require.NoError(t, b.folder.Poll(t.Context()))
	assert.Equal(t, []string{"1"}, b.taken)
}

func TestFileStaysWhileNothingCanBeTaken(t *testing.T) {
	b := newBench(t, nil)
	b.put(t, "1.hl7", adt("1")+adt("2"))
	b.put(t, "2.hl7", adt("3"))
	b.fail = errors.New("bus away")
	require.Error(t, b.folder.Poll(t.Context()))
	require.Error(t, b.folder.Poll(t.Context()))
	assert.FileExists(t, filepath.Join(b.dir, "1.hl7"))
	assert.Equal(t, []string{"waiting", "waiting"}, b.kinds())
	b.fail = nil
	require.NoError(t, b.folder.Poll(t.Context()))
	assert.Equal(t, []string{"1", "2", "3"}, b.taken)
	assert.True(t, b.result(t, "done/1.hl7").OK)
}

func TestSameNameAgain(t *testing.T) {
	b := newBench(t, nil)
	for i := range 3 {
		b.put(t, "x.hl7", adt(fmt.Sprint(i)))
		require.NoError(t, b.folder.Poll(t.Context()))
	}
	for path, id := range map[string]string{"done/x.hl7": "0", "done/x~2.hl7": "1", "done/x~3.hl7": "2"} {
		assert.Equal(t, id, b.result(t, path).Items[0].ControlID)
	}
}

func TestLinksAreNeverFollowed(t *testing.T) {
	b := newBench(t, nil)
	outside := filepath.Join(t.TempDir(), "outside.hl7")
	require.NoError(t, os.WriteFile(outside, []byte(adt("OUT")), 0o600))
	b.put(t, "in.data", adt("IN"))
	require.NoError(t, os.Symlink(outside, filepath.Join(b.dir, "a.hl7")))
	require.NoError(t, os.Symlink("in.data", filepath.Join(b.dir, "b.hl7")))
	require.NoError(t, os.Mkdir(filepath.Join(b.dir, "c.hl7"), 0o700))
	b.put(t, "d.hl7", adt("OK"))
	for range 3 {
		require.NoError(t, b.folder.Poll(t.Context()))
	}
	assert.Equal(t, []string{"OK"}, b.taken)
	assert.Equal(t, []string{"skipped", "skipped", "skipped", "done"}, b.kinds(), "told once each")
	assert.FileExists(t, outside)
}

func TestResultsAreNotWrittenThroughALink(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "done")))
	_, err := dropfolder.Open(dropfolder.Config{Dir: dir, StateDir: filepath.Join(t.TempDir(), "s"), Receiver: &hl7.Receiver{}})
	require.Error(t, err)

	b := newBench(t, nil) // the link comes later
	require.NoError(t, os.Remove(filepath.Join(b.dir, "done")))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(b.dir, "done")))
	b.put(t, "x.hl7", adt("1"))
	require.Error(t, b.folder.Poll(t.Context()))
	left, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestFolderThatGoesAwayAndComesBack(t *testing.T) {
	b := newBench(t, nil)
	require.NoError(t, os.Rename(b.dir, b.dir+".away")) // a share that is not mounted
	t.Cleanup(func() { _ = os.RemoveAll(b.dir + ".away") })
	require.Error(t, b.folder.Poll(t.Context()))
	require.NoError(t, os.Mkdir(b.dir, 0o700)) // another one in its place
	b.put(t, "x.hl7", adt("1"))
	require.NoError(t, b.folder.Poll(t.Context()))
	assert.Equal(t, []string{"1"}, b.taken)
	assert.True(t, b.result(t, "done/x.hl7").OK)
	assert.Equal(t, []string{"absent", "done"}, b.kinds())
}

func TestAcknowledgementInAFile(t *testing.T) {
	b := newBench(t, nil)
	b.put(t, "x.hl7", "MSH|^~\\&|A|B|C|D|2026||ACK^A01|9|P|2.5\rMSA|AA|1\r")
	require.NoError(t, b.folder.Poll(t.Context()))
	assert.Contains(t, b.result(t, "failed/x.hl7").Items[0].Error, "an acknowledgement")
}

func TestConfig(t *testing.T) {
	good := dropfolder.Config{Dir: t.TempDir(), StateDir: filepath.Join(t.TempDir(), "s"), Receiver: &hl7.Receiver{}}
	for name, change := range map[string]func(*dropfolder.Config){
		"no folder":   func(c *dropfolder.Config) { c.Dir = "" },
		"no receiver": func(c *dropfolder.Config) { c.Receiver = nil },
		"suffix":      func(c *dropfolder.Config) { c.Suffixes = []string{"hl7"} },
		"path":        func(c *dropfolder.Config) { c.Suffixes = []string{"./x"} },
		"limit":       func(c *dropfolder.Config) { c.MaxFile = 2 << 30 },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			change(&c)
			_, err := dropfolder.Open(c)
			require.ErrorIs(t, err, dropfolder.ErrConfig)
		})
	}
	c := good
	c.Dir = filepath.Join(c.Dir, "absent")
	_, err := dropfolder.Open(c)
	require.ErrorContains(t, err, "make the folder")
}

func TestRunEndsWithItsContext(t *testing.T) {
	b := newBench(t, func(c *dropfolder.Config) { c.Poll = 5 * time.Millisecond })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.folder.Run(ctx); close(done) }()
	b.put(t, "x.tmp", adt("1"))
	require.NoError(t, os.Rename(filepath.Join(b.dir, "x.tmp"), filepath.Join(b.dir, "x.hl7")))
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(b.dir, "done/x.hl7"))
		return err == nil
	}, 5*time.Second, 5*time.Millisecond)
	cancel()
	<-done
}

// box is a spool in memory.
type box struct {
	bytes.Buffer
	gone *int
}

func (b *box) Finish() (hl7.Body, error) { return b, nil }
func (b *box) Abort()                    {}
func (b *box) Discard()                  { *b.gone++ }
func (b *box) Size() int64               { return int64(b.Len()) }

func (b *box) Reader() (io.ReadSeekCloser, error) {
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(b.Bytes()), io.NopCloser(nil)}, nil
}

func TestLongMessagesAreSpooled(t *testing.T) {
	gone, full := 0, true
	b := newBench(t, func(c *dropfolder.Config) {
		c.SpoolFrom = 100 << 10
		c.Spool = func() (dropfolder.Spool, error) {
			if full {
				return nil, errors.New("disk full")
			}
			return &box{gone: &gone}, nil
		}
	})
	long := adt("L") + "NTE|1||" + strings.Repeat("x", 200<<10) + "\r"
	b.put(t, "x.hl7", adt("S")+long)
	require.ErrorContains(t, b.folder.Poll(t.Context()), "disk full")
	assert.Equal(t, []string{"S"}, b.taken, "the file stays")
	full = false
	require.NoError(t, b.folder.Poll(t.Context()))
	assert.Equal(t, []string{"S", "L"}, b.taken)
	assert.Equal(t, 1, gone, "what nobody took over does not stay")
	assert.True(t, b.result(t, "done/x.hl7").OK)
}
