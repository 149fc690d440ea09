package view

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // database/sql driver "sqlite"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// FileName is the name of the index within its folder.
const FileName = "fhir-view.db"

// schema of version 1. key and hash are keyed digests, sealed is encrypted, times are Unix
// milliseconds.
const schema = `
CREATE TABLE IF NOT EXISTS resource (
  seq INTEGER PRIMARY KEY, key BLOB NOT NULL, type TEXT NOT NULL, version INTEGER NOT NULL,
  updated INTEGER NOT NULL, deleted INTEGER NOT NULL,
  visible INTEGER NOT NULL,                 -- 0: reserved
  current INTEGER NOT NULL,                 -- 1: the newest visible version
  record BLOB NOT NULL, part INTEGER NOT NULL,
  date_from INTEGER, date_to INTEGER, sealed BLOB NOT NULL,
  UNIQUE (key, version)
) STRICT;
CREATE INDEX IF NOT EXISTS resource_updated ON resource(type, updated, seq) WHERE current = 1;
CREATE INDEX IF NOT EXISTS resource_date ON resource(type, date_from, seq) WHERE current = 1;
CREATE INDEX IF NOT EXISTS resource_record ON resource(record);
CREATE TABLE IF NOT EXISTS token (hash BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (hash, seq)) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS token_seq ON token(seq);
CREATE TABLE IF NOT EXISTS pending (
  record BLOB PRIMARY KEY, at INTEGER NOT NULL,
  durable INTEGER NOT NULL,                 -- 1: the bus has it
  sealed BLOB NOT NULL
) WITHOUT ROWID, STRICT;
CREATE INDEX IF NOT EXISTS pending_at ON pending(durable, at);
PRAGMA user_version = 1;`

func openFile(ctx context.Context, dir string) (*sql.DB, error) {
	if err := fsatomic.MkdirPrivate(dir); err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	path := filepath.Join(dir, FileName)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	if err := errors.Join(f.Close(), fsatomic.CheckPrivate(path)); err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	q := url.Values{"mode": {"rw"}, "_pragma": {"journal_mode(wal)", "synchronous(full)", "busy_timeout(5000)", "secure_delete(1)"}}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, fmt.Errorf("view: %w", err)
	}
	db.SetMaxOpenConns(4)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		return nil, errors.Join(fmt.Errorf("view: schema of %s: %w", path, err), db.Close())
	}
	return db, nil
}
