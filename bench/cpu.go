package bench

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of times in /proc on every Linux that Go runs on.
const ticksPerSecond = 100

// usage is processor time in seconds.
type usage struct {
	ours  float64 // of the network and this process
	total float64 // of all work on the machine
}

func (u usage) since(v usage) usage { return usage{ours: u.ours - v.ours, total: u.total - v.total} }

// cpu reads how much processor time the network and the machine have used.
func (c *consortium) cpu(ctx context.Context) (usage, error) {
	if c.pids == nil {
		st, err := c.net.Status(ctx)
		if err != nil {
			return usage{}, err
		}
		c.pids = []int{os.Getpid()}
		for _, p := range st.Processes {
			c.pids = append(c.pids, p.PID)
		}
	}
	var u usage
	for _, pid := range c.pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return usage{}, fmt.Errorf("bench: processor time: %w", err)
		}
		u.ours += processTime(string(b))
	}
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return usage{}, fmt.Errorf("bench: processor time: %w", err)
	}
	u.total = machineTime(string(b))
	return u, nil
}

// processTime reads user and system time from /proc/PID/stat, whose second field, the name
// in parentheses, may hold anything.
func processTime(stat string) float64 {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	return ticks(fields[11]) + ticks(fields[12])
}

// machineTime reads from /proc/stat the time in which the processors worked: all but idle
// and waiting, the fourth and fifth column.
func machineTime(stat string) float64 {
	line, _, _ := strings.Cut(stat, "\n")
	var sum float64
	for i, f := range strings.Fields(line) {
		if i > 0 && i < 9 && i != 4 && i != 5 {
			sum += ticks(f)
		}
	}
	return sum
}

func ticks(s string) float64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return float64(n) / ticksPerSecond
}
