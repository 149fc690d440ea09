package policy_test

import (
	"math/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/policy"
)

func consent(change func(*policy.Consent)) policy.Consent {
	c := policy.Consent{ID: "a", Grantees: []string{"H2MSP"}, Owners: []string{"H1MSP"}, Purposes: []string{"treatment"}, Since: 10, NotAfter: 100}
	if change != nil {
		change(&c)
	}
	return c
}

func TestDecide(t *testing.T) {
	request := policy.Request{Requester: "H2MSP", Owner: "H1MSP", Purpose: "treatment", At: 50}
	with := func(change func(*policy.Request)) policy.Request { r := request; change(&r); return r }
	cases := []struct {
		name     string
		consents []policy.Consent
		request  policy.Request
		want     policy.Decision
	}{
		{"allowed", []policy.Consent{consent(nil)}, request, policy.Decision{Granted: true, Reason: policy.ByConsent, Consent: "a", NotAfter: 100}},
		{"none", nil, request, policy.Decision{Reason: policy.NoConsent}},
		{"another grantee", []policy.Consent{consent(nil)}, with(func(r *policy.Request) { r.Requester = "H3MSP" }), policy.Decision{Reason: policy.NoConsent}},
		{"nameless requester", []policy.Consent{consent(func(c *policy.Consent) { c.Grantees = []string{policy.Anyone} })}, with(func(r *policy.Request) { r.Requester = "" }), policy.Decision{Reason: policy.NoConsent}},
		{"another owner", []policy.Consent{consent(nil)}, with(func(r *policy.Request) { r.Owner = "H3MSP" }), policy.Decision{Reason: policy.NoConsent}},
		{"anyone", []policy.Consent{consent(func(c *policy.Consent) { c.Grantees, c.Owners = []string{policy.Anyone}, []string{policy.Anyone} })}, with(func(r *policy.Request) { r.Requester = "H9MSP" }), policy.Decision{Granted: true, Reason: policy.ByConsent, Consent: "a", NotAfter: 100}},
		{"revoked", []policy.Consent{consent(func(c *policy.Consent) { c.Revoked = true })}, request, policy.Decision{Reason: policy.ConsentRevoked}},
		{"too early", []policy.Consent{consent(nil)}, with(func(r *policy.Request) { r.At = 9 }), policy.Decision{Reason: policy.NoConsent}},
		{"last moment", []policy.Consent{consent(nil)}, with(func(r *policy.Request) { r.At = 100 }), policy.Decision{Granted: true, Reason: policy.ByConsent, Consent: "a", NotAfter: 100}},
		{"too late", []policy.Consent{consent(nil)}, with(func(r *policy.Request) { r.At = 101 }), policy.Decision{Reason: policy.ConsentExpired}},
		{"purpose", []policy.Consent{consent(nil)}, with(func(r *policy.Request) { r.Purpose = "research" }), policy.Decision{Reason: policy.WrongPurpose}},
		{"emergency needs none", nil, with(func(r *policy.Request) { r.Emergency = true }), policy.Decision{Granted: true, Reason: policy.ByEmergency}},
		{"revoked does not hide a valid one", []policy.Consent{consent(func(c *policy.Consent) { c.Revoked = true }), consent(func(c *policy.Consent) { c.ID = "b" })}, request, policy.Decision{Granted: true, Reason: policy.ByConsent, Consent: "b", NotAfter: 100}},
		{"the widest wins", []policy.Consent{consent(func(c *policy.Consent) { c.Kinds, c.NotAfter = []string{"ORU^R01"}, 900 }), consent(func(c *policy.Consent) { c.ID = "z" })}, request, policy.Decision{Granted: true, Reason: policy.ByConsent, Consent: "z", NotAfter: 100}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, policy.Decide(c.consents, c.request)) })
	}
}

func TestTheOrderOfConsentsDoesNotMatter(t *testing.T) {
	list := []policy.Consent{
		consent(nil), consent(func(c *policy.Consent) { c.ID = "b" }),
		consent(func(c *policy.Consent) { c.ID, c.NotAfter = "c", 99 }), consent(func(c *policy.Consent) { c.ID, c.Revoked = "d", true }),
		consent(func(c *policy.Consent) { c.ID, c.Kinds = "e", []string{"x"} }),
	}
	r := policy.Request{Requester: "H2MSP", Owner: "H1MSP", Purpose: "treatment", At: 50}
	want := policy.Decide(list, r)
	rng := rand.New(rand.NewSource(1)) //nolint:gosec // test data
	for range 50 {
		rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		require.Equal(t, want, policy.Decide(list, r))
	}
}

func TestCoversKeepsToTheKinds(t *testing.T) {
	c := consent(func(c *policy.Consent) { c.Kinds = []string{"ORU^R01"} })
	d := policy.Decide([]policy.Consent{c}, policy.Request{Requester: "H2MSP", Owner: "H1MSP", Purpose: "treatment", At: 50})
	assert.True(t, d.Covers("ORU^R01"))
	assert.False(t, d.Covers("MDM^T02"))
	assert.False(t, policy.Decision{}.Covers("ORU^R01"), "a denial covers nothing")
	assert.True(t, policy.Allows(c, policy.Request{Requester: "H2MSP", Owner: "H1MSP", Purpose: "treatment", At: 50}))
}
