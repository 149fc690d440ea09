package demo

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"

	_ "modernc.org/sqlite" // the thief's tool: nothing of the store's own code is used
)

// flipBit changes one bit of a record's ciphertext behind the back of the store.
func flipBit(ctx context.Context, dir, id string) error {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return fmt.Errorf("demo: record id: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "records.db")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer db.Close()
	var at int64
	var data []byte
	err = db.QueryRowContext(ctx, `SELECT body.at, body.data FROM item JOIN body ON body.at = item.blob << 12 WHERE item.id = ?`, raw).Scan(&at, &data)
	if err != nil {
		return fmt.Errorf("demo: find the ciphertext: %w", err)
	}
	data[len(data)/2] ^= 1
	if _, err := db.ExecContext(ctx, `UPDATE body SET data = ? WHERE at = ?`, data, at); err != nil {
		return fmt.Errorf("demo: tamper: %w", err)
	}
	return nil
}
