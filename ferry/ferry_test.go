package ferry_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/ferry"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// inlet keeps what was delivered together with the marks, as a bus does.
type inlet struct {
	mu       sync.Mutex
	marks    map[ferry.Lane]ferry.Mark
	messages map[ferry.Lane][]ferry.Message
	fail     error // of the next Deliver
	late     bool  // it fails after it has stored
}

func newInlet() *inlet {
	return &inlet{marks: map[ferry.Lane]ferry.Mark{}, messages: map[ferry.Lane][]ferry.Message{}}
}

func (i *inlet) Delivered(_ context.Context, l ferry.Lane) (ferry.Mark, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.marks[l], nil
}

func (i *inlet) Deliver(_ context.Context, l ferry.Lane, mark ferry.Mark, messages []ferry.Message) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	err := i.fail
	i.fail = nil
	if err != nil && !i.late {
		return err
	}
	if mark.Seq != i.marks[l].Seq+1 {
		return fmt.Errorf("mark %d after %d", mark.Seq, i.marks[l].Seq)
	}
	i.marks[l] = mark
	i.messages[l] = append(i.messages[l], messages...)
	return err
}

func (i *inlet) ids(l ferry.Lane) []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := []string{}
	for _, m := range i.messages[l] {
		out = append(out, m.ID)
	}
	return out
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }
func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

var keys = sync.OnceValue(func() (k struct{ inside, outside, strange *smcrypto.PrivateKey }) {
	for _, at := range []**smcrypto.PrivateKey{&k.inside, &k.outside, &k.strange} {
		key, err := smcrypto.Default().GenerateKey()
		if err != nil {
			panic(err)
		}
		*at = key
	}
	return k
})

// side is a port with what it stands on.
type side struct {
	*ferry.Port
	cfg    ferry.Config
	inlet  *inlet
	events []ferry.Event
	dir    string
}

func (s *side) folder(name string) string { return filepath.Join(s.dir, name) }

func (s *side) count(kind ferry.EventKind) (n int) {
	for _, e := range s.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// open opens the port again, as after a crash.
func (s *side) open(t testing.TB) {
	t.Helper()
	p, err := ferry.Open(t.Context(), s.cfg)
	require.NoError(t, err)
	s.Port = p
}

func (s *side) step(t testing.TB) {
	t.Helper()
	require.NoError(t, s.Step(t.Context()))
}

// crossing is a pair of ports with a gatekeeper between them.
type crossing struct {
	inside, outside *side
	clock           *clock
}

func newSide(t testing.TB, c *clock, out, in string, own, other *smcrypto.PrivateKey, change func(*ferry.Config)) *side {
	t.Helper()
	s := &side{dir: t.TempDir(), inlet: newInlet()}
	for _, f := range []string{"outbox", "inbox", "spool", "quarantine"} {
		require.NoError(t, os.Mkdir(s.folder(f), 0o700))
	}
	s.cfg = ferry.Config{Out: out, In: in, Outbox: s.folder("outbox"), Inbox: s.folder("inbox"), Spool: s.folder("spool"), Quarantine: s.folder("quarantine"),
		Provider: smcrypto.Default(), Signing: own, Opening: []*smcrypto.PrivateKey{own}, Peer: []smcrypto.PublicKey{other.Public()}, Recipient: other.Public(),
		Inlet: s.inlet, Now: c.now, Observe: func(e ferry.Event) { s.events = append(s.events, e) }}
	if change != nil {
		change(&s.cfg)
	}
	s.open(t)
	return s
}

func newCrossing(t testing.TB, change func(*ferry.Config)) *crossing {
	c := &clock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}
	return &crossing{clock: c,
		inside:  newSide(t, c, "his-out", "his-in", keys().inside, keys().outside, change),
		outside: newSide(t, c, "his-in", "his-out", keys().outside, keys().inside, change)}
}

// carry moves every file, as an honest gatekeeper does.
func carry(t testing.TB, from, to *side) (n int) {
	t.Helper()
	files, err := os.ReadDir(from.folder("outbox"))
	require.NoError(t, err)
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") {
			continue
		}
		require.NoError(t, os.Rename(filepath.Join(from.folder("outbox"), f.Name()), filepath.Join(to.folder("inbox"), f.Name())))
		n++
	}
	return n
}

func (c *crossing) round(t testing.TB) {
	t.Helper()
	c.inside.step(t)
	carry(t, c.inside, c.outside)
	c.outside.step(t)
	carry(t, c.outside, c.inside)
	c.inside.step(t)
}

func items(from, n int) (out []ferry.Item) {
	for i := from; i < from+n; i++ {
		out = append(out, ferry.Item{Source: uint64(i), Message: ferry.Message{ID: fmt.Sprintf("m%06d", i), Subject: "emr.received.h1",
			Header: map[string][]string{"Nats-Msg-Id": {fmt.Sprint(i)}}, Data: []byte(strings.Repeat("x", i%40))}})
	}
	return out
}

func ids(from, n int) (out []string) {
	for _, it := range items(from, n) {
		out = append(out, it.ID)
	}
	return out
}

func TestMessagesCross(t *testing.T) {
	for _, content := range []ferry.Content{ferry.Sealed, ferry.Signed, ferry.Plain} {
		t.Run(string(content), func(t *testing.T) {
			c := newCrossing(t, func(cfg *ferry.Config) { cfg.Content, cfg.Limits.BundleCount = content, 7 })
			require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 50)))
			require.NoError(t, c.inside.Send(t.Context(), ferry.Urgent, items(100, 3)))
			require.NoError(t, c.outside.Send(t.Context(), ferry.Bulk, items(1, 5)))
			c.round(t)
			c.round(t)
			assert.Equal(t, ids(1, 50), c.outside.inlet.ids(ferry.Bulk))
			assert.Equal(t, ids(100, 3), c.outside.inlet.ids(ferry.Urgent))
			assert.Equal(t, ids(1, 5), c.inside.inlet.ids(ferry.Bulk))
			want := items(1, 50)
			for i, m := range c.outside.inlet.messages[ferry.Bulk] {
				assert.Equal(t, want[i].Header, m.Header)
				assert.Equal(t, string(want[i].Data), string(m.Data))
			}
			assert.Equal(t, uint64(50), c.inside.Source(ferry.Bulk))
			for _, s := range []*side{c.inside, c.outside} {
				st := s.Status()
				assert.Zero(t, st.SpoolBytes, "all is confirmed")
				assert.True(t, st.Alive)
				files, err := os.ReadDir(s.folder("inbox"))
				require.NoError(t, err)
				assert.Empty(t, files)
			}
		})
	}
}

func TestASpoolOutlivesItsProcess(t *testing.T) {
	c := newCrossing(t, nil)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 3)))
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(4, 3)))
	c.inside.open(t)
	assert.Equal(t, uint64(6), c.inside.Source(ferry.Bulk))
	c.round(t)
	c.round(t)
	c.inside.open(t)
	assert.Equal(t, uint64(6), c.inside.Source(ferry.Bulk), "what was confirmed is remembered")
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(7, 1)))
	c.round(t)
	assert.Equal(t, ids(1, 7), c.outside.inlet.ids(ferry.Bulk))
}

func TestWhatIsMissingIsAskedFor(t *testing.T) {
	c := newCrossing(t, nil)
	for i := range 5 {
		require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(i+1, 1)))
	}
	c.inside.step(t)
	for _, lost := range []string{"his-out-2-000000000002-m.dat", "his-out-2-000000000004-d.dat", "his-out-2-000000000005-m.dat", "his-out-2-000000000005-d.dat"} {
		require.NoError(t, os.Remove(filepath.Join(c.inside.folder("outbox"), lost)))
	}
	carry(t, c.inside, c.outside)
	c.outside.step(t)
	assert.Equal(t, ids(1, 1), c.outside.inlet.ids(ferry.Bulk))
	assert.Equal(t, 3, c.outside.count(ferry.Gap), "the last is known from the announcement")
	c.clock.add(6 * time.Second)
	c.outside.step(t)
	carry(t, c.outside, c.inside)
	c.inside.step(t)
	assert.Equal(t, 3, c.inside.count(ferry.Resent), "and no more than that")
	carry(t, c.inside, c.outside)
	c.outside.step(t)
	assert.Equal(t, ids(1, 5), c.outside.inlet.ids(ferry.Bulk))
}

// TestAlteredFilesAreHeld changes files as a gatekeeper may that masks fields, and as an
// attacker may.
func TestAlteredFilesAreHeld(t *testing.T) {
	const data, manifest = "his-out-2-000000000001-d.dat", "his-out-2-000000000001-m.dat"
	edit := func(name string, change func([]byte) []byte) func(*testing.T, *crossing) {
		return func(t *testing.T, c *crossing) {
			path := filepath.Join(c.outside.folder("inbox"), name)
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, change(text), 0o600))
		}
	}
	for name, tc := range map[string]struct {
		harm func(*testing.T, *crossing)
		kind ferry.EventKind
	}{
		"a bit of the data": {edit(data, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), ferry.Altered},
		"data cut short":    {edit(data, func(b []byte) []byte { return b[:len(b)-1] }), ferry.Altered},
		"data emptied":      {edit(data, func([]byte) []byte { return nil }), ferry.Altered},
		"data made longer":  {edit(data, func(b []byte) []byte { return append(b, 0) }), ferry.Altered},
		"manifest changed":  {edit(manifest, func(b []byte) []byte { return []byte(strings.Replace(string(b), `"count":1`, `"count":2`, 1)) }), ferry.Unsigned},
		"manifest emptied":  {edit(manifest, func([]byte) []byte { return nil }), ferry.Unsigned},
		"a space more":      {edit(manifest, func(b []byte) []byte { return []byte(strings.Replace(string(b), `,`, `, `, 1)) }), ferry.Unsigned},
		"a strange file": {func(t *testing.T, c *crossing) {
			require.NoError(t, os.WriteFile(filepath.Join(c.outside.folder("inbox"), "readme.txt"), []byte("hello"), 0o600))
		}, ferry.Foreign},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCrossing(t, func(cfg *ferry.Config) { cfg.Content = ferry.Signed })
			require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 1)))
			c.inside.step(t)
			carry(t, c.inside, c.outside)
			tc.harm(t, c)
			c.outside.step(t)
			assert.Zero(t, c.outside.count(tc.kind), "it may not be whole yet")
			c.clock.add(11 * time.Second)
			c.outside.step(t)
			assert.Equal(t, 1, c.outside.count(tc.kind))
			held, err := filepath.Glob(c.outside.folder("quarantine") + "/*.held")
			require.NoError(t, err)
			assert.Len(t, held, 1)
			for range 3 {
				c.round(t)
				c.clock.add(6 * time.Second)
			}
			assert.Equal(t, ids(1, 1), c.outside.inlet.ids(ferry.Bulk), "it came again, unharmed")
		})
	}
}

func TestStrangersAreNotBelieved(t *testing.T) {
	c := newCrossing(t, nil)
	stranger := newSide(t, c.clock, "his-out", "his-in", keys().strange, keys().outside, nil)
	require.NoError(t, stranger.Send(t.Context(), ferry.Bulk, items(1, 1)))
	stranger.step(t)
	carry(t, stranger, c.outside)
	c.outside.step(t)
	c.clock.add(time.Minute)
	c.outside.step(t)
	assert.Empty(t, c.outside.inlet.ids(ferry.Bulk))
	assert.Equal(t, 2, c.outside.count(ferry.Unsigned), "manifest and control file")
}

// TestKeysMayChangeInFlight lets the inside side take a new key while bundles under the old
// one are still on their way.
func TestKeysMayChangeInFlight(t *testing.T) {
	c := newCrossing(t, nil)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 1)))
	c.inside.step(t)
	c.outside.cfg.Peer = append(c.outside.cfg.Peer, keys().strange.Public())
	c.outside.open(t)
	c.inside.cfg.Signing = keys().strange
	c.inside.open(t)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(2, 1)))
	c.round(t)
	assert.Equal(t, ids(1, 2), c.outside.inlet.ids(ferry.Bulk))
}

func TestAnInletThatFails(t *testing.T) {
	for _, late := range []bool{false, true} {
		c := newCrossing(t, nil)
		require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 2)))
		require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(3, 2)))
		c.inside.step(t)
		carry(t, c.inside, c.outside)
		c.outside.inlet.fail, c.outside.inlet.late = errors.New("the bus is away"), late
		require.ErrorContains(t, c.outside.Step(t.Context()), "the bus is away")
		c.outside.step(t)
		assert.Equal(t, ids(1, 4), c.outside.inlet.ids(ferry.Bulk))
	}
}

func TestOneWay(t *testing.T) {
	c := newCrossing(t, nil)
	sender, receiver := c.inside, c.outside
	sender.cfg.OneWay, sender.cfg.Inbox = true, ""
	receiver.cfg.OneWay, receiver.cfg.Outbox = true, ""
	sender.open(t)
	receiver.open(t)
	for i := range 4 {
		require.NoError(t, sender.Send(t.Context(), ferry.Bulk, items(i+1, 1)))
	}
	lose := func(names ...string) {
		sender.step(t)
		for _, n := range names {
			require.NoError(t, os.Remove(filepath.Join(sender.folder("outbox"), n)))
		}
		carry(t, sender, receiver)
		receiver.step(t)
	}
	lose("his-out-2-000000000002-d.dat", "his-out-2-000000000003-m.dat")
	assert.Equal(t, ids(1, 1), receiver.inlet.ids(ferry.Bulk))
	c.clock.add(31 * time.Second)
	lose("his-out-2-000000000002-d.dat") // blind repetition brings the other
	c.clock.add(31 * time.Second)
	lose("his-out-2-000000000002-d.dat")
	c.clock.add(time.Hour)
	lose()
	assert.Equal(t, []ferry.Range{{From: 2, To: 2}}, receiver.Status().Lanes[ferry.Bulk].Missing, "an operator carries this")
	assert.Equal(t, 1, sender.Resend(ferry.Bulk, []ferry.Range{{From: 2, To: 2}}))
	lose()
	assert.Equal(t, ids(1, 4), receiver.inlet.ids(ferry.Bulk))
	c.clock.add(8 * 24 * time.Hour)
	sender.step(t)
	assert.Zero(t, sender.Status().SpoolBytes, "kept for a week")
}

func TestADeadChannelAlarms(t *testing.T) {
	c := newCrossing(t, nil)
	c.round(t)
	c.clock.add(61 * time.Second)
	c.outside.step(t)
	assert.Equal(t, 1, c.outside.count(ferry.Silent))
	assert.False(t, c.outside.Status().Alive)
	c.round(t)
	assert.True(t, c.outside.Status().Alive)
	c.inside.cfg.Now = func() time.Time { return c.clock.now().Add(time.Hour) }
	c.inside.open(t)
	c.round(t)
	assert.Equal(t, 1, c.outside.count(ferry.ClockSkewed))
}

func TestAFolderThatGoesAndComesBack(t *testing.T) {
	c := newCrossing(t, nil)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 1)))
	away := c.inside.folder("outbox") + "-away"
	require.NoError(t, os.Rename(c.inside.folder("outbox"), away))
	require.ErrorIs(t, c.inside.Step(t.Context()), os.ErrNotExist)
	require.Error(t, c.inside.Step(t.Context()))
	assert.Equal(t, 1, c.inside.count(ferry.FolderGone))
	require.NoError(t, os.Rename(away, c.inside.folder("outbox")))
	c.round(t)
	assert.Equal(t, 1, c.inside.count(ferry.FolderBack))
	assert.Equal(t, ids(1, 1), c.outside.inlet.ids(ferry.Bulk))
}

func TestTheUrgentOvertakes(t *testing.T) {
	c := newCrossing(t, func(cfg *ferry.Config) { cfg.Limits.OutboxBytes, cfg.Limits.BundleCount = 2000, 1 })
	big := items(1, 50)
	for i := range big {
		big[i].Data = make([]byte, 600)
	}
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, big))
	c.inside.step(t)
	files, err := os.ReadDir(c.inside.folder("outbox"))
	require.NoError(t, err)
	assert.Less(t, len(files), 8, "the outbox is not flooded")
	require.NoError(t, c.inside.Send(t.Context(), ferry.Urgent, items(1000, 1)))
	c.round(t)
	assert.Equal(t, ids(1000, 1), c.outside.inlet.ids(ferry.Urgent))
	assert.Less(t, len(c.outside.inlet.ids(ferry.Bulk)), 10)
	for range 60 {
		c.round(t)
	}
	assert.Equal(t, ids(1, 50), c.outside.inlet.ids(ferry.Bulk))
}

type eicar struct{ down error }

func (s eicar) Scan(_ context.Context, data []byte) error {
	if strings.Contains(string(data), "EICAR") {
		return &ferry.Infected{Signature: "Eicar-Test-Signature"}
	}
	return s.down
}

func TestMalwareIsHeldAndTheRestGoesOn(t *testing.T) {
	c := newCrossing(t, nil)
	c.outside.cfg.Scanner = eicar{}
	c.outside.open(t)
	three := items(1, 3)
	three[1].Data = []byte("EICAR")
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, three))
	c.round(t)
	assert.Equal(t, []string{"m000001", "m000003"}, c.outside.inlet.ids(ferry.Bulk))
	assert.Equal(t, 1, c.outside.count(ferry.Malware))

	c.outside.cfg.Scanner = eicar{down: errors.New("clamd does not answer")}
	c.outside.open(t)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(4, 1)))
	c.inside.step(t)
	carry(t, c.inside, c.outside)
	require.ErrorContains(t, c.outside.Step(t.Context()), "clamd does not answer")
	assert.Len(t, c.outside.inlet.ids(ferry.Bulk), 2, "nothing passes that was not looked at")
}

func TestAFullSpoolRefuses(t *testing.T) {
	c := newCrossing(t, func(cfg *ferry.Config) { cfg.Limits.SpoolBytes = 1500 })
	var err error
	n := 0
	for ; err == nil; n++ {
		err = c.inside.Send(t.Context(), ferry.Bulk, items(n+1, 1))
	}
	require.ErrorIs(t, err, ferry.ErrFull)
	for range 3 {
		c.round(t)
	}
	assert.Equal(t, ids(1, n-1), c.outside.inlet.ids(ferry.Bulk))
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(n, 1)), "and takes again what it refused")
}

// TestARestoredSpoolIsNoticed restores an old copy of the spool: what is sent from it has
// numbers that the other side has seen with other content.
func TestARestoredSpoolIsNoticed(t *testing.T) {
	c := newCrossing(t, nil)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 1)))
	c.round(t)
	c.round(t)
	require.NoError(t, os.Remove(filepath.Join(c.inside.folder("spool"), "state.json")))
	c.inside.open(t)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(2, 1)))
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(3, 1)))
	c.clock.add(time.Second)
	c.round(t)
	assert.NotZero(t, c.outside.count(ferry.Fork)+c.inside.count(ferry.Fork))
	assert.Equal(t, ids(1, 1), c.outside.inlet.ids(ferry.Bulk), "nothing is delivered on a broken chain")
	assert.NotZero(t, c.inside.Status().Lanes[ferry.Bulk].Waiting, "and nothing is forgotten")
}

func TestDuplicatesAreDropped(t *testing.T) {
	c := newCrossing(t, nil)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 1)))
	c.inside.step(t)
	copies := map[string][]byte{}
	for _, name := range []string{"his-out-2-000000000001-d.dat", "his-out-2-000000000001-m.dat"} {
		text, err := os.ReadFile(filepath.Join(c.inside.folder("outbox"), name))
		require.NoError(t, err)
		copies[name] = text
	}
	c.round(t)
	for name, text := range copies {
		require.NoError(t, os.WriteFile(filepath.Join(c.outside.folder("inbox"), name), text, 0o600))
	}
	c.outside.step(t)
	assert.Equal(t, 1, c.outside.count(ferry.Duplicate))
	left, err := os.ReadDir(c.outside.folder("inbox"))
	require.NoError(t, err)
	assert.Empty(t, left)
	assert.Equal(t, ids(1, 1), c.outside.inlet.ids(ferry.Bulk))
}

// TestAConfirmationMustNameWhatWasSent lets the other side confirm a bundle of the same
// number that is not the one which was sent.
func TestAConfirmationMustNameWhatWasSent(t *testing.T) {
	c := newCrossing(t, nil)
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 1)))
	c.outside.inlet.marks[ferry.Bulk] = ferry.Mark{Seq: 1, Digest: ferry.Digest{1}}
	c.outside.open(t)
	c.outside.step(t)
	carry(t, c.outside, c.inside)
	c.inside.step(t)
	assert.Equal(t, 1, c.inside.count(ferry.Fork))
	assert.Equal(t, 1, c.inside.Status().Lanes[ferry.Bulk].Waiting, "nothing is forgotten")
}

func TestASpoolWithAHoleIsNotUsed(t *testing.T) {
	for _, name := range []string{"his-out-2-000000000001-m.dat", "his-out-2-000000000001-d.dat"} {
		c := newCrossing(t, nil)
		for i := range 2 {
			require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(i+1, 1)))
		}
		require.NoError(t, os.Remove(filepath.Join(c.inside.folder("spool"), name)))
		_, err := ferry.Open(t.Context(), c.inside.cfg)
		require.ErrorIs(t, err, ferry.ErrSpool, name)
	}
}

func TestAFileThatIsTooLongIsTakenAway(t *testing.T) {
	c := newCrossing(t, nil)
	path := filepath.Join(c.outside.folder("inbox"), "his-out-2-000000000001-d.dat")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 1<<40))
	require.NoError(t, c.inside.Send(t.Context(), ferry.Bulk, items(1, 1)))
	c.inside.step(t)
	require.NoError(t, os.Remove(filepath.Join(c.inside.folder("outbox"), filepath.Base(path))))
	carry(t, c.inside, c.outside)
	for range 4 {
		c.outside.step(t)
		c.clock.add(11 * time.Second)
	}
	assert.Equal(t, 1, c.outside.count(ferry.Altered))
	_, err := os.Stat(path)
	require.ErrorIs(t, err, os.ErrNotExist)
}
