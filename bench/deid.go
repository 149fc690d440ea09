package bench

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/emrbridge/emrbridge/desensitize/deidtest"
	"github.com/emrbridge/emrbridge/desensitize/text"
)

const (
	deidGroup = "de-identification, synthetic accuracy"
	deidSpeed = "de-identification of text, for one core of processor time"
	// deidNotes is the number of notes of each language; the seed is another than those with
	// which the recognisers were made.
	deidNotes = 3000
	deidSeed  = 20261121
)

// Deid measures free text: what share of the identifiers of synthetic notes is removed, by
// type, with intervals of 95 %, and how fast. The notes come from desensitize/deidtest,
// whose dictionaries are apart from those of the recognisers.
func Deid(ctx context.Context, r *Results, o Options) error {
	engine := text.New(text.Options{})
	find := deidtest.Text(engine)
	for _, language := range deidtest.Languages {
		for _, set := range deidtest.Sets {
			fmt.Fprintf(o.Progress, "%d synthetic notes (%s, %s)\n", deidNotes, language, set)
			score, _ := deidtest.Measure(set, language, deidSeed, deidNotes, find)
			r.addScore(language, set, score)
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return deidSpeeds(ctx, r, o, engine)
}

// minIdentifiers is how many of a type there must be for a figure of its own.
const minIdentifiers = 20

// addScore adds the figures of all types together, and for the open notes, which hold all
// types, those of each.
func (r *Results) addScore(language string, set deidtest.Set, s *deidtest.Score) {
	group := deidGroup + ", " + language
	if set != deidtest.Open {
		group += ", " + set.String()
	}
	add := func(name string, share deidtest.Share) {
		low, high := share.Wilson()
		r.Figures = append(r.Figures, Figure{Group: group, Name: name, Value: 100 * share.Value(), Unit: "%",
			Low: 100 * low, High: 100 * high, Anchor: fmt.Sprintf("%d of %d; %.2f–%.2f %%", share.Hits, share.Of, 100*low, 100*high)})
	}
	add("identifiers removed", s.All.Recall)
	add("identifiers, exact bounds", s.All.Strict)
	add("characters of identifiers removed", s.All.Chars)
	add("findings that are identifiers", s.All.Precision)
	add("characters removed that are identifiers", s.All.CharPrecision)
	add("notes with any leak", s.Leaky)
	add("clinical terms damaged", s.Damage)
	for _, t := range s.Sorted() {
		if set != deidtest.Open {
			break
		}
		if one := s.Types[t]; one.Recall.Of >= minIdentifiers {
			add(recallOf+string(t), one.Recall)
			add(precisionOf+string(t), one.Precision)
		}
	}
}

const (
	recallOf    = "removed, "
	precisionOf = "precision, "
)

func deidSpeeds(ctx context.Context, r *Results, o Options, engine *text.Engine) error {
	for _, language := range deidtest.Languages {
		var notes []string
		total := 0
		for n := range deidtest.Notes(language, deidSeed, 400) {
			notes, total = append(notes, n.Text), total+len(n.Text)
		}
		var speeds []float64
		var out []byte
		for range 5 {
			took, err := workPerOp(o.Span/40, func() error {
				for _, n := range notes {
					out, _ = engine.Replace(out[:0], n, nil, func(s text.Span, _ string) string { return string(s.Type) })
				}
				return ctx.Err()
			})
			if err != nil {
				return fmt.Errorf("bench: deid: %w", err)
			}
			speeds = append(speeds, float64(total)/took/1e6)
		}
		r.add(deidSpeed, "find and replace ("+language+")", median(speeds), "MB/s", "target 10 MB/s")
	}
	return nil
}

// workPerOp is the processor time of one call of fn in seconds, so that other work on the
// machine does not count. The clock of processes ticks every 10 ms.
func workPerOp(span time.Duration, fn func() error) (float64, error) {
	before, err := ownTime()
	if err != nil {
		return perOp(span, fn) // no /proc
	}
	n := 0
	for start := time.Now(); time.Since(start) < span; n++ {
		if err := fn(); err != nil {
			return 0, err
		}
	}
	after, err := ownTime()
	if err != nil {
		return 0, err
	}
	return max(after-before, 1.0/ticksPerSecond) / float64(n), nil
}

// ownTime is the processor time that this process has used, in seconds.
func ownTime() (float64, error) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, fmt.Errorf("bench: processor time: %w", err)
	}
	return processTime(string(b)), nil
}

// accuracy draws the share of removed identifiers of each type with its interval.
func (r *Results) accuracy() ([]byte, error) {
	var names []string
	series := map[string]errorPoints{}
	for _, f := range r.Figures {
		for _, language := range deidtest.Languages {
			if name, is := cutPrefix(f, deidGroup+", "+language, recallOf); is {
				at := slices.Index(names, name)
				if at < 0 {
					at, names = len(names), append(names, name)
				}
				series[language] = series[language].with(f, at)
			}
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	p := newPlot()
	p.Title.Text, p.X.Label.Text = "Identifiers removed from synthetic notes, with intervals of 95 %", "%"
	for i, language := range deidtest.Languages {
		if err := series[language].addTo(p, language, i, len(names)); err != nil {
			return nil, err
		}
	}
	slices.Reverse(names)
	p.NominalY(names...)
	p.X.Max = 100.5
	p.Legend.Top, p.Legend.Left = false, true
	return svg(p, 3*vg.Centimeter+vg.Length(len(names))*0.6*vg.Centimeter)
}

// errorPoints are points with their intervals; it implements plotter.XYer and
// plotter.XErrorer.
type errorPoints struct {
	plotter.XYs
	plotter.XErrors
}

func cutPrefix(f Figure, group, prefix string) (string, bool) {
	if f.Group != group || len(f.Name) < len(prefix) || f.Name[:len(prefix)] != prefix {
		return "", false
	}
	return f.Name[len(prefix):], true
}

func (e errorPoints) with(f Figure, at int) errorPoints {
	e.XYs = append(e.XYs, plotter.XY{X: f.Value, Y: float64(at)})
	e.XErrors = append(e.XErrors, struct{ Low, High float64 }{f.Value - f.Low, f.High - f.Value})
	return e
}

// addTo draws the points; the first of count types stands at the top, and the languages
// stand a little apart.
func (e errorPoints) addTo(p *plot.Plot, language string, series, count int) error {
	if len(e.XYs) == 0 {
		return nil
	}
	for i := range e.XYs {
		e.XYs[i].Y = float64(count-1) - e.XYs[i].Y + 0.15 - 0.3*float64(series)
	}
	points, err := plotter.NewScatter(e.XYs)
	if err != nil {
		return fmt.Errorf("bench: plot: %w", err)
	}
	bars, err := plotter.NewXErrorBars(e)
	if err != nil {
		return fmt.Errorf("bench: plot: %w", err)
	}
	color := []interface{ RGBA() (r, g, b, a uint32) }{barColor, targetColor}[series%2]
	points.Color, points.Shape, points.Radius = color, draw.CircleGlyph{}, vg.Points(2.5)
	bars.Color = color
	p.Add(bars, points)
	p.Legend.Add(language, points)
	return nil
}
