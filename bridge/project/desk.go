// Package project is the hospital's desk for research projects: its committee decides on
// them, and its staff ask who a subject is. Both need two persons, who stand on the ledger
// as keyed digests, and both are on the ledger before they have an effect.
package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/research/project"
)

// Errors of the desk. A refusal of the contract is an *evidence.Refusal.
var (
	// ErrPersons: fewer than two different persons.
	ErrPersons = errors.New("bridge/project: two or more different persons are needed")
	// ErrRequest: something is missing or out of bounds.
	ErrRequest = errors.New("bridge/project: the request is not complete")
	// ErrChanged: the ledger has other terms than those that the committee saw.
	ErrChanged = errors.New("bridge/project: the application on the ledger is not the one that the committee saw")
)

// Ledger takes this hospital's statements and returns their nonce once they are committed.
type Ledger interface {
	Submit(ctx context.Context, body evidence.Body) (evidence.Nonce, error)
}

// Projects reads verified projects; project.Reader does.
type Projects interface {
	Project(ctx context.Context, id string) (project.Project, error)
}

// Staff turns staff identities into the keyed digests that may appear on the ledger.
type Staff interface {
	StaffDigest(ctx context.Context, staffID string) ([32]byte, error)
}

// Subjects knows whom this hospital released; release.Releaser does.
type Subjects interface {
	Resolve(ctx context.Context, project, name string) (record.Patient, error)
}

// Config is what a Desk works with. Subjects may be nil: then nobody is looked up.
type Config struct {
	MSP      string
	Ledger   Ledger
	Projects Projects
	Staff    Staff
	Subjects Subjects
	Logger   *slog.Logger // default: discard
}

// Desk is safe for concurrent use.
type Desk struct{ Config }

// NewDesk checks the configuration and returns a Desk.
func NewDesk(c Config) (*Desk, error) {
	if c.MSP == "" || c.Ledger == nil || c.Projects == nil || c.Staff == nil {
		return nil, errors.New("bridge/project: a desk needs MSP, ledger, projects and staff digests")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Desk{c}, nil
}

// Decision is the word of the hospital's committee.
type Decision struct {
	Project string
	// Terms is the digest of the application that the committee saw; zero takes the one that
	// stands on the ledger now.
	Terms     evidence.Digest
	Approved  bool
	Reason    string   // code of a refusal
	Committee []string // staff identities, two or more
	// NotAfter is the end of an approval; zero: as long as the project.
	NotAfter time.Time
}

// LogValue implements slog.LogValuer: staff identities never reach a log.
func (d Decision) LogValue() slog.Value {
	return slog.GroupValue(slog.String("project", d.Project), slog.Bool("approved", d.Approved))
}

// Decide records a decision on the ledger. The project is verified first: a committee must
// not decide on what a lying peer shows.
func (d *Desk) Decide(ctx context.Context, dec Decision) (evidence.Nonce, error) {
	staff, err := d.persons(ctx, dec.Committee)
	if err != nil {
		return evidence.Nonce{}, err
	}
	p, err := d.Projects.Project(ctx, dec.Project)
	if err != nil {
		return evidence.Nonce{}, err
	}
	if !dec.Terms.IsZero() && !dec.Terms.Equal(p.TermsDigest) {
		return evidence.Nonce{}, ErrChanged
	}
	body := evidence.DecideProject{Project: p.ID, Terms: p.TermsDigest, Approved: dec.Approved, Reason: dec.Reason, Committee: staff}
	if dec.Approved {
		body.NotAfter = p.Terms.NotAfter
		if !dec.NotAfter.IsZero() {
			body.NotAfter = min(dec.NotAfter.UnixMilli(), body.NotAfter)
		}
	}
	if err := body.Validate(); err != nil {
		return evidence.Nonce{}, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	id, err := d.Ledger.Submit(ctx, body)
	if err != nil {
		return evidence.Nonce{}, fmt.Errorf("commit the decision on project %s: %w", p.ID, err)
	}
	d.Logger.InfoContext(ctx, "project decided", "decision", dec, "statement", id.String())
	return id, nil
}

// Lookup asks who a subject of a project is.
type Lookup struct {
	Project string
	Subject string          // the pseudonym
	Reason  string          // code of the purpose, public on the ledger
	Finding evidence.Digest // SM3 of the institute's report; may be zero
	Staff   []string        // staff identities, two or more
}

// LogValue implements slog.LogValuer: neither pseudonym nor staff reach a log.
func (l Lookup) LogValue() slog.Value {
	return slog.GroupValue(slog.String("project", l.Project), slog.String("reason", l.Reason))
}

// Reidentify states on the ledger that two persons look a subject up, and then tells who it
// is. The patient redacts itself in logs; it must not leave the hospital. The statement
// stands also when nobody is found.
func (d *Desk) Reidentify(ctx context.Context, l Lookup) (evidence.Nonce, record.Patient, error) {
	var nobody record.Patient
	if d.Subjects == nil {
		return evidence.Nonce{}, nobody, errors.New("bridge/project: this process knows no releases")
	}
	staff, err := d.persons(ctx, l.Staff)
	if err != nil {
		return evidence.Nonce{}, nobody, err
	}
	if l.Subject == "" || len(l.Subject) > 256 {
		return evidence.Nonce{}, nobody, fmt.Errorf("%w: a pseudonym of at most 256 bytes is wanted", ErrRequest)
	}
	p, err := d.Projects.Project(ctx, l.Project)
	if err != nil {
		return evidence.Nonce{}, nobody, err
	}
	body := evidence.Reidentify{Project: p.ID, Subject: evidence.SubjectsDigest([]string{l.Subject}), Reason: l.Reason, Finding: l.Finding, Staff: staff}
	if err := body.Validate(); err != nil {
		return evidence.Nonce{}, nobody, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	id, err := d.Ledger.Submit(ctx, body)
	if err != nil {
		return evidence.Nonce{}, nobody, fmt.Errorf("commit the re-identification in project %s: %w", p.ID, err)
	}
	patient, err := d.Subjects.Resolve(ctx, p.ID, l.Subject)
	d.Logger.InfoContext(ctx, "re-identification", "lookup", l, "statement", id.String(), "found", err == nil)
	return id, patient, err
}

// persons are the keyed digests of two or more different members of staff.
func (d *Desk) persons(ctx context.Context, ids []string) ([]evidence.Digest, error) {
	seen := map[evidence.Digest]bool{}
	var out []evidence.Digest
	for _, id := range ids {
		sum, err := d.Staff.StaffDigest(ctx, strings.TrimSpace(id))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPersons, err)
		}
		if !seen[sum] {
			seen[sum] = true
			out = append(out, sum)
		}
	}
	if len(out) < 2 || len(out) != len(ids) {
		return nil, ErrPersons
	}
	return out, nil
}
