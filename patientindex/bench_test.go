package patientindex_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/patientindex"
)

func benchIndex(b *testing.B) *patientindex.Index {
	b.Helper()
	x, err := patientindex.Open(b.Context(), filepath.Join(b.TempDir(), "patients"), patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, x.Close()) })
	return x
}

// BenchmarkKnown is a record of a patient whom the index knows: nothing is written.
func BenchmarkKnown(b *testing.B) {
	x := benchIndex(b)
	for i := range 1000 {
		_, err := x.Observe(b.Context(), patientindex.Evidence{Record: recordNo(i), Identifiers: ids(local(fmt.Sprint("P", i)), resident(i))})
		require.NoError(b, err)
	}
	var n atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			if _, err := x.Observe(context.Background(), patientindex.Evidence{Record: recordNo(10_000 + i), Identifiers: ids(local(fmt.Sprint("P", i%1000)), resident(i%1000))}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkNew is a record of a new patient, durable, as many at once as the stage has lanes.
func BenchmarkNew(b *testing.B) {
	x := benchIndex(b)
	var n atomic.Int64
	b.SetParallelism(128)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			if _, err := x.Observe(context.Background(), patientindex.Evidence{Record: recordNo(i), Identifiers: ids(local(fmt.Sprint("P", i)), medical(fmt.Sprint("M", i)))}); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkMerge is a merge message, durable, one after the other.
func BenchmarkMerge(b *testing.B) {
	x := benchIndex(b)
	for i := 0; b.Loop(); i++ {
		_, err := x.Merge(b.Context(), patientindex.Evidence{Record: recordNo(i)},
			patientindex.Merge{Event: "ADT^A40", Survivor: ids(local(fmt.Sprint("S", i))), Prior: ids(local(fmt.Sprint("P", i)))})
		require.NoError(b, err)
	}
}
