package config_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/config"
)

// Patients' data are never served to whoever asks by leaving something out.
func TestFHIRAccessFailsClosed(t *testing.T) {
	for _, c := range []struct {
		name, fhir, fault string
		anonymous         bool
	}{
		{"loopback", "addr: 127.0.0.1:8490", "", true},
		{"any address", "addr: 0.0.0.0:8490", "fhir.addr", false},
		{"any address, on purpose", "addr: 0.0.0.0:8490, allow_anonymous: true", "", true},
		{"tokens in the clear", "addr: 0.0.0.0:8490, oidc: {issuer: 'https://idp.test', audience: x}", "fhir.tls.cert", false},
		{"tokens on loopback", "addr: '[::1]:8490', oidc: {issuer: 'https://idp.test', audience: x}", "", false},
		{"issuer in the clear", "addr: 127.0.0.1:8490, oidc: {issuer: 'http://idp.test', audience: x}", "fhir.oidc.issuer", false},
		{"no audience", "addr: 127.0.0.1:8490, oidc: {issuer: 'https://idp.test'}", "fhir.oidc.audience", false},
		{"clients without authority", "addr: 127.0.0.1:8490, clients: [{name: a, scopes: b}]", "fhir.tls.client_ca", true},
		{"identifier", "addr: 127.0.0.1:8490, identifiers: [{system: a, type: b}]", "fhir.identifiers[0].type", true},
	} {
		got, err := config.Parse([]byte("fhir: {"+c.fhir+"}"), t.TempDir())
		var faults config.Faults
		require.ErrorAs(t, err, &faults, "the rest of the configuration is missing")
		var keys []string
		for _, f := range faults {
			if len(f.Key) > 5 && f.Key[:5] == "fhir." {
				keys = append(keys, f.Key)
			}
		}
		if c.fault == "" {
			assert.Empty(t, keys, c.name)
		} else {
			assert.Contains(t, keys, c.fault, c.name)
		}
		assert.Equal(t, c.anonymous, got.FHIR.Anonymous(), c.name)
	}
}
