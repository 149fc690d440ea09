package bridge

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func TestMain(m *testing.M) {
	if runCrashChild() {
		return
	}
	// A NATS server that is stopped in the midst of an atomic batch leaves the goroutines of
	// the batch's staging files behind (2.15.2). They are not ours and hold nothing of ours.
	const nats = "github.com/nats-io/nats-server/v2/server"
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction(nats+".(*msgBlock).flushLoop"),
		goleak.IgnoreTopFunction(nats+".(*fileStore).flushStreamStateLoop"), goleak.IgnoreTopFunction(nats+"/ats.Register.func1"))
}

const testMedia = "text/x-test"

var testTuning = tuning{tries: 3, retryMin: 5 * time.Millisecond, retryMax: 20 * time.Millisecond, gateMin: 10 * time.Millisecond,
	gateMax: 100 * time.Millisecond, pullExpiry: 2 * time.Second}

// rig is a hospital in a folder: everything real but the ledger's network.
type rig struct {
	dir        string
	bus        *bus.Bus
	keys       *keystore.File
	store      *embedded.Store
	trail      *trail.Index
	patients   *patientindex.Index
	quarantine *intake.Quarantine
	claims     *claims.Store
	pipeline   *Pipeline
}

// options change a rig.
type options struct {
	limits    topology.Limits
	storeOpts embedded.Options
	urls      []string
	claims    claims.Options
	change    func(*Deps)
}

var testPassphrase = []byte("correct horse battery staple")

// openRig opens the hospital in dir, which is made if it is not there.
func openRig(ctx context.Context, dir string, l chain, o options) (r *rig, err error) {
	r = &rig{dir: dir}
	keyDir := filepath.Join(dir, "keys")
	if r.keys, err = keystore.Open(ctx, keyDir, testPassphrase); err != nil {
		r.keys, err = keystore.Create(ctx, keyDir, testPassphrase, keystore.CreateOptions{Number: 1, MSPID: "H1MSP", KDF: keystore.MinKDF()})
		if err != nil {
			return nil, err
		}
		if err := r.keys.GenerateHospitalKeys(ctx); err != nil {
			return nil, err
		}
	}
	keys, err := LoadKeys(ctx, r.keys, smcrypto.Default())
	if err != nil {
		return nil, err
	}
	if o.limits.AckWait == 0 {
		o.limits.AckWait = 3 * time.Second
	}
	cfg := bus.Config{Dir: filepath.Join(dir, "bus"), Key: keys.File, Cipher: keys.Bus, Limits: o.limits, CommitTimeout: 5 * time.Second}
	if len(o.urls) > 0 {
		cfg.Dir, cfg.URLs = "", o.urls
	}
	if r.bus, err = bus.Open(ctx, cfg); err != nil {
		return nil, err
	}
	if r.store, err = embedded.Open(ctx, filepath.Join(dir, "store"), o.storeOpts); err != nil {
		return nil, err
	}
	if r.trail, err = trail.Open(ctx, filepath.Join(dir, "trail")); err != nil {
		return nil, err
	}
	if r.quarantine, err = intake.OpenQuarantine(filepath.Join(dir, "quarantine"), keys.Quarantine, intake.QuarantineLimits{}); err != nil {
		return nil, err
	}
	o.claims.Keys = keys.Claims
	if r.claims, err = claims.Open(filepath.Join(dir, "claims"), o.claims); err != nil {
		return nil, err
	}
	if r.patients, err = patientindex.Open(ctx, filepath.Join(dir, "patients"), patientindex.Options{HospitalMSP: "H1MSP", Keys: r.keys}); err != nil {
		return nil, err
	}
	d := Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Claims: r.claims, Patients: r.patients, Bus: r.bus, Custody: r.keys, Store: r.store, Anchorer: l, Registrar: l,
		Quarantine: r.quarantine, Trail: r.trail, RouteKey: keys.Route, Parsers: map[string]normalize.Parser{testMedia: parseTest}, tune: testTuning}
	if o.change != nil {
		o.change(&d)
	}
	r.pipeline, err = Assemble(d)
	return r, err
}

// chain is what a rig needs of the ledger.
type chain interface {
	anchorer
	registrar
}

func (r *rig) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(r.pipeline.Stop(ctx), r.bus.Close(ctx), r.trail.Close(), r.patients.Close(), r.store.Close(), r.keys.Close())
}

// newRig opens a hospital that lives as long as the test, and starts it.
func newRig(t testing.TB, l chain, o options) *rig {
	t.Helper()
	r, err := openRig(t.Context(), t.TempDir(), l, o)
	require.NoError(t, err)
	require.NoError(t, r.pipeline.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, r.close()) })
	return r
}

// testMessage is patient, number within the patient, and what parsing shall do.
func testMessage(patient, n int, what string) intake.Submission {
	raw := fmt.Sprintf("patient=%d\nn=%d\nwhat=%s\nname=测试患者%d\n%s", patient, n, what, patient, strings.Repeat("x", 200))
	return intake.Submission{Raw: []byte(raw), Sender: "HIS|T", ControlID: fmt.Sprintf("%d-%d", patient, n), Kind: "TEST",
		MediaType: testMedia, RoutingHint: fmt.Sprint(patient)}
}

// parseTest reads a testMessage.
func parseTest(_ context.Context, in normalize.Input) (*record.Record, error) {
	var patient, n int
	var what string
	if _, err := fmt.Sscanf(string(in.Raw), "patient=%d\nn=%d\nwhat=%s\n", &patient, &n, &what); err != nil {
		return nil, errors.New("not a test message")
	}
	if what == "panic" {
		panic("secret of a patient")
	}
	r := &record.Record{ModelVersion: record.ModelVersion, HospitalMSP: "H1MSP", Sender: in.Sender, ControlID: in.ControlID, Kind: in.Kind,
		MediaType: in.MediaType, ReceivedAt: in.ReceivedAt.UnixMilli(), Payload: in.Raw,
		Encounter: fmt.Sprint(n),
		Patient:   record.Patient{Identifiers: []record.Identifier{{Authority: "T", Type: record.LocalPatient, Value: fmt.Sprint(patient)}}}}
	if text := testMerge(patient, what); text != "" {
		r.Metadata = map[string]string{patientindex.MetadataKey: text}
	}
	r.ID = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: in.Sender, ControlID: in.ControlID, Payload: in.Raw})
	return r, nil
}

// testMerge is the merge that "merge-9" or "unmerge-9" asks for, of patient 9 into this one.
func testMerge(patient int, what string) string {
	var prior int
	undo := strings.HasPrefix(what, "un")
	if _, err := fmt.Sscanf(strings.TrimPrefix(what, "un"), "merge-%d", &prior); err != nil {
		return ""
	}
	number := func(n int) []record.Identifier {
		return []record.Identifier{{Authority: "T", Type: record.LocalPatient, Value: fmt.Sprint(n)}}
	}
	text, err := patientindex.Merge{Event: "ADT^A40", Subject: "patient", Survivor: number(patient), Prior: number(prior), Undo: undo}.MarshalJSON()
	if err != nil {
		panic(err) // plain strings
	}
	return string(text)
}

// submitAll sends n messages of each patient, patients at once, messages of one in order.
func submitAll(t testing.TB, r *rig, patients, n int, what func(patient, i int) string) {
	t.Helper()
	var wg sync.WaitGroup
	for p := range patients {
		wg.Go(func() {
			for i := range n {
				w := "ok"
				if what != nil {
					w = what(p, i)
				}
				if _, err := r.pipeline.Intake.Submit(t.Context(), testMessage(p, i, w)); err != nil {
					t.Errorf("submit: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// settled waits until n records are marked as anchored in the store and told on the trail.
func settled(t testing.TB, r *rig, n int) {
	t.Helper()
	var stats recordstore.Stats
	var told int
	require.Eventually(t, func() bool {
		var err error
		if stats, err = r.store.Stats(t.Context()); err != nil || stats.Anchored != int64(n) || stats.Items != int64(n) {
			return false
		}
		told, err = r.trail.Count(t.Context(), stage.Anchored)
		return err == nil && told == n
	}, 60*time.Second, 20*time.Millisecond, "want %d", n)
}

// inStoreOrder lists records by patient, in the order of the store.
func inStoreOrder(t testing.TB, r *rig) map[string][]record.ID {
	t.Helper()
	out := map[string][]record.ID{}
	for it, err := range recordstore.All(t.Context(), r.store) {
		require.NoError(t, err)
		out[it.Tag.String()] = append(out[it.Tag.String()], it.ID)
	}
	return out
}

func idOf(s intake.Submission) record.ID {
	return record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: s.Sender, ControlID: s.ControlID, Payload: s.Raw})
}
