package cda_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

func examples(b *testing.B) (docs [][]byte) {
	b.Helper()
	size := 0
	for _, t := range cda.Types() {
		raw, err := cda.Render(cdaexample.Document(t, 7), cda.Roots{})
		require.NoError(b, err)
		docs = append(docs, raw)
		size += len(raw)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	return docs
}

func BenchmarkXML(b *testing.B) {
	docs := examples(b)
	for b.Loop() {
		for _, raw := range docs {
			_, _ = safexml.Parse(raw, safexml.Encoding{}, safexml.Limits{})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	docs := examples(b)
	for b.Loop() {
		for _, raw := range docs {
			_, _ = cda.Parse(raw, cda.ReadOptions{})
		}
	}
}

func BenchmarkParseAndValidate(b *testing.B) {
	docs := examples(b)
	for b.Loop() {
		for _, raw := range docs {
			d, err := cda.Parse(raw, cda.ReadOptions{})
			if err == nil {
				_ = cda.Check(d, cda.Partner{})
			}
		}
	}
}
