package devsite

import (
	"context"
	"fmt"

	"github.com/emrbridge/emrbridge/audit"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/record"
)

// Blocks reads blocks of the ledger; chainclient.Client does.
type Blocks interface {
	BlockByNumber(ctx context.Context, number uint64) (chainclient.Block, error)
}

// Ledger is what a range of blocks anchors.
type Ledger struct {
	Times       map[record.ID]int // how often each record was anchored
	Anchors     int               // anchors in all
	AnchorBytes int               // bytes of the blocks that hold anchors, less their other transactions
}

// ReadLedger reads the blocks from one number up to, not including, another.
func ReadLedger(ctx context.Context, blocks Blocks, from, to uint64) (Ledger, error) {
	l := Ledger{Times: map[record.ID]int{}}
	for n := from; n < to; n++ {
		b, err := blocks.BlockByNumber(ctx, n)
		if err != nil {
			return l, fmt.Errorf("devsite: block %d: %w", n, err)
		}
		before, others := l.Anchors, 0
		for _, tx := range b.Txs {
			if !tx.Valid {
				others += tx.Size
				continue
			}
			writes := make([]audit.Write, len(tx.Writes))
			for i, w := range tx.Writes {
				writes[i] = audit.Write{Key: w.Key, Value: w.Value, Delete: w.Delete}
			}
			entries, err := audit.Anchors(writes)
			if err != nil {
				return l, fmt.Errorf("devsite: block %d: %w", n, err)
			}
			if len(entries) == 0 {
				others += tx.Size
			}
			for _, e := range entries {
				l.Times[record.ID(e.ID)]++
				l.Anchors++
			}
		}
		if l.Anchors > before {
			l.AnchorBytes += b.Size - others
		}
	}
	return l, nil
}
