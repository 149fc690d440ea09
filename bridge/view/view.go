package view

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// custody is the part of key custody that the view uses; keystore.Custody has it.
type custody interface {
	Hospital(ctx context.Context) (keystore.Hospital, error)
	RecordKey(ctx context.Context, tag keystore.Tag, epoch uint32, id keystore.RecordID) (smcrypto.Key, error)
	DataKey(ctx context.Context, use keystore.DataUse, version uint32) (uint32, smcrypto.Key, error)
}

// Config is what a View needs.
type Config struct {
	Dir     string
	Custody custody
	Store   recordstore.Store
	// Former are signing keys that the hospital renewed; records sealed under them stay
	// readable. nil: none.
	Former func(ctx context.Context) ([]smcrypto.PublicKey, error)
	// Bodies opens content that is too long for memory until the store of sealed records has
	// it; nil: there is none. The error wraps index.ErrNotFound where it is gone.
	Bodies func(claim string) (io.ReadCloser, error)
	// MaxPayload is the largest content that is opened, in bytes; default 64 MiB.
	MaxPayload int64
	Provider   smcrypto.Provider // nil: the default one
	Now        func() time.Time  // nil: time.Now
}

// View implements index.Store. It is safe for concurrent use.
type View struct {
	cfg     Config
	db      *sql.DB
	digests []byte
	seal    smcrypto.Key

	changes chan *change
	closing chan struct{}
	ended   chan struct{}
	once    sync.Once
}

var _ index.Store = (*View)(nil)

// Open opens the view in cfg.Dir. Close it after the last call.
func Open(ctx context.Context, cfg Config) (*View, error) {
	if cfg.Custody == nil || cfg.Store == nil {
		return nil, errors.New("view: no custody or no record store")
	}
	if cfg.MaxPayload <= 0 {
		cfg.MaxPayload = record.MaxPayload
	}
	if cfg.Provider == nil {
		cfg.Provider = smcrypto.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &View{cfg: cfg, changes: make(chan *change, maxShared), closing: make(chan struct{}), ended: make(chan struct{})}
	if err := v.loadKeys(ctx); err != nil {
		return nil, err
	}
	var err error
	if v.db, err = openFile(ctx, cfg.Dir); err != nil {
		return nil, err
	}
	go v.write()
	return v, nil
}

// Close ends the view.
func (v *View) Close() error {
	v.once.Do(func() { close(v.closing) })
	<-v.ended
	return v.db.Close()
}

// loadKeys derives the keys of the index from the first key of the bus, which outlives its
// rotation: digests must stay the same to be found.
func (v *View) loadKeys(ctx context.Context) error {
	_, first, err := v.cfg.Custody.DataKey(ctx, keystore.UseBus, 1)
	if err != nil {
		return fmt.Errorf("view: keys: %w", err)
	}
	if v.digests, err = smcrypto.HKDF(v.cfg.Provider, first[:], nil, "emrbridge/fhir-view/digests/v1", 32); err != nil {
		return fmt.Errorf("view: keys: %w", err)
	}
	bodies, err := smcrypto.HKDF(v.cfg.Provider, first[:], nil, "emrbridge/fhir-view/bodies/v1", smcrypto.KeySize)
	if err != nil {
		return fmt.Errorf("view: keys: %w", err)
	}
	v.seal, err = smcrypto.ParseKey(bodies)
	return err
}

const digestSize = 16

// digest is the keyed digest of names. Lengths are part of it, so that no two lists of names
// run together.
func (v *View) digest(names ...string) []byte {
	parts := make([][]byte, 0, 2*len(names))
	for _, n := range names {
		size := len(n)
		parts = append(parts, []byte{byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size)}, []byte(n))
	}
	sum := smcrypto.HMAC(v.cfg.Provider, v.digests, parts...)
	return sum[:digestSize]
}

func (v *View) keyOf(kind, id string) []byte { return v.digest("id", kind, id) }

func (v *View) hashOf(kind string, t index.Token, anySystem bool) []byte {
	if anySystem {
		return v.digest("token", kind, t.Parameter, t.Value)
	}
	return v.digest("token in system", kind, t.Parameter, t.System, t.Value)
}

// sealed is what of an entry is encrypted.
type sealed struct {
	ID     string            `json:"i"`
	Method string            `json:"m"`
	Links  map[string]string `json:"l,omitempty"`
}

// Reserve implements index.Store.
func (v *View) Reserve(ctx context.Context, s index.Submission, entries []index.Entry) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	blob, err := smcrypto.SealBlob(v.cfg.Provider, v.seal, append([]byte("pending/"), s.Record[:]...), body)
	if err != nil {
		return fmt.Errorf("view: %w", err)
	}
	rows := make([]row, len(entries))
	for i, e := range entries {
		if rows[i], err = v.row(e); err != nil {
			return err
		}
	}
	at := v.cfg.Now().UnixMilli()
	return v.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		// The same content under the same control id is the same record: it may have been
		// reserved before a crash, or be durable already.
		if _, err := tx.ExecContext(ctx, `INSERT INTO pending(record, at, durable, sealed) VALUES(?,?,0,?) ON CONFLICT DO NOTHING`, s.Record[:], at, blob); err != nil {
			return fmt.Errorf("view: reserve: %w", err)
		}
		for _, r := range rows {
			if err := r.insert(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}

type row struct {
	entry  index.Entry
	key    []byte
	blob   []byte
	hashes [][]byte
}

func (v *View) row(e index.Entry) (row, error) {
	r := row{entry: e, key: v.keyOf(e.Type, e.ID)}
	body, err := json.Marshal(sealed{e.ID, e.Method, e.Links})
	if err != nil {
		return r, fmt.Errorf("view: %w", err)
	}
	if r.blob, err = smcrypto.SealBlob(v.cfg.Provider, v.seal, append([]byte("entry/"), r.key...), body); err != nil {
		return r, fmt.Errorf("view: %w", err)
	}
	for _, t := range e.Tokens {
		r.hashes = append(r.hashes, v.hashOf(e.Type, t, true), v.hashOf(e.Type, t, false))
	}
	return r, nil
}

func (r row) insert(ctx context.Context, tx *sql.Tx) error {
	e := r.entry
	res, err := tx.ExecContext(ctx, `INSERT INTO resource(key, type, version, updated, deleted, visible, current, record, part, date_from, date_to, sealed)
		VALUES(?,?,?,?,?,0,0,?,?,?,?,?) ON CONFLICT DO NOTHING`,
		r.key, e.Type, e.Version, e.Updated.UnixMilli(), e.Deleted, e.Record[:], e.Part, millis(e.From), millis(e.To), r.blob)
	if err != nil {
		return fmt.Errorf("view: reserve: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, index.ErrConflict)
	}
	seq, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("view: reserve: %w", err)
	}
	for _, h := range r.hashes {
		if _, err := tx.ExecContext(ctx, `INSERT INTO token(hash, seq) VALUES(?,?) ON CONFLICT DO NOTHING`, h, seq); err != nil {
			return fmt.Errorf("view: reserve: %w", err)
		}
	}
	return nil
}

func millis(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMilli()
}

// Commit implements index.Store. Doing it again changes nothing.
func (v *View) Commit(ctx context.Context, id record.ID) error {
	_, err := v.Confirm(ctx, id)
	return err
}

// Confirm is Commit for whoever sees a record on the bus, and so knows that it is durable. It
// reports whether the view knows the record at all.
func (v *View) Confirm(ctx context.Context, id record.ID) (known bool, err error) {
	var rows, open int
	err = v.db.QueryRowContext(ctx, `SELECT count(*), ifnull(sum(visible = 0), 0) FROM resource WHERE record = ?`, id[:]).Scan(&rows, &open)
	if err != nil {
		return false, fmt.Errorf("view: %w", err)
	}
	if rows > 0 && open == 0 {
		var waiting int
		err = v.db.QueryRowContext(ctx, `SELECT count(*) FROM pending WHERE record = ? AND durable = 0`, id[:]).Scan(&waiting)
		if err != nil || waiting == 0 {
			return true, err
		}
	}
	return rows > 0, v.commitRecord(ctx, id)
}

func (v *View) commitRecord(ctx context.Context, id record.ID) error {
	return v.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{
			`UPDATE resource SET visible = 1 WHERE record = ?1`,
			`UPDATE resource SET current = 0 WHERE current = 1 AND key IN (SELECT key FROM resource WHERE record = ?1)`,
			`UPDATE resource SET current = 1 WHERE seq IN (SELECT seq FROM (SELECT seq, max(version) FROM resource
			   WHERE visible = 1 AND key IN (SELECT key FROM resource WHERE record = ?1) GROUP BY key))`,
			`UPDATE pending SET durable = 1 WHERE record = ?1`,
		} {
			if _, err := tx.ExecContext(ctx, statement, id[:]); err != nil {
				return fmt.Errorf("view: commit: %w", err)
			}
		}
		return nil
	})
}

// Abandon implements index.Store. What is visible stays.
func (v *View) Abandon(ctx context.Context, id record.ID) error {
	return v.do(ctx, func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range []string{
			`DELETE FROM token WHERE seq IN (SELECT seq FROM resource WHERE record = ? AND visible = 0)`,
			`DELETE FROM resource WHERE record = ? AND visible = 0`,
			`DELETE FROM pending WHERE record = ? AND durable = 0`,
		} {
			if _, err := tx.ExecContext(ctx, statement, id[:]); err != nil {
				return fmt.Errorf("view: abandon: %w", err)
			}
		}
		return nil
	})
}
