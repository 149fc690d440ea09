package local

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// callerOf names the caller for the log: the user id at the other end of a Unix socket,
// or the address.
func callerOf(c net.Conn) string {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return c.RemoteAddr().String()
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return "unknown"
	}
	name := "unknown"
	_ = raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			name = fmt.Sprintf("uid %d pid %d", cred.Uid, cred.Pid)
		}
	})
	return name
}
