package integration_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/record"
)

// tokenIssuer is an OpenID Connect issuer; it returns its address and what makes tokens.
func tokenIssuer(t *testing.T) (address string, token func(client, scopes string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "k", Key: key.Public(), Use: "sig", Algorithm: string(jose.ES384)}}})
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "jwks_uri": server.URL + "/keys"})
	}))
	t.Cleanup(server.Close)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: jose.JSONWebKey{KeyID: "k", Key: key}}, nil)
	require.NoError(t, err)
	return server.URL, func(client, scopes string) string {
		text, err := jwt.Signed(signer).Claims(map[string]any{"iss": server.URL, "aud": "emrbridge", "client_id": client, "scope": scopes,
			"exp": time.Now().Add(5 * time.Minute).Unix()}).Serialize()
		require.NoError(t, err)
		return text
	}
}

// fhirStep is a line that client.mjs prints.
type fhirStep struct {
	Step, ID, Version, Type, Text, Code, Expression, Message string
	Active                                                   bool
	Count, Status                                            int
	Dates, Statuses, Locations                               []string
}

// TestFHIRClient takes resources in from a client that others wrote, with bearer tokens, all
// the way to the ledger.
func TestFHIRClient(t *testing.T) {
	dir := nodeFolder(t, "fhir-node")
	issuer, token := tokenIssuer(t)
	addr := freeAddress(t)
	s := w.up(t, 2, func(c *config.Config) {
		c.FHIR.Addr = addr
		c.FHIR.OIDC = config.OIDC{Issuer: issuer, Audience: "emrbridge"}
	})
	const resident = "990101199003071237"
	steps := runFHIRKit(t, dir, map[string]string{"base": "http://" + addr, "resident": resident,
		"token": token("his", "system/*.cruds"), "reader": token("reader", "system/Patient.rs")})
	id := steps["create"].ID
	require.NotEmpty(t, id)
	assert.Equal(t, "4.0.1", steps["capabilities"].Type)
	assert.Equal(t, id, steps["conditional create"].ID)
	assert.Equal(t, "测试", steps["read"].Text)
	assert.Equal(t, "2", steps["update"].Version)
	assert.False(t, steps["vread"].Active)
	assert.Equal(t, 2, steps["history"].Count)
	assert.Equal(t, []string{"2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04", "2026-03-05"}, steps["search"].Dates)
	assert.Equal(t, []string{"201 Created", "201 Created"}, steps["transaction"].Statuses)
	assert.Contains(t, steps["transaction"].Locations[0], steps["resolved"].Text+"/_history/1")
	for step, status := range map[string]int{"stale update": 412, "invalid": 422, "unknown": 404, "deleted": 410, "stranger": 401, "reader": 403} {
		assert.Equal(t, status, steps[step].Status, "%s: %+v", step, steps[step])
		assert.Equal(t, "OperationOutcome", steps[step].Type, step)
	}
	assert.Equal(t, "Patient.gender", steps["invalid"].Expression)

	for version, kind := range map[string]string{"1": "Patient", "2": "Patient", "3": "Bundle/history"} {
		var events []trail.Event
		eventually(t, "the trail ends with anchored", func() bool {
			s.answer(t, 0, &events, "trace", "Patient/"+id+"/_history/"+version)
			return len(events) > 0 && events[len(events)-1].Stage == stage.Anchored
		})
		assert.Equal(t, kind, events[0].Kind)
		rec, err := record.ParseID(events[0].Record)
		require.NoError(t, err)
		s.owe(rec)
	}
}

func runFHIRKit(t *testing.T, dir string, job map[string]string) map[string]fhirStep {
	t.Helper()
	text, err := json.Marshal(job)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "client.mjs", string(text))
	var errs strings.Builder
	cmd.Dir, cmd.Stderr = dir, &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s%s", out, errs.String())
	steps := map[string]fhirStep{}
	for line := range strings.Lines(string(out)) {
		var step fhirStep
		require.NoError(t, json.Unmarshal([]byte(line), &step), line)
		steps[step.Step] = step
	}
	return steps
}
