package rest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
	"github.com/emrbridge/emrbridge/bridge/view"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// anyone may do everything, unless it is listed.
type anyone struct{ denied map[string]bool }

func (anyone) Name() string { return "his" }
func (a anyone) May(resource string, what rest.Action) bool {
	return !a.denied[resource+"."+string(rune(what))]
}

// server is a handler over a real view, and a bus that remembers.
type server struct {
	*rest.Handler
	t    *testing.T
	view *view.View

	mu        sync.Mutex
	submitted []index.Submission
	fail      error
}

func newServer(t *testing.T, change func(*rest.Config)) *server {
	t.Helper()
	ctx, dir := context.Background(), t.TempDir()
	keys, err := keystore.Create(ctx, filepath.Join(dir, "keys"), []byte("correct horse battery staple"),
		keystore.CreateOptions{Number: 1, MSPID: "H1MSP", KDF: keystore.MinKDF()})
	require.NoError(t, err)
	require.NoError(t, keys.GenerateHospitalKeys(ctx))
	store, err := embedded.Open(ctx, filepath.Join(dir, "store"), embedded.Options{})
	require.NoError(t, err)
	s := &server{t: t}
	s.view, err = view.Open(ctx, view.Config{Dir: filepath.Join(dir, "view"), Custody: keys, Store: store})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, errors.Join(s.view.Close(), store.Close(), keys.Close()))
	})
	cfg := rest.Config{HospitalNumber: 1, HospitalMSP: "H1MSP", Index: s.view, Base: "http://fhir.test/r4",
		Submit:    s.submit,
		Authorize: func(*http.Request) (rest.Caller, error) { return anyone{}, nil }}
	if change != nil {
		change(&cfg)
	}
	s.Handler, err = rest.New(cfg)
	require.NoError(t, err)
	return s
}

func (s *server) submit(_ context.Context, m index.Submission) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.submitted = append(s.submitted, m)
	return nil
}

// reply is an answer, taken apart.
type reply struct {
	*httptest.ResponseRecorder
	node *fhir.Node
}

func (s *server) do(method, path, body string, headers ...string) reply {
	s.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, path, in)
	if body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	out := reply{ResponseRecorder: w}
	if w.Body.Len() > 0 {
		n, err := fhir.Parse(w.Body.Bytes(), fhir.Limits{})
		require.NoError(s.t, err, w.Body.String())
		out.node = n
		_, issues := fhir.NewValidator(fhir.ValidatorConfig{}).Validate(context.Background(), w.Body.Bytes())
		assert.False(s.t, issues.Failed(), "%s %s answers %s: %v", method, path, w.Body, issues)
	}
	return out
}

func (r reply) issue() string { return r.node.At("issue", "code").Str() }

const patient = `{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.16.156.10011.1.3","value":"110101199003070074"}],"name":[{"text":"王小明"}],"birthDate":"1990-03-07"}`

func observation(subject, date string) string {
	return `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7"}]},"subject":{"reference":"` + subject +
		`"},"effectiveDateTime":"` + date + `","valueQuantity":{"value":120.50,"unit":"g/L"}}`
}

func TestLifeOfAResource(t *testing.T) {
	s := newServer(t, nil)
	created := s.do("POST", "/Patient", patient)
	require.Equal(t, http.StatusCreated, created.Code, created.Body)
	id := created.node.Get("id").Str()
	assert.Equal(t, "http://fhir.test/r4/Patient/"+id+"/_history/1", created.Header().Get("Location"))
	assert.Equal(t, `W/"1"`, created.Header().Get("ETag"))
	require.Len(t, s.submitted, 1)
	assert.Equal(t, patient, string(s.submitted[0].Raw), "the bytes as received")
	assert.Equal(t, "Patient/"+id+"/_history/1", s.submitted[0].ControlID)

	read := s.do("GET", "/Patient/"+id, "")
	require.Equal(t, http.StatusOK, read.Code)
	assert.Equal(t, created.Body.String(), read.Body.String())
	assert.Equal(t, http.StatusNotModified, s.do("GET", "/Patient/"+id, "", "If-None-Match", `W/"1"`).Code)
	assert.Empty(t, s.do("HEAD", "/Patient/"+id, "").Body.String())

	second := strings.Replace(patient, `{`, `{"id":"`+id+`","active":true,`, 1)
	assert.Equal(t, http.StatusPreconditionFailed, s.do("PUT", "/Patient/"+id, second, "If-Match", `W/"7"`).Code)
	updated := s.do("PUT", "/Patient/"+id, second, "If-Match", `W/"1"`, "Prefer", "return=minimal")
	require.Equal(t, http.StatusOK, updated.Code)
	assert.Empty(t, updated.Body.String())
	assert.Nil(t, s.do("GET", "/Patient/"+id+"/_history/1", "").node.Get("active"))
	assert.True(t, s.do("GET", "/Patient/"+id, "").node.Get("active").IsTrue())

	assert.Equal(t, http.StatusNoContent, s.do("DELETE", "/Patient/"+id, "").Code)
	assert.Equal(t, http.StatusNoContent, s.do("DELETE", "/Patient/"+id, "").Code, "twice is once")
	gone := s.do("GET", "/Patient/"+id, "")
	assert.Equal(t, http.StatusGone, gone.Code)
	assert.Equal(t, "deleted", gone.issue())
	history := s.do("GET", "/Patient/"+id+"/_history", "")
	assert.Len(t, history.node.Get("entry").List(), 3)
	paged := s.do("GET", "/Patient/"+id+"/_history?_count=2", "")
	assert.Len(t, paged.node.Get("entry").List(), 2)
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/Patient/"+id+"/_history/9", "").Code)
	assert.Equal(t, http.StatusCreated, s.do("PUT", "/Patient/"+id, second).Code, "a deleted resource is brought back")
	assert.Equal(t, `W/"4"`, s.do("GET", "/Patient/"+id, "").Header().Get("ETag"))
}

func TestNothingIsPromisedBeforeItIsDurable(t *testing.T) {
	s := newServer(t, nil)
	s.fail = errors.New("bus is full")
	r := s.do("PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`)
	assert.Equal(t, http.StatusServiceUnavailable, r.Code)
	assert.NotEmpty(t, r.Header().Get("Retry-After"))
	assert.NotContains(t, r.Body.String(), "full", "causes stay in the log")
	s.fail = &rest.Refusal{Status: http.StatusRequestEntityTooLarge, Code: fhir.CodeTooLong, Diagnostics: "too large for the bus"}
	assert.Equal(t, http.StatusRequestEntityTooLarge, s.do("PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`).Code)
	s.fail = nil
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/Patient/a", "").Code)
	assert.Equal(t, http.StatusCreated, s.do("PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`).Code)
	assert.Equal(t, `W/"1"`, s.do("GET", "/Patient/a", "").Header().Get("ETag"))
}

func TestRefusedContentIsKept(t *testing.T) {
	var kept []rest.Refused
	s := newServer(t, func(c *rest.Config) {
		c.Quarantine = func(_ context.Context, r rest.Refused) error {
			kept = append(kept, r)
			return errors.New("disk is full")
		}
	})
	wrong := `{"resourceType":"Patient","gender":"M"}`
	assert.Equal(t, http.StatusUnprocessableEntity, s.do("POST", "/Patient", wrong).Code, "also when it cannot be kept")
	assert.Equal(t, http.StatusBadRequest, s.do("POST", "/Patient", "{").Code)
	assert.Equal(t, http.StatusUnprocessableEntity, s.do("POST", "/", transaction).Code)
	assert.Equal(t, http.StatusOK, s.do("POST", "/Patient/$validate", wrong).Code)
	require.Len(t, kept, 3, "what was only to be judged is not kept")
	assert.Equal(t, wrong, string(kept[0].Raw))
	assert.Equal(t, "Patient.gender", kept[0].Issue.Expression)
	assert.Equal(t, "Bundle/transaction", kept[2].Kind)

	require.ErrorContains(t, s.Again(t.Context(), kept[0].Sender, kept[0].Raw), "Patient.gender")
	require.Error(t, s.Again(t.Context(), "fhir/his", []byte("{")))
	require.Len(t, kept, 3, "it is there already")
	require.NoError(t, s.Again(t.Context(), "fhir/his", []byte(patient)))
	require.Len(t, s.submitted, 1)
	assert.Equal(t, "fhir/his", s.submitted[0].Sender)
}

func TestRestore(t *testing.T) {
	s := newServer(t, nil)
	body := `{"resourceType":"Patient","id":"a","active":true}`
	lost := index.Submission{Raw: []byte(body), Sender: "fhir/his", ControlID: "Patient/a/_history/1", Kind: "Patient", ReceivedAt: time.UnixMilli(1_700_000_000_000)}
	lost.Record = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: lost.Sender, ControlID: lost.ControlID, Payload: lost.Raw})
	for range 2 {
		require.NoError(t, s.Restore(t.Context(), lost))
	}
	r := s.do("GET", "/Patient/a", "")
	require.Equal(t, http.StatusOK, r.Code)
	assert.True(t, r.node.Get("active").IsTrue())
	lost.ControlID, lost.Raw = "Patient/b/_history/1", []byte(`{"resourceType":"Patient","id":""}`)
	require.NoError(t, s.Restore(t.Context(), lost), "a skeleton is no resource")
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/Patient/b", "").Code)
	count := s.do("GET", "/Patient?_count=0", "")
	n, _ := count.node.Get("total").Int()
	assert.EqualValues(t, 1, n)
}

func TestConditional(t *testing.T) {
	s := newServer(t, nil)
	condition := "identifier=urn:oid:2.16.156.10011.1.3|110101199003070074"
	first := s.do("POST", "/Patient", patient, "If-None-Exist", condition)
	require.Equal(t, http.StatusCreated, first.Code)
	again := s.do("POST", "/Patient", patient, "If-None-Exist", condition)
	assert.Equal(t, http.StatusOK, again.Code)
	assert.Equal(t, first.Header().Get("Location"), again.Header().Get("Location"))
	assert.Equal(t, http.StatusOK, s.do("PUT", "/Patient?"+condition, patient).Code)
	assert.Equal(t, http.StatusCreated, s.do("PUT", "/Patient?identifier=x|new", patient).Code)
	assert.Equal(t, http.StatusPreconditionFailed, s.do("POST", "/Patient", patient, "If-None-Exist", condition).Code, "two match by now")
}

func TestSearch(t *testing.T) {
	s := newServer(t, nil)
	id := s.do("POST", "/Patient", patient).node.Get("id").Str()
	for day := 1; day <= 7; day++ {
		require.Equal(t, http.StatusCreated, s.do("POST", "/Observation", observation("Patient/"+id, fmt.Sprintf("2026-03-%02d", day))).Code)
	}
	require.Equal(t, http.StatusCreated, s.do("POST", "/Observation", observation("Patient/other", "2026-03-03")).Code)
	for query, want := range map[string]int{
		"": 8, "patient=" + id: 7, "subject=Patient/" + id: 7, "subject:Patient=" + id: 7, "patient=" + id + ",other": 8, "patient=nobody": 0,
		"code=718-7": 8, "code=http://loinc.org|718-7": 8, "code=http://other.org|718-7": 0, "code=718-8": 0, "status=final&patient=" + id: 7,
		"date=2026-03-03": 2, "date=ge2026-03-06": 2, "date=gt2026-03-06": 1, "date=lt2026-03-02": 1, "date=ge2026-03-02&date=le2026-03-04": 4, "date=2026-03": 8,
		"_lastUpdated=ge2020-01-01": 8, "_lastUpdated=lt2020-01-01": 0, "_id=nothing": 0,
	} {
		r := s.do("GET", "/Observation?"+query, "")
		require.Equal(t, http.StatusOK, r.Code, "%s: %s", query, r.Body)
		assert.Len(t, r.node.Get("entry").List(), want, query)
	}
	found := s.do("GET", "/Patient?identifier=110101199003070074&birthdate=1990-03-07", "")
	require.Len(t, found.node.Get("entry").List(), 1)
	assert.Equal(t, "王小明", found.node.At("entry", "resource", "name", "text").Str())
	form := s.do("POST", "/Observation/_search", "patient="+id+"&_summary=count", "Content-Type", "application/x-www-form-urlencoded")
	n, _ := form.node.Get("total").Int()
	assert.EqualValues(t, 7, n)
	for query, status := range map[string]int{
		"foo=1": 400, "date=yesterday": 400, "_sort=name": 400, "patient=a/b/c": 400, "_count=x": 400, "code:text=x": 400, "_cursor=zz": 400,
		"code=" + strings.Repeat("a,", 200): 400, "code=" + strings.Repeat("x", 20000): 414,
	} {
		assert.Equal(t, status, s.do("GET", "/Observation?"+query, "").Code, query)
	}
}

func TestPaging(t *testing.T) {
	s := newServer(t, nil)
	for day := 1; day <= 7; day++ {
		s.do("POST", "/Observation", observation("Patient/p", fmt.Sprintf("2026-03-%02d", 1+day*3%8)))
	}
	for _, sort := range []string{"date", "-date", "_lastUpdated", "-_lastUpdated"} {
		var dates []string
		next := "/Observation?patient=p&_count=3&_sort=" + sort
		for pages := 0; next != ""; pages++ {
			require.Less(t, pages, 4)
			r := s.do("GET", next, "")
			require.Equal(t, http.StatusOK, r.Code)
			next = ""
			for _, l := range r.node.Get("link").List() {
				if l.Get("relation").Str() == "next" {
					next = strings.TrimPrefix(l.Get("url").Str(), "http://fhir.test/r4")
				}
			}
			for _, e := range r.node.Get("entry").List() {
				dates = append(dates, e.At("resource", "effectiveDateTime").Str())
			}
		}
		require.Len(t, dates, 7, sort)
		if sort == "date" {
			assert.IsNonDecreasing(t, dates)
		}
		if sort == "-date" {
			assert.IsNonIncreasing(t, dates)
		}
	}
}

const transaction = `{"resourceType":"Bundle","type":"transaction","entry":[
 {"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":` + patient + `,"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=110101199003070074"}},
 {"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1","resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"},"valueDecimal":1.00},"request":{"method":"POST","url":"Observation"}},
 {"resource":{"resourceType":"Organization","id":"o1","name":"医院"},"request":{"method":"PUT","url":"Organization/o1"}},
 {"request":{"method":"GET","url":"Organization/none"}}]}`

func TestTransaction(t *testing.T) {
	s := newServer(t, nil)
	bad := s.do("POST", "/", transaction)
	assert.Equal(t, http.StatusUnprocessableEntity, bad.Code, "valueDecimal is no type of Observation.value")
	assert.Empty(t, s.submitted)
	good := strings.Replace(transaction, `"valueDecimal":1.00`, `"valueQuantity":{"value":1.00}`, 1)
	r := s.do("POST", "/", good)
	require.Equal(t, http.StatusOK, r.Code, r.Body)
	require.Len(t, s.submitted, 1, "one submission for all")
	assert.Equal(t, good, string(s.submitted[0].Raw))
	entries := r.node.Get("entry").List()
	require.Len(t, entries, 4)
	assert.Equal(t, "201 Created", entries[0].At("response", "status").Str())
	assert.Equal(t, "404 Not Found", entries[3].At("response", "status").Str())
	path := func(e *fhir.Node) string {
		full := strings.TrimPrefix(e.At("response", "location").Str(), "http://fhir.test/r4")
		before, _, _ := strings.Cut(full, "/_history")
		return before
	}
	observation := s.do("GET", path(entries[1]), "")
	require.Equal(t, http.StatusOK, observation.Code, observation.Body)
	assert.Equal(t, path(entries[0]), "/"+observation.node.At("subject", "reference").Str(), "the reference is resolved")
	assert.Contains(t, observation.Body.String(), `"value":1.00`, "digits are kept")
	assert.Len(t, s.do("GET", "/Observation?patient="+strings.TrimPrefix(path(entries[0]), "/Patient/"), "").node.Get("entry").List(), 1)

	again := s.do("POST", "/", good)
	require.Equal(t, http.StatusOK, again.Code)
	assert.Equal(t, "200 OK", again.node.At("entry", "response", "status").Str(), "the patient is there already")
	second := s.do("GET", path(again.node.Get("entry").List()[1]), "")
	assert.Equal(t, path(entries[0]), "/"+second.node.At("subject", "reference").Str())
}

func TestTransactionAllOrNothing(t *testing.T) {
	s := newServer(t, nil)
	for name, c := range map[string]struct {
		entries    string
		status     int
		expression string
	}{
		"dangling reference": {`{"resource":` + observation("urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6ff", "2026") + `,"request":{"method":"POST","url":"Observation"}}`, 400, "Bundle.entry[0].resource.subject.reference"},
		"stale version":      {`{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Patient/a","ifMatch":"W/\"3\""}}`, 412, "Bundle.entry[0]"},
		"twice":              {`{"request":{"method":"DELETE","url":"Patient/a"}},{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Patient/a"}}`, 400, "Bundle.entry[1]"},
		"other type":         {`{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PUT","url":"Group/a"}}`, 400, "Bundle.entry[0]"},
		"patch":              {`{"resource":{"resourceType":"Patient","id":"a"},"request":{"method":"PATCH","url":"Patient/a"}}`, 400, "Bundle.entry[0]"},
		"no match":           {`{"resource":` + observation("Patient?identifier=nobody", "2026") + `,"request":{"method":"POST","url":"Observation"}}`, 412, "Bundle.entry[0].resource.subject.reference"},
	} {
		good := `{"resource":{"resourceType":"Organization","name":"x"},"request":{"method":"POST","url":"Organization"}}`
		r := s.do("POST", "/", `{"resourceType":"Bundle","type":"transaction","entry":[`+c.entries+`,`+good+`]}`)
		assert.Equal(t, c.status, r.Code, "%s: %s", name, r.Body)
		assert.Equal(t, c.expression, r.node.At("issue", "expression").List()[0].Str(), name)
	}
	assert.Empty(t, s.submitted)
	assert.Empty(t, s.do("GET", "/Organization", "").node.Get("entry").List())
}

func TestBatch(t *testing.T) {
	s := newServer(t, nil)
	r := s.do("POST", "/", `{"resourceType":"Bundle","type":"batch","entry":[
	 {"resource":`+patient+`,"request":{"method":"POST","url":"Patient"}},
	 {"resource":{"resourceType":"Patient","gender":"M"},"request":{"method":"POST","url":"Patient"}},
	 {"request":{"method":"GET","url":"Patient?identifier=110101199003070074"}},{"request":{"method":"PATCH","url":"Patient/1"}}]}`)
	require.Equal(t, http.StatusOK, r.Code, r.Body)
	var statuses []string
	for _, e := range r.node.Get("entry").List() {
		statuses = append(statuses, e.At("response", "status").Str()[:3])
	}
	assert.Equal(t, []string{"201", "422", "200", "405"}, statuses)
	require.Len(t, s.submitted, 1)
	assert.Equal(t, patient, string(s.submitted[0].Raw), "an entry's own bytes")
}

const message = `{"resourceType":"Bundle","id":"m1","type":"message","entry":[{"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":
 {"resourceType":"MessageHeader","id":"h1","eventCoding":{"system":"http://example.org/events","code":"admit"},"source":{"endpoint":"http://his.test"}}}]}`

func TestMessages(t *testing.T) {
	s := newServer(t, nil)
	for range 2 {
		r := s.do("POST", "/$process-message", message)
		require.Equal(t, http.StatusOK, r.Code, r.Body)
		assert.Equal(t, "ok", r.node.At("entry", "resource", "response", "code").Str())
		assert.Equal(t, "h1", r.node.At("entry", "resource", "response", "identifier").Str())
	}
	require.Len(t, s.submitted, 1, "the same message is taken once")
	assert.Equal(t, "Bundle/message/admit", s.submitted[0].Kind)
	assert.Equal(t, http.StatusConflict, s.do("POST", "/$process-message", strings.Replace(message, "admit", "discharge", 1)).Code)
	assert.Equal(t, http.StatusBadRequest, s.do("POST", "/$process-message", patient).Code)
	assert.Equal(t, http.StatusCreated, s.do("POST", "/Bundle", strings.Replace(message, `"id":"m1",`, "", 1)).Code)
}

func TestValidateOperation(t *testing.T) {
	s := newServer(t, nil)
	for body, want := range map[string]string{
		patient: "information", `{"resourceType":"Patient","gender":"M"}`: "error", `{`: "fatal",
		`{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","x":1}}]}`: "error",
	} {
		r := s.do("POST", "/Patient/$validate", body)
		assert.Equal(t, http.StatusOK, r.Code, r.Body)
		assert.Equal(t, want, r.node.At("issue", "severity").Str(), body)
	}
	assert.Empty(t, s.submitted)
}

func TestRefusals(t *testing.T) {
	s := newServer(t, func(c *rest.Config) { c.MaxBody = 1000 })
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		code               string
	}{
		"XML":               {"POST", "/Patient", "<Patient/>", []string{"Content-Type", "application/fhir+xml"}, 415, "not-supported"},
		"no content type":   {"POST", "/Patient", patient, []string{"Content-Type", ""}, 415, "not-supported"},
		"GBK":               {"POST", "/Patient", patient, []string{"Content-Type", "application/fhir+json; charset=gbk"}, 415, "not-supported"},
		"STU3 by header":    {"POST", "/Patient", patient, []string{"Content-Type", "application/fhir+json; fhirVersion=3.0"}, 415, "not-supported"},
		"gzip":              {"POST", "/Patient", patient, []string{"Content-Encoding", "gzip"}, 415, "not-supported"},
		"XML wanted":        {"GET", "/Patient/1", "", []string{"Accept", "application/fhir+xml"}, 406, "not-supported"},
		"XML wanted in URL": {"GET", "/Patient/1?_format=xml", "", nil, 406, "not-supported"},
		"R5 wanted":         {"GET", "/Patient/1", "", []string{"Accept", "application/fhir+json; fhirVersion=5.0"}, 406, "not-supported"},
		"too large":         {"POST", "/Patient", `{"resourceType":"Patient","id":"` + strings.Repeat("a", 2000) + `"}`, nil, 413, "too-long"},
		"empty":             {"POST", "/Patient", " ", nil, 400, "structure"},
		"no JSON":           {"POST", "/Patient", `{"resourceType":`, nil, 400, "structure"},
		"invalid":           {"POST", "/Patient", `{"resourceType":"Patient","gender":"M"}`, nil, 422, "code-invalid"},
		"another type":      {"POST", "/Observation", patient, nil, 400, "invalid"},
		"another id":        {"PUT", "/Patient/b", `{"resourceType":"Patient","id":"a"}`, nil, 400, "invalid"},
		"personal id":       {"PUT", "/Patient/11010119900307007X", `{"resourceType":"Patient","id":"11010119900307007X"}`, nil, 201, ""},
		"resident number":   {"PUT", "/Patient/110101199003070011", `{"resourceType":"Patient","id":"110101199003070011"}`, nil, 400, "invalid"},
		"unknown type":      {"GET", "/Nothing/1", "", nil, 404, "not-supported"},
		"not there":         {"GET", "/Patient/none", "", nil, 404, "not-found"},
		"patch":             {"PATCH", "/Patient/1", patient, nil, 405, "not-supported"},
		"delete of a type":  {"DELETE", "/Patient", "", nil, 405, "not-supported"},
		"unknown operation": {"POST", "/$everything", patient, nil, 404, "not-supported"},
		"STU3 resource":     {"POST", "/", `{"resourceType":"ProcedureRequest"}`, nil, 400, "invalid"},
	} {
		r := s.do(c.method, c.path, c.body, c.headers...)
		assert.Equal(t, c.status, r.Code, "%s: %s", name, r.Body)
		if c.code != "" {
			assert.Equal(t, c.code, r.issue(), "%s: %s", name, r.Body)
		}
		if c.status == http.StatusMethodNotAllowed {
			assert.NotEmpty(t, r.Header().Get("Allow"))
		}
	}
}

func TestLimitsAndScopes(t *testing.T) {
	allowed := true
	s := newServer(t, func(c *rest.Config) {
		c.Allow = func(context.Context, string) (bool, time.Duration, error) { return allowed, 3 * time.Second, nil }
		c.Authorize = func(r *http.Request) (rest.Caller, error) {
			if r.Header.Get("X-Who") == "" {
				return nil, errors.New("unknown")
			}
			return anyone{map[string]bool{"Patient.c": true, "Patient.r": true, "Patient.s": true}}, nil
		}
	})
	assert.Equal(t, http.StatusUnauthorized, s.do("GET", "/Patient/1", "").Code)
	assert.Equal(t, http.StatusOK, s.do("GET", "/metadata", "").Code, "capabilities are public")
	for _, c := range [][2]string{{"POST", "/Patient"}, {"GET", "/Patient/1"}, {"GET", "/Patient"}, {"GET", "/Patient/1/_history"}} {
		body := ""
		if c[0] == "POST" {
			body = patient
		}
		assert.Equal(t, http.StatusForbidden, s.do(c[0], c[1], body, "X-Who", "me").Code, c)
	}
	r := s.do("POST", "/", transaction, "X-Who", "me")
	assert.NotEqual(t, http.StatusOK, r.Code, "a transaction is no way around scopes")
	allowed = false
	r = s.do("GET", "/Observation/1", "", "X-Who", "me")
	assert.Equal(t, http.StatusTooManyRequests, r.Code)
	assert.Equal(t, "3", r.Header().Get("Retry-After"))
}

func TestLargeBodiesWaitForEachOther(t *testing.T) {
	s := newServer(t, func(c *rest.Config) { c.Large = 1 })
	large := `{"resourceType":"Binary","contentType":"a/b","data":"` + strings.Repeat("AAAA", 300_000) + `"}`
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			assert.Equal(t, http.StatusCreated, s.do("POST", "/Binary", large, "Prefer", "return=minimal").Code)
		})
	}
	wg.Wait()
}

func TestConcurrentUpdatesGetVersionsOfTheirOwn(t *testing.T) {
	s := newServer(t, nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			assert.Less(t, s.do("PUT", "/Patient/a", `{"resourceType":"Patient","id":"a"}`).Code, 300)
		})
	}
	wg.Wait()
	assert.Equal(t, `W/"16"`, s.do("GET", "/Patient/a", "").Header().Get("ETag"))
	seen := map[string]bool{}
	for _, m := range s.submitted {
		seen[m.ControlID] = true
	}
	assert.Len(t, seen, 16)
}

func TestMetadata(t *testing.T) {
	s := newServer(t, func(c *rest.Config) { c.Resources = []string{"Patient", "Observation"} })
	r := s.do("GET", "/metadata", "")
	require.Equal(t, http.StatusOK, r.Code)
	assert.Equal(t, "4.0.1", r.node.Get("fhirVersion").Str())
	assert.Len(t, r.node.At("rest", "resource").Items, 2)
	assert.Equal(t, http.StatusNotFound, s.do("GET", "/Encounter/1", "").Code)
	assert.Equal(t, http.StatusOK, s.do("GET", "/r4/metadata", "").Code, "with the path of the base")
}
