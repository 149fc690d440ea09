package fhir_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize"
)

// BenchmarkRecord compares de-identification with parsing; BENCH_FHIR names a file to take
// instead of the project's own.
func BenchmarkRecord(b *testing.B) {
	file := os.Getenv("BENCH_FHIR")
	if file == "" {
		file = filepath.Join("testdata", "bundle.json")
	}
	data, err := os.ReadFile(file)
	require.NoError(b, err)
	b.Run("parse", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			_, err := fhir.Parse(data, fhir.Limits{})
			require.NoError(b, err)
		}
	})
	for _, name := range desensitize.Shipped() {
		w := newWalker(b, name)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				_, err := w.Record(context.Background(), data, []byte("subject"), nil, &desensitize.Report{})
				require.NoError(b, err)
			}
		})
	}
}
