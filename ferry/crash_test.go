package ferry_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/ferry"
)

var errCrash = errors.New("the machine stopped")

// memory is a file system whose folders forget, in a crash, what was not synced: of the
// changes to a folder since its last sync, some prefix survives.
type memory struct {
	random  *rand.Rand
	files   map[string][]byte // as a running process sees them
	durable map[string][]byte
	pending map[string][]change // by folder
	steps   int
	crashAt int  // this step fails, and all after it; 0: none
	full    bool // no space is left
}

type change struct {
	from, to string // to is empty for a removal, from for a creation
	data     []byte
}

func newMemory(seed uint64) *memory {
	return &memory{random: rand.New(rand.NewPCG(seed, 7)), files: map[string][]byte{}, durable: map[string][]byte{}, pending: map[string][]change{}}
}

// step counts a call and says whether the machine still runs. The call at which it stops may
// have taken effect.
func (m *memory) step() (before bool, err error) {
	m.steps++
	switch {
	case m.crashAt == 0 || m.steps < m.crashAt:
		return false, nil
	case m.steps == m.crashAt:
		return m.random.IntN(2) == 0, errCrash
	default:
		return false, errCrash
	}
}

func (m *memory) note(c change) {
	dir := filepath.Dir(c.from + c.to)
	if c.from != "" {
		dir = filepath.Dir(c.from)
	}
	m.pending[dir] = append(m.pending[dir], c)
	c.apply(m.files)
}

func (c change) apply(files map[string][]byte) {
	if c.from == "" {
		files[c.to] = c.data
		return
	}
	data, ok := files[c.from]
	delete(files, c.from)
	if ok && c.to != "" {
		files[c.to] = data
	}
}

// crash loses what was not synced.
func (m *memory) crash() {
	for dir, changes := range m.pending {
		for _, c := range changes[:m.random.IntN(len(changes)+1)] {
			c.apply(m.durable)
		}
		delete(m.pending, dir)
	}
	m.files = map[string][]byte{}
	for path, data := range m.durable {
		m.files[path] = data
	}
	m.steps, m.crashAt = 0, 0
}

func (m *memory) List(dir string) (out []ferry.Entry, err error) {
	if _, err := m.step(); err != nil {
		return nil, err
	}
	for path, data := range m.files {
		if filepath.Dir(path) == dir && !strings.HasPrefix(filepath.Base(path), ".") {
			out = append(out, ferry.Entry{Name: filepath.Base(path), Size: int64(len(data))})
		}
	}
	slices.SortFunc(out, func(a, b ferry.Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func (m *memory) Read(path string, limit int64) ([]byte, error) {
	if _, err := m.step(); err != nil {
		return nil, err
	}
	data, ok := m.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	if int64(len(data)) > limit {
		return nil, errors.New("too long")
	}
	return bytes.Clone(data), nil
}

func (m *memory) do(c change) error {
	done, err := m.step()
	if err == nil && m.full && c.from == "" {
		return errors.New("no space left on device")
	}
	if err == nil || done {
		m.note(c)
	}
	return err
}

func (m *memory) Write(path string, data []byte) error {
	return m.do(change{to: path, data: bytes.Clone(data)})
}
func (m *memory) Rename(from, to string) error { return m.do(change{from: from, to: to}) }
func (m *memory) Remove(path string) error {
	if _, ok := m.files[path]; !ok {
		return fs.ErrNotExist
	}
	return m.do(change{from: path})
}

func (m *memory) SyncDir(dir string) error {
	done, err := m.step()
	if err == nil || done {
		for _, c := range m.pending[dir] {
			c.apply(m.durable)
		}
		delete(m.pending, dir)
	}
	return err
}

// bring and take are the gatekeeper's: what it does is durable.
func (m *memory) bring(path string, data []byte) { m.files[path], m.durable[path] = data, data }
func (m *memory) take(path string) []byte {
	data := m.files[path]
	delete(m.files, path)
	delete(m.durable, path)
	for dir := range m.pending {
		m.pending[dir] = slices.DeleteFunc(m.pending[dir], func(c change) bool { return c.to == path || c.from == path })
	}
	return data
}

// world is a crossing on two such machines, and what its source has and knows.
type world struct {
	*crossing
	disks  [2]*memory
	source []ferry.Item
	read   int
}

func newWorld(t *testing.T, seed uint64, count int) *world {
	w := &world{disks: [2]*memory{newMemory(seed), newMemory(seed + 1)}, source: items(1, count)}
	n := 0
	w.crossing = newCrossing(t, func(c *ferry.Config) {
		c.Disk = w.disks[n]
		n++
		c.Content = ferry.Signed
		c.Limits = ferry.Limits{BundleCount: 3, ResendAfter: 5 * time.Second, GapAfter: time.Second, Settle: time.Second, Heartbeat: 2 * time.Second}
	})
	return w
}

func (w *world) sides() [2]*side { return [2]*side{w.inside, w.outside} }

// feed sends the next messages of the source, from where the spool says that it got.
func (w *world) feed(t *testing.T) error {
	w.read = int(w.inside.Source(ferry.Bulk)) //nolint:gosec // small
	next := w.source[w.read:min(w.read+4, len(w.source))]
	return w.inside.Send(t.Context(), ferry.Bulk, next)
}

// restart opens a side again after a crash, until it succeeds.
func (w *world) restart(t *testing.T, i int) {
	w.disks[i].crash()
	w.sides()[i].open(t)
}

// carry moves all files between the machines by way of a gatekeeper.
func (w *world) carry(gatekeeper func(name string, data []byte) []delivery) {
	for i, from := range w.sides() {
		to := w.sides()[1-i]
		for _, path := range slices.Sorted(mapKeys(w.disks[i].files)) {
			name := filepath.Base(path)
			if filepath.Dir(path) != from.folder("outbox") || strings.HasPrefix(name, ".") {
				continue
			}
			for _, d := range gatekeeper(name, w.disks[i].take(path)) {
				if d.data != nil {
					w.disks[1-i].bring(filepath.Join(to.folder("inbox"), name), d.data)
				}
			}
		}
	}
}

func mapKeys(m map[string][]byte) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

type delivery struct{ data []byte }

func honest(_ string, data []byte) []delivery { return []delivery{{data}} }

// heal lets everything work until all is across and confirmed, and checks what came.
func (w *world) heal(t *testing.T, what string) {
	for _, d := range w.disks {
		d.full = false
	}
	for range 400 {
		require.NoError(t, w.feed(t), what)
		for _, s := range w.sides() {
			s.step(t)
		}
		w.carry(honest)
		w.clock.add(500 * time.Millisecond)
		st := w.inside.Status().Lanes[ferry.Bulk]
		if w.read == len(w.source) && st.Waiting == 0 && len(w.outside.inlet.ids(ferry.Bulk)) == len(w.source) {
			break
		}
	}
	require.Equal(t, ids(1, len(w.source)), w.outside.inlet.ids(ferry.Bulk), "%s: each once, in order", what)
	require.Zero(t, w.inside.Status().Lanes[ferry.Bulk].Waiting, "%s: all is confirmed", what)
}

// TestACrashAtEveryStep stops either machine at each call to its disk in turn, once in the
// course of a crossing, and lets it start again.
func TestACrashAtEveryStep(t *testing.T) {
	for i := range 2 {
		for step := 1; ; step++ {
			w := newWorld(t, uint64(step), 9)
			w.disks[i].steps, w.disks[i].crashAt = 0, step
			crashed := false
			for range 12 {
				err := w.feed(t)
				for _, s := range w.sides() {
					err = errors.Join(err, s.Step(t.Context()))
				}
				if errors.Is(err, errCrash) {
					crashed = true
					w.restart(t, i)
				} else {
					require.NoError(t, err)
				}
				w.carry(honest)
				w.clock.add(700 * time.Millisecond)
			}
			w.disks[i].crashAt = 0
			w.heal(t, fmt.Sprintf("side %d, step %d", i, step))
			if !crashed {
				require.Greater(t, step, 30, "the crossing takes more steps than that")
				break
			}
		}
	}
}

// TestAHostileGatekeeper drops, doubles, delays, reorders, cuts and alters files, while the
// machines crash and their disks fill up. After it heals, everything that the source had is
// across exactly once.
func TestAHostileGatekeeper(t *testing.T) {
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, seed*100, 60)
		var late []func()
		hostile := func(name string, data []byte) (out []delivery) {
			hit := func(percent int) bool { return random.IntN(100) < percent }
			if hit(5) {
				return nil
			}
			data = bytes.Clone(data)
			if hit(5) {
				data = data[:random.IntN(len(data)+1)]
			}
			if hit(5) && len(data) > 0 {
				data[random.IntN(len(data))] ^= 1 << random.IntN(8)
			}
			if hit(5) { // again, later
				to := 1
				if strings.HasPrefix(name, "his-in") {
					to = 0
				}
				kept := bytes.Clone(data)
				late = append(late, func() { w.disks[to].bring(filepath.Join(w.sides()[to].folder("inbox"), name), kept) })
			}
			if hit(10) { // out of order, or late
				to := 1
				if strings.HasPrefix(name, "his-in") {
					to = 0
				}
				late = append(late, func() { w.disks[to].bring(filepath.Join(w.sides()[to].folder("inbox"), name), data) })
				return nil
			}
			return []delivery{{data}}
		}
		for range 150 {
			i := random.IntN(2)
			if random.IntN(15) == 0 {
				w.disks[i].steps, w.disks[i].crashAt = 0, 1+random.IntN(40)
			}
			w.disks[i].full = random.IntN(20) == 0
			_ = w.feed(t)
			for n, s := range w.sides() {
				if err := s.Step(t.Context()); errors.Is(err, errCrash) {
					w.restart(t, n)
				}
			}
			for n, d := range w.disks {
				if d.crashAt > 0 && d.steps >= d.crashAt {
					w.restart(t, n)
				}
			}
			w.carry(hostile)
			if len(late) > 0 && random.IntN(3) == 0 {
				random.Shuffle(len(late), func(a, b int) { late[a], late[b] = late[b], late[a] })
				late[0]()
				late = late[1:]
			}
			w.clock.add(time.Duration(random.IntN(800)) * time.Millisecond)
		}
		for i := range w.disks {
			w.restart(t, i)
		}
		w.heal(t, fmt.Sprintf("seed %d", seed))
	}
}
