package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// FHIR is the FHIR R4 REST service. Without Addr it is switched off.
type FHIR struct {
	Addr           string           `yaml:"addr"`
	BaseURL        string           `yaml:"base_url"`
	TLS            TLS              `yaml:"tls"`
	OIDC           OIDC             `yaml:"oidc"`
	Clients        []FHIRClient     `yaml:"clients"`
	AllowAnonymous bool             `yaml:"allow_anonymous"`
	Resources      []string         `yaml:"resources"`
	MaxBody        Size             `yaml:"max_body"`
	MaxConcurrent  int              `yaml:"max_concurrent"`
	RateLimit      int              `yaml:"rate_limit"`
	Timeout        Duration         `yaml:"timeout"`
	Identifiers    []FHIRIdentifier `yaml:"identifiers"`
	// SubscriptionHosts may be called by subscriptions; none takes no subscription.
	SubscriptionHosts []string `yaml:"subscription_hosts"`
	// SubscriptionCA certifies those hosts; empty: the authorities that the machine knows.
	SubscriptionCA string `yaml:"subscription_ca"`
}

// OIDC names the issuer of bearer tokens.
type OIDC struct {
	Issuer   string `yaml:"issuer"`
	Audience string `yaml:"audience"`
}

// FHIRClient is a client certificate with what its holder may do.
type FHIRClient struct {
	Name   string `yaml:"name"`
	Scopes string `yaml:"scopes"`
}

// FHIRIdentifier says what numbers the identifiers of a system are.
type FHIRIdentifier struct {
	System    string `yaml:"system"`
	Type      string `yaml:"type"`
	Authority string `yaml:"authority"`
}

func defaultFHIR() FHIR {
	return FHIR{MaxBody: 64 << 20, MaxConcurrent: 64, RateLimit: 200, Timeout: Duration(30 * time.Second)}
}

func (f *FHIR) completePaths(absolute func(string) string) {
	for _, p := range []*string{&f.TLS.Cert, &f.TLS.Key, &f.TLS.ClientCA, &f.SubscriptionCA} {
		if *p != "" {
			*p = absolute(*p)
		}
	}
	if f.BaseURL == "" && f.Addr != "" {
		scheme := "http://"
		if f.TLS.Enabled() {
			scheme = "https://"
		}
		f.BaseURL = scheme + f.Addr
	}
}

// identifierTypes are those of package record.
var identifierTypes = []string{"resident-id", "insurance", "inpatient", "outpatient", "health-card", "medical", "passport", "local-patient", "other"}

func (f FHIR) check(k *checker) {
	if f.Addr == "" {
		return
	}
	k.address("fhir.addr", f.Addr)
	if u, err := url.Parse(f.BaseURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		k.add("fhir.base_url", "%q is no http or https address", f.BaseURL)
	}
	if f.SubscriptionCA != "" {
		k.file("fhir.subscription_ca", f.SubscriptionCA, false)
	}
	if f.TLS.Enabled() {
		k.file("fhir.tls.cert", f.TLS.Cert, false)
		k.file("fhir.tls.key", f.TLS.Key, true)
		if f.TLS.ClientCA != "" {
			k.file("fhir.tls.client_ca", f.TLS.ClientCA, false)
		}
	}
	f.checkAccess(k)
	k.between("fhir.max_body", int64(f.MaxBody), 1<<10, 64<<20)
	k.between("fhir.max_concurrent", int64(f.MaxConcurrent), 1, 10_000)
	k.between("fhir.rate_limit", int64(f.RateLimit), 1, 1_000_000)
	k.span("fhir.timeout", f.Timeout, time.Second, 10*time.Minute)
	for i, id := range f.Identifiers {
		at := fmt.Sprintf("fhir.identifiers[%d].", i)
		k.need(at+"system", id.System, "give the identifier's system as resources name it")
		k.oneOf(at+"type", id.Type, identifierTypes...)
	}
}

// checkAccess fails closed: patients' data are not served to whoever asks.
func (f FHIR) checkAccess(k *checker) {
	f.OIDC.check(k)
	known := f.OIDC.Issuer != "" || f.TLS.ClientCA != ""
	local := isLoopback(f.Addr)
	switch {
	case !known && !local && !f.AllowAnonymous:
		k.add("fhir.addr", "anybody could read and write here; set fhir.oidc or fhir.tls.client_ca, listen on 127.0.0.1, or set fhir.allow_anonymous")
	case !f.TLS.Enabled() && !local && !f.AllowAnonymous:
		k.add("fhir.tls.cert", "is missing; resources and tokens would travel in the clear")
	}
	for i, c := range f.Clients {
		at := fmt.Sprintf("fhir.clients[%d].", i)
		k.need(at+"name", c.Name, "the common name in the client's certificate")
		k.need(at+"scopes", c.Scopes, "for example system/*.cruds")
	}
	if len(f.Clients) > 0 && f.TLS.ClientCA == "" {
		k.add("fhir.tls.client_ca", "is missing while fhir.clients are listed")
	}
}

func (o OIDC) check(k *checker) {
	if o.Issuer == "" {
		return
	}
	if u, err := url.Parse(o.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && !isLoopback(u.Host) {
		k.add("fhir.oidc.issuer", "%q is no https address", o.Issuer)
	}
	k.need("fhir.oidc.audience", o.Audience, "the audience that tokens for this server carry")
}

// Anonymous reports whether callers that show nothing are taken: where it was asked for, and
// on loopback where no other way is set.
func (f FHIR) Anonymous() bool {
	return f.AllowAnonymous || isLoopback(f.Addr) && f.OIDC.Issuer == "" && f.TLS.ClientCA == ""
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
