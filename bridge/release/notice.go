package release

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// ErrUnknownSubject reports a pseudonym that this hospital never released for a project.
var ErrUnknownSubject = errors.New("release: this hospital released no such subject for the project")

// errNobodyGone says that there is nothing to tell any more.
var errNobodyGone = errors.New("release: all consents stand again")

// subject is one line of the encrypted list of a release or notice.
type subject struct {
	Name  string         `json:"name"` // pseudonym
	Tags  []evidence.Tag `json:"tags"`
	Kinds []string       `json:"kinds,omitempty"` // of the records that went in
	Row   []string       `json:"row,omitempty"`   // quasi-identifiers as they were released
}

func (r *Releaser) subjectsAAD(s *State) []byte {
	return fmt.Appendf(nil, "release/%s/%s/%d", s.Project, s.Kind, s.Sequence)
}

func (r *Releaser) storeSubjects(s *State, list []subject) error {
	b, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("release: encode subjects: %w", err)
	}
	blob, err := smcrypto.SealBlob(r.Provider, r.state, r.subjectsAAD(s), b)
	if err != nil {
		return fmt.Errorf("release: seal subjects: %w", err)
	}
	if err := fsatomic.WriteFile(filepath.Join(r.home(s), subjectsName), blob, 0o600); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

func (r *Releaser) subjects(s *State) ([]subject, error) {
	blob, err := os.ReadFile(filepath.Join(r.home(s), subjectsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	b, err := smcrypto.OpenBlob(r.Provider, r.state, r.subjectsAAD(s), blob)
	if err != nil {
		return nil, fmt.Errorf("release: the list of subjects of %s %d of %s does not open: %w", s.Kind, s.Sequence, s.Project, err)
	}
	var list []subject
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("release: the list of subjects of %s %d of %s is damaged", s.Kind, s.Sequence, s.Project)
	}
	return list, nil
}

// saveSubjects keeps who went in, encrypted, for withdrawals to come.
func (m *making) saveSubjects(v verdict) error {
	var list []subject
	for i, p := range m.cohort {
		if !v.stays(int32(i)) {
			continue
		}
		var kinds []string
		for _, ref := range p.records {
			if !slices.Contains(kinds, ref.kind) {
				kinds = append(kinds, ref.kind)
			}
		}
		list = append(list, subject{m.names[i], p.tags, kinds, v.rows[i]})
	}
	return m.storeSubjects(m.s, list)
}

// stillConsented compares the consents of all who are in a package with what went in.
// ErrConsentChanged: not all of them stand any more.
func (r *Releaser) stillConsented(ctx context.Context, s *State, p Project) error {
	if s.Kind == dataset.Notice {
		return nil
	}
	list, err := r.subjects(s)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelQueries)
	for _, one := range list {
		group.Go(func() error {
			d, err := r.consent(ctx, p, one.Tags)
			if err == nil && !covers(d, one.Kinds) {
				err = ErrConsentChanged
			}
			return err
		})
	}
	return group.Wait()
}

func covers(d policy.Decision, kinds []string) bool {
	return d.Granted && !slices.ContainsFunc(kinds, func(k string) bool { return !d.Covers(k) })
}

// Notify tells the institute, on the ledger and by a sealed notice, which subjects of earlier
// releases it is to delete, because their consent does not stand any more. It returns the
// notice, nil if there is nobody to tell of. An unfinished notice is finished first.
func (r *Releaser) Notify(ctx context.Context, project string) (*State, error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	p, err := r.Ledger.Project(ctx, project)
	if err != nil {
		return nil, err
	}
	list, err := r.States(project, dataset.Notice)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.Stage == Delivered {
			continue
		}
		err := r.finish(ctx, s, p)
		if errors.Is(err, errNobodyGone) { // they consented again before it was made
			return nil, os.RemoveAll(r.home(s))
		}
		return s, err
	}
	gone, err := r.withdrawn(ctx, p)
	if err != nil || len(gone) == 0 {
		return nil, err
	}
	s, err := r.plan(p, dataset.Notice, uint32(len(list)+1), p.NextNotice)
	if err != nil {
		return nil, err
	}
	return s, r.finish(ctx, s, p)
}

// withdrawn lists the subjects that were released and have no consent now, without those
// that the institute was told of already after their last release.
func (r *Releaser) withdrawn(ctx context.Context, p Project) ([]subject, error) {
	releases, err := r.States(p.ID, dataset.Release)
	if err != nil {
		return nil, err
	}
	notices, err := r.States(p.ID, dataset.Notice)
	if err != nil {
		return nil, err
	}
	out, when := map[string]subject{}, map[string]time.Time{}
	for _, s := range releases {
		if s.Stage != Anchored && s.Stage != Delivered {
			continue
		}
		list, err := r.subjects(s)
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			out[one.Name], when[one.Name] = one, s.Started
		}
	}
	for _, s := range notices {
		list, err := r.subjects(s)
		if err != nil {
			return nil, err
		}
		for _, one := range list {
			if s.Started.After(when[one.Name]) {
				delete(out, one.Name)
			}
		}
	}
	return r.unconsented(ctx, p, out)
}

func (r *Releaser) unconsented(ctx context.Context, p Project, all map[string]subject) (gone []subject, err error) {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelQueries)
	for _, one := range all {
		group.Go(func() error {
			d, err := r.consent(ctx, p, one.Tags)
			if err == nil && !d.Granted {
				mu.Lock()
				gone = append(gone, one)
				mu.Unlock()
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(gone, func(a, b subject) int { return strings.Compare(a.Name, b.Name) })
	return gone, nil
}

// noticeFile is where a notice has its pseudonyms, one on each line.
const noticeFile = "withdrawn.txt"

// buildNotice makes the package of a notice: a list of pseudonyms.
func (r *Releaser) buildNotice(ctx context.Context, s *State, p Project) error {
	if err := r.clear(s, packageName, sealedName, subjectsName); err != nil {
		return err
	}
	gone, err := r.withdrawn(ctx, p)
	if err != nil {
		return err
	}
	if len(gone) == 0 {
		return errNobodyGone
	}
	var salts dataset.Salts
	if _, err := rand.Read(salts[:]); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	b, err := dataset.NewBuilder(filepath.Join(r.home(s), packageName), dataset.Manifest{Kind: dataset.Notice, Project: s.Project,
		Institute: s.Institute, Hospital: r.MSP, Sequence: s.Sequence, Created: r.Now().UTC().Truncate(time.Second), Subjects: len(gone)}, salts)
	if err != nil {
		return err
	}
	out, err := b.Lines(noticeFile, "text/plain; charset=utf-8", "delete these subjects · 请删除以下研究对象", nil)
	if err != nil {
		return err
	}
	for _, one := range gone {
		if err := out.Add([]byte(one.Name)); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	m, root, err := b.Finish()
	if err != nil {
		return err
	}
	if err := r.storeSubjects(s, gone); err != nil {
		return err
	}
	s.Rows, s.Root, s.Subjects, s.Stage, s.LastError = m.Rows, root, len(gone), Built, ""
	return r.save(s)
}

// noticed tells the ledger of a notice, once.
func (r *Releaser) noticed(ctx context.Context, s *State) (Receipt, error) {
	list, err := r.subjects(s)
	if err != nil {
		return Receipt{}, err
	}
	n := Notice{Project: s.Project, Sequence: s.Sequence}
	for _, one := range list {
		n.Subjects = append(n.Subjects, one.Name)
	}
	have, receipt, err := r.Ledger.Noticed(ctx, n)
	if err != nil || have {
		return receipt, err
	}
	return r.Ledger.Notify(ctx, n)
}

// Resolve returns whom a pseudonym of a project means, for a re-identification that two
// persons asked for and that is on the ledger: the numbers by which this hospital knows the
// patient. The caller has made sure of that. ErrUnknownSubject: nobody whom it released.
func (r *Releaser) Resolve(ctx context.Context, project, name string) (record.Patient, error) {
	releases, err := r.States(project, dataset.Release)
	if err != nil {
		return record.Patient{}, err
	}
	for _, s := range slices.Backward(releases) {
		list, err := r.subjects(s)
		if err != nil {
			return record.Patient{}, err
		}
		for _, one := range list {
			if one.Name == name {
				return r.patient(ctx, one.Tags)
			}
		}
	}
	return record.Patient{}, ErrUnknownSubject
}

// patient reads the patient from the newest readable record under some tags.
func (r *Releaser) patient(ctx context.Context, tags []evidence.Tag) (record.Patient, error) {
	o, err := r.opener(ctx)
	if err != nil {
		return record.Patient{}, err
	}
	stats, err := r.Store.Stats(ctx)
	if err != nil {
		return record.Patient{}, fmt.Errorf("release: %w", err)
	}
	people, err := r.people(ctx, stats.LastSequence)
	if err != nil {
		return record.Patient{}, err
	}
	for _, p := range people {
		if !slices.Contains(tags, p.tag) {
			continue
		}
		for _, ref := range slices.Backward(p.records) {
			if rec, err := o.open(ctx, ref.id); err == nil {
				return rec.Patient, nil
			}
		}
	}
	return record.Patient{}, ErrUnknownSubject
}
