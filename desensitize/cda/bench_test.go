package cda_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	codec "github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
)

func documents(b *testing.B) (out [][]byte, size int64) {
	for _, typ := range codec.Types() {
		raw, err := codec.Render(cdaexample.Document(typ, 9), codec.Roots{})
		require.NoError(b, err)
		out, size = append(out, raw), size+int64(len(raw))
	}
	return out, size
}

// BenchmarkParse is the measure: every type of WS/T 500 parsed.
func BenchmarkParse(b *testing.B) {
	docs, size := documents(b)
	b.SetBytes(size)
	for b.Loop() {
		for _, raw := range docs {
			_, err := safexml.Parse(raw, safexml.Encoding{}, safexml.Limits{})
			require.NoError(b, err)
		}
	}
}

// BenchmarkRecord de-identifies them, with the scrubber of the tests.
func BenchmarkRecord(b *testing.B) {
	docs, size := documents(b)
	w := walker(b)
	b.SetBytes(size)
	b.ReportAllocs()
	var report desensitize.Report
	for b.Loop() {
		for _, raw := range docs {
			_, err := w.Record(context.Background(), raw, nil, nil, &report)
			require.NoError(b, err)
		}
	}
}
