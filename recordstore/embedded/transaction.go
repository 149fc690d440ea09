package embedded

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
)

// statements are prepared once on the writing connection.
type statements struct {
	insertItem, insertBody, selectItem, mark *sql.Stmt
	all                                      []*sql.Stmt
}

func prepare(ctx context.Context, conn *sql.Conn) (*statements, error) {
	s := &statements{}
	for _, p := range []struct {
		into  **sql.Stmt
		query string
	}{
		{&s.insertItem, `INSERT INTO item (id, tag, kind, epoch, sealed_at, stored_at, hash, size, blob)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`},
		{&s.insertBody, `INSERT INTO body (at, data) VALUES (?, ?)`},
		{&s.selectItem, selectItems + ` WHERE id = ?`},
		{&s.mark, `UPDATE item SET anchor_tx = ?, anchor_block = ?, anchor_batch = ?, anchor_at = ?
			WHERE id = ? AND anchor_tx IS NULL`},
	} {
		stmt, err := conn.PrepareContext(ctx, p.query) //nolint:sqlclosecheck // closed with the set
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		*p.into = stmt
		s.all = append(s.all, stmt)
	}
	return s, nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// transaction is what a request may do inside the writer's open transaction. Errors are
// those of the database; the writer maps them.
type transaction struct {
	ctx      context.Context
	conn     *sql.Conn
	stmts    *statements
	lastBlob *int64

	items, bytes, anchored int64 // to be added to the tally
	blobsUsed              bool
}

// newBlob allots a blob number. Numbers of transactions that fail are not used again.
func (tx *transaction) newBlob() int64 {
	*tx.lastBlob++
	tx.blobsUsed = true
	return *tx.lastBlob
}

// put inserts a record with its bytes unless its id is taken.
func (tx *transaction) put(d recordstore.Draft, data []byte, storedAt int64) (recordstore.Result, error) {
	blob := tx.newBlob()
	res, err := tx.insert(d, blob, int64(len(data)), storedAt)
	if err != nil || !res.Created {
		return res, err
	}
	for n := 0; n*chunkSize < len(data); n++ {
		chunk := data[n*chunkSize : min(len(data), (n+1)*chunkSize)]
		if err := tx.putChunk(blob, n, chunk); err != nil {
			return recordstore.Result{}, err
		}
	}
	return res, nil
}

// insert makes a record visible whose bytes are, or will be, under blob.
func (tx *transaction) insert(d recordstore.Draft, blob, size, storedAt int64) (recordstore.Result, error) {
	r, err := tx.stmts.insertItem.ExecContext(tx.ctx, d.ID[:], d.Tag[:], d.Kind, int64(d.Epoch),
		d.SealedAt, storedAt, d.CipherHash[:], size, blob)
	if err != nil {
		return recordstore.Result{}, err
	}
	changed, err := r.RowsAffected()
	if err != nil {
		return recordstore.Result{}, err
	}
	if changed == 0 {
		row, err := scanItem(tx.stmts.selectItem.QueryRowContext(tx.ctx, d.ID[:]))
		return recordstore.Result{Item: row.Item}, err
	}
	seq, err := r.LastInsertId()
	if err != nil {
		return recordstore.Result{}, err
	}
	tx.items++
	tx.bytes += size
	return recordstore.Result{Created: true, Item: recordstore.Item{
		ID: d.ID, Tag: d.Tag, Kind: d.Kind, Epoch: d.Epoch, SealedAt: d.SealedAt, StoredAt: storedAt,
		CipherHash: d.CipherHash, Size: size, Pointer: recordstore.PointerOf(uint64(seq)),
	}}, nil
}

func (tx *transaction) putChunk(blob int64, n int, chunk []byte) error {
	_, err := tx.stmts.insertBody.ExecContext(tx.ctx, blob<<chunkBits|int64(n), chunk)
	return err
}

// stage notes that the chunks of blob belong to no record yet.
func (tx *transaction) stage(blob int64) error {
	_, err := tx.conn.ExecContext(tx.ctx, "INSERT INTO staging (blob) VALUES (?)", blob)
	return err
}

// unstage notes that they do now.
func (tx *transaction) unstage(blob int64) error {
	_, err := tx.conn.ExecContext(tx.ctx, "DELETE FROM staging WHERE blob = ?", blob)
	return err
}

// dropStaged removes the chunks of a blob that got no record.
func (tx *transaction) dropStaged(blob int64) error {
	first := blob << chunkBits
	if _, err := tx.conn.ExecContext(tx.ctx, "DELETE FROM body WHERE at BETWEEN ? AND ?", first, first+maxChunks-1); err != nil {
		return err
	}
	return tx.unstage(blob)
}

// mark notes the anchor of a record and reports whether the record exists.
func (tx *transaction) mark(id record.ID, ref recordstore.AnchorRef) (known bool, err error) {
	r, err := tx.stmts.mark.ExecContext(tx.ctx, ref.TxID, int64(ref.Block), ref.Batch[:], ref.At, id[:])
	if err != nil {
		return false, err
	}
	changed, err := r.RowsAffected()
	if err != nil {
		return false, err
	}
	if changed > 0 {
		tx.anchored++
		return true, nil
	}
	var one int
	err = tx.conn.QueryRowContext(tx.ctx, "SELECT 1 FROM item WHERE id = ?", id[:]).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// writeTally adds what the transaction did to the totals.
func (tx *transaction) writeTally() error {
	if tx.items == 0 && tx.anchored == 0 && !tx.blobsUsed {
		return nil
	}
	_, err := tx.conn.ExecContext(tx.ctx,
		"UPDATE tally SET items = items + ?, bytes = bytes + ?, anchored = anchored + ?, last_blob = ?",
		tx.items, tx.bytes, tx.anchored, *tx.lastBlob)
	return err
}

// selectItems lists the columns that scanItem reads.
const selectItems = `SELECT seq, id, tag, kind, epoch, sealed_at, stored_at, hash, size, blob,
	anchor_tx, anchor_block, anchor_batch, anchor_at FROM item`

// row is an item with the place of its bytes.
type row struct {
	recordstore.Item
	blob int64
}

// scanItem reads a row of selectItems. Rows that this program cannot have written are
// damage.
func scanItem(from interface{ Scan(...any) error }) (row, error) {
	var (
		r                    row
		seq, epoch           int64
		id, tag, hash, batch []byte
		tx                   sql.NullString
		block, at            sql.NullInt64
	)
	err := from.Scan(&seq, &id, &tag, &r.Kind, &epoch, &r.SealedAt, &r.StoredAt, &hash, &r.Size, &r.blob,
		&tx, &block, &batch, &at)
	if err != nil {
		return row{}, err
	}
	if copy(r.ID[:], id) != len(r.ID) || copy(r.Tag[:], tag) != len(r.Tag) ||
		copy(r.CipherHash[:], hash) != len(r.CipherHash) || seq < 1 || r.Size < 1 || r.Size > maxRecordLimit {
		return row{}, fmt.Errorf("%w: row %d of the index is malformed", recordstore.ErrCorrupt, seq)
	}
	r.Epoch = uint32(epoch)
	r.Pointer = recordstore.PointerOf(uint64(seq))
	if tx.Valid {
		r.Anchor = &recordstore.AnchorRef{TxID: tx.String, Block: uint64(block.Int64), At: at.Int64}
		copy(r.Anchor.Batch[:], batch)
	}
	return r, nil
}
