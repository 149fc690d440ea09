package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

// The crash test runs the whole pipeline in a child process and kills it with SIGKILL at
// random moments under load. The ledger lives in the parent, behind HTTP, like a real one
// lives elsewhere; so does the sender, which repeats what was not acknowledged, as a HIS does.
const (
	childDir    = "EMRBRIDGE_CRASH_DIR"
	childLedger = "EMRBRIDGE_CRASH_LEDGER"
)

// runCrashChild is the child: a hospital that takes messages over a socket in its folder.
func runCrashChild() bool {
	dir := os.Getenv(childDir)
	if dir == "" {
		return false
	}
	if err := crashChild(context.Background(), dir, os.Getenv(childLedger)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func crashChild(ctx context.Context, dir, ledgerURL string) error {
	r, err := openRig(ctx, dir, remoteLedger{url: ledgerURL}, options{claims: dieAtStep(), change: func(d *Deps) {
		d.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}})
	if err != nil {
		return err
	}
	if err := r.pipeline.Start(ctx); err != nil {
		return err
	}
	socket := filepath.Join(dir, "socket")
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/submit", func(w http.ResponseWriter, q *http.Request) {
		var s intake.Submission
		err := json.NewDecoder(q.Body).Decode(&s)
		if err == nil {
			_, err = r.pipeline.Intake.Submit(q.Context(), s)
		}
		answer(w, struct{}{}, err)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, q *http.Request) { answer(w, struct{}{}, r.takeLarge(q)) })
	mux.HandleFunc("/counts", func(w http.ResponseWriter, q *http.Request) {
		s, err := r.store.Stats(q.Context())
		told, e := r.trail.Count(q.Context(), stage.Anchored)
		answer(w, [3]int{int(s.Items), int(s.Anchored), told}, errors.Join(err, e))
	})
	return http.Serve(l, mux)
}

func answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

// remoteLedger is the ledger as the child sees it.
type remoteLedger struct{ url string }

func (l remoteLedger) Anchor(ctx context.Context, e evidence.Entry) (r chainclient.Receipt, err error) {
	return r, post(ctx, http.DefaultClient, l.url+"/anchor", e, &r)
}

func (l remoteLedger) Submit(ctx context.Context, b evidence.Body) (c chainclient.Commit, err error) {
	err = post(ctx, http.DefaultClient, l.url+"/"+string(b.Kind()), b, &c)
	if err != nil {
		if r, ok := evidence.ParseRefusal(err.Error()); ok {
			err = &chainclient.EndorseError{TxError: chainclient.TxError{Kind: b.Kind(), Err: r}}
		}
	}
	return c, err
}

func post(ctx context.Context, c *http.Client, url string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	a, err := c.Do(q)
	if err != nil {
		return err
	}
	defer func() { _ = a.Body.Close() }()
	if a.StatusCode != http.StatusOK {
		msg, _ := io.ReadAll(io.LimitReader(a.Body, 1000))
		return fmt.Errorf("status %d: %s", a.StatusCode, msg)
	}
	return json.NewDecoder(a.Body).Decode(out)
}

// takeStatement submits bodies of one kind.
func takeStatement[B evidence.Body](mux *http.ServeMux, l *ledger) {
	var kind B
	mux.HandleFunc("/"+string(kind.Kind()), func(w http.ResponseWriter, q *http.Request) {
		var b B
		if err := json.NewDecoder(q.Body).Decode(&b); err != nil {
			answer(w, nil, err)
			return
		}
		_, err := l.Submit(q.Context(), b)
		answer(w, struct{}{}, err)
	})
}

// serveLedger puts the ledger behind HTTP.
func serveLedger(t *testing.T, l *ledger) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/anchor", func(w http.ResponseWriter, q *http.Request) {
		var e evidence.Entry
		if err := json.NewDecoder(q.Body).Decode(&e); err != nil {
			answer(w, nil, err)
			return
		}
		r, err := l.Anchor(context.Background(), e)
		answer(w, r, err)
	})
	takeStatement[evidence.RegisterPatient](mux, l)
	takeStatement[evidence.LinkTag](mux, l)
	takeStatement[evidence.UnlinkTag](mux, l)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// hospital is the child as the parent sees it.
type hospital struct {
	dir, ledger string
	client      *http.Client
	cmd         *exec.Cmd
	log         output
}

// output is what the child printed.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func newHospital(t *testing.T, ledgerURL string) *hospital {
	dir, err := os.MkdirTemp("", "crash") // short: it holds a socket
	require.NoError(t, err)
	h := &hospital{dir: dir, ledger: ledgerURL}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(dir, "socket"))
	}
	h.client = &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 64}, Timeout: 15 * time.Second}
	t.Cleanup(func() {
		h.kill()
		h.client.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		require.NoError(t, os.RemoveAll(dir))
	})
	return h
}

func (h *hospital) start(t *testing.T, env ...string) {
	t.Helper()
	h.cmd = exec.Command(os.Args[0])
	h.cmd.Env = append(append(os.Environ(), childDir+"="+h.dir, childLedger+"="+h.ledger), env...)
	h.cmd.Stdout, h.cmd.Stderr = &h.log, &h.log
	require.NoError(t, h.cmd.Start())
}

func (h *hospital) kill() {
	if h.cmd != nil {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		h.cmd = nil
	}
}

// send repeats a message until it is acknowledged or ctx ends.
func (h *hospital) send(ctx context.Context, s intake.Submission) error {
	for {
		var ok struct{}
		err := post(ctx, h.client, "http://child/submit", s, &ok)
		if err == nil || ctx.Err() != nil {
			return err
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

func TestKilledAtAnyMomentNothingIsLostOrDoubled(t *testing.T) {
	l := newLedger(t)
	h := newHospital(t, serveLedger(t, l))
	h.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()

	const patients, rounds = 24, 5
	var acked sync.Map // record id → true
	var count atomic.Int64
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for p := range patients {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				s := testMessage(p, i, "ok")
				if !assert.NoError(t, h.send(ctx, s)) {
					return
				}
				acked.Store(idOf(s), true)
				count.Add(1)
			}
		})
	}
	for range rounds {
		at := count.Load()
		require.Eventually(t, func() bool { return count.Load() > at+20 }, 60*time.Second, 5*time.Millisecond, h.log.String())
		time.Sleep(rand.N(600 * time.Millisecond))
		h.kill()
		h.start(t)
	}
	close(stop)
	senders.Wait()
	want := int(count.Load())
	var got [3]int
	require.Eventually(t, func() bool {
		return post(ctx, h.client, "http://child/counts", struct{}{}, &got) == nil && got == [3]int{want, want, want}
	}, 90*time.Second, 50*time.Millisecond, "%d acknowledged; %s", want, h.log.String())

	records, twice := l.counts()
	require.Equal(t, want, records, "on the ledger")
	require.Zero(t, twice)
	l.mu.Lock()
	defer l.mu.Unlock()
	acked.Range(func(id, _ any) bool {
		return assert.Equal(t, 1, l.fresh[id.(record.ID)], "%s", id)
	})
	h.kill()
	requireOrder(t, filepath.Join(h.dir, "store"), patients)
	t.Logf("%d messages, %d kills, %d anchored again and found there", want, rounds, l.duplicates)
}

// requireOrder checks that each patient's records are in the store in the order sent.
func requireOrder(t *testing.T, dir string, patients int) {
	t.Helper()
	s, err := embedded.Open(t.Context(), dir, embedded.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	next := map[evidence.Tag]int{}
	number := map[record.ID]int{}
	for p := range patients {
		for i := range 1000 {
			number[idOf(testMessage(p, i, "ok"))] = i
		}
	}
	for it, err := range recordstore.All(t.Context(), s) {
		require.NoError(t, err)
		require.Equal(t, next[it.Tag], number[it.ID], "patient %s", it.Tag)
		next[it.Tag]++
	}
	require.Len(t, next, patients)
}
