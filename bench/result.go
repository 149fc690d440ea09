package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	_ "gonum.org/v1/plot/vg/vgsvg" // plots are SVG

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Figure is one measured value.
type Figure struct {
	Group  string  `json:"group"`
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit"`
	Anchor string  `json:"anchor,omitempty"` // what it is measured against
}

// Results are the figures of one run.
type Results struct {
	At      string   `json:"at"` // RFC 3339
	Machine string   `json:"machine"`
	Figures []Figure `json:"figures"`
	// Retrievals are the single retrievals, milliseconds, in the order in which they were made.
	Retrievals []float64 `json:"retrievals_ms,omitempty"`
	Steps      []Step    `json:"retrieval_steps,omitempty"`
}

// Step is one step of a retrieval and its median time.
type Step struct {
	Name string  `json:"name"`
	MS   float64 `json:"ms"`
}

// NewResults begins a run.
func NewResults() *Results {
	return &Results{At: time.Now().Format(time.RFC3339), Machine: fmt.Sprintf("%d cores, %s/%s, %s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version())}
}

func (r *Results) add(group, name string, value float64, unit, anchor string) {
	r.Figures = append(r.Figures, Figure{Group: group, Name: name, Value: value, Unit: unit, Anchor: anchor})
}

// Rows are the figures as a table.
func (r *Results) Rows() [][]any {
	rows := make([][]any, 0, len(r.Figures))
	for _, f := range r.Figures {
		rows = append(rows, []any{f.Group, f.Name, format(f.Value), f.Unit, f.Anchor})
	}
	return rows
}

func format(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// Write leaves bench.json and a plot of each group in dir.
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
	for _, unit := range r.units() {
		svg, err := r.bars(unit)
		if err != nil {
			return fmt.Errorf("bench: plot: %w", err)
		}
		name := "bench-" + fileName(unit) + ".svg"
		if err := fsatomic.WriteFile(filepath.Join(dir, name), svg, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *Results) units() []string {
	var units []string
	for _, f := range r.Figures {
		if !slices.Contains(units, f.Unit) {
			units = append(units, f.Unit)
		}
	}
	return units
}

func fileName(unit string) string {
	return string(bytes.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '-'
	}, []byte(unit)))
}

func (r *Results) bars(unit string) ([]byte, error) {
	var values plotter.Values
	var names []string
	for _, f := range r.Figures {
		if f.Unit == unit {
			values, names = append(values, f.Value), append(names, f.Name)
		}
	}
	p := plot.New()
	p.X.Label.Text = unit
	bars, err := plotter.NewBarChart(values, vg.Points(12))
	if err != nil {
		return nil, err
	}
	bars.Horizontal = true
	p.Add(bars)
	p.NominalY(names...)
	w, err := p.WriterTo(20*vg.Centimeter, vg.Length(2+len(values))*vg.Centimeter, "svg")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = w.WriteTo(&out)
	return out.Bytes(), err
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
