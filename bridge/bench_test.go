package bridge

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkPipeline sends b.N messages of 256 patients at once and waits until all are
// anchored. ack/s is what senders see, anchored/s what passes from end to end.
func BenchmarkPipeline(b *testing.B) {
	l := newLedger(b)
	r := newRig(b, l, options{})
	const patients = 256
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for p := range patients {
		wg.Go(func() {
			for i := 0; next.Add(1) <= int64(b.N); i++ {
				if _, err := r.pipeline.Intake.Submit(b.Context(), testMessage(p, i, "ok")); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ack/s")
	require.Eventually(b, func() bool {
		records, _ := l.counts()
		return records == b.N
	}, 5*time.Minute, 10*time.Millisecond)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "anchored/s")
	settled(b, r, b.N)
}

// BenchmarkMerges is the cost of barriers: messages through the whole pipeline, one in so
// many a merge of patients of their own.
func BenchmarkMerges(b *testing.B) {
	for _, every := range []int{0, 1000, 100, 10} {
		b.Run(fmt.Sprintf("one in %d", every), func(b *testing.B) {
			r := newRig(b, newLedger(b), options{})
			const senders = 64
			var n atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for s := range senders {
				wg.Go(func() {
					for {
						i := int(n.Add(1))
						if i > b.N {
							return
						}
						m := testMessage(s, i, "ok")
						if every > 0 && i%every == 0 {
							m = mergeMessage(1_000_000+i, i, "merge", 2_000_000+i)
						}
						if _, err := r.pipeline.Intake.Submit(b.Context(), m); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			settled(b, r, b.N)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
		})
	}
}
