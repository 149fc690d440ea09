package cda_test

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	codec "github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/cda"
)

// finder is a scrubber for tests: it finds what is known, word for word, and long numbers.
type finder struct{}

type replacer struct{ re *regexp.Regexp }

func (finder) ForRecord(k *desensitize.Known) desensitize.TextReplacer {
	parts := []string{`\d{7,}[0-9X]?`}
	for _, list := range [][]string{k.Names, k.Relatives, k.Staff, k.IDNumbers, k.Phones, k.Addresses, k.Hospitals, k.Employers, k.RecordNumbers} {
		for _, v := range list {
			parts = append([]string{regexp.QuoteMeta(v)}, parts...)
		}
	}
	return replacer{regexp.MustCompile(`(?i)` + strings.Join(parts, "|"))}
}

func (r replacer) Replace(dst []byte, text string, by func(desensitize.Found) string) []byte {
	return append(dst, r.re.ReplaceAllStringFunc(text, func(s string) string {
		t := desensitize.OtherID
		if strings.Trim(s, "0123456789X") != "" {
			t = desensitize.Name
		}
		return by(desensitize.Found{Type: t, Value: s})
	})...)
}

// attachments scrubs texts and refuses the rest.
type attachments struct{}

func (attachments) Scrub(_ context.Context, mediaType string, data []byte, clean func(string) string) (desensitize.Content, error) {
	if !strings.HasPrefix(mediaType, "text/") {
		return desensitize.Content{What: "refused"}, nil
	}
	return desensitize.Content{Data: []byte(clean(string(data))), MediaType: mediaType, What: "text"}, nil
}

func walker(t testing.TB) *cda.Walker {
	t.Helper()
	data, err := os.ReadFile("testdata/policy.yaml")
	require.NoError(t, err)
	p, err := desensitize.ParsePolicy(data)
	require.NoError(t, err)
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P1", Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	j, err := desensitize.NewJob(desensitize.JobConfig{Policy: p, Project: project, Text: finder{}, Attachments: attachments{},
		AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	w, err := cda.New(j)
	require.NoError(t, err)
	return w
}

func deid(t testing.TB, w *cda.Walker, document []byte, beside ...*desensitize.Known) (string, *desensitize.Report) {
	t.Helper()
	var report desensitize.Report
	var known *desensitize.Known
	if len(beside) > 0 {
		known = beside[0]
	}
	out, err := w.Record(context.Background(), document, nil, known, &report)
	require.NoError(t, err)
	return string(out), &report
}

// Every document type of WS/T 500 comes out as a document of the type that its validator
// finds no more fault with than with the original, without the persons of its header.
func TestExamples(t *testing.T) {
	w := walker(t)
	for _, typ := range codec.Types() {
		d := cdaexample.Document(typ, 7)
		raw, err := codec.Render(d, codec.Roots{})
		require.NoError(t, err, typ.Code)
		out, report := deid(t, w, raw)
		if typ.Number == 34 {
			t.Log(string(raw))
			t.Log(out)
		}
		require.Positive(t, len(report.Changes()))
		back, err := codec.Parse([]byte(out), codec.ReadOptions{})
		require.NoError(t, err, typ.Code)
		require.Same(t, typ, back.Type)
		require.Equal(t, len(d.Sections), len(back.Sections), typ.Code)
		for _, secret := range secrets(d) {
			require.NotContains(t, out, secret, typ.Code)
		}
	}
}

func secrets(d *codec.Document) []string {
	out := []string{d.Patient.Name, d.Patient.Address.Street, d.Patient.Birth, d.ID.Extension, d.SetID.Extension, d.Custodian.Name, d.Patient.Employer.Name}
	for _, id := range append(append([]codec.ID{}, d.Patient.IDs...), d.Patient.PersonIDs...) {
		out = append(out, id.Extension)
	}
	for _, list := range [][]codec.Person{d.Authors, d.Informants, d.Legal, d.Authenticator, d.Participants} {
		for _, p := range list {
			out = append(out, p.Name, p.Telecom.Value)
		}
	}
	for _, tel := range d.Patient.Telecom {
		out = append(out, tel.Value)
	}
	var real []string
	for _, s := range out {
		if len(s) > 4 && !strings.Contains(s, "\n") { // names of programs go over lines
			real = append(real, s)
		}
	}
	return real
}
