package bridge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// mergeMessage merges patient prior into patient, or undoes that.
func mergeMessage(patient, n int, what string, prior int) intake.Submission {
	s := testMessage(patient, n, fmt.Sprintf("%s-%d", what, prior))
	s.Kind = "ADT^A40"
	return s
}

func TestBarrierKinds(t *testing.T) {
	for kind, want := range map[string]bool{"ADT^A40": true, "ADT^A18": true, "ADT^A37": true, "ADT^A47": true, "CORRECTION^UNMERGE": true,
		"ADT^A01": false, "ADT^A08": false, "ADT^A400": false, "ORU^R01": false, "A40": false, "": false} {
		assert.Equal(t, want, isBarrier(topology.Meta{Kind: kind}), kind)
	}
	assert.True(t, isBarrier(topology.Meta{Kind: "ORU^R01", Barrier: true}), "the mapping found a merge")
}

// watch looks at the order in which a stage handles messages. The number of a message is the
// number of merges sent before it; a merge bears its own.
type watch struct {
	stage.Handler
	t      testing.TB
	mu     sync.Mutex
	active int
	merges int // done
	seen   int
}

func (w *watch) Handle(ctx context.Context, m bus.Message) ([]bus.Message, error) {
	var patient, epoch int
	_, err := fmt.Sscanf(m.Meta.ControlID, "%d-%d", &patient, &epoch)
	assert.NoError(w.t, err)
	merge := isBarrier(m.Meta)
	w.mu.Lock()
	if merge {
		assert.Zero(w.t, w.active, "a merge is alone")
	}
	assert.Equal(w.t, w.merges, epoch, "what was sent after a merge waits for it, what was sent before is done")
	w.active++
	w.seen++
	w.mu.Unlock()
	time.Sleep(rand.N(2 * time.Millisecond))
	out, err := w.Handler.Handle(ctx, m)
	w.mu.Lock()
	w.active--
	if merge && err == nil {
		w.merges++
	}
	w.mu.Unlock()
	return out, err
}

func TestAMergeWaitsAndHoldsUp(t *testing.T) {
	r, err := openRig(t.Context(), t.TempDir(), newLedger(t), options{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.close()) })
	watches := map[string]*watch{}
	for _, s := range r.pipeline.stages {
		if s.name == normalize.Name || s.name == seal.Name {
			watches[s.name] = &watch{Handler: s.handler, t: t}
			s.handler = watches[s.name]
		}
	}
	const epochs, patients = 6, 12
	total := 0
	for e := range epochs {
		var wg sync.WaitGroup
		for p := range patients {
			wg.Go(func() {
				_, err := r.pipeline.Intake.Submit(t.Context(), testMessage(p, e, "ok"))
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		_, err := r.pipeline.Intake.Submit(t.Context(), mergeMessage(100+e, e, "merge", e))
		require.NoError(t, err)
		total += patients + 1
	}
	// All of it waits on the bus when the stages begin, so that they could overtake.
	require.NoError(t, r.pipeline.Start(t.Context()))
	settled(t, r, total)
	for name, w := range watches {
		w.mu.Lock()
		assert.Equal(t, epochs, w.merges, name)
		assert.Equal(t, total, w.seen, name)
		w.mu.Unlock()
	}
}

func TestRefusedMergesAreSealedAndTold(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{})
	for i, s := range []intake.Submission{
		testMessage(1, 0, "ok"), testMessage(2, 0, "ok"), mergeMessage(1, 1, "merge", 2), mergeMessage(2, 1, "merge", 1), mergeMessage(3, 1, "merge", 3),
		mergeMessage(1, 2, "unmerge", 2), mergeMessage(1, 3, "unmerge", 2),
	} {
		_, err := r.pipeline.Intake.Submit(t.Context(), s)
		require.NoError(t, err)
		settled(t, r, i+1)
	}
	for s, code := range map[string]patientindex.Code{"2-1": patientindex.MergeReversed, "3-1": patientindex.MergeSelf, "1-3": patientindex.MergeUnknown} {
		require.Eventually(t, func() bool {
			events, err := r.trail.Lookup(t.Context(), s)
			require.NoError(t, err)
			for _, e := range events {
				if e.Stage == stage.Incident && e.Code == string(code) {
					return true
				}
			}
			return false
		}, 10*time.Second, 20*time.Millisecond, s)
	}
	p, err := r.patients.Resolve(t.Context(), localNumber(2))
	require.NoError(t, err)
	require.Len(t, p.Tags, 1)
	page, err := chaincodetest.Ask[evidence.Page[evidence.TagStep]](l.contract, evidence.QueryTagHistory, p.Tag.String(), "10", "")
	require.NoError(t, err)
	require.Len(t, page.Items, 2, "linked, and unlinked")
}

func localNumber(n int) []record.Identifier {
	return []record.Identifier{{Authority: "T", Type: record.LocalPatient, Value: fmt.Sprint(n)}}
}

// TestKilledAmongMergesNothingIsMisfiled kills the hospital again and again while messages
// and merges come in, and then holds index and ledger against what was sent.
func TestKilledAmongMergesNothingIsMisfiled(t *testing.T) {
	l := newLedger(t)
	h := newHospital(t, serveLedger(t, l))
	h.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer func() {
		if t.Failed() {
			t.Log(h.log.String())
		}
	}()
	const patients, epochs = 10, 24
	var sent []intake.Submission // merges and their undoing, in order
	var count atomic.Int64
	killer := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		for range 4 {
			for at := count.Load(); count.Load() < at+15; {
				select {
				case <-killer:
					return
				case <-time.After(rand.N(200 * time.Millisecond)):
				}
			}
			h.kill()
			h.start(t)
		}
	})
	rng := rand.New(rand.NewPCG(3, 4))
	for e := range epochs {
		var wg sync.WaitGroup
		for p := range patients {
			wg.Go(func() {
				if assert.NoError(t, h.send(ctx, testMessage(p, e, "ok"))) {
					count.Add(1)
				}
			})
		}
		wg.Wait()
		what := []string{"merge", "merge", "unmerge"}[rng.IntN(3)]
		m := mergeMessage(rng.IntN(patients), 1000+e, what, rng.IntN(patients))
		require.NoError(t, h.send(ctx, m))
		count.Add(1)
		sent = append(sent, m)
	}
	close(killer)
	wait.Wait()
	want := int(count.Load())
	var got [3]int
	require.Eventually(t, func() bool {
		return post(ctx, h.client, "http://child/counts", struct{}{}, &got) == nil && got == [3]int{want, want, want}
	}, 90*time.Second, 50*time.Millisecond, "%d acknowledged", want)
	h.kill()
	_, twice := l.counts()
	require.Zero(t, twice)
	requireSamePersons(t, l, h.dir, patients, sent)
}

// requireSamePersons applies what was sent to an index that nobody killed, and compares it
// with the one in dir and with the links on the ledger.
func requireSamePersons(t *testing.T, l *ledger, dir string, patients int, merges []intake.Submission) {
	t.Helper()
	r, err := openRig(t.Context(), dir, l, options{})
	require.NoError(t, err)
	defer func() { require.NoError(t, r.close()) }()
	model, err := patientindex.Open(t.Context(), filepath.Join(t.TempDir(), "model"), patientindex.Options{HospitalMSP: "H1MSP", Keys: r.keys})
	require.NoError(t, err)
	defer model.Close()
	for p := range patients {
		_, err := model.Observe(t.Context(), patientindex.Evidence{Record: idOf(testMessage(p, 0, "ok")), Identifiers: localNumber(p)})
		require.NoError(t, err)
	}
	for _, s := range merges {
		rec, err := parseTest(t.Context(), normalize.Input{Raw: s.Raw, Sender: s.Sender, ControlID: s.ControlID, Kind: s.Kind, MediaType: s.MediaType, ReceivedAt: time.Now()})
		require.NoError(t, err)
		list, err := patientindex.MergesOf(rec)
		require.NoError(t, err)
		_, err = model.Merge(t.Context(), patientindex.Evidence{Record: rec.ID, Identifiers: rec.Patient.Identifiers}, list...)
		require.NoError(t, err)
	}
	for p := range patients {
		want, err := model.Resolve(t.Context(), localNumber(p))
		require.NoError(t, err)
		got, err := r.patients.Resolve(t.Context(), localNumber(p))
		require.NoError(t, err)
		require.Equal(t, tree(want), tree(got), "patient %d", p)
		links, err := chaincodetest.Ask[evidence.Page[evidence.TagLink]](l.contract, evidence.QueryTagLinks, want.Tag.String(), "500", "")
		require.NoError(t, err)
		onLedger := map[evidence.Tag]evidence.Tag{}
		for _, k := range links.Items {
			onLedger[k.From] = k.To
		}
		require.Equal(t, tree(want), onLedger, "patient %d", p)
	}
}

// tree tells which tag is linked to which.
func tree(p patientindex.Person) map[evidence.Tag]evidence.Tag {
	out := map[evidence.Tag]evidence.Tag{}
	for _, t := range p.Tags {
		if t.LinkedTo != nil {
			out[t.Tag] = *t.LinkedTo
		}
	}
	return out
}
