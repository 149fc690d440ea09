package embedded

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/recordstore"
)

// applicationID marks the file as a record store (PRAGMA application_id): "EMRS".
const applicationID = 0x454d5253

// Layout of the table body: a record's bytes are the rows blob<<chunkBits … in order, each
// of chunkSize bytes but the last.
const (
	chunkSize = 1 << 20
	chunkBits = 12
	maxChunks = 1 << chunkBits
)

// migration is one step of the schema. Steps are never changed after a release.
type migration struct {
	version int
	name    string
	script  string
}

// migrations in their order. PRAGMA user_version holds the last one applied.
var migrations = []migration{{1, "items, bodies, tally", `
CREATE TABLE migration (
	version    INTEGER PRIMARY KEY,
	name       TEXT    NOT NULL,
	applied_at INTEGER NOT NULL             -- Unix ms
) STRICT;

-- One row per record, in store order.
CREATE TABLE item (
	seq          INTEGER PRIMARY KEY AUTOINCREMENT,
	id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
	tag          BLOB    NOT NULL CHECK (length(tag) = 16),
	kind         TEXT    NOT NULL,
	epoch        INTEGER NOT NULL,
	sealed_at    INTEGER NOT NULL,          -- Unix ms
	stored_at    INTEGER NOT NULL,          -- Unix ms
	hash         BLOB    NOT NULL CHECK (length(hash) = 32),
	size         INTEGER NOT NULL CHECK (size > 0),
	blob         INTEGER NOT NULL,          -- its bytes are body rows blob<<12, blob<<12|1, …
	anchor_tx    TEXT,                      -- NULL until anchored
	anchor_block INTEGER,
	anchor_batch BLOB,
	anchor_at    INTEGER                    -- Unix ms
) STRICT;
CREATE INDEX item_tag ON item (tag, seq);
CREATE INDEX item_unanchored ON item (seq) WHERE anchor_tx IS NULL;

-- Sealed bytes in chunks of 1 MiB.
CREATE TABLE body (
	at   INTEGER PRIMARY KEY,
	data BLOB NOT NULL
) STRICT;

-- Blobs that are being streamed and belong to no record yet.
CREATE TABLE staging (blob INTEGER PRIMARY KEY) STRICT;

-- Totals, kept by every transaction.
CREATE TABLE tally (
	one       INTEGER PRIMARY KEY CHECK (one = 1),
	items     INTEGER NOT NULL,
	bytes     INTEGER NOT NULL,
	anchored  INTEGER NOT NULL,
	last_blob INTEGER NOT NULL
) STRICT;
INSERT INTO tally VALUES (1, 0, 0, 0, 0);
`}}

// schemaVersion is what this program reads and writes.
func schemaVersion() int { return migrations[len(migrations)-1].version }

// migrate brings the file up to schemaVersion, each step in a transaction of its own.
func migrate(ctx context.Context, conn *sql.Conn, now time.Time) error {
	version, err := readVersion(ctx, conn)
	if err != nil {
		return err
	}
	for _, m := range migrations {
		if m.version <= version {
			continue
		}
		if err := apply(ctx, conn, m, now); err != nil {
			return fmt.Errorf("recordstore: migrate to schema %d: %w", m.version, mapError(err))
		}
	}
	return nil
}

// readVersion returns the schema version of the file, 0 for an empty one, and refuses
// files that are not record stores or come from a newer program.
func readVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var app, version, tables int
	for _, q := range []struct {
		query string
		into  *int
	}{
		{"PRAGMA application_id", &app},
		{"PRAGMA user_version", &version},
		{"SELECT count(*) FROM sqlite_schema", &tables},
	} {
		if err := conn.QueryRowContext(ctx, q.query).Scan(q.into); err != nil {
			return 0, fmt.Errorf("recordstore: read the format of the store: %w", mapError(err))
		}
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		return 0, nil
	case app != applicationID:
		return 0, fmt.Errorf("%w: the file is a database of another program", recordstore.ErrSchema)
	case version > schemaVersion():
		return 0, fmt.Errorf("%w: schema %d, this program knows %d; use the newer program",
			recordstore.ErrSchema, version, schemaVersion())
	}
	return version, nil
}

func apply(ctx context.Context, conn *sql.Conn, m migration, now time.Time) (err error) {
	if _, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	if _, err = conn.ExecContext(ctx, m.script); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "INSERT INTO migration VALUES (?, ?, ?)", m.version, m.name, now.UnixMilli())
	if err != nil {
		return err
	}
	// PRAGMA takes no parameters; both numbers are constants of this program.
	pragmas := fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, m.version)
	if _, err = conn.ExecContext(ctx, pragmas); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}
