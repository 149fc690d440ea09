package main

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/config"
)

// call sends a FHIR request to a site.
func (s *lonelySite) call(t *testing.T, method, path, body string) (int, http.Header, map[string]any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.config.FHIR.BaseURL+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/fhir+json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	var out map[string]any
	if len(text) > 0 {
		require.NoError(t, json.Unmarshal(text, &out), "%s", text)
	}
	return res.StatusCode, res.Header, out
}

// A resource is read back at once, comes into the store as a record of its own, and is read
// from there on; large ones pass by the claim check; a restart forgets nothing.
func TestFHIRServiceKeepsWhatItTook(t *testing.T) {
	s := newLonelySite(t, func(c *config.Config) { c.FHIR.Addr = freeAddr(t) })
	status, header, created := s.call(t, "POST", "/Patient", `{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.16.156.10011.1.3","value":"990101199003071237"}],"name":[{"text":"测试"}]}`)
	require.Equal(t, http.StatusCreated, status, "%v", created)
	assert.Contains(t, header.Get("Location"), s.config.FHIR.BaseURL+"/Patient/")
	path := "/Patient/" + created["id"].(string)
	status, _, read := s.call(t, "GET", path, "")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, created, read)

	status, _, refused := s.call(t, "POST", "/Subscription", `{"resourceType":"Subscription","status":"requested","reason":"x","criteria":"AuditEvent?subtype=anchored","channel":{"type":"rest-hook","endpoint":"https://his.test/hook"}}`)
	assert.Equal(t, http.StatusUnprocessableEntity, status, "no host may be called: %v", refused)

	large := `{"resourceType":"Binary","contentType":"application/pdf","data":"` + strings.Repeat("AAAA", 3<<20) + `"}`
	status, _, binary := s.call(t, "POST", "/Binary", large)
	require.Equal(t, http.StatusCreated, status, "12 MiB are more than the bus carries")

	all := s.stored(t, 2)
	kinds := map[string]bool{}
	for _, m := range all {
		kinds[m.Kind] = true
	}
	assert.Equal(t, map[string]bool{"Patient": true, "Binary": true}, kinds)
	time.Sleep(6 * time.Second) // longer than between two sweeps: the copies are dropped
	status, _, read = s.call(t, "GET", path, "")
	require.Equal(t, http.StatusOK, status)
	assert.Equal(t, created, read, "from the sealed record")
	s.halt(t)
	s.start(t)
	_, _, read = s.call(t, "GET", path, "")
	assert.Equal(t, created, read)
	status, _, again := s.call(t, "GET", "/Binary/"+binary["id"].(string), "")
	require.Equal(t, http.StatusOK, status)
	assert.Len(t, again["data"], 12<<20)
	_, _, found := s.call(t, "GET", "/Patient?identifier=990101199003071237", "")
	assert.Len(t, found["entry"], 1)
	for _, personal := range []string{"990101199003071237", "测试"} {
		assert.NotContains(t, s.log.String(), personal)
		assert.False(t, anyFileHolds(t, s.dir, personal), "%s lies in the clear", personal)
	}
}

func anyFileHolds(t *testing.T, dir, text string) bool {
	t.Helper()
	found := false
	walkFiles(t, dir, func(data []byte) { found = found || bytes.Contains(data, []byte(text)) })
	return found
}

func walkFiles(t *testing.T, dir string, see func([]byte)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			see(data)
		}
		return nil // a file that is gone meanwhile holds nothing
	}))
}
