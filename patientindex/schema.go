package patientindex

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

const (
	// FileName is the name of the index within its folder.
	FileName = "patients.db"
	lockName = "patients.lock"
	// applicationID marks the file (PRAGMA application_id): "EMRP".
	applicationID = 0x454d5250
	schemaVersion = 1
)

// schema of version 1. Tokens and tags are keyed digests, see package keystore.
const schema = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE node (
	id           INTEGER PRIMARY KEY,
	tag          BLOB    NOT NULL UNIQUE CHECK (length(tag) = 16),
	registration BLOB    NOT NULL CHECK (length(registration) = 32),
	resident     INTEGER NOT NULL,          -- 1: its origin is a resident number
	parent       INTEGER REFERENCES node    -- NULL: root of a person
) STRICT;
CREATE INDEX node_parent ON node (parent) WHERE parent IS NOT NULL;
CREATE TABLE identifier (
	token    BLOB    NOT NULL PRIMARY KEY CHECK (length(token) = 32),
	kind     TEXT    NOT NULL,              -- record.IdentifierType
	class    BLOB    NOT NULL,              -- authority and type, keyed; empty if a person may have many
	node     INTEGER NOT NULL REFERENCES node,
	doubt    INTEGER NOT NULL,              -- 1: contradicting evidence, stands for itself
	record   BLOB    NOT NULL               -- that brought it
) WITHOUT ROWID, STRICT;
CREATE INDEX identifier_node ON identifier (node);
CREATE TABLE change (
	seq      INTEGER PRIMARY KEY,
	kind     TEXT    NOT NULL,              -- join: by evidence; merge: by a merge message
	event    TEXT    NOT NULL,
	record   BLOB    NOT NULL,
	at       INTEGER NOT NULL,              -- Unix ms, of the event
	prior    BLOB    NOT NULL,              -- tokens
	survivor BLOB    NOT NULL,
	child    INTEGER REFERENCES node,       -- NULL: they were one person already
	parent   INTEGER REFERENCES node,
	ord      INTEGER NOT NULL,
	undone_by    BLOB,                      -- record
	undone_event TEXT,
	undone_at    INTEGER
) STRICT;
CREATE INDEX change_record ON change (record);
CREATE INDEX change_prior ON change (prior) WHERE undone_by IS NULL;
CREATE INDEX change_child ON change (child);
CREATE TABLE outcome (
	record BLOB NOT NULL PRIMARY KEY CHECK (length(record) = 16),
	node   INTEGER NOT NULL REFERENCES node,
	event  TEXT NOT NULL,
	at     INTEGER NOT NULL,
	told   TEXT NOT NULL                    -- JSON: links and incidents
) WITHOUT ROWID, STRICT;
CREATE INDEX outcome_node ON outcome (node);
`

// dsn names the database to the driver.
func dsn(path, mode string, pragmas ...string) string {
	q := url.Values{"mode": {mode}, "_defensive": {"1"}, "_dqs": {"0"}, "_error_rc": {"1"}, "_busy_timeout": {"5000"},
		"_pragma": append([]string{"trusted_schema(0)", "cell_size_check(1)", "temp_store(2)"}, pragmas...)}
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(filepath.ToSlash(path)), RawQuery: q.Encode()}).String()
}

// create makes an empty private file if there is none, and checks one that is there.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("patientindex: %w", err)
	}
	if err := errors.Join(f.Close(), fsatomic.CheckPrivate(path), fsatomic.SyncDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("patientindex: %w", err)
	}
	return nil
}

// version returns the schema version of the file, 0 for an empty one.
func version(ctx context.Context, conn *sql.Conn) (int, error) {
	var app, v, tables int
	for _, q := range []struct {
		query string
		into  *int
	}{{"PRAGMA application_id", &app}, {"PRAGMA user_version", &v}, {"SELECT count(*) FROM sqlite_schema", &tables}} {
		if err := conn.QueryRowContext(ctx, q.query).Scan(q.into); err != nil {
			return 0, mapError(err)
		}
	}
	switch {
	case app == 0 && v == 0 && tables == 0:
		return 0, nil
	case app != applicationID:
		return 0, fmt.Errorf("%w: the file is a database of another program", ErrSchema)
	case v != schemaVersion:
		return 0, fmt.Errorf("%w: version %d, this program knows %d; use the newer program", ErrSchema, v, schemaVersion)
	}
	return v, nil
}

// prepareSchema brings an empty file to the present version and compares the owner, a digest
// that only the right keystore gives.
func prepareSchema(ctx context.Context, conn *sql.Conn, owner []byte) error {
	v, err := version(ctx, conn)
	if err != nil {
		return err
	}
	if v == 0 {
		script := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d;", schema, applicationID, schemaVersion)
		if _, err := conn.ExecContext(ctx, script); err != nil {
			return fmt.Errorf("patientindex: schema: %w", mapError(err))
		}
		if _, err := conn.ExecContext(ctx, "INSERT INTO meta VALUES ('owner', ?)", owner); err != nil {
			return fmt.Errorf("patientindex: schema: %w", mapError(err))
		}
		if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
			return fmt.Errorf("patientindex: schema: %w", mapError(err))
		}
	}
	return checkOwner(ctx, conn, owner)
}

func checkOwner(ctx context.Context, conn *sql.Conn, owner []byte) error {
	var have []byte
	if err := conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE name = 'owner'").Scan(&have); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, mapError(err))
	}
	if string(have) != string(owner) {
		return fmt.Errorf("%w: the index was made with another keystore; rebuild it with: emrbridge patients rebuild", ErrCorrupt)
	}
	return nil
}

// mapError turns an error of the database into one of this package. Messages of SQLite name
// tables and files, never values.
func mapError(err error) error {
	var se *sqlite.Error
	if err == nil || !errors.As(err, &se) {
		return err
	}
	switch {
	case se.Code()&0xff == sqlite3.SQLITE_FULL, se.Code() == sqlite3.SQLITE_IOERR_SHMSIZE:
		return fmt.Errorf("%w (%w)", ErrFull, err)
	case se.Code()&0xff == sqlite3.SQLITE_CORRUPT, se.Code()&0xff == sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("%w; rebuild it with: emrbridge patients rebuild (%w)", ErrCorrupt, err)
	case se.Code()&0xff == sqlite3.SQLITE_BUSY:
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return err
}
