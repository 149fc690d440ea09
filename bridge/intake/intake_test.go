package intake_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/intake"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
)

type fakeBus struct {
	mu   sync.Mutex
	got  []bus.Message
	fail error
}

func (f *fakeBus) Publish(_ context.Context, m bus.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	f.got = append(f.got, m)
	return nil
}

type fakeLedger struct {
	mu   sync.Mutex
	seen map[string][32]byte
	fail error
	// onRemember sees the bus at the moment of remembering.
	onRemember func()
}

func (l *fakeLedger) verdict(sender, id string, d [32]byte) intake.Verdict {
	got, ok := l.seen[sender+"\x00"+id]
	switch {
	case !ok:
		return intake.Unknown
	case got == d:
		return intake.Same
	}
	return intake.Differs
}

func (l *fakeLedger) Check(_ context.Context, sender, id string, d [32]byte) (intake.Verdict, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.verdict(sender, id, d), l.fail
}

func (l *fakeLedger) Remember(_ context.Context, sender, id string, d [32]byte) (intake.Verdict, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.onRemember != nil {
		l.onRemember()
	}
	if l.fail != nil {
		return intake.Unknown, l.fail
	}
	v := l.verdict(sender, id, d)
	if v == intake.Unknown {
		l.seen[sender+"\x00"+id] = d
	}
	return v, nil
}

func newIntake(t *testing.T, b *fakeBus, l *fakeLedger) *intake.Intake {
	t.Helper()
	d := intake.Deps{HospitalNumber: 7, HospitalMSP: "H7MSP", Bus: b, RouteKey: []byte("0123456789abcdef"),
		Now: func() time.Time { return time.UnixMilli(1772323200000) }}
	if l != nil {
		d.Ledger = l
	}
	in, err := intake.New(d)
	require.NoError(t, err)
	return in
}

func submission(id, raw string) intake.Submission {
	return intake.Submission{Raw: []byte(raw), Sender: "HIS|A", ControlID: id, Kind: "ADT^A01", MediaType: "x/hl7", RoutingHint: "P-10001"}
}

func TestSubmit(t *testing.T) {
	b, l := &fakeBus{}, &fakeLedger{seen: map[string][32]byte{}}
	l.onRemember = func() { require.NotEmpty(t, b.got, "remembered before it was durable") }
	in := newIntake(t, b, l)

	r, err := in.Submit(t.Context(), submission("1", "bytes"))
	require.NoError(t, err)
	require.Equal(t, intake.Accepted, r.Outcome)
	want := record.NewID(record.Origin{HospitalNumber: 7, HospitalMSP: "H7MSP", Sender: "HIS|A", ControlID: "1", Payload: []byte("bytes")})
	require.Equal(t, want, r.Record)
	m := b.got[0]
	require.Equal(t, topology.Received, m.Subject)
	require.Equal(t, want, m.Meta.Record)
	require.Equal(t, "bytes", string(m.Body))
	require.Equal(t, "received", m.Meta.Stage)

	r, err = in.Submit(t.Context(), submission("1", "bytes"))
	require.NoError(t, err)
	require.Equal(t, intake.Duplicate, r.Outcome)
	require.Equal(t, want, r.Record)
	require.Len(t, b.got, 1, "a duplicate is not carried on")

	r, err = in.Submit(t.Context(), submission("1", "other bytes"))
	require.NoError(t, err)
	require.Equal(t, intake.Incident, r.Outcome)
	require.Len(t, b.got, 2, "an incident is carried on")
	require.Equal(t, "CONTROL_ID_REUSED", b.got[1].Meta.Code)
	require.NotEqual(t, want, b.got[1].Meta.Record)
}

func TestNothingIsRememberedThatIsNotDurable(t *testing.T) {
	b, l := &fakeBus{fail: bus.ErrFull}, &fakeLedger{seen: map[string][32]byte{}}
	in := newIntake(t, b, l)
	_, err := in.Submit(t.Context(), submission("1", "bytes"))
	require.ErrorIs(t, err, bus.ErrFull)
	require.Empty(t, l.seen)
	b.fail = nil
	r, err := in.Submit(t.Context(), submission("1", "bytes"))
	require.NoError(t, err)
	require.Equal(t, intake.Accepted, r.Outcome)
}

func TestWithoutLedgerTheRecordIDStillTells(t *testing.T) {
	for name, l := range map[string]*fakeLedger{"failing": {fail: errors.New("gone")}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			b := &fakeBus{}
			in := newIntake(t, b, l)
			for range 2 {
				r, err := in.Submit(t.Context(), submission("1", "bytes"))
				require.NoError(t, err)
				require.Equal(t, intake.Accepted, r.Outcome)
			}
			require.Equal(t, b.got[0].Meta.Record, b.got[1].Meta.Record)
		})
	}
}

func TestSubmitBounds(t *testing.T) {
	in := newIntake(t, &fakeBus{}, nil)
	_, err := in.Submit(t.Context(), intake.Submission{MediaType: "x"})
	require.ErrorIs(t, err, intake.ErrEmpty)
	_, err = in.Submit(t.Context(), intake.Submission{Raw: []byte("x")})
	require.ErrorIs(t, err, intake.ErrEmpty)
	_, err = in.Submit(t.Context(), intake.Submission{MediaType: "x", Raw: make([]byte, topology.DefaultMaxMessage+1)})
	require.ErrorIs(t, err, intake.ErrTooLarge)
}

func TestLanesHideAndSeparate(t *testing.T) {
	b := &fakeBus{}
	in := newIntake(t, b, nil)
	for i, hint := range []string{"P1", "P1", "P2", "", ""} {
		s := submission(fmt.Sprint(i), "bytes")
		s.RoutingHint = hint
		_, err := in.Submit(t.Context(), s)
		require.NoError(t, err)
	}
	lanes := []uint64{}
	for _, m := range b.got {
		lanes = append(lanes, m.Meta.Lane)
		for k, v := range m.Meta.Header() {
			assert.NotContains(t, v[0], "P1", k)
		}
	}
	require.Equal(t, lanes[0], lanes[1])
	require.NotEqual(t, lanes[0], lanes[2])
	require.Equal(t, lanes[3], lanes[4])
	other, err := intake.New(intake.Deps{HospitalNumber: 7, HospitalMSP: "H7MSP", Bus: b, RouteKey: []byte("another key here")})
	require.NoError(t, err)
	_, err = other.Submit(t.Context(), submission("9", "bytes"))
	require.NoError(t, err)
	require.NotEqual(t, lanes[0], b.got[len(b.got)-1].Meta.Lane, "the lane is keyed")
}

func TestDepsAreChecked(t *testing.T) {
	for _, d := range []intake.Deps{
		{}, {HospitalNumber: 1, HospitalMSP: "H1MSP"}, {HospitalNumber: 1, HospitalMSP: "H1MSP", Bus: &fakeBus{}, RouteKey: []byte("short")},
	} {
		_, err := intake.New(d)
		require.Error(t, err)
	}
}

func TestNothingPersonalIsLogged(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("x", "submission", submission("1", "secret bytes"), "refused", intake.Refused{Raw: []byte("secret bytes")})
	assert.NotContains(t, out.String(), "secret")
	assert.NotContains(t, out.String(), "10001")
}
