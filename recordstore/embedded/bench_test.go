package embedded_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/recordstore/storetest"
)

// makeRecords keeps the making of records out of the measurement.
func makeRecords(n, size int) []recordstore.Sealed {
	out := make([]recordstore.Sealed, n)
	for i := range out {
		out[i] = storetest.Record(size)
	}
	return out
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{2 << 10, 32 << 10} {
		for _, parallel := range []int{1, 64} {
			b.Run(fmt.Sprintf("%dKB/%d", size>>10, parallel), func(b *testing.B) {
				s := open(b, filepath.Join(b.TempDir(), "store"), embedded.Options{})
				records := makeRecords(b.N, size)
				var next atomic.Int64
				b.SetBytes(int64(size))
				b.SetParallelism((parallel + 1) / 2) // of GOMAXPROCS
				b.ResetTimer()
				if parallel == 1 {
					for _, r := range records {
						_, _, err := s.Put(b.Context(), r.Draft, r.Data)
						require.NoError(b, err)
					}
				} else {
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							r := records[next.Add(1)-1]
							if _, _, err := s.Put(b.Context(), r.Draft, r.Data); err != nil {
								b.Error(err)
							}
						}
					})
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
			})
		}
	}
}

func BenchmarkPutAll500(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store"), embedded.Options{})
	for b.Loop() {
		b.StopTimer()
		group := makeRecords(500, 2<<10)
		b.StartTimer()
		_, err := s.PutAll(b.Context(), group)
		require.NoError(b, err)
	}
	b.ReportMetric(500*float64(b.N)/b.Elapsed().Seconds(), "puts/s")
}

func BenchmarkRead32KB(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store"), embedded.Options{})
	r := storetest.Record(32 << 10)
	_, _, err := s.Put(b.Context(), r.Draft, r.Data)
	require.NoError(b, err)
	b.SetBytes(32 << 10)
	for b.Loop() {
		_, _, err := recordstore.ReadAll(b.Context(), s, r.ID, 1<<20)
		require.NoError(b, err)
	}
}
