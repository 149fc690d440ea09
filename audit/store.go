package audit

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/emrbridge/emrbridge/recordstore"
)

// pageSize is how many items of a store are listed at a time.
const pageSize = 256

// progressEvery is how many records lie between two calls of Progress.
const progressEvery = 256

// Store verifies a whole record store against the ledger, each record once. each, which
// may be nil, is handed every report, from one goroutine; its error ends the
// verification. Other errors mean that the ledger's blocks or the store cannot be read at
// all, or ctx has ended; a fault of single records is in the report.
func (v *Verifier) Store(ctx context.Context, store Store, each func(RecordReport) error) (Report, error) {
	rep := v.newReport()
	tell := func(r RecordReport) error {
		rep.add(r)
		if each != nil {
			return each(r)
		}
		return nil
	}
	w, err := v.walkBlocks(ctx, store, &rep, tell)
	if err != nil {
		return rep, err
	}
	if err := v.walkStore(ctx, store, w, &rep, tell); err != nil {
		return rep, err
	}
	rep.finish()
	return rep, nil
}

func (v *Verifier) report(blocks uint64, rep *Report) {
	if v.Progress != nil {
		v.Progress(Progress{Block: rep.Blocks, Blocks: blocks, Records: rep.Records.Total, Failed: rep.Records.Failed})
	}
}

// walkStore verifies the records of the store, some at a time. Reports reach tell in no
// fixed order.
func (v *Verifier) walkStore(ctx context.Context, store Store, w *walk, rep *Report, tell func(RecordReport) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	items := make(chan recordstore.Item, pageSize)
	reports := make(chan RecordReport, v.Parallel)
	go func() {
		defer close(items)
		cancelOn(cancel, list(ctx, store, items))
	}()
	var workers sync.WaitGroup
	for range v.Parallel {
		workers.Go(func() {
			for item := range items {
				r, err := v.item(ctx, store, item, w)
				if err != nil {
					cancelOn(cancel, err)
					return
				}
				select {
				case reports <- r:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() {
		workers.Wait()
		close(reports)
	}()
	for r := range reports {
		if err := tell(r); err != nil {
			cancel(err)
			break
		}
		if rep.Records.Total%progressEvery == 0 {
			v.report(w.height, rep)
		}
	}
	for range reports { //nolint:revive // wait for the workers to see the end
	}
	v.report(w.height, rep)
	return context.Cause(ctx)
}

func cancelOn(cancel context.CancelCauseFunc, err error) {
	if err != nil {
		cancel(err)
	}
}

// list sends all items of the store.
func list(ctx context.Context, store Store, out chan<- recordstore.Item) error {
	var after uint64
	for {
		page, err := store.List(ctx, after, pageSize)
		if err != nil {
			return fmt.Errorf("audit: list the store: %w", err)
		}
		for _, item := range page {
			select {
			case out <- item:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			after = item.Sequence()
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

// item verifies one record of the store.
func (v *Verifier) item(ctx context.Context, store Store, item recordstore.Item, w *walk) (RecordReport, error) {
	var rep RecordReport
	open := func() (io.ReadCloser, error) {
		_, r, err := store.Open(ctx, item.ID)
		return r, err
	}
	if err := v.sealed(ctx, open, &item, &rep); err != nil {
		return rep, err
	}
	rep.Checks.Batch = w.batchCheck(item, rep.Checks.Anchor)
	if w.batches.twice.has(item.Sequence()) {
		rep.Checks.Anchor = failed(AnchoredTwice)
	}
	if v.Hospital != 0 && item.ID.HospitalNumber() != v.Hospital {
		rep.Checks.Anchor = failed(OtherHospital)
	}
	return rep, nil
}

var _ Store = recordstore.Store(nil)
