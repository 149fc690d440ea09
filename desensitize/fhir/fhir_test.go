package fhir_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize"
	walker "github.com/emrbridge/emrbridge/desensitize/fhir"
)

// scrubber is a stand-in for the engine of free text: it finds what is known.
type scrubber struct{}

type replacer struct{ known []string }

func (scrubber) ForRecord(k *desensitize.Known) desensitize.TextReplacer {
	r := replacer{}
	for _, l := range [][]string{k.Names, k.Relatives, k.Staff, k.IDNumbers, k.Phones, k.Addresses, k.Hospitals, k.RecordNumbers} {
		r.known = append(r.known, l...)
	}
	return r
}

func (r replacer) Replace(dst []byte, text string, by func(desensitize.Found) string) []byte {
	for _, k := range r.known {
		if strings.Contains(text, k) {
			text = strings.ReplaceAll(text, k, by(desensitize.Found{Type: desensitize.Name, Value: k, Known: true}))
		}
	}
	return append(dst, text...)
}

func newJob(t testing.TB, p *desensitize.Policy) *desensitize.Job {
	t.Helper()
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P2026-001", Key: bytes.Repeat([]byte{7}, desensitize.KeySize)})
	require.NoError(t, err)
	job, err := desensitize.NewJob(desensitize.JobConfig{
		Policy: p, Project: project, Text: scrubber{}, AsOf: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
	})
	require.NoError(t, err)
	return job
}

func newWalker(t testing.TB, name string) *walker.Walker {
	t.Helper()
	p, err := desensitize.ShippedPolicy(name)
	require.NoError(t, err)
	w, err := walker.New(newJob(t, p))
	require.NoError(t, err)
	return w
}

// attachments is a stand-in that scrubs texts.
type attachments struct{}

func (attachments) Scrub(_ context.Context, mediaType string, data []byte, clean func(string) string) (desensitize.Content, error) {
	return desensitize.Content{Data: []byte(clean(string(data))), MediaType: mediaType, What: "text"}, nil
}

func bundle(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "bundle.json"))
	require.NoError(t, err)
	return data
}

// identifiers are all of those in the Bundle, as they stand or in parts.
var identifiers = []string{
	"诸葛", "黄月英", "华佗", "张仲景", "13912345678", "13887654321", "ZY0012345", "11010519491231002X", "隆中", "SN-77", "his.example.cn",
	"p1", "liang", "6K+46JGb5Lqu", "农场", "05:06:07",
}

func TestShippedPolicies(t *testing.T) {
	valid := fhir.NewValidator(fhir.ValidatorConfig{})
	_, issues := valid.Validate(context.Background(), bundle(t))
	require.False(t, issues.Failed(), issues)
	for _, name := range desensitize.Shipped() {
		t.Run(name, func(t *testing.T) {
			report := &desensitize.Report{}
			out, err := newWalker(t, name).Record(context.Background(), bundle(t), []byte("subject"), nil, report)
			require.NoError(t, err)
			_, issues := valid.Validate(context.Background(), out)
			require.False(t, issues.Failed(), issues)
			text, err := json.Marshal(report)
			require.NoError(t, err)
			for _, id := range identifiers {
				require.NotContains(t, string(out), id)
				require.NotContains(t, string(text), id)
			}
			require.Contains(t, string(out), "白蛋白")
			require.Contains(t, string(out), "38.50", "decimals keep their digits")
			again, err := newWalker(t, name).Record(context.Background(), bundle(t), []byte("subject"), nil, &desensitize.Report{})
			require.NoError(t, err)
			require.Equal(t, string(out), string(again))
			var pretty bytes.Buffer
			require.NoError(t, json.Indent(&pretty, out, "", " "))
			golden(t, name+".json", pretty.Bytes())
		})
	}
}

// golden compares with a file; UPDATE_GOLDEN=1 writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// TestReferencesAgree: whatever way a resource is named in, its new names agree, and the
// patient whom the caller names has the project's pseudonym.
func TestReferencesAgree(t *testing.T) {
	out, err := newWalker(t, "gbt39725-agreement").Record(context.Background(), bundle(t), []byte("subject"), nil, &desensitize.Report{})
	require.NoError(t, err)
	root, err := fhir.Parse(out, fhir.Limits{})
	require.NoError(t, err)
	entries := root.Get("entry").Items
	patient := entries[0].At("resource", "id").Str()
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P2026-001", Key: bytes.Repeat([]byte{7}, desensitize.KeySize)})
	require.NoError(t, err)
	require.Equal(t, project.SubjectPseudonym([]byte("subject")), patient)
	require.Equal(t, "https://example.invalid/fhir/Patient/"+patient, entries[0].Get("fullUrl").Str())
	require.Equal(t, "Patient/"+patient, entries[1].At("resource", "subject", "reference").Str())
	require.Equal(t, "https://example.invalid/fhir/Patient/"+patient, entries[2].At("resource", "subject", "reference").Str())
	require.Equal(t, entries[2].Get("fullUrl").Str(), entries[1].At("resource", "encounter", "reference").Str())
	require.Equal(t, "#"+entries[1].At("resource", "contained", "id").Str(), entries[1].At("resource", "device", "reference").Str())
	require.Len(t, entries[1].At("resource", "contained").Items, 1, "nothing refers to the other one")
	// Intervals are kept.
	start, _, _ := fhir.DateRange(entries[2].At("resource", "period", "start").Str())
	end, _, _ := fhir.DateRange(entries[2].At("resource", "period", "end").Str())
	require.Equal(t, 7*24*time.Hour, end.Sub(start))
	// A single resource about the same patient moves alike and refers to the same one.
	single, err := newWalker(t, "gbt39725-agreement").Record(context.Background(),
		[]byte(`{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/other"},"effectiveDateTime":"2024-05-10"}`), []byte("subject"), nil, &desensitize.Report{})
	require.NoError(t, err)
	require.Contains(t, string(single), `"reference":"Patient/`+patient+`"`)
	require.Contains(t, string(single), `"effectiveDateTime":"`+entries[2].At("resource", "period", "start").Str()+`"`)
}

// TestOnePatient: a patient whom a Bundle names by a URN and by an id is one, and so are the
// days by which everything about them moves.
func TestOnePatient(t *testing.T) {
	in := `{"resourceType":"Bundle","type":"collection","entry":[
		{"fullUrl":"urn:uuid:04121321-4af5-424c-a0e1-ed3aab1c349d","resource":{"resourceType":"Patient","id":"x","identifier":[{"value":"77"}],"deceasedDateTime":"2024-05-10"}},
		{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:04121321-4af5-424c-a0e1-ed3aab1c349d"},"effectiveDateTime":"2024-05-10"}},
		{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/x"},"effectiveDateTime":"2024-05-10"}}]}`
	for _, subject := range [][]byte{nil, []byte("subject")} {
		out, err := newWalker(t, "gbt39725-agreement").Record(context.Background(), []byte(in), subject, nil, &desensitize.Report{})
		require.NoError(t, err)
		dates := regexp.MustCompile(`"20\d\d-\d\d-\d\d"`).FindAllString(string(out), -1)
		require.Len(t, dates, 3)
		require.Equal(t, dates[0], dates[1])
		require.Equal(t, dates[0], dates[2])
		require.NotContains(t, dates, `"2024-05-10"`)
	}
}

// TestTwoPatients: the subject that the caller names is the first patient; another one in the
// Bundle has days and a pseudonym of its own, and still refers to the first by the right name.
func TestTwoPatients(t *testing.T) {
	in := `{"resourceType":"Bundle","type":"collection","entry":[
		{"resource":{"resourceType":"Patient","id":"mother","deceasedDateTime":"2024-05-10"}},
		{"resource":{"resourceType":"Patient","id":"child","deceasedDateTime":"2024-05-10"}},
		{"resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/child"},"focus":[{"reference":"Patient/mother"}]}}]}`
	out, err := newWalker(t, "gbt39725-agreement").Record(context.Background(), []byte(in), []byte("subject"), nil, &desensitize.Report{})
	require.NoError(t, err)
	root, err := fhir.Parse(out, fhir.Limits{})
	require.NoError(t, err)
	entry := func(i int) *fhir.Node { return root.Get("entry").Items[i].Get("resource") }
	require.NotEqual(t, entry(0).Get("id").Str(), entry(1).Get("id").Str())
	require.NotEqual(t, entry(0).Get("deceasedDateTime").Str(), entry(1).Get("deceasedDateTime").Str())
	require.Equal(t, "Patient/"+entry(1).Get("id").Str(), entry(2).At("subject", "reference").Str())
	require.Equal(t, "Patient/"+entry(0).Get("id").Str(), entry(2).At("focus", "reference").Str())
}

// rules makes a walker of rules for FHIR.
func rules(t testing.TB, set ...desensitize.Rule) *walker.Walker {
	t.Helper()
	p := &desensitize.Policy{
		Language: desensitize.Language, Name: "test", Version: "1", Title: desensitize.Bilingual{EN: "t", ZH: "测"}, Release: true,
		Formats: map[desensitize.Format]*desensitize.RuleSet{
			desensitize.FHIR: {Rules: set}, desensitize.Attached: {Rules: []desensitize.Rule{{Select: "text/*", Method: desensitize.Scrub}}},
		},
	}
	require.NoError(t, p.Check())
	w, err := walker.New(newJob(t, p))
	require.NoError(t, err)
	return w
}

func keep(selector string) desensitize.Rule {
	return desensitize.Rule{Select: selector, Method: desensitize.Keep}
}

func TestSelectors(t *testing.T) {
	const in = `{"resourceType":"Patient","active":true,"gender":"male","birthDate":"1950-03-04","deceasedDateTime":"2020-01-01",
		"name":[{"use":"official","family":"A"},{"use":"usual","family":"B"}],"address":[{"city":"C","state":"S"}],"contact":[{"address":{"city":"D"}}],
		"maritalStatus":{"text":"T","coding":[{"code":"M","display":"d"}]},"unknown":"X"}`
	for _, c := range []struct {
		rules []desensitize.Rule
		want  string
	}{
		{nil, ``},
		{[]desensitize.Rule{keep("Patient.active")}, `"active":true`},
		{[]desensitize.Rule{keep("Patient.deceased")}, `"deceasedDateTime":"2020-01-01"`},
		{[]desensitize.Rule{keep("Patient.deceased as boolean")}, ``},
		{[]desensitize.Rule{keep("Patient.deceased as dateTime")}, `"deceasedDateTime":"2020-01-01"`},
		{[]desensitize.Rule{keep("Patient.name.where(use = 'usual')")}, `"name":[{"use":"usual","family":"B"}]`},
		{[]desensitize.Rule{keep("Patient.name.where(use = 'usual').family")}, `"name":[{"family":"B"}]`},
		{[]desensitize.Rule{{Select: "Patient.name.family", Where: "$this = 'A'", Method: desensitize.Keep}}, `"name":[{"family":"A"}]`},
		{[]desensitize.Rule{keep("nodesByType('Address').city")}, `"address":[{"city":"C"}],"contact":[{"address":{"city":"D"}}]`},
		{[]desensitize.Rule{keep("Patient.contact.nodesByType('Address')")}, `"contact":[{"address":{"city":"D"}}]`},
		{[]desensitize.Rule{keep("nodesByName('display')")}, `"maritalStatus":{"coding":[{"display":"d"}]}`},
		{[]desensitize.Rule{keep("nodesByType('code')")}, `"gender":"male","name":[{"use":"official"},{"use":"usual"}],"maritalStatus":{"coding":[{"code":"M"}]}`},
		{[]desensitize.Rule{{Select: "Patient.name.family", Method: desensitize.Redact}, keep("Patient.name")}, `"name":[{"use":"official"},{"use":"usual"}]`},
		{[]desensitize.Rule{keep("Patient.name"), {Select: "Patient.name.family", Method: desensitize.Redact}}, `"name":[{"use":"official","family":"A"},{"use":"usual","family":"B"}]`},
		{[]desensitize.Rule{{Select: "Patient.address.city", Method: desensitize.Substitute, Params: desensitize.Params{With: ptr("Z")}}}, `"address":[{"city":"Z"}]`},
		{[]desensitize.Rule{keep("Observation.status"), keep("Resource.id")}, ``},
		{[]desensitize.Rule{{Select: "Patient.birthDate", Method: desensitize.Generalise, Params: desensitize.Params{To: "year"}}}, `"birthDate":"1950"`},
		{[]desensitize.Rule{{Select: "Patient.gender", Method: desensitize.Pseudonymise}}, ``},
	} {
		out, err := rules(t, c.rules...).Record(context.Background(), []byte(in), nil, nil, &desensitize.Report{})
		require.NoError(t, err)
		root, err := fhir.Parse(out, fhir.Limits{})
		require.NoError(t, err)
		want := `{"resourceType":"Patient"`
		if c.want != "" {
			want += "," + c.want
		}
		if i := bytes.Index(out, []byte(`,"meta":{"security":`)); i >= 0 {
			out = append(out[:i:i], '}')
		}
		require.JSONEq(t, want+"}", string(out), "%v", c.rules)
		require.NotEmpty(t, root.At("meta", "security").Items)
	}
}

func ptr[T any](v T) *T { return &v }

func TestSelectorFaults(t *testing.T) {
	for selector, want := range map[string]string{
		"Patient.surname": "Patient has no element surname", "Paciente.name": "no resource type Paciente", "name": "starts with a resource type", "Patient.name[0]": "no name of an element",
		"nodesByType('Nothing')": "no data type Nothing", "nodesByType(": "not closed", "Patient.first()": "cannot stand in a selector", "Patient.where(": "not closed", "Patient.where(x y)": "something follows",
		"Patient.where(today() = 1)": "the function today is not supported", "Resource.name": "that all resource types have", "Patient..name": "no name of an element", "nodesByName('a b')": "needs a name",
		"Patient" + strings.Repeat(".name", 40): "more than 32 steps",
	} {
		faults := walker.Check(&desensitize.RuleSet{Rules: []desensitize.Rule{{Select: selector, Method: desensitize.Redact}}})
		require.Len(t, faults, 1, selector)
		require.Contains(t, faults[0], want)
		require.Contains(t, faults[0], "formats.fhir.rules[0]")
	}
}

func TestRepairs(t *testing.T) {
	w := rules(t, keep("Observation.value"), keep("nodesByType('Extension')"), keep("Observation.component.modifierExtension"), keep("Observation.component.valueString"))
	out, err := w.Record(context.Background(), []byte(`{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueInteger":1,
		"_valueInteger":{"id":"v"},"component":[{"code":{"text":"y"},"valueString":"kept"}]}`), nil, nil, &desensitize.Report{})
	require.NoError(t, err)
	_, issues := fhir.NewValidator(fhir.ValidatorConfig{}).Validate(context.Background(), out)
	require.False(t, issues.Failed(), "%v %s", issues, out)
	require.Contains(t, string(out), `"_status":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason","valueCode":"masked"}]}`)
	// What a dropped modifierExtension said is not known: what it modified goes too.
	out, err = rules(t, keep("Observation.component.value"), keep("nodesByType('code')")).Record(context.Background(), []byte(`{"resourceType":"Observation","status":"final",
		"component":[{"valueString":"a"},{"modifierExtension":[{"url":"http://x/not","valueBoolean":true}],"valueString":"b"}]}`), nil, nil, &desensitize.Report{})
	require.NoError(t, err)
	require.Contains(t, string(out), `"component":[{"valueString":"a"}]`)
	_, err = rules(t, keep("nodesByType('code')")).Record(context.Background(), []byte(`{"resourceType":"Observation","status":"final","modifierExtension":[{"url":"http://x/not"}]}`), nil, nil, &desensitize.Report{})
	require.ErrorIs(t, err, walker.ErrRefused)
}

func TestRefused(t *testing.T) {
	w := newWalker(t, "gbt39725-public")
	for _, in := range []string{"", "张三", "[]", "{}", `{"resourceType":"张三"}`, `{"resourceType":"MolecularSequence","coordinateSystem":1}`, strings.Repeat(`{"a":`, 99), `{"resourceType":"Patient","resourceType":"Patient"}`} {
		_, err := w.Record(context.Background(), []byte(in), nil, nil, &desensitize.Report{})
		require.ErrorIs(t, err, walker.ErrRefused, in)
		require.NotContains(t, err.Error(), "张三")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.Record(ctx, bundle(t), nil, nil, &desensitize.Report{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAttachment(t *testing.T) {
	p, err := desensitize.ShippedPolicy("limited-dataset")
	require.NoError(t, err)
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P", Key: bytes.Repeat([]byte{7}, desensitize.KeySize)})
	require.NoError(t, err)
	job, err := desensitize.NewJob(desensitize.JobConfig{Policy: p, Project: project, Text: scrubber{}, Attachments: attachments{}, AsOf: time.Unix(1, 0)})
	require.NoError(t, err)
	w, err := walker.New(job)
	require.NoError(t, err)
	out, err := w.Record(context.Background(), bundle(t), nil, nil, &desensitize.Report{})
	require.NoError(t, err)
	require.Contains(t, string(out), `"attachment":{"contentType":"text/plain","data":"W05BTUVd"}`, "[NAME]")
	out, err = w.Record(context.Background(), []byte(`{"resourceType":"Binary","id":"b","contentType":"text/plain","data":"5bCP"}`), nil, nil, &desensitize.Report{})
	require.NoError(t, err)
	require.Contains(t, string(out), `"contentType":"text/plain","data":"5bCP"}`)
	require.NotContains(t, string(out), `"id":"b"`)
}

// TestConcurrent: one walker serves many goroutines, and the result does not depend on it.
func TestConcurrent(t *testing.T) {
	w, data := newWalker(t, "gbt39725-agreement"), bundle(t)
	want, err := newWalker(t, "gbt39725-agreement").Record(context.Background(), data, nil, nil, &desensitize.Report{})
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 5 {
				got, err := w.Record(context.Background(), data, nil, nil, &desensitize.Report{})
				assert.NoError(t, err)
				assert.Equal(t, string(want), string(got))
			}
		})
	}
	group.Wait()
}

func FuzzRecord(f *testing.F) {
	data := bundle(f)
	root, err := fhir.Parse(data, fhir.Limits{})
	require.NoError(f, err)
	for _, e := range root.Get("entry").Items {
		r := e.Get("resource")
		f.Add(data[r.Start:r.End])
	}
	f.Add([]byte(`{"resourceType":"Patient","name":[null,{"given":[null,"a"],"_given":[{"id":"x"},null]}],"_active":{"id":"1"},"contained":[{}],"meta":[]}`))
	w := newWalker(f, "gbt39725-agreement")
	f.Fuzz(func(t *testing.T, data []byte) {
		known := &desensitize.Known{Names: []string{"诸葛亮"}, Phones: []string{"13912345678"}, IDNumbers: []string{"11010519491231002X"}}
		out, err := w.Record(context.Background(), data, nil, known, &desensitize.Report{})
		if err != nil {
			return
		}
		require.True(t, json.Valid(out), "%q", out)
		for _, planted := range []string{"诸葛亮", "13912345678", "11010519491231002X"} {
			require.NotContains(t, string(out), planted)
		}
	})
}
