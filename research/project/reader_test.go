package project_test

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/research/project"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// peer answers from a ledger in memory; lie, if set, changes what it says.
type peer struct {
	*chaincodetest.Ledger
	lie func(view any)
}

func ask[T any](p peer, function string, args ...string) (T, error) {
	v, err := chaincodetest.Ask[T](p.Ledger, function, args...)
	if p.lie != nil {
		p.lie(&v)
	}
	return v, err
}

func (p peer) Member(_ context.Context, msp string) (evidence.Member, error) {
	return ask[evidence.Member](p, evidence.QueryMember, msp)
}

func (p peer) Institute(_ context.Context, id string) (evidence.Institute, error) {
	return ask[evidence.Institute](p, evidence.QueryInstitute, id)
}

func (p peer) Project(_ context.Context, id string) (evidence.Project, error) {
	return ask[evidence.Project](p, evidence.QueryProject, id)
}

func (p peer) Release(_ context.Context, id, msp string, sequence uint32) (evidence.Release, error) {
	return ask[evidence.Release](p, evidence.QueryRelease, id, msp, strconv.Itoa(int(sequence)))
}

func (p peer) Releases(_ context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Release], error) {
	return ask[evidence.Page[evidence.Release]](p, evidence.QueryReleases, id, strconv.Itoa(size), bookmark)
}

func (p peer) Withdrawals(_ context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Withdrawal], error) {
	return ask[evidence.Page[evidence.Withdrawal]](p, evidence.QueryWithdrawals, id, strconv.Itoa(size), bookmark)
}

// scene is a project with two hospitals, approved, with a release, a notice and its answer.
type scene struct {
	*chaincodetest.Consortium
	institute *chaincodetest.Institute
	terms     evidence.ApplyProject
	now       time.Time
}

func newScene(t *testing.T) *scene {
	t.Helper()
	c := chaincodetest.NewConsortium(t, 2)
	s := &scene{Consortium: c, institute: c.NewInstitute(t, "INST1"), now: time.Now()}
	c.SetClock(func() time.Time { return s.now })
	h1, h2 := c.Members[0], c.Members[1]
	require.NoError(t, c.Decree(h1, s.institute.Registration()))
	s.terms = s.institute.Application("p1", h1, h2)
	require.NoError(t, s.institute.Say(h1, s.terms))
	for _, m := range c.Members {
		s.say(t, m, s.approval(t))
		s.say(t, m, s.institute.Release(s.terms, 1))
	}
	digest := evidence.SubjectsDigest([]string{"a"})
	s.say(t, h2, evidence.WithdrawSubjects{Project: s.terms.ID, Sequence: 1, Subjects: digest, Count: 1, Reason: "consent-withdrawn", DueBy: s.now.UnixMilli() + 1e6})
	require.NoError(t, s.institute.Say(h1, evidence.ConfirmDeletion{Project: s.terms.ID, Hospital: "H2MSP", Sequence: 1, Subjects: digest, Count: 1, Method: "erased"}))
	return s
}

func (s *scene) approval(t *testing.T) evidence.DecideProject {
	t.Helper()
	body, err := s.institute.Approval(s.terms.ID)
	require.NoError(t, err)
	return body
}

func (s *scene) say(t *testing.T, m *chaincodetest.Member, body evidence.Body) {
	t.Helper()
	_, _, err := m.Say(body)
	require.NoError(t, err)
}

func (s *scene) reader(t *testing.T, lie func(any)) *project.Reader {
	t.Helper()
	r, err := project.NewReader(peer{s.Ledger, lie}, []*smcrypto.Certificate{s.Authority.Cert}, nil, func() time.Time { return s.now })
	require.NoError(t, err)
	return r
}

func TestAProjectIsReadAsItWasSigned(t *testing.T) {
	s := newScene(t)
	r := s.reader(t, nil)
	p, err := r.Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	assert.Equal(t, "INST1", p.By.ID)
	assert.True(t, p.By.Active)
	assert.Equal(t, s.institute.KeyDigest(), p.By.EncryptCert)
	assert.Equal(t, s.institute.EncryptKey.Public(), p.By.Encrypt)
	assert.Equal(t, "https://H1MSP.test:8443", p.Proxy.Endpoint)
	assert.Equal(t, s.terms.Purpose, p.Terms.Purpose)
	require.NoError(t, p.MayRelease("H2MSP", s.now.UnixMilli()))
	require.ErrorIs(t, p.MayRelease("H3MSP", s.now.UnixMilli()), project.ErrNotAsked)
	require.ErrorIs(t, p.MayRelease("H2MSP", s.terms.Ethics.NotAfter+1), project.ErrOver)

	releases, err := r.Releases(t.Context(), s.terms.ID)
	require.NoError(t, err)
	require.Len(t, releases, 2)
	one, err := r.Release(t.Context(), s.terms.ID, "H2MSP", 1)
	require.NoError(t, err)
	assert.Equal(t, releases[1], one)
	notices, err := r.Withdrawals(t.Context(), s.terms.ID)
	require.NoError(t, err)
	require.Len(t, notices, 1)
	require.NotNil(t, notices[0].Confirmed)

	s.say(t, s.Members[0], evidence.Reidentify{Project: s.terms.ID, Subject: evidence.Digest{1}, Reason: "urgent-finding", Staff: []evidence.Digest{{1}, {2}}})
	lookups, err := chaincodetest.Ask[evidence.Page[evidence.Reidentification]](s.Ledger, evidence.QueryReidentifications, s.terms.ID, "10", "")
	require.NoError(t, err)
	_, err = r.Reidentification(t.Context(), s.terms.ID, lookups.Items[0])
	require.NoError(t, err)
	lookups.Items[0].Hospital = "H2MSP"
	_, err = r.Reidentification(t.Context(), s.terms.ID, lookups.Items[0])
	require.ErrorIs(t, err, project.ErrUntrusted)
}

func TestWhatChangesIsSeen(t *testing.T) {
	s := newScene(t)
	withdrawn := s.approval(t)
	withdrawn.Approved, withdrawn.NotAfter, withdrawn.Reason = false, 0, "withdrawn"
	s.say(t, s.Members[0], withdrawn)
	p, err := s.reader(t, nil).Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	require.ErrorIs(t, p.MayRelease("H2MSP", s.now.UnixMilli()), project.ErrNotApproved, "the proxy withdrew")

	short := s.approval(t)
	short.NotAfter = s.now.UnixMilli() + 1000
	s.say(t, s.Members[0], short)
	p, err = s.reader(t, nil).Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	require.NoError(t, p.MayRelease("H2MSP", s.now.UnixMilli()))
	require.ErrorIs(t, p.MayRelease("H2MSP", short.NotAfter+1), project.ErrOver)

	require.NoError(t, s.Decree(s.Members[0], evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberSuspended, Reason: "audit"}))
	p, err = s.reader(t, nil).Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	require.ErrorIs(t, p.MayRelease("H2MSP", s.now.UnixMilli()), project.ErrSuspended)
	require.NoError(t, s.Decree(s.Members[0], evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberActive, Reason: "audit"}))

	require.NoError(t, s.institute.Say(s.Members[1], evidence.CloseProject{Project: s.terms.ID, Reason: "done"}))
	p, err = s.reader(t, nil).Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	require.ErrorIs(t, p.MayRelease("H2MSP", s.now.UnixMilli()), project.ErrClosed)
}

func TestRenewedKeysStayReadable(t *testing.T) {
	s := newScene(t)
	s.now = s.now.Add(time.Minute)
	renewed := s.NewInstitute(t, "INST1")
	require.NoError(t, s.Decree(s.Members[0], renewed.Registration()))
	h2 := s.Members[1]
	fresh := s.NewMember(t, h2.MSP, h2.Number)
	fresh.Name = h2.Name
	_, _, err := fresh.Say(fresh.Registration())
	require.NoError(t, err)
	r := s.reader(t, nil)
	p, err := r.Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	assert.Equal(t, renewed.KeyDigest(), p.By.EncryptCert, "the present certificate is sealed to")
	_, err = r.Release(t.Context(), s.terms.ID, "H2MSP", 1)
	require.NoError(t, err)
	notices, err := r.Withdrawals(t.Context(), s.terms.ID)
	require.NoError(t, err)
	require.NotNil(t, notices[0].Confirmed)
}

// A peer that lies changes nothing, or is found out.
func TestALyingPeer(t *testing.T) {
	s := newScene(t)
	other := s.NewInstitute(t, "INST2")
	require.NoError(t, s.Decree(s.Members[0], other.Registration()))
	foreign := other.Application("x", s.Members[0])
	require.NoError(t, other.Say(s.Members[0], foreign))
	second, err := chaincodetest.Ask[evidence.Project](s.Ledger, evidence.QueryProject, foreign.ID)
	require.NoError(t, err)

	lies := map[string]func(any){
		"another application": on(func(p *evidence.Project) { p.Signed = second.Signed }),
		"a decision of another hospital": on(func(p *evidence.Project) {
			p.Parts[0].Decisions = p.Parts[1].Decisions
		}),
		"a hospital that was not asked": on(func(p *evidence.Project) { p.Parts[0].MSP = "H9MSP" }),
		"an approval without statement": on(func(p *evidence.Project) { p.Parts[0].Decisions = nil }),
		"closed by nobody":              on(func(p *evidence.Project) { p.ClosedAt = 5 }),
		"closed by another statement":   on(func(p *evidence.Project) { p.ClosedAt, p.Closing = 5, &p.Signed }),
		"an institute of its own": on(func(i *evidence.Institute) {
			i.Signed.Signature[len(i.Signed.Signature)-1] ^= 1
		}),
		"a suspension by nobody": on(func(i *evidence.Institute) { i.StatusSigned = &i.Signed }),
		"another institute":      on(func(i *evidence.Institute) { *i = instituteView(t, s, "INST2") }),
		"another hospital": on(func(m *evidence.Member) {
			if m.MSP == "H2MSP" {
				*m = memberView(t, s, "H1MSP")
			}
		}),
	}
	for name, lie := range lies {
		_, err := s.reader(t, lie).Project(t.Context(), s.terms.ID)
		require.ErrorIs(t, err, project.ErrUntrusted, name)
	}

	// A peer that shows an approval that was withdrawn as the last word is found out by the signed times.
	s.now = s.now.Add(time.Second)
	withdrawn := s.approval(t)
	withdrawn.Approved, withdrawn.NotAfter, withdrawn.Reason = false, 0, "withdrawn"
	s.say(t, s.Members[1], withdrawn)
	_, err = s.reader(t, on(func(p *evidence.Project) { slices.Reverse(p.Parts[1].Decisions) })).Project(t.Context(), s.terms.ID)
	require.ErrorIs(t, err, project.ErrUntrusted)
	_, err = s.reader(t, on(func(v *evidence.Page[evidence.Release]) {
		v.Items = append(v.Items, v.Items[1])
	})).Releases(t.Context(), s.terms.ID)
	require.ErrorIs(t, err, project.ErrUntrusted, "one twice")

	harmless := on(func(p *evidence.Project) {
		p.Terms.MinGroup, p.Institute, p.Terms.Proxy = 2, "INST9", "H9MSP"
		p.Parts[0].Decision.Approved = false
	})
	p, err := s.reader(t, harmless).Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	assert.EqualValues(t, 6, p.Terms.MinGroup, "the signed terms count")
	require.NoError(t, p.MayRelease("H1MSP", s.now.UnixMilli()))

	_, err = s.reader(t, on(func(v *evidence.Release) { v.Hospital = "H1MSP" })).Release(t.Context(), s.terms.ID, "H2MSP", 1)
	require.ErrorIs(t, err, project.ErrUntrusted)
	_, err = s.reader(t, on(func(v *evidence.Page[evidence.Release]) { v.Items[0].Signed = second.Signed })).Releases(t.Context(), s.terms.ID)
	require.ErrorIs(t, err, project.ErrUntrusted)
	_, err = s.reader(t, on(func(v *evidence.Page[evidence.Withdrawal]) { v.Items[0].Confirmation = &v.Items[0].Signed })).Withdrawals(t.Context(), s.terms.ID)
	require.ErrorIs(t, err, project.ErrUntrusted)
	_, err = s.reader(t, on(func(v *evidence.Page[evidence.Release]) { v.Bookmark = "x" })).Releases(t.Context(), s.terms.ID)
	require.Error(t, err)
}

// on makes a lie about one type of view.
func on[T any](change func(*T)) func(any) {
	return func(v any) {
		if t, ok := v.(*T); ok {
			change(t)
		}
	}
}

func instituteView(t *testing.T, s *scene, id string) evidence.Institute {
	t.Helper()
	v, err := chaincodetest.Ask[evidence.Institute](s.Ledger, evidence.QueryInstitute, id)
	require.NoError(t, err)
	return v
}

func memberView(t *testing.T, s *scene, msp string) evidence.Member {
	t.Helper()
	v, err := chaincodetest.Ask[evidence.Member](s.Ledger, evidence.QueryMember, msp)
	require.NoError(t, err)
	return v
}

func FuzzViews(f *testing.F) {
	c := chaincodetest.NewConsortium(f, 1)
	i := c.NewInstitute(f, "INST1")
	require.NoError(f, c.Decree(c.Members[0], i.Registration()))
	require.NoError(f, i.Say(c.Members[0], i.Application("p1", c.Members[0])))
	for _, q := range [][2]string{{evidence.QueryProject, "INST1.p1"}, {evidence.QueryInstitute, "INST1"}} {
		raw, err := c.Query("H1MSP", q[0], q[1])
		require.NoError(f, err)
		f.Add(raw)
	}
	r, err := project.NewReader(peer{Ledger: c.Ledger}, []*smcrypto.Certificate{c.Authority.Cert}, nil, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw []byte) {
		var p evidence.Project
		if json.Unmarshal(raw, &p) == nil {
			_, _ = r.VerifyProject(t.Context(), "INST1.p1", p)
		}
		var view evidence.Institute
		if json.Unmarshal(raw, &view) == nil {
			_, _ = r.VerifyInstitute("INST1", view)
		}
	})
}
