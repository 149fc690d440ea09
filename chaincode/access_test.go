package chaincode_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

const hour = int64(60 * 60 * 1000)

// consentFor lets everyone read everything of a patient for treatment, for a year.
func consentFor(tag evidence.Tag) evidence.GrantConsent {
	return evidence.GrantConsent{
		Tag: tag, Grantees: []string{evidence.Anyone}, Owners: []string{evidence.Anyone},
		Purposes: []evidence.Purpose{evidence.Treatment}, NotAfter: time.Now().UnixMilli() + 365*24*hour, Form: digestOf(7),
	}
}

func requestOf(requester, owner *chaincodetest.Member) evidence.RequestAccess {
	return evidence.RequestAccess{Tag: tagOf(1), Owner: owner.MSP, Purpose: evidence.Treatment, RequesterKey: requester.KeyDigest()}
}

func emergencyOf(requester, owner *chaincodetest.Member) evidence.RequestAccess {
	r := requestOf(requester, owner)
	r.Emergency, r.Reason, r.Staff = true, "unconscious", []evidence.Digest{digestOf(1), digestOf(2)}
	return r
}

// scene is a consortium with a consent and a request of H2 to H1.
type scene struct {
	*chaincodetest.Consortium
	t                *testing.T
	owner, asker     *chaincodetest.Member
	consent, request evidence.Nonce
	now              time.Time
}

func newScene(t *testing.T, body func(asker, owner *chaincodetest.Member) evidence.RequestAccess) *scene {
	s := &scene{Consortium: chaincodetest.NewConsortium(t, 3), t: t, now: time.Now()}
	s.SetClock(func() time.Time { return s.now })
	s.owner, s.asker = s.Members[0], s.Members[1]
	var err error
	_, s.consent, err = s.asker.Say(consentFor(tagOf(1)))
	require.NoError(t, err)
	_, s.request, err = s.asker.Say(body(s.asker, s.owner))
	require.NoError(t, err)
	return s
}

func (s *scene) ms() int64 { return s.now.UnixMilli() }

func (s *scene) grant() evidence.DecideAccess {
	return evidence.DecideAccess{Request: s.request, Granted: true, Consent: s.consent, NotAfter: s.ms() + hour}
}

func (s *scene) deliver() evidence.Deliver {
	return evidence.Deliver{Request: s.request, Count: 3, Grants: digestOf(3)}
}

func (s *scene) confirm() evidence.Confirm {
	return evidence.Confirm{Request: s.request, Verdict: evidence.Genuine, Count: 3}
}

func (s *scene) say(m *chaincodetest.Member, body evidence.Body, want evidence.Code) {
	s.t.Helper()
	_, _, err := m.Say(body)
	if want == "" {
		require.NoError(s.t, err)
		return
	}
	refused(s.t, err, want)
}

func (s *scene) access() evidence.Access {
	s.t.Helper()
	a, err := chaincodetest.Ask[evidence.Access](s.Ledger, evidence.QueryAccess, s.request.String())
	require.NoError(s.t, err)
	return a
}

func TestAccessWithConsent(t *testing.T) {
	s := newScene(t, requestOf)
	assert.Equal(t, evidence.AccessRequested, s.access().State)
	s.say(s.owner, s.grant(), "")
	assert.Equal(t, evidence.AccessGranted, s.access().State)
	s.say(s.owner, s.deliver(), "")
	s.say(s.asker, s.confirm(), "")

	a := s.access()
	assert.Equal(t, evidence.AccessConfirmed, a.State)
	assert.Equal(t, s.asker.MSP, a.Requester)
	assert.Equal(t, s.ms(), a.DecidedAt)
	require.Len(t, a.Statements, 4)
	for i, m := range []*chaincodetest.Member{s.asker, s.owner, s.owner, s.asker} {
		signed := a.Statements[i]
		assert.NoError(t, smcrypto.Default().Verify(m.SignKey.Public(), evidence.SigningBytes(signed.Statement), signed.Signature))
	}
}

func TestAccessDenied(t *testing.T) {
	s := newScene(t, requestOf)
	s.say(s.owner, evidence.DecideAccess{Request: s.request, Consent: s.consent, Reason: "no-consent"}, evidence.CodeMalformed)
	s.say(s.owner, evidence.DecideAccess{Request: s.request, Reason: "no-consent"}, "")
	a := s.access()
	assert.Equal(t, evidence.AccessDenied, a.State)
	assert.Equal(t, "no-consent", a.Decision.Reason)
	for _, m := range []*chaincodetest.Member{s.owner} {
		s.say(m, s.grant(), evidence.CodeBadState)
		s.say(m, s.deliver(), evidence.CodeBadState)
	}
	s.say(s.asker, s.confirm(), evidence.CodeBadState)
}

// In each state each step is tried by each party; only the one of the diagram may pass.
func TestEveryStepInEveryState(t *testing.T) {
	steps := map[string]func(*scene) evidence.Body{
		"decide":  func(s *scene) evidence.Body { return s.grant() },
		"deny":    func(s *scene) evidence.Body { return evidence.DecideAccess{Request: s.request, Reason: "policy"} },
		"deliver": func(s *scene) evidence.Body { return s.deliver() },
		"confirm": func(s *scene) evidence.Body { return s.confirm() },
		"review": func(s *scene) evidence.Body {
			return evidence.ReviewEmergency{Request: s.request, Justified: true, Reviewer: digestOf(9)}
		},
	}
	states := []struct {
		state  evidence.AccessState
		before []string
		next   []string
	}{
		{evidence.AccessRequested, nil, []string{"decide", "deny"}},
		{evidence.AccessDenied, []string{"deny"}, nil},
		{evidence.AccessGranted, []string{"decide"}, []string{"deliver"}},
		{evidence.AccessDelivered, []string{"decide", "deliver"}, []string{"confirm"}},
		{evidence.AccessConfirmed, []string{"decide", "deliver", "confirm"}, nil},
	}
	for _, state := range states {
		t.Run(string(state.state), func(t *testing.T) {
			s := newScene(t, requestOf)
			speaker := func(step string) (right *chaincodetest.Member, wrong []*chaincodetest.Member) {
				if step == "confirm" {
					return s.asker, []*chaincodetest.Member{s.owner, s.Members[2]}
				}
				return s.owner, []*chaincodetest.Member{s.asker, s.Members[2]}
			}
			for _, step := range state.before {
				m, _ := speaker(step)
				s.say(m, steps[step](s), "")
			}
			require.Equal(t, state.state, s.access().State)
			for step, body := range steps {
				right, wrong := speaker(step)
				for _, m := range wrong {
					s.say(m, body(s), evidence.CodeUnauthorized)
				}
				raw, _, err := right.Sign(body(s))
				require.NoError(t, err)
				_, err = s.Endorse(chaincodetest.Call{
					MSP: right.MSP, Function: chaincodetest.Transactions[body(s).Kind()], Args: [][]byte{raw},
				})
				if assertIn(state.next, step) {
					assert.NoError(t, err, step)
				} else {
					refused(t, err, evidence.CodeBadState)
				}
			}
		})
	}
}

func assertIn(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

func TestAGrantNeedsAConsentThatAllowsIt(t *testing.T) {
	day := 24 * hour
	cases := []struct {
		name    string
		consent func(*scene, *evidence.GrantConsent)
		grant   func(*scene, *evidence.DecideAccess)
		code    evidence.Code
	}{
		{"good", nil, nil, ""},
		{"no consent named", nil, func(_ *scene, g *evidence.DecideAccess) { g.Consent = evidence.Nonce{} }, evidence.CodeNoConsent},
		{"a consent that does not exist", nil, func(_ *scene, g *evidence.DecideAccess) { g.Consent = evidence.Nonce{1} }, evidence.CodeNotFound},
		{"of another patient", func(_ *scene, c *evidence.GrantConsent) { c.Tag = tagOf(2) }, nil, evidence.CodeNoConsent},
		{"for another requester", func(_ *scene, c *evidence.GrantConsent) { c.Grantees = []string{"H3MSP"} }, nil, evidence.CodeNoConsent},
		{"about another owner", func(_ *scene, c *evidence.GrantConsent) { c.Owners = []string{"H3MSP"} }, nil, evidence.CodeNoConsent},
		{"for another purpose", func(_ *scene, c *evidence.GrantConsent) { c.Purposes = []evidence.Purpose{evidence.Research} }, nil, evidence.CodeNoConsent},
		{"named members", func(_ *scene, c *evidence.GrantConsent) { c.Grantees, c.Owners = []string{"H2MSP"}, []string{"H1MSP"} }, nil, ""},
		{"the grant outlasts it", func(s *scene, c *evidence.GrantConsent) { c.NotAfter = s.ms() + hour - 1 }, nil, evidence.CodeNoConsent},
		{"the grant ends with it", func(s *scene, c *evidence.GrantConsent) { c.NotAfter = s.ms() + hour }, nil, ""},
		{"the grant is over", nil, func(s *scene, g *evidence.DecideAccess) { g.NotAfter = s.ms() }, evidence.CodeLimit},
		{"expired", func(s *scene, c *evidence.GrantConsent) { c.NotAfter = s.ms() + hour }, func(s *scene, g *evidence.DecideAccess) {
			s.now = s.now.Add(2 * time.Hour)
			g.NotAfter = s.ms() + 1
		}, evidence.CodeNoConsent},
		{"requester suspended", nil, func(s *scene, _ *evidence.DecideAccess) {
			require.NoError(s.t, s.SetStatus(s.owner, s.asker.MSP, evidence.MemberSuspended))
		}, evidence.CodeNotMember},
		{"years", nil, func(s *scene, g *evidence.DecideAccess) { g.NotAfter = s.ms() + 400*day }, evidence.CodeNoConsent},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t, requestOf)
			terms := consentFor(tagOf(1))
			if tc.consent != nil {
				tc.consent(s, &terms)
			}
			var err error
			_, s.consent, err = s.asker.Say(terms)
			require.NoError(t, err)
			grant := s.grant()
			if tc.grant != nil {
				tc.grant(s, &grant)
			}
			s.say(s.owner, grant, tc.code)
		})
	}
}

func TestARevokedConsentStopsGrantAndDelivery(t *testing.T) {
	s := newScene(t, requestOf)
	s.say(s.owner, evidence.RevokeConsent{Consent: s.consent}, evidence.CodeUnauthorized)
	s.say(s.asker, evidence.RevokeConsent{Consent: evidence.Nonce{1}}, evidence.CodeNotFound)
	s.say(s.owner, s.grant(), "")
	s.say(s.asker, evidence.RevokeConsent{Consent: s.consent}, "")
	s.say(s.asker, evidence.RevokeConsent{Consent: s.consent}, evidence.CodeBadState)
	s.say(s.owner, s.deliver(), evidence.CodeNoConsent)

	_, request, err := s.asker.Say(requestOf(s.asker, s.owner))
	require.NoError(t, err)
	s.request = request
	s.say(s.owner, s.grant(), evidence.CodeNoConsent)

	got, err := chaincodetest.Ask[evidence.Consent](s.Ledger, evidence.QueryConsent, s.consent.String())
	require.NoError(t, err)
	assert.True(t, got.Revoked)
	assert.Equal(t, s.ms(), got.RevokedAt)
	require.NotNil(t, got.Revocation)
}

func TestAConsentThatIsOverIsNotRecorded(t *testing.T) {
	s := newScene(t, requestOf)
	over := consentFor(tagOf(1))
	over.NotAfter = s.ms()
	s.say(s.owner, over, evidence.CodeLimit)
}

func TestDeliveryHasItsLimits(t *testing.T) {
	s := newScene(t, requestOf)
	s.say(s.owner, s.grant(), "")
	require.NoError(t, s.SetStatus(s.owner, s.asker.MSP, evidence.MemberSuspended))
	s.say(s.owner, s.deliver(), evidence.CodeNotMember)
	require.NoError(t, s.SetStatus(s.owner, s.asker.MSP, evidence.MemberActive))
	s.now = s.now.Add(time.Hour + time.Millisecond)
	s.say(s.owner, s.deliver(), evidence.CodeBadState)
	s.now = s.now.Add(-time.Millisecond)
	s.say(s.owner, s.deliver(), "")
	more := s.confirm()
	more.Count = 4
	s.say(s.asker, more, evidence.CodeMalformed)
}

// The timestamp of a transaction is its submitter's word. A consent that has ended cannot
// be revived by dating the decision back before the request.
func TestBackdatedDecision(t *testing.T) {
	s := newScene(t, requestOf)
	s.now = s.now.Add(-10*time.Minute - time.Second)
	s.say(s.owner, s.grant(), evidence.CodeStale)
	s.now = s.now.Add(time.Second)
	s.say(s.owner, s.grant(), "")
}

func TestRequestAccessIsChecked(t *testing.T) {
	s := newScene(t, requestOf)
	with := func(change func(*evidence.RequestAccess)) evidence.RequestAccess {
		r := requestOf(s.asker, s.owner)
		change(&r)
		return r
	}
	s.say(s.asker, with(func(r *evidence.RequestAccess) { r.Owner = s.asker.MSP }), evidence.CodeUnauthorized)
	s.say(s.asker, with(func(r *evidence.RequestAccess) { r.Owner = "H9MSP" }), evidence.CodeNotMember)
	s.say(s.asker, with(func(r *evidence.RequestAccess) { r.RequesterKey = s.Members[2].KeyDigest() }), evidence.CodeUnauthorized)
	s.say(s.asker, with(func(r *evidence.RequestAccess) { r.Records = []evidence.RecordID{entry(1, 1, 1).ID, entry(2, 1, 1).ID} }), evidence.CodeUnauthorized)
	s.say(s.asker, with(func(r *evidence.RequestAccess) { r.Records = []evidence.RecordID{entry(1, 1, 1).ID} }), "")
	require.NoError(t, s.SetStatus(s.asker, s.owner.MSP, evidence.MemberSuspended))
	s.say(s.asker, requestOf(s.asker, s.owner), evidence.CodeNotMember)
}

func TestBreakGlass(t *testing.T) {
	s := newScene(t, emergencyOf)
	list := func(msp string) []evidence.Access {
		page, err := chaincodetest.Ask[evidence.Page[evidence.Access]](s.Ledger, evidence.QueryEmergencies, msp, "10", "")
		require.NoError(t, err)
		return page.Items
	}
	require.Len(t, list(s.owner.MSP), 1)
	assert.Empty(t, list(s.asker.MSP))
	review := evidence.ReviewEmergency{Request: s.request, Justified: true, Reviewer: digestOf(9)}
	s.say(s.owner, review, evidence.CodeBadState)

	grant := s.grant()
	s.say(s.owner, grant, evidence.CodeMalformed)
	grant.Consent, grant.NotAfter = evidence.Nonce{}, s.ms()+24*hour+1
	s.say(s.owner, grant, evidence.CodeLimit)
	grant.NotAfter = s.ms() + 24*hour
	s.say(s.owner, grant, "")
	s.say(s.owner, s.deliver(), "")
	s.say(s.asker, review, evidence.CodeUnauthorized)
	s.say(s.owner, review, "")
	s.say(s.owner, review, evidence.CodeBadState)
	assert.Empty(t, list(s.owner.MSP))
	s.say(s.asker, s.confirm(), "")
	a := s.access()
	assert.Equal(t, evidence.AccessConfirmed, a.State)
	require.NotNil(t, a.Reviewed)
	assert.True(t, a.Reviewed.Justified)
	assert.Len(t, a.Statements, 5)
}
