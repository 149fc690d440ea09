package evidence

// Institute is a research institute on the ledger.
type Institute struct {
	ID     string            `json:"id"`
	Info   RegisterInstitute `json:"info"`
	Status MemberStatus      `json:"status"`
	Signed Signed            `json:"signed"` // the authority's registration
	// StatusSigned is the authority's last statement on the status, if there is one.
	StatusSigned *Signed `json:"status_signed,omitempty"`
	// Earlier are registrations with other signing keys, as in Member.
	Earlier []Earlier `json:"earlier,omitempty"`
}

// Project is a research project on the ledger with the word of each hospital.
type Project struct {
	ID        string       `json:"id"`
	Institute string       `json:"institute"`
	Terms     ApplyProject `json:"terms"`
	AppliedAt int64        `json:"applied_at"` // Unix milliseconds
	Signed    Signed       `json:"signed"`
	// ClosedAt is when the institute closed it, Unix milliseconds, 0 if it did not.
	ClosedAt int64   `json:"closed_at,omitempty"`
	Closing  *Signed `json:"closing,omitempty"`
	// Parts are the hospitals that said something, by number.
	Parts []ProjectPart `json:"parts,omitempty"`
}

// MaxDecisions is how often a hospital may decide on one project.
const MaxDecisions = 32

// ProjectPart is what one hospital said about a project.
type ProjectPart struct {
	MSP       string        `json:"msp"`
	Number    uint16        `json:"number"`
	Decision  DecideProject `json:"decision"` // the last
	DecidedAt int64         `json:"decided_at"`
	// Decisions are all its signed decisions, the oldest first.
	Decisions []Signed `json:"decisions"`
	Releases  uint32   `json:"releases"` // how many it recorded
	Notices   uint32   `json:"notices"`  // of withdrawal
}

// Part returns what a hospital said about the project.
func (p Project) Part(msp string) (ProjectPart, bool) {
	for _, part := range p.Parts {
		if part.MSP == msp {
			return part, true
		}
	}
	return ProjectPart{}, false
}

// ProjectState is the state of a project, or of a hospital's part in it, at a time.
type ProjectState string

// States of a project.
const (
	ProjectApplied  ProjectState = "applied"  // the proxy, or every hospital asked, has still to approve
	ProjectApproved ProjectState = "approved" // the proxy and at least one hospital asked approve: releases are possible
	ProjectRefused  ProjectState = "refused"  // the proxy, or every hospital asked, refused
	ProjectClosed   ProjectState = "closed"   // by the institute
	ProjectExpired  ProjectState = "expired"  // the term or the ethics approval is over
)

// Ends returns until when releases are possible at all, Unix milliseconds: the earlier of
// the project's end and that of the ethics approval.
func (b ApplyProject) Ends() int64 { return min(b.NotAfter, b.Ethics.NotAfter) }

// State returns the state of the project at a time, Unix milliseconds.
func (p Project) State(at int64) ProjectState {
	switch {
	case p.ClosedAt != 0 && at >= p.ClosedAt:
		return ProjectClosed
	case at > p.Terms.Ends():
		return ProjectExpired
	}
	proxy := p.PartState(p.Terms.Proxy, at)
	approved, refused := false, true
	for _, msp := range p.Terms.Hospitals {
		state := p.PartState(msp, at)
		approved = approved || state == ProjectApproved
		refused = refused && state == ProjectRefused
	}
	switch {
	case proxy == ProjectRefused || refused:
		return ProjectRefused
	case proxy == ProjectApproved && approved:
		return ProjectApproved
	}
	return ProjectApplied
}

// PartState returns the state of one hospital's part at a time, Unix milliseconds: applied
// (no word yet), approved, refused, or expired (its approval is over).
func (p Project) PartState(msp string, at int64) ProjectState {
	part, ok := p.Part(msp)
	switch {
	case !ok:
		return ProjectApplied
	case !part.Decision.Approved:
		return ProjectRefused
	case at > part.Decision.NotAfter:
		return ProjectExpired
	}
	return ProjectApproved
}

// Release is a release on the ledger.
type Release struct {
	Hospital string        `json:"hospital"`
	Terms    RecordRelease `json:"terms"`
	At       int64         `json:"at"` // time of the transaction, Unix milliseconds
	Signed   Signed        `json:"signed"`
}

// Withdrawal is a notice of withdrawal on the ledger, with the institute's answer.
type Withdrawal struct {
	Hospital     string           `json:"hospital"`
	Terms        WithdrawSubjects `json:"terms"`
	At           int64            `json:"at"` // Unix milliseconds
	Signed       Signed           `json:"signed"`
	Confirmed    *ConfirmDeletion `json:"confirmed,omitempty"`
	ConfirmedAt  int64            `json:"confirmed_at,omitempty"`
	Confirmation *Signed          `json:"confirmation,omitempty"`
}

// Reidentification is a re-identification on the ledger.
type Reidentification struct {
	ID       Nonce      `json:"id"`
	Hospital string     `json:"hospital"`
	Terms    Reidentify `json:"terms"`
	At       int64      `json:"at"` // Unix milliseconds
	Signed   Signed     `json:"signed"`
}
