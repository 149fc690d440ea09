package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir/auth"
	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
)

func TestScopes(t *testing.T) {
	for _, c := range []struct{ scopes, resource, allowed string }{
		{"system/Patient.read", "Patient", "rs"}, {"system/Patient.read", "Observation", ""}, {"system/Patient.write", "Patient", "cud"},
		{"system/*.*", "Encounter", "cruds"}, {"system/*.rs", "Encounter", "rs"}, {"system/Patient.c system/Patient.r", "Patient", "cr"},
		{"system/Patient.sr", "Patient", ""}, {"system/Patient.rr", "Patient", ""}, {"system/Patient.x", "Patient", ""}, {"patient/Patient.read", "Patient", ""},
		{"user/*.cruds", "Patient", ""}, {"system/Observation.rs?category=lab", "Observation", ""}, {"openid profile", "Patient", ""}, {"", "Patient", ""},
		{"system/Nothing.read", "Nothing", ""}, {"system/.read", "", ""},
	} {
		s := auth.ParseScopes(c.scopes)
		for _, a := range "cruds" {
			assert.Equal(t, strings.ContainsRune(c.allowed, a), s.May(c.resource, rest.Action(a)), "%q %s %c", c.scopes, c.resource, a)
		}
	}
}

// issuer is an OpenID Connect issuer.
type issuer struct {
	*httptest.Server
	keys  map[string]*ecdsa.PrivateKey
	named string // in the discovery document, "" for its own URL
	down  bool
	asked int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{keys: map[string]*ecdsa.PrivateKey{}}
	i.addKey(t, "k1")
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked++
		if i.down {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		if r.URL.Path == "/keys" {
			var set jose.JSONWebKeySet
			for id, k := range i.keys {
				set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: id, Key: k.Public(), Use: "sig", Algorithm: string(jose.ES256)})
			}
			_ = json.NewEncoder(w).Encode(set)
			return
		}
		named := i.named
		if named == "" {
			named = i.URL
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": named, "jwks_uri": i.URL + "/keys"})
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) addKey(t *testing.T, id string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	i.keys[id] = key
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func (i *issuer) token(t *testing.T, kid string, key *ecdsa.PrivateKey, change func(map[string]any)) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{KeyID: kid, Key: key}}, nil)
	require.NoError(t, err)
	claims := map[string]any{"iss": i.URL, "aud": "emrbridge", "client_id": "his", "exp": now.Add(5 * time.Minute).Unix(), "scope": "system/Patient.rs"}
	if change != nil {
		change(claims)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	require.NoError(t, err)
	return token
}

func authorizer(t *testing.T, i *issuer, clock func() time.Time) func(*http.Request) (rest.Caller, error) {
	t.Helper()
	checked, err := auth.NewIssuer(auth.IssuerConfig{URL: i.URL, Audience: "emrbridge", Now: clock})
	require.NoError(t, err)
	f, err := auth.Authorizer(auth.Config{Issuer: checked})
	require.NoError(t, err)
	return f
}

func ask(f func(*http.Request) (rest.Caller, error), header string) (rest.Caller, int) {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/Patient/1", http.NoBody)
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	c, err := f(r)
	var refused *rest.Refusal
	if errors.As(err, &refused) {
		return nil, refused.Status
	}
	return c, http.StatusOK
}

func TestBearer(t *testing.T) {
	i := newIssuer(t)
	f := authorizer(t, i, func() time.Time { return now })
	key := i.keys["k1"]
	c, status := ask(f, "Bearer "+i.token(t, "k1", key, nil))
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, "his", c.Name())
	assert.True(t, c.May("Patient", rest.Read))
	assert.False(t, c.May("Patient", rest.Create))
	c, status = ask(f, "bearer "+i.token(t, "k1", key, func(m map[string]any) {
		m["scp"], m["scope"], m["aud"] = []string{"system/*.c"}, nil, []string{"other", "emrbridge"}
	}))
	require.Equal(t, http.StatusOK, status)
	assert.True(t, c.May("Observation", rest.Create))

	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	for name, header := range map[string]string{
		"none": "", "basic": "Basic YTpi", "empty": "Bearer ", "garbage": "Bearer a.b.c", "huge": "Bearer " + strings.Repeat("a", 20<<10),
		"other key":      "Bearer " + i.token(t, "k1", other, nil),
		"unknown key":    "Bearer " + i.token(t, "k9", other, nil),
		"expired":        "Bearer " + i.token(t, "k1", key, func(m map[string]any) { m["exp"] = now.Add(-2 * time.Minute).Unix() }),
		"without expiry": "Bearer " + i.token(t, "k1", key, func(m map[string]any) { delete(m, "exp") }),
		"not yet":        "Bearer " + i.token(t, "k1", key, func(m map[string]any) { m["nbf"] = now.Add(5 * time.Minute).Unix() }),
		"other audience": "Bearer " + i.token(t, "k1", key, func(m map[string]any) { m["aud"] = "other" }),
		"no audience":    "Bearer " + i.token(t, "k1", key, func(m map[string]any) { delete(m, "aud") }),
		"other issuer":   "Bearer " + i.token(t, "k1", key, func(m map[string]any) { m["iss"] = "https://evil.test" }),
		"nobody":         "Bearer " + i.token(t, "k1", key, func(m map[string]any) { delete(m, "client_id") }),
		"unsigned":       "Bearer eyJhbGciOiJub25lIn0.e30.",
	} {
		_, status := ask(f, header)
		assert.Equal(t, http.StatusUnauthorized, status, name)
	}
}

func TestNewKeysAreFound(t *testing.T) {
	i := newIssuer(t)
	at := now
	f := authorizer(t, i, func() time.Time { return at })
	_, status := ask(f, "Bearer "+i.token(t, "k1", i.keys["k1"], nil))
	require.Equal(t, http.StatusOK, status)
	i.addKey(t, "k2")
	at = now.Add(30 * time.Second)
	_, status = ask(f, "Bearer "+i.token(t, "k2", i.keys["k2"], nil))
	assert.Equal(t, http.StatusOK, status, "an unknown key makes the keys be fetched again")
	before := i.asked
	for range 10 {
		_, _ = ask(f, "Bearer "+i.token(t, "k3", i.keys["k2"], nil))
	}
	assert.Equal(t, before, i.asked, "but not for every token")
	i.down = true
	_, status = ask(f, "Bearer "+i.token(t, "k1", i.keys["k1"], nil))
	assert.Equal(t, http.StatusOK, status, "known keys serve while the issuer is away")
}

func TestIssuerAway(t *testing.T) {
	i := newIssuer(t)
	i.down = true
	_, status := ask(authorizer(t, i, func() time.Time { return now }), "Bearer "+i.token(t, "k1", i.keys["k1"], nil))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	i.down, i.named = false, "https://evil.test"
	_, status = ask(authorizer(t, i, func() time.Time { return now }), "Bearer "+i.token(t, "k1", i.keys["k1"], nil))
	assert.Equal(t, http.StatusServiceUnavailable, status, "a document of another issuer is none")
}

func TestConfiguration(t *testing.T) {
	for _, cfg := range []auth.IssuerConfig{{URL: "http://idp.test", Audience: "x"}, {URL: "https://idp.test"}, {URL: "idp", Audience: "x"}} {
		_, err := auth.NewIssuer(cfg)
		assert.Error(t, err, cfg.URL)
	}
	_, err := auth.Authorizer(auth.Config{})
	assert.Error(t, err, "nothing configured is not everything allowed")
}

func TestCertificates(t *testing.T) {
	f, err := auth.Authorizer(auth.Config{Certificates: true, Clients: map[string]auth.Scopes{"his": auth.ParseScopes("system/Patient.c")}})
	require.NoError(t, err)
	with := func(name string, verified bool) (rest.Caller, error) {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/Patient/1", http.NoBody)
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: name}}
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
		if verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{cert}}
		}
		return f(r)
	}
	c, err := with("his", true)
	require.NoError(t, err)
	assert.True(t, c.May("Patient", rest.Create))
	assert.False(t, c.May("Patient", rest.Read))
	_, err = with("stranger", true)
	assert.Error(t, err)
	_, err = with("his", false)
	assert.Error(t, err, "a certificate that TLS has not verified is none")
}
