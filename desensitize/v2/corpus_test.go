//go:build corpus

package v2_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
)

// TestCorpus de-identifies every outside message that parses: the result is a message with
// the segments that the standard has, and neither the patient's numbers nor names nor phones are in it.
func TestCorpus(t *testing.T) {
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds hl7v2, hl7v2-derived-encodings and hl7v2-to-fhir")
	w := walker(t)
	messages, size, spent := 0, 0, time.Duration(0)
	for _, dir := range []string{"hl7v2", "hl7v2-derived-encodings", "hl7v2-to-fhir"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || dir == "hl7v2-to-fhir" && filepath.Ext(path) != ".hl7" {
				return err
			}
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			name, _ := filepath.Rel(root, path)
			for _, raw := range hl7.SplitMessages(data).Messages() {
				text, _, err := hl7.CharsetPolicy{}.Decode(raw)
				if err != nil {
					continue
				}
				m, err := hl7.Parse(text)
				if err != nil {
					continue
				}
				var report desensitize.Report
				start := time.Now()
				out, err := w.Record(context.Background(), raw, nil, nil, &report)
				spent += time.Since(start)
				if !assert.NoError(t, err, name) {
					continue
				}
				messages, size = messages+1, size+len(raw)
				checkResult(t, name, m, out)
			}
			return nil
		}))
	}
	require.Greater(t, messages, 900)
	t.Logf("%d messages, %d bytes, %.1f MB/s with the scrubber of the tests", messages, size, float64(size)/1e6/spent.Seconds())
}

// checkResult compares a result with its original.
func checkResult(t *testing.T, name string, m *hl7.Message, out []byte) {
	text, _, err := hl7.CharsetPolicy{}.Decode(out)
	if !assert.NoError(t, err, name) {
		return
	}
	back, err := hl7.Parse(text)
	if !assert.NoError(t, err, name) {
		return
	}
	if m.Header().Check() == nil {
		assert.NoError(t, back.Header().Check(), name)
	}
	var values strings.Builder
	for w := back.Walk(); w.Next(); {
		values.WriteString(strings.ToLower(w.Value().Text()) + "\n")
	}
	for _, secret := range patientOf(m) {
		found := regexp.MustCompile(`(?im)^.*(^|[^\pL\pN])` + regexp.QuoteMeta(secret) + `($|[^\pL\pN]).*$`).FindString(values.String())
		assert.Empty(t, found, "%s: %s", name, secret)
	}
}

// patientOf returns the patient's numbers, full names and phones, where they are long enough
// to be told from other words and numbers.
func patientOf(m *hl7.Message) []string {
	var out []string
	for _, s := range m.Segments() {
		if !s.Is("PID") {
			continue
		}
		for _, field := range []int{2, 3, 4, 18} {
			for _, v := range s.Field(field).Reps() {
				out = append(out, v.Comp(1).Text())
			}
		}
		for _, v := range s.Field(5).Reps() {
			p := v.XPN()
			out = append(out, p.Given+" "+p.Family, p.Family+" "+p.Given, p.Family+p.Given)
		}
		if phone := s.Field(13).Comp(1).Text(); len(phone) > 6 {
			out = append(out, phone)
		}
		out = append(out, s.Field(19).Text())
	}
	var long []string
	for _, s := range out {
		if s = strings.TrimSpace(s); len(s) >= 5 {
			long = append(long, s)
		}
	}
	return long
}
