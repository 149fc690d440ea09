package devnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ErrPortTaken is wrapped by the error about a port of the network that another process holds.
var ErrPortTaken = errors.New("port is taken")

const (
	lowestPort = 16_000
	// ephemeralDefault is where Linux starts giving ports to outgoing connections, unless told otherwise.
	ephemeralDefault = 32_768
)

// allotPorts returns n free loopback ports. They lie below the range from which the kernel serves outgoing
// connections, so that no client socket sits on a node's port while the node is down.
func allotPorts(n int) ([]int, error) {
	top := ephemeralStart()
	if top < lowestPort+4*n { // an unusual range: anything free will do
		top = 65_536
	}
	ports := make([]int, 0, n)
	start := rand.IntN(top - lowestPort) //nolint:gosec // spreads networks over the ports, keeps no secret
	for i := 0; i < top-lowestPort && len(ports) < n; i++ {
		port := lowestPort + (start+i)%(top-lowestPort)
		if portFree(port) == nil {
			ports = append(ports, port)
		}
	}
	if len(ports) < n {
		return nil, fmt.Errorf("only %d of %d ports are free between %d and %d: end the programs that hold them", len(ports), n, lowestPort, top)
	}
	return ports, nil
}

// checkPort returns an error naming the port, what it is for and, if it can be found out, who holds it.
func checkPort(role string, port int) error {
	err := portFree(port)
	if err == nil {
		return nil
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("port %d of %s: %w", port, role, err)
	}
	holder := "another process"
	if pid, name := portHolder(port); pid != 0 {
		holder = fmt.Sprintf("process %d (%s)", pid, name)
	}
	return fmt.Errorf("port %d, which the network uses for %s, is held by %s: end that process, or make a new network with down --purge and up: %w",
		port, role, holder, ErrPortTaken)
}

func portFree(port int) error {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(loopback), Port: port})
	if err != nil {
		return err
	}
	return l.Close()
}

func ephemeralStart() int {
	b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return ephemeralDefault
	}
	fields := strings.Fields(string(b))
	if len(fields) == 0 {
		return ephemeralDefault
	}
	low, err := strconv.Atoi(fields[0])
	if err != nil {
		return ephemeralDefault
	}
	return low
}

// portHolder finds the process listening on a TCP port, as far as this user may see; 0 if it cannot.
func portHolder(port int) (pid int, name string) {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line) // sl local remote state … inode is the tenth
			const listening = "0A"
			if len(f) > 9 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return 0, ""
	}
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return 0, ""
	}
	for _, p := range procs {
		id, err := strconv.Atoi(p.Name())
		if err == nil && holdsSocket(p.Name(), inodes) {
			comm, _ := os.ReadFile("/proc/" + p.Name() + "/comm")
			return id, strings.TrimSpace(string(comm))
		}
	}
	return 0, ""
}

func holdsSocket(pid string, inodes map[string]bool) bool {
	dir := "/proc/" + pid + "/fd/"
	fds, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, fd := range fds {
		if target, err := os.Readlink(dir + fd.Name()); err == nil && inodes[target] {
			return true
		}
	}
	return false
}
