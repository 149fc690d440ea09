//go:build unix

package mllp

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peek looks at what the kernel holds for an idle connection, without waiting: ended says
// that the peer has closed it, waiting that there are bytes.
func peek(conn net.Conn) (ended, waiting bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true, false
	}
	var one [1]byte
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		switch {
		case n > 0:
			waiting = true
		case err == nil, !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
			ended = true
		}
		return true
	})
	return ended || err != nil, waiting
}
