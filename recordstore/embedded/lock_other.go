//go:build !unix

package embedded

import (
	"fmt"
	"os"
)

// lockFile only opens the file: SQLite's own locks still keep transactions apart, but a
// second writing process is not refused at once.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("recordstore: open lock file: %w", err)
	}
	return f, nil
}
