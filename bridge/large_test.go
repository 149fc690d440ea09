package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// childStep names the step of a claim at which the child kills itself.
const childStep = "EMRBRIDGE_CRASH_STEP"

// dieAtStep makes a process end as kill -9 ends it, at the step that the parent names. Its
// clock runs ahead, so that what a crash left is collected at once.
func dieAtStep() claims.Options {
	o := claims.Options{Now: func() time.Time { return time.Now().Add(time.Hour) }}
	if at := claims.Step(os.Getenv(childStep)); at != "" {
		o.Fault = func(s claims.Step) error {
			if s == at {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			return nil
		}
	}
	return o
}

// largeMessage is a test message with a tail of n bytes, and its skeleton.
func largeMessage(patient, n, tail int) (raw, skeleton []byte) {
	head := fmt.Sprintf("patient=%d\nn=%d\nwhat=ok\nname=测试患者%d\n", patient, n, patient)
	return append([]byte(head), bytes.Repeat([]byte("base64+/"), tail/8)...), []byte(head)
}

// takeLarge takes a large message as a transport does: into a claim, then to the intake.
func (r *rig) takeLarge(q *http.Request) error {
	c, err := r.claims.Take(q.Context(), q.Body)
	if err != nil {
		return err
	}
	defer c.Discard()
	_, err = r.submitLarge(q.Context(), c, q.URL.Query().Get("id"), []byte(q.URL.Query().Get("skeleton")))
	return err
}

func (r *rig) submitLarge(ctx context.Context, c *claims.Claim, id string, skeleton []byte) (intake.Receipt, error) {
	return r.pipeline.Intake.Submit(ctx, intake.Submission{Claim: c, Skeleton: skeleton, Sender: "HIS|T", ControlID: id, Kind: "TEST",
		MediaType: testMedia, RoutingHint: id})
}

// payloadOf opens a stored record and returns its payload.
func payloadOf(t testing.TB, keys keystore.Custody, store recordstore.Store, id record.ID) []byte {
	t.Helper()
	item, sealed, err := recordstore.ReadAll(t.Context(), store, id, smcrypto.MaxEMRLength)
	require.NoError(t, err)
	key, err := keys.RecordKey(t.Context(), item.Tag, item.Epoch, keystore.RecordID(id))
	require.NoError(t, err)
	var r *record.Record
	_, _ = smcrypto.Open(smcrypto.Default(), key, sealed, smcrypto.Check{
		Statement: func(_ smcrypto.Header, _ [32]byte, emr []byte) ([]byte, error) {
			var err error
			r, err = record.Parse(bytes.Clone(emr))
			return nil, err
		}})
	require.NotNil(t, r)
	require.Equal(t, id, r.ID)
	return r.Payload
}

func TestLargeMessagesGoAllTheWay(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{})
	const patients, each = 2, 2
	tail := func(p, n int) int {
		if p == 0 && n == 0 {
			return 9 << 20 // above what the bus carries
		}
		return 300<<10 + p*1000 + n
	}
	ids := map[record.ID][]byte{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for p := range patients {
		wg.Go(func() {
			for n := range each {
				raw, skeleton := largeMessage(p, n, tail(p, n))
				c, err := r.claims.Take(t.Context(), bytes.NewReader(raw))
				if err == nil {
					var got intake.Receipt
					got, err = r.submitLarge(t.Context(), c, fmt.Sprintf("%d-%d", p, n), skeleton)
					mu.Lock()
					ids[got.Record] = raw
					mu.Unlock()
				}
				if err != nil {
					t.Errorf("submit: %v", err)
				}
			}
		})
	}
	wg.Wait()
	settled(t, r, patients*each)
	for id, raw := range ids {
		require.True(t, bytes.Equal(raw, payloadOf(t, r.keys, r.store, id)), "%s", id)
	}
	require.Equal(t, claims.Stats{}, r.claims.Stats())
	done, err := (seal.Reconciler{Custody: r.keys, Store: r.store, Bus: r.bus, OnBus: func(record.ID) bool { return false }}).Run(t.Context(), time.Now())
	require.NoError(t, err)
	require.Equal(t, seal.Reconciled{}, done)
}

// TestLargeMessagesKilledAtEveryStep kills the process at each step of a claim's life. The
// sender repeats what was not acknowledged; in the end every message is on the ledger once,
// whole, and no file is left.
func TestLargeMessagesKilledAtEveryStep(t *testing.T) {
	l := newLedger(t)
	h := newHospital(t, serveLedger(t, l))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	steps := []claims.Step{claims.StepCreate, claims.StepWrite, claims.StepSync, claims.StepRename, claims.StepSyncDir, claims.StepFinish,
		claims.StepHand, claims.StepOpen, claims.StepRemove, claims.StepRemoved}
	want := map[record.ID][]byte{}
	for i, step := range steps {
		raw, skeleton := largeMessage(i, 0, 300<<10)
		id := record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "HIS|T", ControlID: fmt.Sprint(i), Payload: raw})
		want[id] = raw
		h.start(t, childStep+"="+string(step))
		acked := h.sendLarge(ctx, raw, skeleton, fmt.Sprint(i)) == nil
		require.NoError(t, h.wait(ctx), "it dies at %s", step)
		require.Equal(t, i >= 7, acked, "acknowledged although it died at %s", step)
		h.start(t)
		if !acked {
			require.NoError(t, h.sendLarge(ctx, raw, skeleton, fmt.Sprint(i)), h.log.String())
		}
		var got [3]int
		require.Eventually(t, func() bool {
			return post(ctx, h.client, "http://child/counts", struct{}{}, &got) == nil && got == [3]int{i + 1, i + 1, i + 1}
		}, 60*time.Second, 50*time.Millisecond, "after %s: %v\n%s", step, &got, h.log.String())
		require.Eventually(t, func() bool {
			left, err := os.ReadDir(filepath.Join(h.dir, "claims"))
			return err == nil && len(left) == 0
		}, 20*time.Second, 50*time.Millisecond, "files are left after %s", step)
		h.kill()
	}
	records, twice := l.counts()
	require.Equal(t, len(steps), records, "on the ledger")
	require.Zero(t, twice)
	keys, err := keystore.Open(t.Context(), filepath.Join(h.dir, "keys"), testPassphrase)
	require.NoError(t, err)
	defer func() { require.NoError(t, keys.Close()) }()
	store, err := embedded.Open(t.Context(), filepath.Join(h.dir, "store"), embedded.Options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, store.Close()) }()
	for id, raw := range want {
		require.True(t, bytes.Equal(raw, payloadOf(t, keys, store, id)), "%s", id)
	}
}

// sendLarge sends a large message, again and again until there is an answer from a process
// that lives, or the process is gone.
func (h *hospital) sendLarge(ctx context.Context, raw, skeleton []byte, id string) error {
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://child/large", bytes.NewReader(raw))
		if err != nil {
			return err
		}
		v := q.URL.Query()
		v.Set("id", id)
		v.Set("skeleton", string(skeleton))
		q.URL.RawQuery = v.Encode()
		a, err := h.client.Do(q)
		if err == nil {
			msg, _ := io.ReadAll(io.LimitReader(a.Body, 1000))
			_ = a.Body.Close()
			if a.StatusCode == http.StatusOK {
				return nil
			}
			err = fmt.Errorf("status %d: %s", a.StatusCode, msg)
		}
		if ctx.Err() != nil || !strings.Contains(err.Error(), "connect") { // it does not listen yet
			return err
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

// wait waits for the child to be killed by itself.
func (h *hospital) wait(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- h.cmd.Wait() }()
	select {
	case <-done:
		h.cmd = nil
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestDroppedLargeMessagesLeaveNothing: what a parser cannot read is parked with its body;
// dropped, its body is collected.
func TestDroppedLargeMessagesLeaveNothing(t *testing.T) {
	now := time.Now().Add(time.Hour)
	r := newRig(t, newLedger(t), options{claims: claims.Options{Now: func() time.Time { return now }}})
	c, err := r.claims.Take(t.Context(), strings.NewReader("a body that has no such head"))
	require.NoError(t, err)
	_, err = r.submitLarge(t.Context(), c, "1", []byte("not a test message"))
	require.NoError(t, err)
	var items []AsideItem
	require.Eventually(t, func() bool {
		items, err = r.pipeline.Aside.List(t.Context())
		return err == nil && len(items) == 1
	}, 20*time.Second, 20*time.Millisecond)
	require.Equal(t, normalize.CodeUnparseable, items[0].Code)
	n, err := r.claims.Collect(t.Context(), r.pipeline.claimsOnBus)
	require.NoError(t, err)
	require.Zero(t, n, "it is still referred to")
	require.NoError(t, r.pipeline.Aside.Drop(t.Context(), items[0].ID))
	require.Eventually(t, func() bool { // once the janitor has cut off what is done
		n, err = r.claims.Collect(t.Context(), r.pipeline.claimsOnBus)
		return err == nil && n == 1
	}, 20*time.Second, 50*time.Millisecond)
}

// TestParkedLargeMessagesGoOnWhenReleased: the body waits with its message, through looks for
// bodies that nobody refers to, and the record is made after all.
func TestParkedLargeMessagesGoOnWhenReleased(t *testing.T) {
	now := time.Now().Add(time.Hour)
	var mended atomic.Bool
	parser := func(ctx context.Context, in normalize.Input) (*record.Record, error) {
		if !mended.Load() {
			return nil, errors.New("a rule that does not fit")
		}
		return parseTest(ctx, in)
	}
	r := newRig(t, newLedger(t), options{claims: claims.Options{Now: func() time.Time { return now }},
		change: func(d *Deps) { d.Parsers = map[string]normalize.Parser{testMedia: parser} }})
	raw, skeleton := largeMessage(1, 1, 300<<10)
	c, err := r.claims.Take(t.Context(), bytes.NewReader(raw))
	require.NoError(t, err)
	got, err := r.submitLarge(t.Context(), c, "1", skeleton)
	require.NoError(t, err)
	var items []AsideItem
	require.Eventually(t, func() bool {
		items, err = r.pipeline.Aside.List(t.Context())
		return err == nil && len(items) == 1
	}, 20*time.Second, 20*time.Millisecond)
	time.Sleep(1200 * time.Millisecond) // the janitor has cut off emr.received
	n, err := r.claims.Collect(t.Context(), r.pipeline.claimsOnBus)
	require.NoError(t, err)
	require.Zero(t, n)
	mended.Store(true)
	require.NoError(t, r.pipeline.Aside.Release(t.Context(), items[0].ID))
	settled(t, r, 1)
	require.True(t, bytes.Equal(raw, payloadOf(t, r.keys, r.store, got.Record)))
	require.Equal(t, claims.Stats{}, r.claims.Stats())
}
