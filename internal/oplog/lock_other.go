//go:build !unix

package oplog

import "os"

// lock has nothing to wait with: one operator at a time.
func lock(*os.File) error { return nil }
