//go:build !unix

// Package diskspace tells how much room a disk has left.
package diskspace

import "errors"

// Free is not known on this system.
func Free(string) (int64, error) { return 0, errors.ErrUnsupported }
