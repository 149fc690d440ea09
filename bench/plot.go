package bench

import (
	"bytes"
	"fmt"
	"image/color"
	"slices"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

var (
	barColor       = color.RGBA{R: 0x2f, G: 0x6f, B: 0x9f, A: 0xff}
	publishedColor = color.RGBA{R: 0xb0, G: 0xb0, B: 0xb0, A: 0xff}
	targetColor    = color.RGBA{R: 0xc0, G: 0x39, B: 0x2b, A: 0xff}
)

const (
	plotWidth = 18 * vg.Centimeter
	barWidth  = 12 // points
)

// chart is a bar chart of the figures with one unit.
type chart struct {
	file, title, unit, prefix string  // prefix of the figures' group; "" for any
	published, target         float64 // 0 for none
}

var charts = []chart{
	{file: "singles.svg", title: "Single-record transactions, saturated", unit: "tx/s", published: 17, target: 250},
	{file: "batches.svg", title: "Records anchored in batches, saturated", unit: "records/s", target: 10_000},
	{file: "bytes.svg", title: "Bytes on the chain for one record", unit: "bytes/record", published: 480, target: 130},
	{file: "commits.svg", title: "One transaction on an idle network", unit: "ms", prefix: "commit"},
	{file: "sealing.svg", title: "Sealing a record of 32 KB", unit: "records/s/core", target: 1500},
	{file: "primitives.svg", title: "SM3 and SM4 over 32 KB", unit: "MB/s"},
	{file: "sm2.svg", title: "SM2 (published scheme: 46.7 ms to decrypt)", unit: "ms", prefix: "seal"},
	{file: "retrieval-steps.svg", title: "Retrieval of one record, median of each step", unit: "ms", prefix: "retrieval, steps"},
}

// bar is one bar of a chart.
type bar struct {
	name      string
	value     float64
	published bool
}

func (r *Results) bars(c chart) []bar {
	var list []bar
	for _, f := range r.Figures {
		if f.Unit == c.unit && strings.HasPrefix(f.Group, c.prefix) {
			list = append(list, bar{name: f.Name, value: f.Value})
		}
	}
	if len(list) > 0 && c.published > 0 {
		list = append(list, bar{name: "published scheme", value: c.published, published: true})
	}
	slices.Reverse(list) // the first at the top
	return list
}

// draw returns the chart as SVG, nil if the results have no figure for it.
func (r *Results) draw(c chart) ([]byte, error) {
	list := r.bars(c)
	if len(list) == 0 {
		return nil, nil
	}
	p := newPlot()
	p.Title.Text, p.X.Label.Text, p.X.Min = c.title, c.unit, 0
	names, xys := make([]string, len(list)), plotter.XYLabels{}
	var ours, published plotter.Values
	most := c.target
	for i, b := range list {
		names[i] = b.name
		mine, theirs := b.value, 0.0
		if b.published {
			mine, theirs = 0, b.value
		}
		ours, published = append(ours, mine), append(published, theirs)
		xys.Labels = append(xys.Labels, format(b.value))
		most = max(most, b.value)
	}
	for i, b := range list {
		x := b.value
		if x < c.target && x > c.target-most/10 {
			x = c.target // the figure would lie on the line
		}
		xys.XYs = append(xys.XYs, plotter.XY{X: x, Y: float64(i)})
	}
	if err := addBars(p, ours, barColor); err != nil {
		return nil, err
	}
	if err := addBars(p, published, publishedColor); err != nil {
		return nil, err
	}
	if err := addValues(p, xys); err != nil {
		return nil, err
	}
	if c.target > 0 {
		if err := addTarget(p, c.target, plotter.XYs{{X: c.target, Y: -0.6}, {X: c.target, Y: float64(len(list)) - 0.4}}); err != nil {
			return nil, err
		}
	}
	p.NominalY(names...)
	p.X.Max = 1.15 * most // room for the values
	p.X.Tick.Marker = plot.TickerFunc(shortTicks)
	return svg(p, 3*vg.Centimeter+vg.Length(len(list))*0.85*vg.Centimeter)
}

func addBars(p *plot.Plot, values plotter.Values, c color.Color) error {
	bars, err := plotter.NewBarChart(values, vg.Points(barWidth))
	if err != nil {
		return fmt.Errorf("bench: plot: %w", err)
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, c, 0
	p.Add(bars)
	return nil
}

func addValues(p *plot.Plot, at plotter.XYLabels) error {
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return fmt.Errorf("bench: plot: %w", err)
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = text.Style{Font: font.From(font.Font{Typeface: plot.DefaultFont.Typeface, Variant: "Sans"}, 9), Handler: plot.DefaultTextHandler, YAlign: draw.YCenter}
	}
	labels.Offset.X = vg.Points(4)
	p.Add(labels)
	return nil
}

// shortTicks are the usual ticks with labels that have no more digits than they need.
func shortTicks(least, most float64) []plot.Tick {
	ticks := plot.DefaultTicks{}.Ticks(least, most)
	for i := range ticks {
		if ticks[i].Label != "" {
			ticks[i].Label = strconv.FormatFloat(ticks[i].Value, 'g', 4, 64)
		}
	}
	return ticks
}

func addTarget(p *plot.Plot, target float64, at plotter.XYs) error {
	line, err := plotter.NewLine(at)
	if err != nil {
		return fmt.Errorf("bench: plot: %w", err)
	}
	line.Color, line.Width, line.Dashes = targetColor, vg.Points(1.5), []vg.Length{vg.Points(4), vg.Points(3)}
	p.Add(line)
	p.X.Label.Text = strings.TrimSpace(p.X.Label.Text) + fmt.Sprintf("   (dashed: target %s)", format(target))
	return nil
}

// newPlot is an empty plot with a sans-serif font.
func newPlot() *plot.Plot {
	p := plot.New()
	for _, f := range []*font.Font{&p.Title.TextStyle.Font, &p.X.Label.TextStyle.Font, &p.Y.Label.TextStyle.Font,
		&p.X.Tick.Label.Font, &p.Y.Tick.Label.Font} {
		f.Variant = "Sans"
	}
	return p
}

// spread draws which part of the retrievals took how long at most.
func (r *Results) spread() ([]byte, error) {
	if len(r.Retrievals) == 0 {
		return nil, nil
	}
	sorted := slices.Sorted(slices.Values(r.Retrievals))
	points := plotter.XYs{{X: sorted[0], Y: 0}}
	for i, ms := range sorted {
		points = append(points, plotter.XY{X: ms, Y: float64(100*i) / float64(len(sorted))}, plotter.XY{X: ms, Y: float64(100*(i+1)) / float64(len(sorted))})
	}
	p := newPlot()
	p.Title.Text = fmt.Sprintf("Retrieval of one record, %d times", len(sorted))
	p.X.Label.Text, p.Y.Label.Text = "ms", "% done within"
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, fmt.Errorf("bench: plot: %w", err)
	}
	line.Color, line.Width = barColor, vg.Points(2)
	p.Add(plotter.NewGrid(), line)
	const target = 300
	if err := addTarget(p, target, plotter.XYs{{X: target, Y: 0}, {X: target, Y: 100}}); err != nil {
		return nil, err
	}
	p.X.Min, p.Y.Min, p.Y.Max = 0, 0, 100
	p.X.Max = 1.05 * max(target, sorted[len(sorted)-1])
	return svg(p, 9*vg.Centimeter)
}

func svg(p *plot.Plot, height vg.Length) ([]byte, error) {
	const margin = 0.4 * vg.Centimeter
	p.Title.Padding = vg.Points(6)
	page := vgsvg.New(plotWidth, height)
	area := draw.New(page)
	area.SetColor(color.White)
	area.Fill(area.Path())
	// Fonts differ from viewer to viewer: leave room for wider ones.
	p.Draw(draw.Crop(area, 2*margin, -2*margin, margin, -margin))
	var out bytes.Buffer
	if _, err := page.WriteTo(&out); err != nil {
		return nil, fmt.Errorf("bench: plot: %w", err)
	}
	return out.Bytes(), nil
}
