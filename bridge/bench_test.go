package bridge

import (
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
