package subscription_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/subscription"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const good = `{"resourceType":"Subscription","id":"s1","status":"requested","reason":"x","criteria":"AuditEvent?subtype=anchored","channel":{"type":"rest-hook","endpoint":"https://his.test/hook","payload":"application/fhir+json","header":["Authorization: Bearer secret"]}}`

func TestRead(t *testing.T) {
	rules := subscription.Rules{Hosts: []string{"his.test"}}
	read := func(doc string) (subscription.Subscription, fhir.Issues) {
		n, err := fhir.Parse([]byte(doc), fhir.Limits{})
		require.NoError(t, err)
		return rules.Read(n)
	}
	s, issues := read(good)
	require.Empty(t, issues)
	assert.Equal(t, subscription.Subscription{ID: "s1", Event: subscription.Anchored, Endpoint: "https://his.test/hook", WithBody: true, Authorization: "Bearer secret"}, s)
	assert.NotContains(t, s.LogValue().String(), "secret")
	for change, at := range map[string]string{
		"subtype=anchored→subtype=other": "criteria", "rest-hook→email": "channel.type", "https://→http://": "channel.endpoint", "his.test→evil.test": "channel.endpoint",
		"/hook→/hook?patient=1": "channel.endpoint", "https://his→https://a:b@his": "channel.endpoint", "application/fhir+json→application/fhir+xml": "channel.payload",
		"Authorization→X-Other": "channel.header",
	} {
		from, to, _ := strings.Cut(change, "→")
		_, issues := read(strings.Replace(good, from, to, 1))
		require.Len(t, issues, 1, change)
		assert.Equal(t, "Subscription."+at, issues[0].Expression, change)
	}
	_, issues = read(`{"resourceType":"Patient"}`)
	assert.Empty(t, issues)
}

// hook is an endpoint that answers as it is told.
type hook struct {
	*httptest.Server
	mu      sync.Mutex
	answers []int
	bodies  []string
}

func newHook(t *testing.T, answers ...int) *hook {
	t.Helper()
	h := &hook{answers: answers}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.bodies = append(h.bodies, r.Header.Get("Authorization")+" "+string(body))
		if len(h.answers) > 0 {
			w.WriteHeader(h.answers[0])
			h.answers = h.answers[1:]
		}
	}))
	t.Cleanup(h.Close)
	return h
}

type results struct {
	mu   sync.Mutex
	seen []subscription.Result
}

func (r *results) observe(_ subscription.Event, what subscription.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, what)
}

func (r *results) wait(t *testing.T, n int) []subscription.Result {
	t.Helper()
	require.Eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.seen) >= n }, 5*time.Second, time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seen
}

func notice(n int) subscription.Notice {
	return subscription.Notice{Event: subscription.Anchored, Type: "Patient", ID: "p", Version: n, At: time.UnixMilli(0)}
}

func TestDelivery(t *testing.T) {
	h, r := newHook(t, 503, 429, 200, 400, 200), &results{}
	d := subscription.NewDesk(subscription.DeskConfig{Backoff: time.Millisecond, Observe: r.observe, BaseURL: "https://fhir.test"})
	defer d.Close()
	require.NoError(t, d.Set([]subscription.Subscription{{ID: "s", Event: subscription.Anchored, Endpoint: h.URL, WithBody: true, Authorization: "Bearer x"}}))
	assert.True(t, d.Wants(subscription.Anchored))
	assert.False(t, d.Wants(subscription.Granted))
	d.Notify(subscription.Notice{Event: subscription.Granted})
	for n := 1; n <= 3; n++ {
		d.Notify(notice(n))
	}
	assert.Equal(t, []subscription.Result{subscription.Delivered, subscription.Refused, subscription.Delivered}, r.wait(t, 3))
	require.Len(t, h.bodies, 5)
	for i, version := range []string{"1", "1", "1", "2", "3"} {
		assert.Contains(t, h.bodies[i], "Bearer x")
		assert.Contains(t, h.bodies[i], "Patient/p/_history/"+version)
	}
	_, issues := fhir.NewValidator(fhir.ValidatorConfig{}).Validate(context.Background(), []byte(strings.TrimPrefix(h.bodies[0], "Bearer x ")))
	assert.False(t, issues.Failed(), "%v", issues)
}

func TestGrantedNamesTheAccessRequest(t *testing.T) {
	h, r := newHook(t), &results{}
	d := subscription.NewDesk(subscription.DeskConfig{Observe: r.observe})
	defer d.Close()
	require.NoError(t, d.Set([]subscription.Subscription{{ID: "s", Event: subscription.Granted, Endpoint: h.URL, WithBody: true}}))
	d.Notify(subscription.Notice{Event: subscription.Granted, ID: "00ff", At: time.UnixMilli(0)})
	r.wait(t, 1)
	assert.Contains(t, h.bodies[0], "urn:emrbridge:access:00ff")
	_, issues := fhir.NewValidator(fhir.ValidatorConfig{}).Validate(context.Background(), []byte(strings.TrimSpace(h.bodies[0])))
	assert.False(t, issues.Failed(), "%v", issues)
}

func TestBounds(t *testing.T) {
	h, r := newHook(t, 500, 500, 500, 500), &results{}
	d := subscription.NewDesk(subscription.DeskConfig{Backoff: time.Millisecond, Tries: 2, Queue: 1, Most: 1, Observe: r.observe})
	defer d.Close()
	one := subscription.Subscription{ID: "s", Event: subscription.Anchored, Endpoint: h.URL}
	require.NoError(t, d.Set([]subscription.Subscription{one}))
	require.Error(t, d.Set([]subscription.Subscription{one, {ID: "t"}}))
	for n := range 50 {
		d.Notify(notice(n))
	}
	seen := r.wait(t, 40)
	assert.Contains(t, seen, subscription.Dropped)
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, s := range r.seen {
			if s == subscription.Failed {
				return true
			}
		}
		return false
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, d.Set(nil))
	assert.False(t, d.Wants(subscription.Anchored))
}
