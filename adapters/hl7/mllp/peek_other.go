//go:build !unix

package mllp

import "net"

// peek cannot look without waiting here: a connection that has ended shows when it is used.
func peek(net.Conn) (ended, waiting bool) { return false, false }
