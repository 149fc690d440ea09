package chaincode_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// research is a consortium of three hospitals with an institute and its project.
type research struct {
	*chaincodetest.Consortium
	h1, h2, h3 *chaincodetest.Member
	institute  *chaincodetest.Institute
	terms      evidence.ApplyProject
	now        time.Time
}

// newResearch registers an institute and applies for records of the first two hospitals.
func newResearch(t *testing.T) *research {
	t.Helper()
	c := chaincodetest.NewConsortium(t, 3)
	r := &research{Consortium: c, h1: c.Members[0], h2: c.Members[1], h3: c.Members[2], now: time.Now()}
	c.SetClock(func() time.Time { return r.now })
	r.institute = c.NewInstitute(t, "INST1")
	require.NoError(t, c.Decree(r.h1, r.institute.Registration()))
	r.terms = r.institute.Application("p1", r.h1, r.h2)
	require.NoError(t, r.institute.Say(r.h1, r.terms))
	return r
}

// approve lets members approve the project.
func (r *research) approve(t *testing.T, members ...*chaincodetest.Member) {
	t.Helper()
	for _, m := range members {
		require.NoError(t, said(m, r.approval(t)))
	}
}

func (r *research) approval(t *testing.T) evidence.DecideProject {
	t.Helper()
	body, err := r.institute.Approval(r.terms.ID)
	require.NoError(t, err)
	return body
}

func (r *research) project(t *testing.T) evidence.Project {
	t.Helper()
	p, err := chaincodetest.Ask[evidence.Project](r.Ledger, evidence.QueryProject, r.terms.ID)
	require.NoError(t, err)
	return p
}

func said(m *chaincodetest.Member, body evidence.Body) error {
	_, _, err := m.Say(body)
	return err
}

func (r *research) release(sequence uint32) evidence.RecordRelease {
	return r.institute.Release(r.terms, sequence)
}

func (r *research) notice(sequence uint32) evidence.WithdrawSubjects {
	return evidence.WithdrawSubjects{Project: r.terms.ID, Sequence: sequence, Subjects: evidence.SubjectsDigest([]string{"a", "b"}), Count: 2,
		Reason: "consent-withdrawn", DueBy: r.now.UnixMilli() + 24*hour}
}

func (r *research) deletion(hospital string, sequence uint32) evidence.ConfirmDeletion {
	return evidence.ConfirmDeletion{Project: r.terms.ID, Hospital: hospital, Sequence: sequence,
		Subjects: evidence.SubjectsDigest([]string{"a", "b"}), Count: 2, Method: "erased"}
}

func (r *research) lookup() evidence.Reidentify {
	return evidence.Reidentify{Project: r.terms.ID, Subject: evidence.SubjectsDigest([]string{"a"}), Reason: "urgent-finding",
		Staff: []evidence.Digest{digestOf(1), digestOf(2)}}
}

func TestAProjectFromApplicationToDeletion(t *testing.T) {
	r := newResearch(t)
	assert.Equal(t, evidence.ProjectApplied, r.project(t).State(r.now.UnixMilli()))
	r.approve(t, r.h1)
	assert.Equal(t, evidence.ProjectApproved, r.project(t).State(r.now.UnixMilli()), "the proxy is asked for records too")
	r.approve(t, r.h2)

	require.NoError(t, said(r.h2, r.release(1)))
	require.NoError(t, said(r.h1, r.release(1)), "each hospital has a numbering of its own")
	require.NoError(t, said(r.h1, r.release(2)))
	require.NoError(t, said(r.h1, r.notice(1)))
	require.NoError(t, r.institute.Say(r.h2, r.deletion("H1MSP", 1)), "any hospital carries it")
	require.NoError(t, said(r.h1, r.lookup()))

	p := r.project(t)
	require.Len(t, p.Parts, 2)
	assert.Equal(t, []any{"H1MSP", uint16(1), uint32(2), uint32(1)}, []any{p.Parts[0].MSP, p.Parts[0].Number, p.Parts[0].Releases, p.Parts[0].Notices})
	assert.Equal(t, []any{"H2MSP", uint16(2), uint32(1), uint32(0)}, []any{p.Parts[1].MSP, p.Parts[1].Number, p.Parts[1].Releases, p.Parts[1].Notices})

	releases, err := chaincodetest.Ask[evidence.Page[evidence.Release]](r.Ledger, evidence.QueryReleases, r.terms.ID, "10", "")
	require.NoError(t, err)
	require.Len(t, releases.Items, 3)
	one, err := chaincodetest.Ask[evidence.Release](r.Ledger, evidence.QueryRelease, r.terms.ID, "H1MSP", "2")
	require.NoError(t, err)
	assert.Equal(t, releases.Items[1], one)
	require.NoError(t, smcrypto.Default().Verify(r.h1.SignKey.Public(), evidence.SigningBytes(one.Signed.Statement), one.Signed.Signature))
	notices, err := chaincodetest.Ask[evidence.Page[evidence.Withdrawal]](r.Ledger, evidence.QueryWithdrawals, r.terms.ID, "10", "")
	require.NoError(t, err)
	require.Len(t, notices.Items, 1)
	require.NotNil(t, notices.Items[0].Confirmed)
	require.NoError(t, smcrypto.Default().Verify(r.institute.SignKey.Public(),
		evidence.SigningBytes(notices.Items[0].Confirmation.Statement), notices.Items[0].Confirmation.Signature))
	lookups, err := chaincodetest.Ask[evidence.Page[evidence.Reidentification]](r.Ledger, evidence.QueryReidentifications, r.terms.ID, "10", "")
	require.NoError(t, err)
	require.Len(t, lookups.Items, 1)
	for _, party := range []string{"INST1", "H1MSP", "H2MSP"} {
		page, err := chaincodetest.Ask[evidence.Page[evidence.Project]](r.Ledger, evidence.QueryProjects, party, "10", "")
		require.NoError(t, err)
		require.Len(t, page.Items, 1, party)
		assert.Equal(t, p, page.Items[0])
	}

	require.NoError(t, r.institute.Say(r.h3, evidence.CloseProject{Project: r.terms.ID, Reason: "done"}))
	refused(t, said(r.h1, r.release(3)), evidence.CodeBadState)
	refused(t, r.institute.Say(r.h1, evidence.CloseProject{Project: r.terms.ID, Reason: "done"}), evidence.CodeBadState)
	require.NoError(t, said(r.h1, evidence.WithdrawSubjects{Project: r.terms.ID, Sequence: 2, All: true, Reason: "project-ended", DueBy: r.now.UnixMilli() + hour}),
		"what left can be called back after the end")
	require.NoError(t, r.institute.Say(r.h1, evidence.ConfirmDeletion{Project: r.terms.ID, Hospital: "H1MSP", Sequence: 2, Method: "erased"}))
	assert.Equal(t, evidence.ProjectClosed, r.project(t).State(r.now.UnixMilli()))
}

func TestApplicationsAreChecked(t *testing.T) {
	r := newResearch(t)
	cases := map[string]struct {
		spoil   func(*evidence.ApplyProject)
		carrier *chaincodetest.Member
		code    evidence.Code
	}{
		"the same id":               {func(b *evidence.ApplyProject) { b.ID = r.terms.ID }, r.h1, evidence.CodeConflict},
		"an id of another":          {func(b *evidence.ApplyProject) { b.ID = "INST2.p" }, r.h1, evidence.CodeUnauthorized},
		"carried by no proxy":       {func(*evidence.ApplyProject) {}, r.h2, evidence.CodeUnauthorized},
		"a hospital that is not":    {func(b *evidence.ApplyProject) { b.Hospitals = []string{"H9MSP"} }, r.h1, evidence.CodeNotFound},
		"ethics approval is over":   {func(b *evidence.ApplyProject) { b.Ethics.NotAfter = r.now.UnixMilli() }, r.h1, evidence.CodeExpired},
		"the end before the start":  {func(b *evidence.ApplyProject) { b.NotAfter = r.now.UnixMilli() }, r.h1, evidence.CodeLimit},
		"longer than ten years":     {func(b *evidence.ApplyProject) { b.NotAfter = r.now.AddDate(11, 0, 0).UnixMilli() }, r.h1, evidence.CodeLimit},
		"good, by the proxy":        {func(*evidence.ApplyProject) {}, r.h1, ""},
		"asking others than itself": {func(b *evidence.ApplyProject) { b.ID, b.Hospitals = "INST1.p3", []string{"H2MSP"} }, r.h1, ""},
	}
	for name, tc := range cases {
		body := r.institute.Application("p2", r.h1, r.h2)
		tc.spoil(&body)
		err := r.institute.Say(tc.carrier, body)
		if tc.code == "" {
			require.NoError(t, err, name)
			continue
		}
		refused(t, err, tc.code)
	}
}

func TestStatementsOfAnInstituteAreAdmitted(t *testing.T) {
	r := newResearch(t)
	stranger := r.NewInstitute(t, "INST9")
	closing := evidence.CloseProject{Project: r.terms.ID, Reason: "done"}
	submit := func(key *smcrypto.PrivateKey, actor string, carrier *chaincodetest.Member, shift time.Duration, nonce evidence.Nonce) error {
		raw, err := chaincodetest.Sign(key, actor, nonce, r.now.Add(shift).UnixMilli(), closing)
		require.NoError(t, err)
		_, err = r.Endorse(chaincodetest.Call{MSP: carrier.MSP, Function: evidence.TxCloseProject, Args: [][]byte{raw}})
		return err
	}
	n := chaincodetest.NewNonce
	refused(t, submit(stranger.SignKey, "INST9", r.h1, 0, n()), evidence.CodeNotMember)
	refused(t, submit(stranger.SignKey, "INST1", r.h1, 0, n()), evidence.CodeBadSignature)
	refused(t, submit(r.h1.SignKey, "H1MSP", r.h1, 0, n()), evidence.CodeNotMember)
	refused(t, submit(r.Authority.Key, evidence.AuthorityActor, r.h1, 0, n()), evidence.CodeUnauthorized)
	refused(t, submit(r.institute.SignKey, "INST1", r.NewMember(t, "H9MSP", 9), 0, n()), evidence.CodeNotMember)
	refused(t, submit(r.institute.SignKey, "INST1", r.h1, -7*24*time.Hour-time.Second, n()), evidence.CodeStale)
	refused(t, submit(r.institute.SignKey, "INST1", r.h1, 10*time.Minute+time.Second, n()), evidence.CodeStale)
	require.NoError(t, submit(r.institute.SignKey, "INST1", r.h1, -7*24*time.Hour, n()), "a file may take days from desk to desk")

	nonce := n()
	raw, err := chaincodetest.Sign(r.institute.SignKey, "INST1", nonce, r.now.UnixMilli(), closing)
	require.NoError(t, err)
	_, _, err = r.Submit("H2MSP", evidence.TxCloseProject, [][]byte{raw}, nil)
	require.NoError(t, err)
	_, _, err = r.Submit("H1MSP", evidence.TxCloseProject, [][]byte{raw}, nil)
	refused(t, err, evidence.CodeReplayed)

	require.NoError(t, r.Decree(r.h1, evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberSuspended, Reason: "audit"}))
	refused(t, r.institute.Say(r.h1, r.institute.Application("p7", r.h1)), evidence.CodeNotMember)
}

func TestInstitutesAreRegisteredByTheAuthorityAlone(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1 := c.Members[0]
	i := c.NewInstitute(t, "INST1")
	raw, err := chaincodetest.Sign(i.SignKey, "INST1", chaincodetest.NewNonce(), c.Now().UnixMilli(), i.Registration())
	require.NoError(t, err)
	_, _, err = c.Submit(h1.MSP, evidence.TxRegisterInstitute, [][]byte{raw}, nil)
	refused(t, err, evidence.CodeUnauthorized)
	_, _, err = h1.Say(i.Registration())
	refused(t, err, evidence.CodeUnauthorized)

	foreign := i.Registration()
	foreign.SignCert = chaincodetest.Issue(t, chaincodetest.NewAuthority(t), i.SignKey, "INST1", smcrypto.UsageSign).DER()
	refused(t, c.Decree(h1, foreign), evidence.CodeBadSignature)
	swapped := i.Registration()
	swapped.SignCert, swapped.EncryptCert = swapped.EncryptCert, swapped.SignCert
	refused(t, c.Decree(h1, swapped), evidence.CodeBadSignature)
	other := i.Registration()
	other.ID = "INST2"
	refused(t, c.Decree(h1, other), evidence.CodeBadSignature)
	hospital := c.NewInstitute(t, "H2MSP")
	refused(t, c.Decree(h1, hospital.Registration()), evidence.CodeConflict)

	require.NoError(t, c.Decree(h1, i.Registration()))
	late := c.NewMember(t, "INST1", 7)
	refused(t, said(late, late.Registration()), evidence.CodeConflict)
	renamed := i.Registration()
	renamed.Name = "Another"
	refused(t, c.Decree(h1, renamed), evidence.CodeConflict)

	set := evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberSuspended, Reason: "audit"}
	refused(t, c.Decree(h1, evidence.SetInstituteStatus{Institute: "INST8", Status: evidence.MemberSuspended, Reason: "audit"}), evidence.CodeNotFound)
	require.NoError(t, c.Decree(h1, set))
	refused(t, c.Decree(h1, set), evidence.CodeBadState)
	refused(t, c.Decree(h1, i.Registration()), evidence.CodeNotMember)
	set.Status = evidence.MemberActive
	require.NoError(t, c.Decree(h1, set))
}

func TestARenewedInstituteKeepsItsFormerKeys(t *testing.T) {
	r := newResearch(t)
	first := r.institute.Registration()
	renewed := r.NewInstitute(t, "INST1")
	r.now = r.now.Add(time.Hour)
	require.NoError(t, r.Decree(r.h2, renewed.Registration()))
	view, err := chaincodetest.Ask[evidence.Institute](r.Ledger, evidence.QueryInstitute, "INST1")
	require.NoError(t, err)
	assert.Equal(t, renewed.Registration(), view.Info)
	require.Len(t, view.Earlier, 1)
	assert.Equal(t, r.now.UnixMilli(), view.Earlier[0].Until)

	refused(t, r.institute.Say(r.h1, evidence.CloseProject{Project: r.terms.ID, Reason: "done"}), evidence.CodeBadSignature)
	raw, err := chaincodetest.Sign(r.Authority.Key, evidence.AuthorityActor, chaincodetest.NewNonce(), r.now.Add(-time.Minute).UnixMilli(), first)
	require.NoError(t, err)
	_, _, err = r.Submit("H1MSP", evidence.TxRegisterInstitute, [][]byte{raw}, nil)
	refused(t, err, evidence.CodeStale)
	all, err := chaincodetest.Ask[[]evidence.Institute](r.Ledger, evidence.QueryInstitutes)
	require.NoError(t, err)
	assert.Len(t, all, 1)
}

func TestDecisionsAreChecked(t *testing.T) {
	r := newResearch(t)
	refused(t, said(r.h3, r.approval(t)), evidence.CodeUnauthorized)
	unknown := r.approval(t)
	unknown.Project = "INST1.none"
	refused(t, said(r.h1, unknown), evidence.CodeNotFound)
	other := r.approval(t)
	other.Terms = digestOf(9)
	refused(t, said(r.h1, other), evidence.CodeConflict)
	long := r.approval(t)
	long.NotAfter = r.terms.NotAfter + 1
	refused(t, said(r.h1, long), evidence.CodeLimit)
	over := r.approval(t)
	over.NotAfter = r.now.UnixMilli()
	refused(t, said(r.h1, over), evidence.CodeLimit)

	late, err := chaincodetest.Sign(r.h2.SignKey, r.h2.MSP, chaincodetest.NewNonce(), r.now.Add(-time.Minute).UnixMilli(), r.approval(t))
	require.NoError(t, err)
	require.NoError(t, said(r.h2, r.approval(t)))
	_, _, err = r.Submit(r.h2.MSP, evidence.TxDecideProject, [][]byte{late}, nil)
	refused(t, err, evidence.CodeStale) // signed before the one that it would replace
	for range evidence.MaxDecisions - 1 {
		require.NoError(t, said(r.h2, r.approval(t)))
	}
	refused(t, said(r.h2, r.approval(t)), evidence.CodeLimit)
	part, _ := r.project(t).Part("H2MSP")
	assert.Len(t, part.Decisions, evidence.MaxDecisions)

	approval := r.approval(t)
	r.now = time.UnixMilli(r.terms.Ethics.NotAfter + 1)
	refused(t, said(r.h1, approval), evidence.CodeExpired)
}

func TestReleasesAreChecked(t *testing.T) {
	r := newResearch(t)
	refused(t, said(r.h1, r.release(1)), evidence.CodeNotApproved)
	r.approve(t, r.h2)
	refused(t, said(r.h2, r.release(1)), evidence.CodeNotApproved) // the proxy has not undertaken to deliver
	r.approve(t, r.h1)
	refused(t, said(r.h3, r.release(1)), evidence.CodeUnauthorized)

	for name, c := range map[string]struct {
		spoil func(*evidence.RecordRelease)
		code  evidence.Code
	}{
		"leak gate":            {func(b *evidence.RecordRelease) { b.Gate = false }, evidence.CodeGate},
		"small group":          {func(b *evidence.RecordRelease) { b.Risk.K = 5 }, evidence.CodeGate},
		"another policy":       {func(b *evidence.RecordRelease) { b.Policy = digestOf(9) }, evidence.CodeUnauthorized},
		"another recipient":    {func(b *evidence.RecordRelease) { b.Recipient = digestOf(9) }, evidence.CodeUnauthorized},
		"a gap in the numbers": {func(b *evidence.RecordRelease) { b.Sequence = 2 }, evidence.CodeBadState},
		"unknown project":      {func(b *evidence.RecordRelease) { b.Project = "INST1.none" }, evidence.CodeNotFound},
	} {
		body := r.release(1)
		c.spoil(&body)
		assert.Equal(t, c.code, refused(t, said(r.h2, body), c.code).Code, name)
	}
	empty := r.release(1)
	empty.Rows, empty.Subjects, empty.Risk = 0, 0, evidence.Risk{}
	require.NoError(t, said(r.h2, empty), "nobody of the cohort is there")

	require.NoError(t, said(r.h1, r.release(1)))
	require.NoError(t, said(r.h1, r.release(1)), "the same again is quiet")
	changed := r.release(1)
	changed.Root = digestOf(8)
	refused(t, said(r.h1, changed), evidence.CodeConflict)
	part, _ := r.project(t).Part("H1MSP")
	assert.EqualValues(t, 1, part.Releases)
}

func TestNothingIsReleasedOnceSomethingIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, r *research)
		code   evidence.Code
	}{
		"ethics approval": {func(_ *testing.T, r *research) { r.now = time.UnixMilli(r.terms.Ethics.NotAfter + 1) }, evidence.CodeExpired},
		"the project":     {func(_ *testing.T, r *research) { r.now = time.UnixMilli(r.terms.NotAfter + 1) }, evidence.CodeExpired},
		"own approval": {func(t *testing.T, r *research) {
			body := r.approval(t)
			body.NotAfter = r.now.UnixMilli() + 1
			require.NoError(t, said(r.h2, body))
			r.now = r.now.Add(time.Second)
		}, evidence.CodeExpired},
		"withdrawn approval": {func(t *testing.T, r *research) {
			body := r.approval(t)
			body.Approved, body.NotAfter, body.Reason = false, 0, "withdrawn"
			require.NoError(t, said(r.h2, body))
		}, evidence.CodeNotApproved},
		"the proxy's approval": {func(t *testing.T, r *research) {
			body := r.approval(t)
			body.Approved, body.NotAfter, body.Reason = false, 0, "withdrawn"
			require.NoError(t, said(r.h1, body))
		}, evidence.CodeNotApproved},
		"the institute's standing": {func(t *testing.T, r *research) {
			require.NoError(t, r.Decree(r.h1, evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberSuspended, Reason: "audit"}))
		}, evidence.CodeNotMember},
		"the proxy's standing": {func(t *testing.T, r *research) {
			require.NoError(t, r.SetStatus(r.h2, "H1MSP", evidence.MemberSuspended))
		}, evidence.CodeNotMember},
		"an old date": {func(_ *testing.T, r *research) { r.now = r.now.Add(-11 * time.Minute) }, evidence.CodeStale},
	} {
		t.Run(name, func(t *testing.T) {
			r := newResearch(t)
			r.approve(t, r.h1, r.h2)
			require.NoError(t, said(r.h2, r.release(1)))
			c.change(t, r)
			refused(t, said(r.h2, r.release(2)), c.code)
		})
	}
}

func TestWithdrawalsAndDeletionsAreChecked(t *testing.T) {
	r := newResearch(t)
	r.approve(t, r.h1, r.h2)
	refused(t, said(r.h2, r.notice(1)), evidence.CodeBadState) // nothing was released
	refused(t, said(r.h2, r.lookup()), evidence.CodeBadState)
	require.NoError(t, said(r.h2, r.release(1)))
	refused(t, said(r.h3, r.notice(1)), evidence.CodeUnauthorized)
	refused(t, said(r.h2, r.notice(2)), evidence.CodeBadState)
	late := r.notice(1)
	late.DueBy = r.now.UnixMilli()
	refused(t, said(r.h2, late), evidence.CodeLimit)

	require.NoError(t, said(r.h2, r.notice(1)))
	require.NoError(t, said(r.h2, r.notice(1)), "the same again is quiet")
	changed := r.notice(1)
	changed.Count = 3
	refused(t, said(r.h2, changed), evidence.CodeConflict)

	refused(t, r.institute.Say(r.h1, r.deletion("H1MSP", 1)), evidence.CodeNotFound)
	refused(t, r.institute.Say(r.h1, r.deletion("H9MSP", 1)), evidence.CodeNotFound)
	fewer := r.deletion("H2MSP", 1)
	fewer.Count = 1
	refused(t, r.institute.Say(r.h1, fewer), evidence.CodeConflict)
	second := r.NewInstitute(t, "INST2")
	require.NoError(t, r.Decree(r.h1, second.Registration()))
	refused(t, second.Say(r.h1, r.deletion("H2MSP", 1)), evidence.CodeUnauthorized)
	require.NoError(t, r.institute.Say(r.h1, r.deletion("H2MSP", 1)))
	refused(t, r.institute.Say(r.h1, r.deletion("H2MSP", 1)), evidence.CodeBadState)

	refused(t, said(r.h3, r.lookup()), evidence.CodeUnauthorized)
	require.NoError(t, said(r.h2, r.lookup()))
}

// Hospitals that release or decide at the same time never wait for each other.
func TestHospitalsDoNotCollide(t *testing.T) {
	r := newResearch(t)
	endorse := func(m *chaincodetest.Member, body evidence.Body) *chaincodetest.Endorsement {
		raw, _, err := m.Sign(body)
		require.NoError(t, err)
		e, err := r.Endorse(chaincodetest.Call{MSP: m.MSP, Function: chaincodetest.Transactions[body.Kind()], Args: [][]byte{raw}})
		require.NoError(t, err)
		return e
	}
	for _, tx := range r.Commit(endorse(r.h1, r.approval(t)), endorse(r.h2, r.approval(t))) {
		assert.True(t, tx.Valid)
	}
	for _, tx := range r.Commit(endorse(r.h1, r.release(1)), endorse(r.h2, r.release(1)), endorse(r.h2, r.release(1))) {
		assert.Equal(t, tx.Index < 2, tx.Valid, "one release of a hospital at a time")
	}
}

// State about research that a peer damaged on its own copy gives errors, never a panic, and
// is never written over by something that rests on it.
func TestAttackDamagedResearchState(t *testing.T) {
	r := newResearch(t)
	r.approve(t, r.h1, r.h2)
	require.NoError(t, said(r.h1, r.release(1)))
	require.NoError(t, said(r.h1, r.notice(1)))
	approval := r.approval(t)
	for _, key := range r.Keys() {
		original := r.State(key)
		for _, value := range [][]byte{{1}, []byte("null"), []byte(`{"terms":{}}`), []byte(`{"signed":{"Statement":"AA=="}}`), nil} {
			r.Tamper(key, value)
			for _, err := range []error{
				said(r.h1, approval), said(r.h1, r.release(1)), said(r.h1, r.release(2)), said(r.h1, r.notice(1)),
				r.institute.Say(r.h1, r.deletion("H1MSP", 1)), r.Decree(r.h1, r.institute.Registration()), said(r.h1, r.lookup()),
			} {
				if err != nil {
					assert.NotContains(t, err.Error(), "internal error", "%s = %q", key, value)
				}
			}
			for _, q := range everyQuery(tagOf(1), evidence.RecordID{}, evidence.Nonce{1}, evidence.Nonce{1}) {
				if _, err := r.Query("H1MSP", q[0], q[1:]...); err != nil {
					assert.NotContains(t, err.Error(), "internal error", "%s with %s = %q", q[0], key, value)
				}
			}
			r.Tamper(key, original)
		}
	}
}

func TestEventsOfAProjectNameIDsOnly(t *testing.T) {
	r := newResearch(t)
	r.approve(t, r.h1, r.h2)
	require.NoError(t, said(r.h2, r.release(1)))
	require.NoError(t, said(r.h2, r.notice(1)))
	require.NoError(t, r.institute.Say(r.h1, r.deletion("H2MSP", 1)))
	var got []evidence.Event
	for _, block := range r.Blocks() {
		for _, tx := range block {
			var e evidence.Event
			require.NoError(t, json.Unmarshal(tx.Event, &e))
			e.ID = evidence.Nonce{}
			got = append(got, e)
		}
	}
	id := r.terms.ID
	assert.Equal(t, []evidence.Event{
		{Kind: evidence.KindRegisterInstitute, Actor: evidence.AuthorityActor, Ref: "INST1"},
		{Kind: evidence.KindApplyProject, Actor: "INST1", Ref: id, Owner: "H1MSP"},
		{Kind: evidence.KindDecideProject, Actor: "H1MSP", Ref: id, Owner: "H1MSP"},
		{Kind: evidence.KindDecideProject, Actor: "H2MSP", Ref: id, Owner: "H1MSP"},
		{Kind: evidence.KindRecordRelease, Actor: "H2MSP", Ref: id, Owner: "H1MSP"},
		{Kind: evidence.KindWithdrawSubjects, Actor: "H2MSP", Ref: id, Owner: "H1MSP", Count: 2},
		{Kind: evidence.KindConfirmDeletion, Actor: "INST1", Ref: id, Owner: "H2MSP", Count: 2},
	}, got[4:], "after the authority and three members")
}
