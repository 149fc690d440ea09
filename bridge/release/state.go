package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/research/dataset"
)

// Stage is how far a release has come.
type Stage string

// Stages, in their order.
const (
	Planned   Stage = "planned"
	Built     Stage = "built"
	Sealed    Stage = "sealed"
	Anchored  Stage = "anchored"
	Delivered Stage = "delivered"
)

// State is a release as its folder has it. It holds no patient data and no pseudonyms.
type State struct {
	Kind      dataset.Kind `json:"kind"`
	Project   string       `json:"project"`
	Institute string       `json:"institute"`
	Sequence  uint32       `json:"sequence"`
	Stage     Stage        `json:"stage"`
	Started   time.Time    `json:"started"`
	Updated   time.Time    `json:"updated"`
	// Cutoff is the store's number of the last record that was looked at.
	Cutoff uint64 `json:"cutoff"`

	Patients   int `json:"patients"`   // with records here
	Consenting int `json:"consenting"` // of them
	Subjects   int `json:"subjects"`   // in the package
	Suppressed int `json:"suppressed"` // kept out by the risk gate
	Records    int `json:"records"`    // that went in
	// Held are records of the cohort that did not go in, by reason.
	Held map[string]int `json:"held,omitempty"`

	Rows      int64           `json:"rows"`
	Root      evidence.Digest `json:"root,omitzero"`
	Delivery  evidence.Digest `json:"delivery,omitzero"`
	Policy    string          `json:"policy,omitempty"`
	Digest    evidence.Digest `json:"policy_digest,omitzero"`
	Risk      dataset.Risk    `json:"risk,omitzero"`
	Levels    map[string]int  `json:"levels,omitempty"` // how far each quasi-identifier was generalised
	Model     string          `json:"model,omitempty"`
	TxID      string          `json:"tx,omitempty"`
	LastError string          `json:"last_error,omitempty"`
}

// Names within the folder of a release.
const (
	stateName    = "state.json"
	subjectsName = "subjects.sealed"
	packageName  = "package"
	spoolName    = "spool"
	sealedName   = "sealed"
)

func (r *Releaser) folder(project string, kind dataset.Kind, sequence uint32) string {
	return filepath.Join(r.Dir, project, fmt.Sprintf("%s-%06d", kind, sequence))
}

func (r *Releaser) home(s *State) string { return r.folder(s.Project, s.Kind, s.Sequence) }

func (r *Releaser) save(s *State) error {
	s.Updated = r.Now().UTC().Truncate(time.Millisecond)
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("release: encode state: %w", err)
	}
	if err := fsatomic.WriteFile(filepath.Join(r.home(s), stateName), append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	r.Crash(string(s.Stage))
	return nil
}

func (r *Releaser) load(project string, kind dataset.Kind, sequence uint32) (*State, error) {
	b, err := os.ReadFile(filepath.Join(r.folder(project, kind, sequence), stateName))
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	var s State
	if err := json.Unmarshal(b, &s); err != nil || s.Project != project || s.Kind != kind || s.Sequence != sequence {
		return nil, fmt.Errorf("release: the state of %s %d of %s is damaged: move its folder away; the ledger tells what was released", kind, sequence, project)
	}
	return &s, nil
}

// States returns the releases, or the notices, of a project in their order.
func (r *Releaser) States(project string, kind dataset.Kind) ([]*State, error) {
	if !evidence.ValidMSP(project) {
		return nil, fmt.Errorf("%w: not the id of a project", ErrNotApproved)
	}
	list, err := os.ReadDir(filepath.Join(r.Dir, project))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	var out []*State
	for _, entry := range list {
		number, ok := strings.CutPrefix(entry.Name(), string(kind)+"-")
		n, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil || !entry.IsDir() {
			continue
		}
		s, err := r.load(project, kind, uint32(n))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a folder that was made just before a crash
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Projects returns the ids of the projects that something was released for.
func (r *Releaser) Projects() ([]string, error) {
	list, err := os.ReadDir(r.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("release: %w", err)
	}
	var out []string
	for _, entry := range list {
		if entry.IsDir() && evidence.ValidMSP(entry.Name()) {
			out = append(out, entry.Name())
		}
	}
	return out, nil
}

// clear removes parts of a release's folder.
func (r *Releaser) clear(s *State, names ...string) error {
	for _, n := range names {
		if err := os.RemoveAll(filepath.Join(r.home(s), n)); err != nil {
			return fmt.Errorf("release: %w", err)
		}
	}
	return nil
}
