package integration_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/record"
)

// notice is what a subscriber got.
type notice struct {
	path, authorization string
	body                []byte
}

// subscriber is an HTTPS server that takes notifications; it returns its host and the file
// of the authority that certifies it.
func subscriber(t *testing.T) (host, authority string, got <-chan notice) {
	t.Helper()
	notices := make(chan notice, 100)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		notices <- notice{path: r.URL.Path, authorization: r.Header.Get("Authorization"), body: body}
	}))
	t.Cleanup(server.Close)
	authority = filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return server.Listener.Addr().String(), authority, notices
}

func postFHIR(t *testing.T, url, resource string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader([]byte(resource)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/fhir+json")
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, r.StatusCode, "%s", text)
	var out map[string]any
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

// oweVersion waits until the first version of a resource is anchored, and counts its record.
func (s *site) oweVersion(t *testing.T, resource map[string]any) {
	t.Helper()
	kind, _ := resource["resourceType"].(string)
	id, _ := resource["id"].(string)
	var events []trail.Event
	eventually(t, kind+" is anchored", func() bool {
		out, code, err := s.Run(t.Context(), "trace", kind+"/"+id+"/_history/1", "--json") // 1 until it is on the trail
		return err == nil && code == 0 && json.Unmarshal(out, &events) == nil && len(events) > 0 && events[len(events)-1].Stage == stage.Anchored
	})
	rec, err := record.ParseID(events[0].Record)
	require.NoError(t, err)
	s.owe(rec)
}

func awaitNotice(t *testing.T, got <-chan notice, what, path string) notice {
	t.Helper()
	end := time.After(patience)
	for {
		select {
		case n := <-got:
			if n.path == path {
				return n
			}
		case <-end:
			require.FailNow(t, "no notice", what)
		}
	}
}

// TestSubscribersAreTold lets a subscriber hear that a resource was anchored on the ledger,
// and that another hospital was granted access.
func TestSubscribersAreTold(t *testing.T) {
	host, authority, got := subscriber(t)
	addr := freeAddress(t)
	owner := w.up(t, 1, func(c *config.Config) {
		c.FHIR.Addr, c.FHIR.SubscriptionHosts, c.FHIR.SubscriptionCA = addr, []string{host}, authority
	})
	asker := w.up(t, 2, nil)
	base := "http://" + addr + "/"
	for event, payload := range map[string]string{"anchored": `"payload":"application/fhir+json",`, "granted": ""} {
		owner.oweVersion(t, postFHIR(t, base+"Subscription", `{"resourceType":"Subscription","status":"requested","reason":"test","criteria":"AuditEvent?subtype=`+event+
			`","channel":{"type":"rest-hook",`+payload+`"endpoint":"https://`+host+`/`+event+`","header":["Authorization: Bearer of-the-test"]}}`))
	}
	resident := residentNo(77)
	p := postFHIR(t, base+"Patient", `{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.16.156.10011.1.3","value":"`+resident+`"}],"name":[{"text":"测试"}],"gender":"female"}`)
	id, _ := p["id"].(string)
	for {
		n := awaitNotice(t, got, "the resource was anchored", "/anchored")
		assert.Equal(t, "Bearer of-the-test", n.authorization)
		assert.NotContains(t, string(n.body), resident)
		if bytes.Contains(n.body, []byte("Patient/"+id)) {
			break
		}
	}
	owner.oweVersion(t, p)
	owner.must(t, "consent", "grant", "--id-file", owner.patientFile(t, resident), "--to", asker.hospital.MSPID)
	var answer retrieved
	asker.answer(t, 0, &answer, "retrieve", "--id-file", asker.patientFile(t, resident))
	require.NotZero(t, answer.Genuine)
	n := awaitNotice(t, got, "access was granted", "/granted")
	assert.Empty(t, n.body, "no payload was asked for")
}
