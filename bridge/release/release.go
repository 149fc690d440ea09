package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Releaser makes the releases of one hospital. It is safe for concurrent use; one release is
// under way at a time.
type Releaser struct {
	Config
	turn  sync.Mutex
	state smcrypto.Key // encrypts the lists of subjects at rest

	watch    sync.Mutex
	progress Progress
}

// Progress tells what a release is doing now.
type Progress struct {
	Project  string `json:"project,omitempty"`
	Sequence uint32 `json:"sequence,omitempty"`
	Step     string `json:"step,omitempty"`
	Done     int    `json:"done"`
	Of       int    `json:"of"`
}

// New checks the configuration and makes the folder.
func New(ctx context.Context, c Config) (*Releaser, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if err := fsatomic.MkdirPrivate(c.Dir); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	// The first key of the bus outlives its rotation, so the lists stay readable.
	_, first, err := c.Vault.DataKey(ctx, keystore.UseBus, 1)
	if err != nil {
		return nil, fmt.Errorf("release: keys: %w", err)
	}
	b, err := smcrypto.HKDF(c.Provider, first[:], nil, "emrbridge/release/subjects/v1", smcrypto.KeySize)
	if err != nil {
		return nil, fmt.Errorf("release: keys: %w", err)
	}
	r := &Releaser{Config: c}
	r.state, err = smcrypto.ParseKey(b)
	return r, err
}

// Progress returns what is under way; the zero value if nothing is.
func (r *Releaser) Progress() Progress {
	r.watch.Lock()
	defer r.watch.Unlock()
	return r.progress
}

func (r *Releaser) tell(s *State, step string, done, of int) {
	r.watch.Lock()
	defer r.watch.Unlock()
	r.progress = Progress{s.Project, s.Sequence, step, done, of}
}

// Release brings the release of a project with a number to its end and returns it. Number 0
// is the one that is unfinished, else the last one, else the first. A release that was
// delivered is returned as it is, so asking again does nothing twice. A new number must
// follow the last one.
func (r *Releaser) Release(ctx context.Context, project string, number uint32) (*State, error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	s, err := r.pick(project, dataset.Release, number)
	if err != nil || s != nil && s.Stage == Delivered {
		return s, err
	}
	p, err := r.Ledger.Project(ctx, project)
	if err != nil {
		return nil, err
	}
	if p.Closed != nil && (s == nil || s.Stage != Anchored) {
		return s, fmt.Errorf("%w: %w", ErrNotApproved, p.Closed)
	}
	if s == nil {
		if s, err = r.plan(p, dataset.Release, max(number, 1), p.NextRelease); err != nil {
			return nil, err
		}
	}
	return s, r.finish(ctx, s, p)
}

// pick finds the state that a number means; nil if it is to be made.
func (r *Releaser) pick(project string, kind dataset.Kind, number uint32) (*State, error) {
	list, err := r.States(project, kind)
	if err != nil {
		return nil, err
	}
	last := uint32(0)
	for _, s := range list {
		last = max(last, s.Sequence)
		if s.Sequence == number || number == 0 && (s.Stage != Delivered || s.Sequence == list[len(list)-1].Sequence) {
			return s, nil
		}
		if s.Stage != Delivered {
			return nil, fmt.Errorf("%w: %s %d of %s is unfinished (%s): finish it first", ErrSequence, kind, s.Sequence, project, s.Stage)
		}
	}
	if number > last+1 {
		return nil, fmt.Errorf("%w: the next %s of %s is number %d", ErrSequence, kind, project, last+1)
	}
	return nil, nil
}

// plan begins a release: its number is on disk when it returns.
func (r *Releaser) plan(p Project, kind dataset.Kind, number, expected uint32) (*State, error) {
	if expected != 0 && number != expected {
		return nil, fmt.Errorf("%w: the ledger expects number %d of this hospital and not %d: is the folder of earlier releases missing?", ErrSequence, expected, number)
	}
	s := &State{Kind: kind, Project: p.ID, Institute: p.Institute, Sequence: number, Stage: Planned, Started: r.Now().UTC().Truncate(time.Millisecond), Model: p.Model}
	if err := fsatomic.MkdirPrivate(r.home(s)); err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	return s, r.save(s)
}

// attempts bounds how often a release begins anew because somebody withdrew meanwhile.
const attempts = 5

// finish goes through the stages from where the release stands.
func (r *Releaser) finish(ctx context.Context, s *State, p Project) (err error) {
	defer func() {
		r.tell(&State{}, "", 0, 0)
		if err != nil && ctx.Err() == nil {
			s.LastError = err.Error()
			err = errors.Join(err, r.save(s))
		}
	}()
	for n := 0; s.Stage != Delivered; {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := r.step(ctx, s, p)
		if errors.Is(err, ErrConsentChanged) && n < attempts {
			n++
			s.Stage = Planned
			if err := r.save(s); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step does the work that leads from one stage to the next.
func (r *Releaser) step(ctx context.Context, s *State, p Project) error {
	switch s.Stage {
	case Planned:
		if s.Kind == dataset.Notice {
			return r.buildNotice(ctx, s, p)
		}
		return r.build(ctx, s, p)
	case Built:
		return r.seal(ctx, s, p)
	case Sealed:
		return r.anchor(ctx, s, p)
	case Anchored:
		return r.carry(ctx, s, p)
	}
	return fmt.Errorf("release: stage %q is not known", s.Stage)
}

// seal makes the volumes, from the package, for the institute alone.
func (r *Releaser) seal(ctx context.Context, s *State, p Project) error {
	r.tell(s, "seal", 0, 0)
	if err := r.stillConsented(ctx, s, p); err != nil {
		return err
	}
	if err := r.clear(s, sealedName); err != nil {
		return err
	}
	h, err := r.Vault.Hospital(ctx)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if h.SigningCert == nil {
		return errors.New("release: the keystore holds no signing certificate: import it with keys import")
	}
	now := r.Now()
	out := filepath.Join(r.home(s), sealedName)
	e, _, err := dataset.Seal(dataset.SealConfig{
		Provider: r.Provider, Recipient: p.Recipient, SealedAt: now, Expiry: expiry(s, p, now), Certificate: h.SigningCert.DER(),
		Terms: dataset.Terms{Kind: s.Kind, Project: s.Project, Institute: s.Institute, Hospital: r.MSP, Number: r.Number, Sequence: s.Sequence, Root: s.Root},
		Sign:  func(msg []byte) ([]byte, error) { return r.Vault.Sign(ctx, msg) },
	}, filepath.Join(r.home(s), packageName), out)
	if err != nil {
		return err
	}
	text, err := e.Encode()
	if err != nil {
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(out, dataset.EnvelopeName), text, 0o600); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s.Stage, s.Delivery = Sealed, e.Digest(r.Provider)
	return r.save(s)
}

// noticeTime is how long a notice can be opened at least, also after the project has ended.
const noticeTime = 180 * 24 * time.Hour

// expiry is until when the institute can open what is sealed now.
func expiry(s *State, p Project, now time.Time) time.Time {
	end := time.UnixMilli(p.NotAfter)
	if least := now.Add(noticeTime); s.Kind == dataset.Notice && end.Before(least) {
		return least
	}
	return end
}

// envelope reads the envelope of a sealed release.
func (r *Releaser) envelope(s *State) ([]byte, dataset.Envelope, dataset.Delivery, error) {
	text, err := os.ReadFile(filepath.Join(r.home(s), sealedName, dataset.EnvelopeName))
	if err != nil {
		return nil, dataset.Envelope{}, dataset.Delivery{}, fmt.Errorf("release: %w", err)
	}
	e, d, err := dataset.ParseEnvelope(text)
	return text, e, d, err
}

// anchor tells the ledger. What is there already is not told again: a crash may have come
// between the ledger's word and ours.
func (r *Releaser) anchor(ctx context.Context, s *State, p Project) error {
	r.tell(s, "anchor", 0, 0)
	_, e, _, err := r.envelope(s)
	if err != nil {
		return err
	}
	receipt, err := r.anchored(ctx, s, p)
	if err != nil {
		return err
	}
	r.Crash("told")
	e.Statement, e.TxID = receipt.Signed, receipt.TxID
	text, err := e.Encode()
	if err != nil {
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(r.home(s), sealedName, dataset.EnvelopeName), text, 0o600); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s.Stage, s.TxID = Anchored, receipt.TxID
	return r.save(s)
}

func (r *Releaser) anchored(ctx context.Context, s *State, p Project) (Receipt, error) {
	if s.Kind == dataset.Notice {
		return r.noticed(ctx, s)
	}
	entry := Entry{Project: s.Project, Institute: s.Institute, Sequence: s.Sequence, Root: s.Root, Delivery: s.Delivery, Rows: uint64(s.Rows),
		Subjects: uint32(s.Subjects), PolicyDigest: s.Digest, K: uint32(s.Risk.K), MaxRisk: perMille(s.Risk.Maximum), AverageRisk: perMille(s.Risk.Average)}
	have, receipt, err := r.Ledger.Released(ctx, s.Project, s.Sequence)
	switch {
	case err != nil:
		return receipt, err
	case have == nil:
		if err := r.stillConsented(ctx, s, p); err != nil {
			return receipt, err
		}
		return r.Ledger.Record(ctx, entry)
	case have.Root != entry.Root || have.Delivery != entry.Delivery:
		return receipt, fmt.Errorf("%w: the ledger has another release %d of this hospital for %s than the folder: do not release before that is understood",
			ErrSequence, s.Sequence, s.Project)
	}
	return receipt, nil
}

func perMille(x float64) uint32 { return uint32(max(0, min(1000, x*1000+0.5))) }

// carry brings the volumes to the proxy hospital and lets go of what is not needed any more.
func (r *Releaser) carry(ctx context.Context, s *State, p Project) error {
	r.tell(s, "deliver", 0, 0)
	text, _, d, err := r.envelope(s)
	if err != nil {
		return err
	}
	dir := filepath.Join(r.home(s), sealedName)
	err = r.Carrier.Carry(ctx, p.Proxy, text, d, func(i int) (io.ReadSeekCloser, error) { return os.Open(filepath.Join(dir, dataset.VolumeName(i))) })
	if err != nil {
		return err
	}
	r.Crash("carried")
	if err := fsatomic.WriteFile(filepath.Join(r.home(s), dataset.EnvelopeName), text, 0o600); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s.Stage, s.LastError = Delivered, ""
	if err := r.save(s); err != nil {
		return err
	}
	return r.clear(s, packageName, spoolName, sealedName)
}

// Resume goes on with every unfinished release and notice, one after the other, and returns
// the errors of those that could not be finished.
func (r *Releaser) Resume(ctx context.Context) error {
	projects, err := r.Projects()
	if err != nil {
		return err
	}
	var errs []error
	for _, project := range projects {
		for _, kind := range []dataset.Kind{dataset.Notice, dataset.Release} {
			list, err := r.States(project, kind)
			errs = append(errs, err)
			for _, s := range list {
				if s.Stage == Delivered {
					continue
				}
				if kind == dataset.Notice {
					_, err = r.Notify(ctx, project)
				} else {
					_, err = r.Release(ctx, project, s.Sequence)
				}
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
