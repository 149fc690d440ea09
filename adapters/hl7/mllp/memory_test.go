package mllp_test

import (
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// TestMemoryStaysBoundedUnderManyHalfMessages lets a hundred peers each send most of a
// large frame and then stop: together they hold no more than the budget.
func TestMemoryStaysBoundedUnderManyHalfMessages(t *testing.T) {
	const peers, size, budget = 100, 1 << 20, 8 << 20
	addr, _, ev := start(t, mllp.Config{Handler: echo, MaxFrame: 2 << 20, MaxInFlight: budget, ReadTimeout: 5 * time.Second})
	before := heap()
	body := "\x0b" + strings.Repeat("x", size)
	for range peers {
		conn, _ := dial(t, addr)
		go io.WriteString(conn, body)
	}
	time.Sleep(300 * time.Millisecond)
	held := heap() - before
	assert.Less(t, held, int64(budget+peers*(64<<10)+(8<<20)), "%d MiB held for %d MiB sent", held>>20, peers*size>>20)
	assert.Zero(t, ev.count(mllp.CutOff), "the peers are still connected")
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
