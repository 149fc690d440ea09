package chaincode

import (
	"slices"

	"github.com/emrbridge/emrbridge/evidence"
)

// The life of a research project.
//
//	ApplyProject ─▶ applied ─ DecideProject (proxy and each hospital) ─▶ approved ─ RecordRelease (hospital), 1, 2, …
//	 (institute)                                    │                       WithdrawSubjects (hospital), 1, 2, …
//	                                                ▼                          └─ ConfirmDeletion (institute)
//	                                             refused                    Reidentify (hospital)
//	CloseProject (institute) ends the releases for good.
//
// What a hospital decides and what it counts are kept apart from the project and from each
// other, under its number: a release reads the decision of the proxy, which must not change
// with the proxy's own releases, or hospitals would wait for each other. The state is
// computed by evidence.Project.

// Bounds of a project's time, in milliseconds.
const maxTerm = 10 * 366 * 24 * 60 * 60 * 1000

// maxProjectText is the largest project that the ledger keeps with its statement, in bytes.
const maxProjectText = 48 << 10

// applyProject puts an institute's application on the ledger. The proxy carries it, and so
// knows what it is asked to deliver. The same application again changes nothing.
func applyProject(t *tx, s *said, body evidence.ApplyProject) (effect, error) {
	switch {
	case evidence.InstituteOf(body.ID) != s.Actor:
		return effect{}, refuse(evidence.CodeUnauthorized, "the project's id does not begin with %s and a dot", s.Actor)
	case body.Proxy != t.submitter:
		return effect{}, refuse(evidence.CodeUnauthorized, "the application names %s as proxy, %s carries it", body.Proxy, t.submitter)
	case len(s.raw) > maxProjectText:
		return effect{}, refuse(evidence.CodeLimit, "an application of %d bytes, %d are allowed", len(s.raw), maxProjectText)
	case body.Ethics.NotAfter <= t.now:
		return effect{}, refuse(evidence.CodeExpired, "the ethics approval is over")
	case body.NotAfter <= t.now:
		return effect{}, refuse(evidence.CodeLimit, "the project ends before it begins")
	case body.NotAfter > t.now+maxTerm:
		return effect{}, refuse(evidence.CodeLimit, "a project lasts no longer than ten years")
	}
	for _, msp := range body.Hospitals {
		if _, err := t.registered(msp, evidence.CodeNotFound); err != nil {
			return effect{}, err
		}
	}
	taken, err := t.get(projectKey(body.ID))
	if err != nil {
		return effect{}, err
	}
	if len(taken) > 0 {
		return effect{}, refuse(evidence.CodeConflict, "the project %s exists: an application cannot change, apply under another id", body.ID)
	}
	project := evidence.Project{ID: body.ID, Institute: s.Actor, Terms: body, AppliedAt: t.now, Signed: s.signed}
	if err := t.putJSON(projectKey(body.ID), project); err != nil {
		return effect{}, err
	}
	parties := append([]string{s.Actor, body.Proxy}, body.Hospitals...)
	slices.Sort(parties)
	for _, party := range slices.Compact(parties) {
		if err := t.put(projectIndexKey(party, t.now, body.ID), present); err != nil {
			return effect{}, err
		}
	}
	return effect{ref: body.ID, owner: body.Proxy}, nil
}

// project returns a project without the parts of hospitals.
func (l ledger) project(id string) (evidence.Project, error) {
	project, found, err := getJSON[evidence.Project](l, projectKey(id))
	if err == nil && !found {
		err = refuse(evidence.CodeNotFound, "there is no project %s", id)
	}
	return project, err
}

// concerned returns a project in which the acting hospital has a part: it was asked for
// records, or it is the proxy.
func (t *tx) concerned(s *said, id string) (evidence.Project, error) {
	project, err := t.project(id)
	switch {
	case err != nil:
		return project, err
	case s.Actor != project.Terms.Proxy && !slices.Contains(project.Terms.Hospitals, s.Actor):
		return project, refuse(evidence.CodeUnauthorized, "the project does not ask %s", s.Actor)
	case t.now < project.AppliedAt-evidence.StatementWindow:
		return project, refuse(evidence.CodeStale, "the transaction is dated before the application: check the clocks")
	}
	return project, nil
}

// counts are how many releases and notices a hospital recorded in a project.
type counts struct {
	Releases uint32 `json:"releases"`
	Notices  uint32 `json:"notices,omitempty"`
}

func (l ledger) counts(project string, number uint16) (counts, error) {
	n, _, err := getJSON[counts](l, countsKey(project, number))
	return n, err
}

// part returns what a hospital decided on a project; found is false before its first word.
func (l ledger) part(project string, number uint16) (evidence.ProjectPart, bool, error) {
	return getJSON[evidence.ProjectPart](l, partKey(project, number))
}

// decideProject records the word of a hospital's committee. A later one takes the place of
// the earlier, so an approval can be withdrawn and a refusal reconsidered; all are kept.
func decideProject(t *tx, s *said, body evidence.DecideProject) (effect, error) {
	project, err := t.concerned(s, body.Project)
	if err != nil {
		return effect{}, err
	}
	if !body.Terms.Equal(evidence.StatementDigest(project.Signed.Statement)) {
		return effect{}, refuse(evidence.CodeConflict, "the committee decided on another application than the one on the ledger")
	}
	if body.Approved {
		if err := t.checkApproval(project, body); err != nil {
			return effect{}, err
		}
	}
	part, _, err := t.part(body.Project, s.member.Info.Number)
	if err == nil {
		err = inOrder(s, part)
	}
	switch {
	case err != nil:
		return effect{}, err
	case len(part.Decisions) >= evidence.MaxDecisions:
		return effect{}, refuse(evidence.CodeLimit, "%s decided %d times on this project", s.Actor, evidence.MaxDecisions)
	case t.now < part.DecidedAt-evidence.StatementWindow:
		return effect{}, refuse(evidence.CodeStale, "the transaction is dated before the decision that it replaces: check the clock")
	}
	part.MSP, part.Number = s.Actor, s.member.Info.Number
	part.Decision, part.DecidedAt = body, t.now
	part.Decisions = append(part.Decisions, s.signed)
	return effect{ref: body.Project, owner: project.Terms.Proxy}, t.putJSON(partKey(body.Project, part.Number), part)
}

// inOrder refuses a decision that was signed before the one that it replaces: readers know
// by the signed times which is the last, whatever order a peer shows.
func inOrder(s *said, part evidence.ProjectPart) error {
	if len(part.Decisions) == 0 {
		return nil
	}
	last, err := evidence.ParseStatement(part.Decisions[len(part.Decisions)-1].Statement)
	if err != nil {
		return damaged(err)
	}
	if s.IssuedAt < last.IssuedAt {
		return refuse(evidence.CodeStale, "the decision was signed before the one that it replaces: check the clock, sign again")
	}
	return nil
}

func (t *tx) checkApproval(project evidence.Project, body evidence.DecideProject) error {
	switch {
	case project.ClosedAt != 0:
		return refuse(evidence.CodeBadState, "the institute closed the project")
	case t.now > project.Terms.Ends():
		return refuse(evidence.CodeExpired, "the project or its ethics approval is over")
	case body.NotAfter <= t.now:
		return refuse(evidence.CodeLimit, "the approval ends before it begins")
	case body.NotAfter > project.Terms.NotAfter:
		return refuse(evidence.CodeLimit, "the approval outlasts the project")
	}
	return nil
}

// closeProject ends a project. The institute says so, through any hospital.
func closeProject(t *tx, s *said, body evidence.CloseProject) (effect, error) {
	project, err := t.ownProject(s, body.Project)
	switch {
	case err != nil:
		return effect{}, err
	case project.ClosedAt != 0:
		return effect{}, refuse(evidence.CodeBadState, "the project was closed before")
	}
	project.ClosedAt, project.Closing = t.now, &s.signed
	return effect{ref: body.Project, owner: project.Terms.Proxy}, t.putJSON(projectKey(body.Project), project)
}

// ownProject returns a project of the acting institute.
func (t *tx) ownProject(s *said, id string) (evidence.Project, error) {
	project, err := t.project(id)
	if err == nil && project.Institute != s.Actor {
		err = refuse(evidence.CodeUnauthorized, "the project is not one of %s", s.Actor)
	}
	return project, err
}
