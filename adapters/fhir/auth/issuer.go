package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Errors of a token; test with errors.Is. None quotes the token.
var (
	// ErrToken: the token is malformed, expired, of another issuer or audience, or not signed
	// by a key of the issuer.
	ErrToken = errors.New("fhir auth: the token is not valid")
	// ErrIssuer: the issuer cannot be asked now.
	ErrIssuer = errors.New("fhir auth: the issuer is not available")
)

// IssuerConfig names an OpenID Connect issuer.
type IssuerConfig struct {
	// URL is the issuer as tokens name it; https, except on loopback.
	URL string
	// Audience must be among those of a token.
	Audience string
	// Client asks the issuer; nil: one with a timeout of 10 s. It should follow no redirects.
	Client *http.Client
	Now    func() time.Time // nil: time.Now
}

// Limits of what an issuer and a token may be.
const (
	maxDocument = 1 << 20
	maxToken    = 16 << 10
	leeway      = time.Minute
	keysLive    = time.Hour        // before they are fetched again
	retryAfter  = 10 * time.Second // between two questions to the issuer
)

// algorithms that tokens may be signed with: asymmetric ones (SMART asks for RS384 or ES384).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Issuer checks tokens with the keys that its discovery document names (OpenID Connect
// Discovery 1.0 §4). Keys are fetched on first use, hourly, and when a token names an
// unknown one. It is safe for concurrent use.
type Issuer struct {
	cfg IssuerConfig

	mu      sync.Mutex
	keys    jose.JSONWebKeySet
	fetched time.Time
	asked   time.Time
}

// NewIssuer returns an issuer; it asks nobody yet.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	if cfg.Audience == "" {
		return nil, errors.New("fhir auth: no audience: tokens for other servers would be taken")
	}
	if err := safeURL(cfg.URL); err != nil {
		return nil, err
	}
	cfg.URL = strings.TrimRight(cfg.URL, "/")
	if cfg.Client == nil {
		cfg.Client = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Issuer{cfg: cfg}, nil
}

// safeURL refuses addresses whose answers anybody on the way could change.
func safeURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return fmt.Errorf("fhir auth: %q is no address of an issuer", raw)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("fhir auth: %s must be https", raw)
}

// claims are what a token says.
type claims struct {
	jwt.Claims
	Scope    json.RawMessage `json:"scope"`
	SCP      json.RawMessage `json:"scp"`
	ClientID string          `json:"client_id"`
	AZP      string          `json:"azp"`
}

// Verify checks a token and returns who it is of and its scopes. Errors are ErrToken or
// ErrIssuer.
func (i *Issuer) Verify(ctx context.Context, token string) (name string, scopes Scopes, err error) {
	if len(token) > maxToken {
		return "", nil, ErrToken
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil || len(parsed.Headers) != 1 {
		return "", nil, ErrToken
	}
	keys, err := i.candidates(ctx, parsed.Headers[0].KeyID)
	if err != nil {
		return "", nil, err
	}
	for _, key := range keys {
		var c claims
		if parsed.Claims(key.Public(), &c) != nil {
			continue
		}
		return i.accept(c)
	}
	return "", nil, ErrToken
}

func (i *Issuer) accept(c claims) (string, Scopes, error) {
	err := c.ValidateWithLeeway(jwt.Expected{Issuer: i.issuerOf(c.Issuer), AnyAudience: jwt.Audience{i.cfg.Audience}, Time: i.cfg.Now()}, leeway)
	if err != nil || c.Expiry == nil {
		return "", nil, ErrToken
	}
	name := c.ClientID
	for _, other := range []string{c.AZP, c.Subject} {
		if name == "" {
			name = other
		}
	}
	if name == "" {
		return "", nil, ErrToken
	}
	return name, ParseScopes(scopeText(c.Scope) + " " + scopeText(c.SCP)), nil
}

// issuerOf lets a slash at the end of an issuer's name make no difference.
func (i *Issuer) issuerOf(named string) string {
	if strings.TrimRight(named, "/") == i.cfg.URL {
		return named
	}
	return i.cfg.URL
}

// scopeText reads a scope claim: a string (RFC 8693 §4.2) or, as some issuers write it, a list.
func scopeText(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return strings.Join(list, " ")
	}
	return ""
}

// candidates are the keys that may have signed a token.
func (i *Issuer) candidates(ctx context.Context, id string) ([]jose.JSONWebKey, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := i.cfg.Now()
	found := i.find(id)
	if (len(found) == 0 || now.Sub(i.fetched) > keysLive) && now.Sub(i.asked) > retryAfter {
		i.asked = now
		if err := i.fetch(ctx); err != nil {
			if len(found) > 0 {
				return found, nil // the keys that are known serve while the issuer is away
			}
			return nil, fmt.Errorf("%w: %w", ErrIssuer, err)
		}
		i.fetched = now
		found = i.find(id)
	}
	if len(found) == 0 && i.fetched.IsZero() {
		return nil, ErrIssuer
	}
	return found, nil
}

func (i *Issuer) find(id string) []jose.JSONWebKey {
	var out []jose.JSONWebKey
	for _, k := range i.keys.Keys {
		if (id == "" || k.KeyID == id) && k.Use != "enc" && k.IsPublic() {
			out = append(out, k)
		}
	}
	return out
}

func (i *Issuer) fetch(ctx context.Context) error {
	var document struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := i.get(ctx, i.cfg.URL+"/.well-known/openid-configuration", &document); err != nil {
		return err
	}
	if strings.TrimRight(document.Issuer, "/") != i.cfg.URL {
		return errors.New("the discovery document names another issuer")
	}
	if err := safeURL(document.Keys); err != nil {
		return err
	}
	var keys jose.JSONWebKeySet
	if err := i.get(ctx, document.Keys, &keys); err != nil {
		return err
	}
	i.keys = keys
	return nil
}

func (i *Issuer) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := i.cfg.Client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", address, res.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxDocument)).Decode(into)
}
