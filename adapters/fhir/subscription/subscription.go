package subscription

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// Event is what a subscription waits for.
type Event string

// Events.
const (
	Anchored Event = "anchored"
	Granted  Event = "granted"
)

// Subscription is what of a Subscription resource counts here.
type Subscription struct {
	ID       string
	Event    Event
	Endpoint string
	// WithBody asks for the reference of the version in the body; without it the body is empty.
	WithBody bool
	// Authorization is sent as header. It is a secret.
	Authorization string
}

// LogValue implements slog.LogValuer.
func (s Subscription) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", s.ID), slog.String("event", string(s.Event)))
}

const criteria = "AuditEvent?subtype="

// Rules say which subscriptions are taken.
type Rules struct {
	// Hosts that may be called, as host or host:port; none takes no subscription.
	Hosts []string
	// Plain allows http, for tests.
	Plain bool
}

// Read reads a Subscription resource and reports what keeps it from being served. Other
// resources have no issues.
func (r Rules) Read(n *fhir.Node) (Subscription, fhir.Issues) {
	if n.Get("resourceType").Str() != "Subscription" {
		return Subscription{}, nil
	}
	var issues fhir.Issues
	wrong := func(at, what string) {
		issues = append(issues, fhir.Issue{Severity: fhir.Error, Code: fhir.CodeNotSupported, Expression: "Subscription." + at, Diagnostics: what})
	}
	s := Subscription{ID: n.Get("id").Str(), Endpoint: n.At("channel", "endpoint").Str()}
	event, ok := strings.CutPrefix(n.Get("criteria").Str(), criteria)
	s.Event = Event(event)
	if !ok || s.Event != Anchored && s.Event != Granted {
		wrong("criteria", "criteria are "+criteria+string(Anchored)+" or "+criteria+string(Granted))
	}
	if n.At("channel", "type").Str() != "rest-hook" {
		wrong("channel.type", "only rest-hook is supported")
	}
	if problem := r.endpoint(s.Endpoint); problem != "" {
		wrong("channel.endpoint", problem)
	}
	switch n.At("channel", "payload").Str() {
	case "":
	case fhir.MediaType:
		s.WithBody = true
	default:
		wrong("channel.payload", "the payload is empty or "+fhir.MediaType)
	}
	for _, h := range n.At("channel", "header").List() {
		name, value, _ := strings.Cut(h.Str(), ":")
		if !strings.EqualFold(strings.TrimSpace(name), "Authorization") || strings.ContainsAny(value, "\r\n") {
			wrong("channel.header", "only one header Authorization is supported")
			continue
		}
		s.Authorization = strings.TrimSpace(value)
	}
	return s, issues
}

func (r Rules) endpoint(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "":
		return "not an address"
	case u.Scheme != "https" && (!r.Plain || u.Scheme != "http"):
		return "the endpoint must be https"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "the endpoint may carry no user, query or fragment: addresses end up in logs"
	case !slices.Contains(r.Hosts, u.Host) && !slices.Contains(r.Hosts, u.Hostname()):
		return "the host is not among those that this server may call; the operator lists them in fhir.subscription_hosts"
	}
	return ""
}

// Active reports whether a Subscription asks to be served (FHIR R4 §2.46.1.1).
func Active(n *fhir.Node) bool {
	status := n.Get("status").Str()
	return status == "requested" || status == "active"
}
