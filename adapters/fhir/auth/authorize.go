package auth

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
)

// Config says which ways to authorise are open. All that are set are.
type Config struct {
	// Issuer checks bearer tokens.
	Issuer *Issuer
	// Certificates takes client certificates that TLS has verified. Clients lists the common
	// names that are known, with their scopes; an empty list takes every certificate of the
	// authority for everything.
	Certificates bool
	Clients      map[string]Scopes
	// Anonymous takes callers that show nothing. Only for loopback.
	Anonymous bool
}

// Authorizer returns the function that tells who calls, for rest.Config.
func Authorizer(cfg Config) (func(*http.Request) (rest.Caller, error), error) {
	if cfg.Issuer == nil && !cfg.Certificates && !cfg.Anonymous {
		return nil, errors.New("fhir auth: no way to authorise; set an issuer or client certificates")
	}
	return func(r *http.Request) (rest.Caller, error) {
		if header := r.Header.Get("Authorization"); header != "" {
			return cfg.bearer(r, header)
		}
		if cfg.Certificates && r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
			return cfg.certificate(r)
		}
		if cfg.Anonymous {
			return caller{"anonymous", ParseScopes("system/*.cruds")}, nil
		}
		return nil, refuse(http.StatusUnauthorized, fhir.CodeLogin, "a bearer token or a client certificate is needed", "Bearer")
	}, nil
}

func refuse(status int, code fhir.Code, what, challenge string) error {
	return &rest.Refusal{Status: status, Code: code, Diagnostics: what, Challenge: challenge}
}

func (c Config) bearer(r *http.Request, header string) (rest.Caller, error) {
	kind, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(kind, "Bearer") || c.Issuer == nil {
		return nil, refuse(http.StatusUnauthorized, fhir.CodeLogin, "this way to authorise is not supported", "Bearer")
	}
	name, scopes, err := c.Issuer.Verify(r.Context(), strings.TrimSpace(token))
	switch {
	case errors.Is(err, ErrIssuer):
		return nil, refuse(http.StatusServiceUnavailable, fhir.CodeTransient, "tokens cannot be checked now", "")
	case err != nil:
		return nil, refuse(http.StatusUnauthorized, fhir.CodeLogin, "the token is not valid", `Bearer error="invalid_token"`)
	}
	return caller{safeName(name), scopes}, nil
}

func (c Config) certificate(r *http.Request) (rest.Caller, error) {
	name := r.TLS.VerifiedChains[0][0].Subject.CommonName
	if len(c.Clients) == 0 {
		return caller{safeName(name), ParseScopes("system/*.cruds")}, nil
	}
	scopes, ok := c.Clients[name]
	if !ok {
		return nil, refuse(http.StatusForbidden, fhir.CodeForbidden, "the client's certificate is not listed", "")
	}
	return caller{safeName(name), scopes}, nil
}

// safeName makes a name fit for senders of records and for metrics: what has other
// characters, or is long, becomes a digest.
func safeName(s string) string {
	const longest = 64
	ok := s != "" && len(s) <= longest && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:@") == ""
	if ok {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return "client-" + hex.EncodeToString(sum[:8])
}
