package project

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Ledger is what a Reader asks; chainclient.Client is one, and so is the client with which
// an institute asks its proxy hospital. Nothing that it says is believed unverified.
type Ledger interface {
	Member(ctx context.Context, msp string) (evidence.Member, error)
	Institute(ctx context.Context, id string) (evidence.Institute, error)
	Project(ctx context.Context, id string) (evidence.Project, error)
	Release(ctx context.Context, project, msp string, sequence uint32) (evidence.Release, error)
	Releases(ctx context.Context, project string, size int, bookmark string) (evidence.Page[evidence.Release], error)
	Withdrawals(ctx context.Context, project string, size int, bookmark string) (evidence.Page[evidence.Withdrawal], error)
}

// Reader reads and verifies. It is safe for concurrent use.
type Reader struct {
	ledger   Ledger
	roots    []*smcrypto.Certificate
	provider smcrypto.Provider
	now      func() time.Time
}

// NewReader returns a Reader that pins roots, the SM2 certificates of the consortium's
// authority. A nil provider means the default one, a nil clock time.Now.
func NewReader(ledger Ledger, roots []*smcrypto.Certificate, provider smcrypto.Provider, now func() time.Time) (*Reader, error) {
	if ledger == nil || len(roots) == 0 {
		return nil, errors.New("research/project: a ledger and the certificate of the consortium's authority are needed")
	}
	if provider == nil {
		provider = smcrypto.Default()
	}
	if now == nil {
		now = time.Now
	}
	return &Reader{ledger: ledger, roots: roots, provider: provider, now: now}, nil
}

// Project is a verified project. Terms, Decision and ClosedAt of the embedded view rest on
// signed statements; AppliedAt, DecidedAt and the counts are the word of the peer.
type Project struct {
	evidence.Project
	By          Party           // the institute
	Proxy       Party           // the proxy hospital
	TermsDigest evidence.Digest // of the application: what decisions name
}

// Why a hospital may not release to a project now.
var (
	ErrNotAsked    = errors.New("research/project: the project asks for no records of this hospital")
	ErrNotApproved = errors.New("research/project: the hospital or the proxy has not approved the project, or withdrew its approval")
	ErrOver        = errors.New("research/project: the project, its ethics approval or a hospital's approval is over")
	ErrClosed      = errors.New("research/project: the institute closed the project")
	ErrSuspended   = errors.New("research/project: the institute or the proxy hospital is suspended, or its certificate has expired")
)

// MayRelease reports whether a hospital may release to the project at a time, Unix
// milliseconds, by the rules that the contract keeps. The contract has the last word.
func (p Project) MayRelease(msp string, at int64) error {
	asked := p.Terms
	switch {
	case !slices.Contains(asked.Hospitals, msp):
		return fmt.Errorf("%w: %s", ErrNotAsked, msp)
	case p.ClosedAt != 0:
		return ErrClosed
	case at > asked.Ends():
		return ErrOver
	case !p.By.Active || !p.Proxy.Active:
		return ErrSuspended
	}
	for _, who := range []string{asked.Proxy, msp} {
		switch p.PartState(who, at) {
		case evidence.ProjectApproved:
		case evidence.ProjectExpired:
			return fmt.Errorf("%w: approval of %s", ErrOver, who)
		default:
			return fmt.Errorf("%w: %s", ErrNotApproved, who)
		}
	}
	return nil
}

// Project reads and verifies a project with the word of each hospital. Errors: ErrUntrusted,
// and those of the ledger.
func (r *Reader) Project(ctx context.Context, id string) (Project, error) {
	view, err := r.ledger.Project(ctx, id)
	if err != nil {
		return Project{}, fmt.Errorf("read project %s: %w", id, err)
	}
	return r.VerifyProject(ctx, id, view)
}

// VerifyProject verifies a project that was read already. It reads the institute and the
// hospitals.
func (r *Reader) VerifyProject(ctx context.Context, id string, view evidence.Project) (Project, error) {
	p := Project{Project: view}
	var err error
	if p.By, err = r.Institute(ctx, evidence.InstituteOf(id)); err != nil {
		return Project{}, err
	}
	var terms evidence.ApplyProject
	if _, err = r.said(p.By, view.Signed, &terms); err == nil && terms.ID != id {
		err = errView
	}
	if err != nil {
		return Project{}, untrusted("application of project "+id, err)
	}
	p.ID, p.Institute, p.Terms = id, p.By.ID, terms
	p.TermsDigest = evidence.StatementDigest(view.Signed.Statement)
	if err := r.closing(&p); err != nil {
		return Project{}, untrusted("closing of project "+id, err)
	}
	if p.Proxy, err = r.Hospital(ctx, terms.Proxy); err != nil {
		return Project{}, err
	}
	p.Parts = slices.Clone(view.Parts)
	seen := hospitals{terms.Proxy: p.Proxy}
	for i := range p.Parts {
		if err := r.part(ctx, seen, &p, &p.Parts[i]); err != nil {
			return Project{}, err
		}
	}
	return p, nil
}

// closing verifies the institute's statement that the project is closed. A closing that
// stands there counts, whatever the view says.
func (r *Reader) closing(p *Project) error {
	if p.Closing == nil {
		if p.ClosedAt != 0 {
			return errView
		}
		return nil
	}
	var said evidence.CloseProject
	st, err := r.said(p.By, *p.Closing, &said)
	if err == nil && said.Project != p.ID {
		err = errView
	}
	if p.ClosedAt == 0 {
		p.ClosedAt = st.IssuedAt
	}
	return err
}

// part verifies what one hospital decided; the last decision counts.
func (r *Reader) part(ctx context.Context, seen hospitals, p *Project, part *evidence.ProjectPart) error {
	asked := p.Terms
	if len(part.Decisions) == 0 || part.MSP != asked.Proxy && !slices.Contains(asked.Hospitals, part.MSP) {
		return untrusted("decision on project "+p.ID, errView)
	}
	by, err := r.hospital(ctx, seen, part.MSP)
	if err != nil {
		return err
	}
	part.Number = by.Number
	issued := int64(0)
	for _, signed := range part.Decisions {
		part.Decision = evidence.DecideProject{} // bodies are decoded into fresh values
		st, err := r.said(by, signed, &part.Decision)
		// The contract takes decisions in the order in which they were signed.
		if err == nil && (part.Decision.Project != p.ID || part.Decision.Terms != p.TermsDigest || st.IssuedAt < issued) {
			err = errView
		}
		issued = st.IssuedAt
		if err != nil {
			return untrusted("decision of "+part.MSP, err)
		}
	}
	return nil
}

// Release reads and verifies one release. Its Terms are those that the hospital signed.
func (r *Reader) Release(ctx context.Context, project, msp string, sequence uint32) (evidence.Release, error) {
	v, err := r.ledger.Release(ctx, project, msp, sequence)
	if err != nil {
		return v, fmt.Errorf("read release %d of %s to project %s: %w", sequence, msp, project, err)
	}
	if v, err = r.release(ctx, hospitals{}, project, v); err == nil && (v.Hospital != msp || v.Terms.Sequence != sequence) {
		err = untrusted("release of "+msp, errView)
	}
	return v, err
}

func (r *Reader) release(ctx context.Context, seen hospitals, project string, v evidence.Release) (evidence.Release, error) {
	by, err := r.hospital(ctx, seen, v.Hospital)
	if err != nil {
		return v, err
	}
	v.Terms = evidence.RecordRelease{}
	if _, err = r.said(by, v.Signed, &v.Terms); err == nil && v.Terms.Project != project {
		err = errView
	}
	if err != nil {
		return v, untrusted("release of "+v.Hospital, err)
	}
	return v, nil
}

// Bounds of what a Reader reads of one project.
const maxItems = 100_000

// Releases reads and verifies all releases to a project, by hospital and sequence. None may
// be missing before the last of a hospital.
func (r *Reader) Releases(ctx context.Context, project string) ([]evidence.Release, error) {
	count, seen := gapless{}, hospitals{}
	return all(ctx, func(size int, bookmark string) (evidence.Page[evidence.Release], error) {
		return r.ledger.Releases(ctx, project, size, bookmark)
	}, func(v evidence.Release) (evidence.Release, error) {
		v, err := r.release(ctx, seen, project, v)
		if err == nil {
			err = count.next(v.Hospital, v.Terms.Sequence)
		}
		return v, err
	})
}

// hospitals are those that were verified already while one answer is read.
type hospitals map[string]Party

func (r *Reader) hospital(ctx context.Context, seen hospitals, msp string) (Party, error) {
	if p, ok := seen[msp]; ok {
		return p, nil
	}
	p, err := r.Hospital(ctx, msp)
	if err == nil {
		seen[msp] = p
	}
	return p, err
}

// gapless counts what each hospital numbers.
type gapless map[string]uint32

func (g gapless) next(hospital string, sequence uint32) error {
	if g[hospital]++; g[hospital] != sequence {
		return untrusted("list", fmt.Errorf("number %d of %s follows number %d", sequence, hospital, g[hospital]-1))
	}
	return nil
}

// Reidentification verifies one re-identification that was read already.
func (r *Reader) Reidentification(ctx context.Context, project string, v evidence.Reidentification) (evidence.Reidentification, error) {
	by, err := r.Hospital(ctx, v.Hospital)
	if err != nil {
		return v, err
	}
	v.Terms = evidence.Reidentify{}
	st, err := r.said(by, v.Signed, &v.Terms)
	if err == nil && (v.Terms.Project != project || st.Nonce != v.ID) {
		err = errView
	}
	if err != nil {
		return v, untrusted("re-identification by "+v.Hospital, err)
	}
	return v, nil
}

// Withdrawals reads and verifies all notices of withdrawal with their confirmations. None
// may be missing before the last of a hospital.
func (r *Reader) Withdrawals(ctx context.Context, project string) ([]evidence.Withdrawal, error) {
	institute, err := r.Institute(ctx, evidence.InstituteOf(project))
	if err != nil {
		return nil, err
	}
	count, seen := gapless{}, hospitals{}
	return all(ctx, func(size int, bookmark string) (evidence.Page[evidence.Withdrawal], error) {
		return r.ledger.Withdrawals(ctx, project, size, bookmark)
	}, func(v evidence.Withdrawal) (evidence.Withdrawal, error) {
		v, err := r.withdrawal(ctx, seen, project, institute, v)
		if err == nil {
			err = count.next(v.Hospital, v.Terms.Sequence)
		}
		return v, err
	})
}

func (r *Reader) withdrawal(ctx context.Context, seen hospitals, project string, institute Party, v evidence.Withdrawal) (evidence.Withdrawal, error) {
	by, err := r.hospital(ctx, seen, v.Hospital)
	if err != nil {
		return v, err
	}
	v.Terms = evidence.WithdrawSubjects{}
	if _, err = r.said(by, v.Signed, &v.Terms); err == nil && v.Terms.Project != project {
		err = errView
	}
	if err != nil {
		return v, untrusted("notice of "+v.Hospital, err)
	}
	v.Confirmed = nil
	if v.Confirmation == nil {
		return v, nil
	}
	var said evidence.ConfirmDeletion
	_, err = r.said(institute, *v.Confirmation, &said)
	if err == nil && (said.Project != project || said.Hospital != v.Hospital || said.Sequence != v.Terms.Sequence ||
		said.Subjects != v.Terms.Subjects || said.Count != v.Terms.Count) {
		err = errView
	}
	if err != nil {
		return v, untrusted("confirmation of a deletion", err)
	}
	v.Confirmed = &said
	return v, nil
}

// all follows the bookmarks of a query to its end and verifies each item.
func all[T any](ctx context.Context, next func(size int, bookmark string) (evidence.Page[T], error), verify func(T) (T, error)) ([]T, error) {
	var out []T
	for bookmark := ""; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		page, err := next(evidence.MaxPageSize, bookmark)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			if len(out) == maxItems {
				return nil, fmt.Errorf("research/project: more than %d items", maxItems)
			}
			v, err := verify(item)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		if page.Bookmark == "" {
			return out, nil
		}
		if page.Bookmark == bookmark {
			return nil, untrusted("pages", errors.New("the ledger repeats one"))
		}
		bookmark = page.Bookmark
	}
}
