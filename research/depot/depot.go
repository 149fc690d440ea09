// Package depot keeps sealed deliveries in the proxy hospital until the institute fetches
// them: files that nobody there can open. Parts arrive in pieces and in any order of
// volumes; a piece that was appended is on disk, so that an upload goes on where it broke off.
// A volume that is complete has the digest that the signed delivery names, or it is thrown away.
package depot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/research/dataset"
)

// Errors of a depot.
var (
	// ErrNotFound: there is no such delivery, volume or place.
	ErrNotFound = errors.New("depot: not found")
	// ErrConflict: another delivery is kept in this place.
	ErrConflict = errors.New("depot: another delivery has this number")
	// ErrLimit: a delivery is too large.
	ErrLimit = errors.New("depot: over the limit")
	// ErrAltered: a complete volume has not the digest that the delivery names.
	ErrAltered = errors.New("depot: the volume is not the one that the delivery names")
)

// OffsetError tells where a volume goes on.
type OffsetError struct{ Have int64 }

// Error implements error.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("depot: the volume goes on at byte %d", e.Have)
}

// Place is where a delivery lies.
type Place struct {
	Project  string       `json:"project"`
	Hospital string       `json:"hospital"`
	Kind     dataset.Kind `json:"kind"`
	Sequence uint32       `json:"sequence"`
}

// PlaceOf is the place of a delivery.
func PlaceOf(d dataset.Delivery) Place { return Place{d.Project, d.Hospital, d.Kind, d.Sequence} }

// Part is the name of the place within project and hospital, as release-000001.
func (p Place) Part() string { return fmt.Sprintf("%s-%06d", p.Kind, p.Sequence) }

// ParsePlace reads project, hospital and part.
func ParsePlace(project, hospital, part string) (Place, error) {
	kind, number, _ := strings.Cut(part, "-")
	n, err := strconv.ParseUint(number, 10, 32)
	p := Place{project, hospital, dataset.Kind(kind), uint32(n)}
	if err != nil || !p.valid() || p.Part() != part {
		return Place{}, fmt.Errorf("%w: no such place", ErrNotFound)
	}
	return p, nil
}

func (p Place) valid() bool {
	return validName(p.Project) && validName(p.Hospital) && (p.Kind == dataset.Release || p.Kind == dataset.Notice) && p.Sequence > 0
}

// validName keeps names from leading out of the folder.
func validName(s string) bool { return evidence.ValidMSP(s) && strings.Trim(s, ".") != "" }

// Status says what of a delivery is there.
type Status struct {
	Place
	Sizes    []int64 `json:"sizes"` // bytes of each volume so far
	Complete bool    `json:"complete"`
}

// Depot is a folder of deliveries. It is safe for concurrent use within one process.
type Depot struct {
	dir   string
	limit int64
	mu    sync.Mutex
	busy  map[Place]*sync.Mutex
}

// Open makes the folder if it is missing. limit bounds one delivery in bytes; 64 GiB if 0.
func Open(dir string, limit int64) (*Depot, error) {
	if limit <= 0 {
		limit = dataset.MaxPackage
	}
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	return &Depot{dir: dir, limit: limit, busy: map[Place]*sync.Mutex{}}, nil
}

// turn lets one caller at a time change a place.
func (d *Depot) turn(p Place) func() {
	d.mu.Lock()
	m := d.busy[p]
	if m == nil {
		m = &sync.Mutex{}
		d.busy[p] = m
	}
	d.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func (d *Depot) path(p Place, names ...string) string {
	return filepath.Join(append([]string{d.dir, p.Project, p.Hospital, p.Part()}, names...)...)
}

// Begin takes the envelope of a delivery whose signatures the caller has checked. The same
// delivery again is no error, and tells what is there already.
func (d *Depot) Begin(envelope []byte) (Status, error) {
	e, delivery, err := dataset.ParseEnvelope(envelope)
	if err != nil {
		return Status{}, err
	}
	p := PlaceOf(delivery)
	if !p.valid() {
		return Status{}, fmt.Errorf("%w: no such place", ErrNotFound)
	}
	if delivery.Size() > d.limit {
		return Status{}, fmt.Errorf("%w: a delivery of %d bytes, %d are allowed", ErrLimit, delivery.Size(), d.limit)
	}
	defer d.turn(p)()
	_, old, _, err := d.envelope(p)
	switch {
	case err == nil && string(old.Delivery) != string(e.Delivery):
		return Status{}, ErrConflict
	case err != nil && !errors.Is(err, ErrNotFound):
		return Status{}, err
	}
	if err := fsatomic.MkdirPrivate(d.path(p)); err != nil {
		return Status{}, fmt.Errorf("depot: %w", err)
	}
	if err := fsatomic.WriteFile(d.path(p, dataset.EnvelopeName), envelope, 0o600); err != nil {
		return Status{}, fmt.Errorf("depot: %w", err)
	}
	return d.status(p, delivery)
}

func (d *Depot) envelope(p Place) ([]byte, dataset.Envelope, dataset.Delivery, error) {
	b, err := os.ReadFile(d.path(p, dataset.EnvelopeName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, dataset.Envelope{}, dataset.Delivery{}, ErrNotFound
	}
	if err != nil {
		return nil, dataset.Envelope{}, dataset.Delivery{}, fmt.Errorf("depot: %w", err)
	}
	e, delivery, err := dataset.ParseEnvelope(b)
	return b, e, delivery, err
}

func (d *Depot) status(p Place, delivery dataset.Delivery) (Status, error) {
	s := Status{Place: p, Complete: true}
	for i, v := range delivery.Volumes {
		size, err := d.size(p, i)
		if err != nil {
			return s, err
		}
		s.Sizes = append(s.Sizes, size)
		s.Complete = s.Complete && size == v.Size
	}
	return s, nil
}

const unfinished = ".part"

// size is how many bytes of a volume are there.
func (d *Depot) size(p Place, i int) (int64, error) {
	for _, name := range []string{dataset.VolumeName(i), dataset.VolumeName(i) + unfinished} {
		info, err := os.Stat(d.path(p, name))
		if err == nil {
			return info.Size(), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("depot: %w", err)
		}
	}
	return 0, nil
}

// Append adds bytes to volume i, from 0, at an offset, and returns how many are there. What
// it returns is on disk. *OffsetError: the volume goes on elsewhere. ErrAltered: it was
// complete, was not what it should be, and begins anew.
func (d *Depot) Append(p Place, i int, offset int64, r io.Reader) (int64, error) {
	if !p.valid() {
		return 0, ErrNotFound
	}
	defer d.turn(p)()
	_, _, delivery, err := d.envelope(p)
	if err != nil {
		return 0, err
	}
	if i < 0 || i >= len(delivery.Volumes) {
		return 0, ErrNotFound
	}
	have, err := d.size(p, i)
	if err != nil {
		return 0, err
	}
	want := delivery.Volumes[i]
	if offset != have || have == want.Size {
		return have, &OffsetError{have}
	}
	part := d.path(p, dataset.VolumeName(i)+unfinished)
	have, err = appendTo(part, have, want.Size, r)
	if err != nil || have < want.Size {
		return have, err
	}
	return d.complete(p, i, want)
}

// appendTo writes no more than the volume holds. What came before an error counts.
func appendTo(path string, have, want int64, r io.Reader) (int64, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return have, fmt.Errorf("depot: %w", err)
	}
	n, err := io.Copy(f, io.LimitReader(r, want-have+1))
	if n > want-have {
		err = fmt.Errorf("%w: more bytes than the volume has", ErrLimit)
		n = want - have
		err = errors.Join(err, f.Truncate(want))
	}
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return have + n, fmt.Errorf("depot: append: %w", err)
	}
	return have + n, nil
}

func (d *Depot) complete(p Place, i int, want dataset.Volume) (int64, error) {
	part := d.path(p, dataset.VolumeName(i)+unfinished)
	sum, err := digest(part)
	if err != nil {
		return 0, err
	}
	if !sum.Equal(want.Cipher) {
		return 0, errors.Join(ErrAltered, os.Remove(part))
	}
	if err := errors.Join(os.Rename(part, d.path(p, dataset.VolumeName(i))), fsatomic.SyncDir(d.path(p))); err != nil {
		return 0, fmt.Errorf("depot: %w", err)
	}
	return want.Size, nil
}

func digest(path string) (sum evidence.Digest, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, fmt.Errorf("depot: %w", err)
	}
	defer f.Close()
	h := sm3.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, fmt.Errorf("depot: %w", err)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// Envelope returns the envelope of a delivery.
func (d *Depot) Envelope(p Place) ([]byte, error) {
	if !p.valid() {
		return nil, ErrNotFound
	}
	b, _, _, err := d.envelope(p)
	return b, err
}

// Volume opens a complete volume.
func (d *Depot) Volume(p Place, i int) (*os.File, error) {
	if !p.valid() || i < 0 || i >= dataset.MaxVolumes {
		return nil, ErrNotFound
	}
	f, err := os.Open(d.path(p, dataset.VolumeName(i)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	return f, nil
}

// List returns the complete deliveries of a project, by hospital and number.
func (d *Depot) List(project string) ([]Status, error) {
	if !validName(project) {
		return nil, ErrNotFound
	}
	hospitals, err := os.ReadDir(filepath.Join(d.dir, project))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	var out []Status
	for _, h := range hospitals {
		parts, err := os.ReadDir(filepath.Join(d.dir, project, h.Name()))
		if err != nil {
			return nil, fmt.Errorf("depot: %w", err)
		}
		for _, part := range parts {
			p, err := ParsePlace(project, h.Name(), part.Name())
			if err != nil {
				continue
			}
			_, _, delivery, err := d.envelope(p)
			if err != nil {
				continue // begun and cut off
			}
			s, err := d.status(p, delivery)
			if err != nil {
				return nil, err
			}
			if s.Complete {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b Status) int {
		return strings.Compare(a.Hospital+"/"+a.Part(), b.Hospital+"/"+b.Part())
	})
	return out, nil
}

// Remove deletes a delivery, for instance when the institute has confirmed that it deleted
// what it had.
func (d *Depot) Remove(p Place) error {
	if !p.valid() {
		return ErrNotFound
	}
	defer d.turn(p)()
	if err := os.RemoveAll(d.path(p)); err != nil {
		return fmt.Errorf("depot: %w", err)
	}
	return nil
}
