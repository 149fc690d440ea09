package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/internal/devsite"
	"github.com/emrbridge/emrbridge/record"
)

// reconcile counts from the sender to the ledger: every acknowledged message is anchored
// exactly once. It derives the record ids from the messages as sent and reads the blocks
// from another hospital's peer.
func (r *run) reconcile(ctx context.Context) error {
	expected, err := recordIDs(r.sent.acked, r.sites[0])
	if err != nil {
		return err
	}
	height, err := r.chain.Height(ctx)
	if err != nil {
		return err
	}
	ledger, err := devsite.ReadLedger(ctx, r.chain, r.from, height)
	if err != nil {
		return err
	}
	r.report.Acknowledged, r.report.Refused = r.sent.count()
	for id := range expected {
		switch n := ledger.Times[id]; {
		case n == 0:
			r.report.Lost++
		case n > 1:
			r.report.Duplicated++
		}
	}
	stats, err := r.sites[0].Stats(ctx)
	if err != nil {
		return err
	}
	r.report.Sealed, r.report.Anchored, r.report.Blocks = int(stats.Items), len(ledger.Times), int(height-r.from)
	if ledger.Anchors > 0 {
		r.report.ChainBytesPerRecord = float64(ledger.AnchorBytes) / float64(ledger.Anchors)
	}
	r.held(r.report.Lost == 0 && r.report.Duplicated == 0,
		fmt.Sprintf("%d messages acknowledged, %d distinct records expected, %d on the ledger, %d lost, %d doubled",
			r.report.Acknowledged, len(expected), len(ledger.Times), r.report.Lost, r.report.Duplicated))
	if repeated := r.report.Acknowledged - len(expected); repeated > 0 {
		r.say("%d of the messages were repeated in the input: acknowledged, anchored once", repeated)
	}
	return nil
}

// recordIDs derives the ids that the acknowledged messages must have on the ledger.
func recordIDs(messages [][]byte, s *devsite.Process) (map[record.ID]bool, error) {
	charset, _ := hl7.CharsetByName(s.Config.HL7.Listeners[0].Charset)
	mapper := mapping.NewMapper(nil, mapping.Options{Charset: hl7.CharsetPolicy{Default: charset}})
	ids := map[record.ID]bool{}
	for _, m := range messages {
		rec, err := mapper.Map(mapping.Source{Raw: m, HospitalNumber: s.Config.Hospital.Number, HospitalMSP: s.Config.Hospital.MSP, ReceivedAt: time.Now()})
		if err != nil {
			return nil, fmt.Errorf("demo: an acknowledged message cannot be mapped: %w", err)
		}
		ids[rec.ID] = true
	}
	return ids, nil
}
