package keystore

import (
	"context"
	"fmt"
)

// maxEnsureBatch bounds how many patients one transaction creates.
const maxEnsureBatch = 512

// ensureOp is one caller waiting for its patient.
type ensureOp struct {
	tag     Tag
	epoch   uint32
	created bool
	err     error
	done    chan struct{}
}

// ensure hands the patient to the committer unless its epoch is known already.
// When the caller gives up, the patient may still be created; that is harmless.
func (d *patientDB) ensure(ctx context.Context, tag Tag) (uint32, bool, error) {
	if tag == (Tag{}) {
		return 0, false, fmt.Errorf("%w: empty tag", ErrLimit)
	}
	if epoch, ok := d.current.get(tag); ok {
		return epoch, false, nil
	}
	op := &ensureOp{tag: tag, done: make(chan struct{})}
	select {
	case d.ops <- op:
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	select {
	case <-op.done:
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	if op.err != nil {
		return 0, false, op.err
	}
	d.current.put(tag, op.epoch)
	return op.epoch, op.created, nil
}

// commitLoop is the only creator of patients. Whoever arrives during a flush joins
// the next transaction, so the cost of a flush is shared without waiting for company.
// Its context never ends: one caller's deadline must not undo the others' patients.
func (d *patientDB) commitLoop(ctx context.Context) {
	defer close(d.done)
	for first := range d.ops {
		batch := []*ensureOp{first}
		for more := true; more && len(batch) < maxEnsureBatch; {
			select {
			case op, ok := <-d.ops:
				if more = ok; ok {
					batch = append(batch, op)
				}
			default:
				more = false
			}
		}
		d.commit(ctx, batch)
	}
}

// commit answers every caller after the transaction is on disk.
func (d *patientDB) commit(ctx context.Context, batch []*ensureOp) {
	err := d.inTx(ctx, func(q queryer) error {
		for _, op := range batch {
			if err := d.ensureIn(ctx, q, op); err != nil {
				return err
			}
		}
		return nil
	})
	for _, op := range batch {
		op.err = err
		close(op.done)
	}
}

func (d *patientDB) ensureIn(ctx context.Context, q queryer, op *ensureOp) error {
	epoch, state, err := latest(ctx, q, op.tag)
	if err != nil {
		return err
	}
	if state == epochActive {
		op.epoch = epoch
		return nil
	}
	op.epoch, op.created = epoch+1, true
	return d.insertEpoch(ctx, q, op.tag, op.epoch)
}

// inTx runs fn in one durable transaction on the only write connection.
func (d *patientDB) inTx(ctx context.Context, fn func(queryer) error) error {
	tx, err := d.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("keystore: begin: %w", err)
	}
	if err := fn(tx); err != nil {
		_ = tx.Rollback()
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("keystore: commit: %w", err)
	}
	return nil
}
