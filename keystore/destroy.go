package keystore

import (
	"context"
	"errors"
	"fmt"
)

// rotate starts the next epoch. The caller holds the keystore exclusively.
func (d *patientDB) rotate(ctx context.Context, tag Tag) (next uint32, err error) {
	err = d.inTx(ctx, func(q queryer) error {
		epoch, _, err := latest(ctx, q, tag)
		if err != nil {
			return err
		}
		if epoch == 0 {
			return fmt.Errorf("%w: patient", ErrNoKey)
		}
		next = epoch + 1
		return d.insertEpoch(ctx, q, tag, next)
	})
	if err != nil {
		return 0, err
	}
	d.current.put(tag, next)
	return next, nil
}

// destroyPatient erases all epochs. The caller holds the keystore exclusively.
func (d *patientDB) destroyPatient(ctx context.Context, tag Tag) error {
	epochs, err := d.list(ctx, tag)
	if err != nil {
		return err
	}
	if len(epochs) == 0 {
		return fmt.Errorf("%w: patient", ErrNoKey)
	}
	err = d.inTx(ctx, func(q queryer) error {
		_, errNodes := q.ExecContext(ctx, `DELETE FROM node WHERE tag=?`, tag[:])
		_, errRoots := q.ExecContext(ctx, `UPDATE epoch SET state=?, root=NULL WHERE tag=?`, epochDestroyed, tag[:])
		if err := errors.Join(errNodes, errRoots); err != nil {
			return fmt.Errorf("keystore: destroy patient keys: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.current.forget(tag)
	for _, e := range epochs {
		d.roots.forget(epochKey{tag, e.Number})
	}
	return d.scrub(ctx)
}

// destroyRecord replaces the node that covers id by the nodes around its path. The
// caller holds the keystore exclusively.
func (d *patientDB) destroyRecord(ctx context.Context, tag Tag, epoch uint32, id RecordID) error {
	err := d.inTx(ctx, func(q queryer) error {
		n, whole, err := d.loadCover(ctx, q, tag, epoch, id)
		if errors.Is(err, ErrDestroyed) {
			return nil // done before; scrub again below in case a crash came between
		}
		if err != nil {
			return err
		}
		if err := d.dropNode(ctx, q, tag, epoch, id, n.depth, whole); err != nil {
			return err
		}
		for _, s := range n.puncture(id) {
			wrapped, err := d.wrap(tag, epoch, s.prefix, &s.node)
			s.zero()
			if err != nil {
				return err
			}
			if _, err := q.ExecContext(ctx, `INSERT INTO node VALUES (?,?,?,?)`, tag[:], epoch, s.prefix, wrapped); err != nil {
				return fmt.Errorf("keystore: destroy record key: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	d.roots.forget(epochKey{tag, epoch})
	return d.scrub(ctx)
}

func (d *patientDB) dropNode(ctx context.Context, q queryer, tag Tag, epoch uint32, id RecordID, depth int, whole bool) error {
	_, err := q.ExecContext(ctx, `UPDATE epoch SET root=NULL, destroyed_records=destroyed_records+1 WHERE tag=? AND epoch=?`, tag[:], epoch)
	if err == nil && !whole {
		_, err = q.ExecContext(ctx, `DELETE FROM node WHERE tag=? AND epoch=? AND prefix=?`, tag[:], epoch, pathPrefix(id, depth))
	}
	if err != nil {
		return fmt.Errorf("keystore: destroy record key: %w", err)
	}
	return nil
}

// scrub moves the write-ahead log into the database and cuts it, so that the erased
// cells (overwritten with zeros by secure_delete) survive in neither.
func (d *patientDB) scrub(ctx context.Context) error {
	var busy, log, moved int
	if err := d.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &moved); err != nil {
		return fmt.Errorf("keystore: keys are destroyed, but the write-ahead log could not be cut; repeat the destruction: %w", err)
	}
	if busy != 0 {
		return fmt.Errorf("keystore: keys are destroyed, but a reader kept the write-ahead log; repeat the destruction")
	}
	return nil
}
