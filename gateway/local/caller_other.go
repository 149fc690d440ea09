//go:build !linux

package local

import "net"

// callerOf names the caller for the log.
func callerOf(c net.Conn) string { return c.RemoteAddr().Network() }
