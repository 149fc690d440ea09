package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Figure is one measured value.
type Figure struct {
	Group  string  `json:"group"`
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Anchor string  `json:"anchor,omitempty"` // what it is measured against
	// Low and High bound the value with a confidence of 95 %, where it is a share of cases.
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
}

// Results are the figures of one run. Runs of other work on the same machine lower them:
// Load says how busy it was.
type Results struct {
	At      string   `json:"at"` // RFC 3339
	Machine string   `json:"machine"`
	Load    []string `json:"load"` // load averages over 1, 5 and 15 minutes before the run
	Figures []Figure `json:"figures"`
	// Retrievals are the single retrievals, milliseconds, in the order in which they were made.
	Retrievals []float64 `json:"retrievals_ms,omitempty"`
}

// NewResults begins a run.
func NewResults() *Results {
	return &Results{At: time.Now().Format(time.RFC3339), Load: loadAverages(),
		Machine: fmt.Sprintf("%s, %d cores, %s/%s, %s", processor(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
}

// processor names the CPU, as far as the system tells.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

func loadAverages() []string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	fields := strings.Fields(string(b))
	return fields[:min(3, len(fields))]
}

func (r *Results) add(group, name string, value float64, unit, anchor string) {
	r.Figures = append(r.Figures, Figure{Group: group, Name: name, Value: value, Unit: unit, Anchor: anchor})
}

// Rows are the figures as a table; a group is named once.
func (r *Results) Rows() [][]any {
	rows := make([][]any, 0, len(r.Figures))
	last := ""
	for _, f := range r.Figures {
		group := f.Group
		if group == last {
			group = ""
		}
		last = f.Group
		rows = append(rows, []any{group, f.Name, format(f.Value), f.Unit, f.Anchor})
	}
	return rows
}

func format(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// Write leaves bench.json and the plots in dir.
func (r *Results) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	if err := fsatomic.WriteFile(filepath.Join(dir, "bench.json"), append(b, '\n'), 0o644); err != nil {
		return err
	}
	for _, c := range charts {
		if err := write(dir, c.file, func() ([]byte, error) { return r.draw(c) }); err != nil {
			return err
		}
	}
	if err := write(dir, "deid.svg", r.accuracy); err != nil {
		return err
	}
	return write(dir, "retrieval.svg", r.spread)
}

// write leaves a plot in dir, or removes that of an earlier run if there is none.
func write(dir, file string, draw func() ([]byte, error)) error {
	svg, err := draw()
	if err != nil {
		return err
	}
	path := filepath.Join(dir, file)
	if svg == nil {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("bench: %w", err)
		}
		return nil
	}
	return fsatomic.WriteFile(path, svg, 0o644)
}

func sum(v []float64) float64 {
	var s float64
	for _, x := range v {
		s += x
	}
	return s
}

func median(v []float64) float64 { return quantile(v, 0.5) }

func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, int(q*float64(len(s))))]
}
