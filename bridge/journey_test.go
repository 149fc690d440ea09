package bridge

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/record"
)

var update = flag.Bool("update", false, "write golden files")

// parseHL7 is the parser as the composition root wires it.
func parseHL7(_ context.Context, in normalize.Input) (*record.Record, error) {
	return mapping.NewMapper(nil, mapping.Options{}).Map(mapping.Source{Raw: in.Raw, HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: in.ReceivedAt, Charset: in.Charset})
}

// clock ticks one millisecond each time it is asked.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Millisecond)
		return now
	}
}

// TestGoldenJourney pins what `emrbridge trace` shows of one HL7 message from receipt to
// ledger. What custody and contract draw at random is replaced by its name.
func TestGoldenJourney(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{change: func(d *Deps) {
		d.Now, d.Parsers = clock(), map[string]normalize.Parser{hl7.MediaType: parseHL7}
	}})
	raw := []byte("MSH|^~\\&|HIS|H1|EMR|H1|20260301080000||ADT^A01|MSG00001|P|2.4|||||CHN|UNICODE UTF-8\r" +
		"EVN|A01|20260301080000\rPID|1||P10001^^^H1^PI||测试^甲||19800101|M\rPV1|1|I|W1^1^1\r")
	got, err := r.pipeline.Intake.Submit(t.Context(), intake.Submission{Raw: raw, Sender: "HIS|H1", ControlID: "MSG00001", Kind: "ADT^A01",
		MediaType: hl7.MediaType, Peer: "192.0.2.7:41000", RoutingHint: "p0001"})
	require.NoError(t, err)
	settled(t, r, 1)
	var events []trail.Event
	require.Eventually(t, func() bool {
		events, err = r.trail.Lookup(t.Context(), got.Record.String())
		return err == nil && len(events) == 4
	}, 10*time.Second, 10*time.Millisecond)
	b, err := json.MarshalIndent(events, "", "  ")
	require.NoError(t, err)
	last := events[3]
	text := strings.NewReplacer(last.Tag, "<tag>", last.Batch, "<batch>", last.Tx, "<tx>").Replace(string(b)) + "\n"
	const golden = "testdata/journey.golden.json"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
	for _, id := range []string{"MSG00001", last.Tag, last.Tx, last.Batch} {
		found, err := r.trail.Lookup(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, events, found, "by %s", id)
	}
}

func TestADayOfHL7(t *testing.T) {
	l := newLedger(t)
	r := newRig(t, l, options{change: func(d *Deps) { d.Parsers = map[string]normalize.Parser{hl7.MediaType: parseHL7} }})
	day := hospitalday.Generate(7, 8, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	receiver := hl7.Receiver{Mapper: mapping.NewMapper(nil, mapping.Options{}), Submit: func(ctx context.Context, s hl7.Submission) error {
		_, err := r.pipeline.Intake.Submit(ctx, intake.Submission{Raw: s.Raw, Sender: s.Sender, ControlID: s.ControlID, Kind: s.Kind,
			MediaType: hl7.MediaType, Charset: s.Charset, Peer: s.Peer, RoutingHint: s.RoutingHint, ReceivedAt: s.ReceivedAt})
		return err
	}}
	for i, m := range day.Messages {
		ack := receiver.HandleFrame(t.Context(), hl7.Incoming{Raw: m.Raw, Peer: "test", ReceivedAt: time.Now(), Size: int64(len(m.Raw))})
		require.Contains(t, string(ack), "|AA", "message %d", i)
	}
	settled(t, r, len(day.Messages))
	records, twice := l.counts()
	require.Equal(t, len(day.Messages), records)
	require.Zero(t, twice)
	require.Len(t, inStoreOrder(t, r), 8, "one tag for each patient")
}
