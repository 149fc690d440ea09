package chaincode

import (
	"slices"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// recordRelease is said before a dataset leaves the hospital: an approval withdrawn, an
// ethics approval ended or an institute suspended in between still stops it. The same
// release again changes nothing, whatever has happened since; another under its number is
// an incident.
func recordRelease(t *tx, s *said, body evidence.RecordRelease) (effect, error) {
	project, err := t.concerned(s, body.Project)
	if err != nil {
		return effect{}, err
	}
	done := effect{ref: body.Project, owner: project.Terms.Proxy}
	number := s.member.Info.Number
	held, found, err := getJSON[evidence.Release](t.ledger, releaseKey(body.Project, number, body.Sequence))
	switch {
	case err != nil:
		return effect{}, err
	case found && held.Terms != body:
		return effect{}, refuse(evidence.CodeConflict, "release %d of %s to this project has other content on the ledger", body.Sequence, s.Actor)
	case found:
		return done, nil
	}
	if err := t.mayRelease(s, project); err != nil {
		return effect{}, err
	}
	if err := t.checkRelease(project, body); err != nil {
		return effect{}, err
	}
	n, err := t.counts(body.Project, number)
	if err != nil {
		return effect{}, err
	}
	if body.Sequence != n.Releases+1 {
		return effect{}, refuse(evidence.CodeBadState, "release %d cannot follow release %d", body.Sequence, n.Releases)
	}
	n.Releases = body.Sequence
	if err := t.putJSON(countsKey(body.Project, number), n); err != nil {
		return effect{}, err
	}
	release := evidence.Release{Hospital: s.Actor, Terms: body, At: t.now, Signed: s.signed}
	return done, t.putJSON(releaseKey(body.Project, number, body.Sequence), release)
}

// mayRelease checks that the project is in force, and that the hospital and the proxy
// approve it at the time of the transaction.
func (t *tx) mayRelease(s *said, project evidence.Project) error {
	switch {
	case !slices.Contains(project.Terms.Hospitals, s.Actor):
		return refuse(evidence.CodeUnauthorized, "the project asks for no records of %s", s.Actor)
	case project.ClosedAt != 0:
		return refuse(evidence.CodeBadState, "the institute closed the project")
	case t.now > project.Terms.NotAfter:
		return refuse(evidence.CodeExpired, "the project is over")
	case t.now > project.Terms.Ethics.NotAfter:
		return refuse(evidence.CodeExpired, "the ethics approval is over")
	}
	proxy, err := t.activeMember(project.Terms.Proxy)
	if err != nil {
		return err
	}
	if err := t.approves(project.ID, proxy); err != nil {
		return err
	}
	return t.approves(project.ID, s.member)
}

// approves checks that a hospital approves a project at the time of the transaction.
func (t *tx) approves(project string, member evidence.Member) error {
	part, found, err := t.part(project, member.Info.Number)
	switch {
	case err != nil:
		return err
	case !found:
		return refuse(evidence.CodeNotApproved, "%s has not decided on the project", member.MSP)
	case !part.Decision.Approved:
		return refuse(evidence.CodeNotApproved, "%s refused the project, or withdrew its approval", member.MSP)
	case t.now > part.Decision.NotAfter:
		return refuse(evidence.CodeExpired, "the approval of %s is over", member.MSP)
	case t.now < part.DecidedAt-evidence.StatementWindow:
		return refuse(evidence.CodeStale, "the transaction is dated before the approval of %s: check the clocks", member.MSP)
	}
	return nil
}

// checkRelease compares a release with the terms of its project.
func (t *tx) checkRelease(project evidence.Project, body evidence.RecordRelease) error {
	institute, err := t.activeInstitute(project.Institute)
	if err != nil {
		return err
	}
	recipient := evidence.Digest(smcrypto.Default().SM3(institute.Info.EncryptCert))
	switch {
	case !body.Recipient.Equal(recipient):
		return refuse(evidence.CodeUnauthorized, "the release is not sealed to the registered encryption certificate of %s", project.Institute)
	case !body.Policy.Equal(project.Terms.Policy.Digest):
		return refuse(evidence.CodeUnauthorized, "the release was de-identified by another policy than the one approved")
	case !body.Gate:
		return refuse(evidence.CodeGate, "the leak gate did not pass")
	case body.Rows > 0 && body.Risk.K < project.Terms.MinGroup:
		return refuse(evidence.CodeGate, "the smallest group has %d persons, the project promises %d", body.Risk.K, project.Terms.MinGroup)
	}
	return nil
}

// withdrawSubjects puts a notice of withdrawal on the ledger. It needs no approval that
// still stands: data that left can be called back at any time.
func withdrawSubjects(t *tx, s *said, body evidence.WithdrawSubjects) (effect, error) {
	project, err := t.concerned(s, body.Project)
	if err != nil {
		return effect{}, err
	}
	done := effect{ref: body.Project, owner: project.Terms.Proxy, count: body.Count}
	number := s.member.Info.Number
	key := withdrawalKey(body.Project, number, body.Sequence)
	held, found, err := getJSON[evidence.Withdrawal](t.ledger, key)
	switch {
	case err != nil:
		return effect{}, err
	case found && held.Terms != body:
		return effect{}, refuse(evidence.CodeConflict, "notice %d of %s to this project has other content on the ledger", body.Sequence, s.Actor)
	case found:
		return done, nil
	case body.DueBy <= t.now:
		return effect{}, refuse(evidence.CodeLimit, "the deletion is due before it is asked for")
	}
	n, err := t.counts(body.Project, number)
	switch {
	case err != nil:
		return effect{}, err
	case n.Releases == 0:
		return effect{}, refuse(evidence.CodeBadState, "%s released nothing to this project", s.Actor)
	case body.Sequence != n.Notices+1:
		return effect{}, refuse(evidence.CodeBadState, "notice %d cannot follow notice %d", body.Sequence, n.Notices)
	}
	n.Notices = body.Sequence
	if err := t.putJSON(countsKey(body.Project, number), n); err != nil {
		return effect{}, err
	}
	return done, t.putJSON(key, evidence.Withdrawal{Hospital: s.Actor, Terms: body, At: t.now, Signed: s.signed})
}

// confirmDeletion records the institute's word that it did what a notice asks. It may come
// late, and after the project was closed.
func confirmDeletion(t *tx, s *said, body evidence.ConfirmDeletion) (effect, error) {
	if _, err := t.ownProject(s, body.Project); err != nil {
		return effect{}, err
	}
	hospital, err := t.registered(body.Hospital, evidence.CodeNotFound)
	if err != nil {
		return effect{}, err
	}
	key := withdrawalKey(body.Project, hospital.Info.Number, body.Sequence)
	notice, found, err := getJSON[evidence.Withdrawal](t.ledger, key)
	switch {
	case err != nil:
		return effect{}, err
	case !found:
		return effect{}, refuse(evidence.CodeNotFound, "there is no notice %d of %s to this project", body.Sequence, body.Hospital)
	case !body.Subjects.Equal(notice.Terms.Subjects) || body.Count != notice.Terms.Count:
		return effect{}, refuse(evidence.CodeConflict, "the confirmation names other persons than the notice")
	case notice.Confirmed != nil:
		return effect{}, refuse(evidence.CodeBadState, "the deletion was confirmed before")
	}
	notice.Confirmed, notice.ConfirmedAt, notice.Confirmation = &body, t.now, &s.signed
	return effect{ref: body.Project, owner: body.Hospital, count: body.Count}, t.putJSON(key, notice)
}

// reidentify records that a hospital looks up who a subject is, before it does.
func reidentify(t *tx, s *said, body evidence.Reidentify) (effect, error) {
	project, err := t.concerned(s, body.Project)
	if err != nil {
		return effect{}, err
	}
	n, err := t.counts(body.Project, s.member.Info.Number)
	switch {
	case err != nil:
		return effect{}, err
	case n.Releases == 0:
		return effect{}, refuse(evidence.CodeBadState, "%s released nothing to this project", s.Actor)
	}
	key := indexKey(partyPrefix(familyReidentification, body.Project), t.now, s.Nonce)
	taken, err := t.get(key)
	if err != nil {
		return effect{}, err
	}
	if len(taken) > 0 {
		return effect{}, refuse(evidence.CodeConflict, "another member used this id: sign again with a new nonce")
	}
	return effect{ref: body.Project, owner: project.Terms.Proxy},
		t.putJSON(key, evidence.Reidentification{ID: s.Nonce, Hospital: s.Actor, Terms: body, At: t.now, Signed: s.signed})
}
