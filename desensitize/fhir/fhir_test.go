package fhir_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
