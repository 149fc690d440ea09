package keystore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"

	_ "modernc.org/sqlite" // the database/sql driver "sqlite"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Sizes of the caches, in entries of about 150 bytes.
const (
	rootCacheSize  = 16384
	epochCacheSize = 65536
)

const (
	rowDomain     = "emrbridge/keystore/tree-node/v1\x00"
	schemaVersion = "1"
)

// States of an epoch.
const (
	epochActive    = 1
	epochDestroyed = 2
)

// schema: root is the sealed root node while no record of the epoch was destroyed;
// after that it is null and node holds the nodes that remain.
const schema = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE epoch (
  tag BLOB NOT NULL, epoch INTEGER NOT NULL, state INTEGER NOT NULL,
  destroyed_records INTEGER NOT NULL DEFAULT 0, root BLOB,
  PRIMARY KEY (tag, epoch)) WITHOUT ROWID;
CREATE TABLE node (
  tag BLOB NOT NULL, epoch INTEGER NOT NULL, prefix BLOB NOT NULL, wrapped BLOB NOT NULL,
  PRIMARY KEY (tag, epoch, prefix)) WITHOUT ROWID;`

type epochKey struct {
	tag   Tag
	epoch uint32
}

// patientDB keeps the patients' keys. Every secret in it is sealed under the
// patients subkey with its tag, epoch and tree position as associated data, so rows
// cannot be read, swapped or moved; an attacker who can write the file can delete
// rows or bring back old ones that were copied earlier.
type patientDB struct {
	write, read *sql.DB
	id          []byte
	key         smcrypto.Key
	ops         chan *ensureOp
	done        chan struct{}
	roots       *lru[epochKey, node]
	current     *lru[Tag, uint32]
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{"busy_timeout(10000)", "secure_delete(ON)", "synchronous(FULL)"}, pragmas...)}
	q.Set("_txlock", "immediate")
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// createPatientDB writes the schema into a new file of mode 0600.
func createPatientDB(ctx context.Context, path string, id []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("keystore: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("keystore: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path, "journal_mode(WAL)"))
	if err != nil {
		return fmt.Errorf("keystore: create patient database: %w", err)
	}
	_, err = db.ExecContext(ctx, schema)
	if err == nil {
		_, err = db.ExecContext(ctx, `INSERT INTO meta VALUES ('id', ?), ('version', ?)`, id, schemaVersion)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return fmt.Errorf("keystore: create patient database: %w", err)
	}
	return nil
}

// Pragmas of a connection: one that writes, and one that SQLite keeps from writing.
const (
	modeWrite = "journal_mode(WAL)"
	modeRead  = "query_only(ON)"
)

// openPatientDB opens the rows of a keystore; mode is the pragma of the writing side.
func openPatientDB(ctx context.Context, path, mode string, id []byte, key smcrypto.Key) (*patientDB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: patient database is missing", ErrCorrupt)
	}
	d := &patientDB{
		id: id, key: key, ops: make(chan *ensureOp), done: make(chan struct{}),
		roots:   newLRU[epochKey](rootCacheSize, func(n *node) { n.zero() }),
		current: newLRU[Tag, uint32](epochCacheSize, nil),
	}
	var err error
	if d.write, err = sql.Open("sqlite", dsn(path, mode)); err != nil {
		return nil, fmt.Errorf("keystore: open patient database: %w", err)
	}
	d.write.SetMaxOpenConns(1)
	if d.read, err = sql.Open("sqlite", dsn(path, modeRead)); err != nil {
		return nil, errors.Join(err, d.write.Close())
	}
	d.read.SetMaxOpenConns(4)
	if err := d.checkMeta(ctx); err != nil {
		return nil, errors.Join(err, d.write.Close(), d.read.Close())
	}
	go d.commitLoop(context.WithoutCancel(ctx))
	return d, nil
}

func (d *patientDB) checkMeta(ctx context.Context) error {
	var id []byte
	var version string
	err := d.write.QueryRowContext(ctx,
		`SELECT (SELECT value FROM meta WHERE name='id'), (SELECT value FROM meta WHERE name='version')`).Scan(&id, &version)
	switch {
	case err != nil:
		return fmt.Errorf("%w: patient database: %w", ErrCorrupt, err)
	case !bytes.Equal(id, d.id):
		return fmt.Errorf("%w: patient database belongs to another keystore", ErrCorrupt)
	case version != schemaVersion:
		return fmt.Errorf("%w: patient database version %q is unknown", ErrCorrupt, version)
	}
	return nil
}

// close stops the committer; no operation may be running.
func (d *patientDB) close() error {
	close(d.ops)
	<-d.done
	d.roots.clear()
	smcrypto.Zero(d.key[:])
	if err := errors.Join(d.read.Close(), d.write.Close()); err != nil {
		return fmt.Errorf("keystore: close patient database: %w", err)
	}
	return nil
}

func (d *patientDB) aad(tag Tag, epoch uint32, prefix []byte) []byte {
	out := append([]byte(rowDomain), d.id...)
	out = append(out, tag[:]...)
	out = binary.BigEndian.AppendUint32(out, epoch)
	return append(out, prefix...)
}

func (d *patientDB) wrap(tag Tag, epoch uint32, prefix []byte, n *node) ([]byte, error) {
	return smcrypto.SealBlob(smcrypto.Default(), d.key, d.aad(tag, epoch, prefix), n.secret[:])
}

func (d *patientDB) unwrap(tag Tag, epoch uint32, prefix, wrapped []byte) (n node, err error) {
	plain, err := smcrypto.OpenBlob(smcrypto.Default(), d.key, d.aad(tag, epoch, prefix), wrapped)
	if err != nil || len(plain) != nodeSize {
		return n, fmt.Errorf("%w: a patient key does not open", ErrCorrupt)
	}
	n.depth = int(prefix[0])
	copy(n.secret[:], plain)
	smcrypto.Zero(plain)
	return n, nil
}

// queryer is what sql.DB and sql.Tx share.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// cover finds the node from which id's leaf can be reached.
func (d *patientDB) cover(ctx context.Context, tag Tag, epoch uint32, id RecordID) (node, error) {
	if n, ok := d.roots.get(epochKey{tag, epoch}); ok {
		return n, nil
	}
	n, whole, err := d.loadCover(ctx, d.read, tag, epoch, id)
	if err == nil && whole {
		d.roots.put(epochKey{tag, epoch}, n)
	}
	return n, err
}

func (d *patientDB) loadCover(ctx context.Context, q queryer, tag Tag, epoch uint32, id RecordID) (n node, whole bool, err error) {
	var state int
	var root []byte
	err = q.QueryRowContext(ctx, `SELECT state, root FROM epoch WHERE tag=? AND epoch=?`, tag[:], epoch).Scan(&state, &root)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return n, false, fmt.Errorf("%w: patient or epoch %d", ErrNoKey, epoch)
	case err != nil:
		return n, false, fmt.Errorf("keystore: read patient key: %w", err)
	case state != epochActive:
		return n, false, fmt.Errorf("%w: patient key of epoch %d", ErrDestroyed, epoch)
	case root != nil:
		n, err = d.unwrap(tag, epoch, pathPrefix(id, 0), root)
		return n, true, err
	}
	n, err = d.loadNode(ctx, q, tag, epoch, id)
	return n, false, err
}

// loadNode looks for the one remaining node on the path of id.
func (d *patientDB) loadNode(ctx context.Context, q queryer, tag Tag, epoch uint32, id RecordID) (node, error) {
	args := []any{tag[:], epoch}
	marks := make([]byte, 0, 2*treeDepth)
	for depth := 1; depth <= treeDepth; depth++ {
		args = append(args, pathPrefix(id, depth))
		marks = append(marks, ",?"...)
	}
	var prefix, wrapped []byte
	err := q.QueryRowContext(ctx, `SELECT prefix, wrapped FROM node WHERE tag=? AND epoch=? AND prefix IN (`+string(marks[1:])+`)`, args...).Scan(&prefix, &wrapped)
	if errors.Is(err, sql.ErrNoRows) {
		return node{}, fmt.Errorf("%w: key of this record", ErrDestroyed)
	}
	if err != nil {
		return node{}, fmt.Errorf("keystore: read record key: %w", err)
	}
	return d.unwrap(tag, epoch, prefix, wrapped)
}

// list returns all epochs of a patient.
func (d *patientDB) list(ctx context.Context, tag Tag) ([]Epoch, error) {
	rows, err := d.read.QueryContext(ctx, `SELECT epoch, state, destroyed_records FROM epoch WHERE tag=? ORDER BY epoch`, tag[:])
	if err != nil {
		return nil, fmt.Errorf("keystore: list epochs: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Epoch
	for rows.Next() {
		var e Epoch
		var state int
		if err := rows.Scan(&e.Number, &state, &e.DestroyedRecords); err != nil {
			return nil, fmt.Errorf("keystore: list epochs: %w", err)
		}
		e.Destroyed = state != epochActive
		out = append(out, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("keystore: list epochs: %w", err)
	}
	if n := len(out); n > 0 && !out[n-1].Destroyed {
		out[n-1].Current = true
	}
	return out, nil
}

// insertEpoch draws a key and stores it.
func (d *patientDB) insertEpoch(ctx context.Context, q queryer, tag Tag, epoch uint32) error {
	secret, err := randomBytes(nodeSize)
	if err != nil {
		return err
	}
	var n node
	copy(n.secret[:], secret)
	smcrypto.Zero(secret)
	defer n.zero()
	wrapped, err := d.wrap(tag, epoch, pathPrefix(RecordID{}, 0), &n)
	if err != nil {
		return err
	}
	_, err = q.ExecContext(ctx, `INSERT INTO epoch (tag, epoch, state, root) VALUES (?,?,?,?)`,
		tag[:], epoch, epochActive, wrapped)
	if err != nil {
		return fmt.Errorf("keystore: store patient key: %w", err)
	}
	return nil
}

// latest returns the highest epoch and its state; epoch 0 means no patient.
func latest(ctx context.Context, q queryer, tag Tag) (epoch uint32, state int, err error) {
	err = q.QueryRowContext(ctx, `SELECT epoch, state FROM epoch WHERE tag=? ORDER BY epoch DESC LIMIT 1`, tag[:]).Scan(&epoch, &state)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("keystore: read patient: %w", err)
	}
	return epoch, state, nil
}

// hasPatients tells whether there is a patient at all.
func (d *patientDB) hasPatients(ctx context.Context) (found bool, err error) {
	if err = d.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM epoch)`).Scan(&found); err != nil {
		return false, fmt.Errorf("keystore: count patients: %w", err)
	}
	return found, nil
}
