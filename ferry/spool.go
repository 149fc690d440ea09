package ferry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// ErrSpool reports a spool from which bundles are gone that nobody confirmed.
var ErrSpool = errors.New("ferry: the spool is damaged")

const stateFile = "state.json"

// spool keeps what was sent until it is confirmed.
type spool struct {
	disk      Disk
	dir       string
	channel   string
	extension string
	lanes     map[Lane]*outgoing
	bytes     int64 // of everything in it
}

// outgoing is one lane of the spool.
type outgoing struct {
	confirmed Mark // everything up to it is with the other side, or was given up one-way
	last      Mark // the newest bundle; confirmed when there is none
	source    uint64
	bundles   map[uint64]*bundle
}

// bundle is one that waits to be confirmed.
type bundle struct {
	digest Digest
	source uint64
	bytes  int64
	made   time.Time
	placed int       // how often it was written to the outbox since the start
	at     time.Time // when last
	asked  bool      // the other side, or an operator, wants it
}

// spoolState is what outlives the bundles.
type spoolState struct {
	Lanes map[Lane]laneState `json:"lanes"`
}

type laneState struct {
	Confirmed Mark   `json:"confirmed"`
	Source    uint64 `json:"source"`
}

func openSpool(d Disk, dir, channel, extension string) (*spool, error) {
	s := &spool{disk: d, dir: dir, channel: channel, extension: extension, lanes: map[Lane]*outgoing{}}
	var state spoolState
	switch text, err := d.Read(filepath.Join(dir, stateFile), maxManifest); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(text, &state); err != nil {
			return nil, fmt.Errorf("%w: %s is no JSON", ErrSpool, stateFile)
		}
	}
	for _, l := range Lanes {
		was := state.Lanes[l]
		s.lanes[l] = &outgoing{confirmed: was.Confirmed, last: was.Confirmed, source: was.Source, bundles: map[uint64]*bundle{}}
	}
	return s, s.load()
}

// load reads the manifests that are there, and removes what a crash left half done.
func (s *spool) load() error {
	files, err := s.disk.List(s.dir)
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	var names []fileName
	for _, f := range files {
		sizes[f.Name] = f.Size
		if n, ok := parseName(f.Name, s.extension); ok && n.channel == s.channel && !n.control {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b fileName) int { return int(a.number) - int(b.number) }) //nolint:gosec // numbers of files that are there
	for _, n := range names {
		lane := s.lanes[n.lane]
		manifest := fileName{channel: n.channel, lane: n.lane, number: n.number, kind: kindManifest}.text(s.extension)
		if _, whole := sizes[manifest]; n.number <= lane.confirmed.Seq || !whole {
			if err := s.remove(n.text(s.extension)); err != nil {
				return err
			}
			continue
		}
		if n.kind == kindManifest {
			if err := s.take(n, sizes); err != nil {
				return err
			}
		}
	}
	return nil
}

// take learns of a bundle that was sent before this process began.
func (s *spool) take(n fileName, sizes map[string]int64) error {
	lane := s.lanes[n.lane]
	file, err := s.disk.Read(filepath.Join(s.dir, n.text(s.extension)), maxManifest)
	if err != nil {
		return err
	}
	m, digest, err := ownManifest(file)
	if err != nil {
		return fmt.Errorf("%w: manifest %d of lane %s", ErrSpool, n.number, n.lane)
	}
	data := fileName{channel: n.channel, lane: n.lane, number: n.number, kind: kindData}.text(s.extension)
	if m.Seq != lane.last.Seq+1 || m.Prev != lane.last.Digest || sizes[data] != m.Size {
		return fmt.Errorf("%w: bundle %d of lane %s does not follow %d; nothing may be sent on this channel before it is known what was lost",
			ErrSpool, m.Seq, n.lane, lane.last.Seq)
	}
	s.add(lane, Mark{Seq: m.Seq, Digest: digest}, &bundle{digest: digest, source: m.Source, bytes: m.Size + int64(len(file)), made: m.Made})
	return nil
}

func (s *spool) add(lane *outgoing, mark Mark, b *bundle) {
	lane.bundles[mark.Seq] = b
	lane.last, lane.source = mark, b.source
	s.bytes += b.bytes
}

// store makes a bundle durable, the manifest last.
func (s *spool) store(m Manifest, digest Digest, manifest, data []byte) error {
	n := fileName{channel: s.channel, lane: m.Lane, number: m.Seq, kind: kindData}
	if err := put(s.disk, s.dir, n.text(s.extension), data); err != nil {
		return err
	}
	n.kind = kindManifest
	if err := put(s.disk, s.dir, n.text(s.extension), manifest); err != nil {
		return err
	}
	s.add(s.lanes[m.Lane], Mark{Seq: m.Seq, Digest: digest}, &bundle{digest: digest, source: m.Source, bytes: m.Size + int64(len(manifest)), made: m.Made})
	return nil
}

// confirm forgets the bundles up to seq: first the mark, then the files, so that a crash
// leaves files that are removed at the next start.
func (s *spool) confirm(l Lane, seq uint64) error {
	lane := s.lanes[l]
	b := lane.bundles[seq]
	if b == nil {
		return nil
	}
	was := *lane
	lane.confirmed = Mark{Seq: seq, Digest: b.digest}
	if err := s.save(); err != nil {
		lane.confirmed = was.confirmed
		return err
	}
	for n := was.confirmed.Seq + 1; n <= seq; n++ {
		s.bytes -= lane.bundles[n].bytes
		delete(lane.bundles, n)
		for _, kind := range []string{kindManifest, kindData} {
			if err := s.remove(fileName{channel: s.channel, lane: l, number: n, kind: kind}.text(s.extension)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *spool) save() error {
	state := spoolState{Lanes: map[Lane]laneState{}}
	for l, lane := range s.lanes {
		source := lane.source
		if b := lane.bundles[lane.confirmed.Seq]; b != nil {
			source = b.source
		}
		state.Lanes[l] = laneState{Confirmed: lane.confirmed, Source: source}
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	return put(s.disk, s.dir, stateFile, append(text, '\n'))
}

func (s *spool) remove(name string) error {
	return ignoreMissing(s.disk.Remove(filepath.Join(s.dir, name)))
}

// read returns the two files of a bundle.
func (s *spool) read(l Lane, seq uint64, limit int64) (manifest, data []byte, err error) {
	n := fileName{channel: s.channel, lane: l, number: seq, kind: kindManifest}
	if manifest, err = s.disk.Read(filepath.Join(s.dir, n.text(s.extension)), maxManifest); err != nil {
		return nil, nil, err
	}
	n.kind = kindData
	data, err = s.disk.Read(filepath.Join(s.dir, n.text(s.extension)), limit)
	return manifest, data, err
}
