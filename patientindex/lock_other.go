//go:build !unix

package patientindex

import (
	"fmt"
	"os"
)

// lock opens the lock file. Only on Unix does it keep a second process out.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("patientindex: lock file: %w", err)
	}
	return f, nil
}
