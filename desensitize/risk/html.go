package risk

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"strconv"
)

// Report is what the HTML page shows. All parts but the assessment may be absent.
type Report struct {
	// Title names the table or the release; Made says when and by what, as text.
	Title, Made string
	Schema      Schema
	Assessment  *Assessment
	// Model and Limits are what the table is held against.
	Model    string
	Limits   Thresholds
	Proposal *Proposal
	Sequence *Sequence
}

//go:embed report.html
var reportText string

var reportPage = template.Must(template.New("report").Funcs(template.FuncMap{
	"percent": func(x float64) string { return fmt.Sprintf("%.2f %%", 100*x) },
	"short":   func(x float64) string { return strconv.FormatFloat(x, 'g', 4, 64) },
	"deref":   func(x *float64) float64 { return *x },
	"add":     func(a, b float64) float64 { return a + b },
}).Parse(reportText))

// WriteHTML writes the report as one page without scripts or outside parts, in English and
// Chinese. It shows figures and names of columns, no values of the table.
func WriteHTML(w io.Writer, r Report) error {
	if r.Assessment == nil {
		return fmt.Errorf("%w: nothing to report", ErrEmpty)
	}
	page := struct {
		Report
		Breaches []Breach
		Grade    int
		Sizes    chart
		Spread   curve
		Columns  chart
		Losses   chart
		After    chart
	}{Report: r, Breaches: r.Assessment.Check(r.Limits), Grade: r.Assessment.Grade(r.Limits),
		Sizes: sizeChart(r.Assessment), Spread: riskCurve(r.Assessment), Columns: columnChart(r.Assessment)}
	if r.Sequence != nil {
		page.Breaches = append(page.Breaches, r.Sequence.Check()...)
		if len(page.Breaches) > 0 && page.Grade == 3 {
			page.Grade = 2
		}
	}
	if r.Proposal != nil {
		page.Losses, page.After = lossChart(r.Proposal), sizeChart(r.Proposal.After)
	}
	return reportPage.Execute(w, page)
}

// chart is a bar chart, sizes in units of the drawing.
type chart struct {
	Width, Height, Left float64
	Bars                []bar
}

type bar struct {
	Label, Value      string
	Y, Length, Middle float64
	Warn              bool
}

// Measures of the drawings.
const (
	chartWidth = 640
	chartLeft  = 150
	chartRow   = 24
)

func (c *chart) add(label, value string, part float64, warn bool) {
	c.Width, c.Left = chartWidth, chartLeft
	y := float64(len(c.Bars) * chartRow)
	c.Bars = append(c.Bars, bar{label, value, y + 3, math.Max(0, math.Min(1, part)) * (chartWidth - chartLeft - 110), y + 16, warn})
	c.Height = y + chartRow
}

// sizeBands are the upper ends of the bands of class sizes.
var sizeBands = []int{1, 2, 5, 10, 20, 50, 100, 500, math.MaxInt}

func sizeChart(a *Assessment) (c chart) {
	low := 1
	for _, high := range sizeBands {
		persons := 0
		for _, s := range a.Sizes {
			if s.Size >= low && s.Size <= high {
				persons += s.Size * s.Classes
			}
		}
		label := fmt.Sprintf("%d–%d", low, high)
		switch {
		case low == high:
			label = strconv.Itoa(low)
		case high == math.MaxInt:
			label = fmt.Sprintf("≥ %d", low)
		}
		part := float64(persons) / math.Max(1, float64(a.Persons))
		c.add(label, fmt.Sprintf("%d (%.1f %%)", persons, 100*part), part, high < 6)
		low = high + 1
	}
	return c
}

func columnChart(a *Assessment) (c chart) {
	for _, r := range a.Columns {
		c.add(r.Column, fmt.Sprintf("%.1f %%", 100*r.Separation), r.Separation, false)
	}
	return c
}

func lossChart(p *Proposal) (c chart) {
	top := 0.0
	for _, r := range p.Columns {
		top = math.Max(top, r.Loss)
	}
	if p.Metric != Entropy {
		top = 1
	}
	for _, r := range p.Columns {
		c.add(r.Column, strconv.FormatFloat(r.Loss, 'g', 4, 64), r.Loss/math.Max(top, 1e-12), false)
	}
	return c
}

// curve is the share of persons over the risk they carry, on a logarithmic scale.
type curve struct {
	Width, Height float64
	Line          string
	Ticks         []tick
	Limit         float64
}

type tick struct {
	X     float64
	Label string
}

// riskCurve runs from a risk of 1/1000 to 1.
func riskCurve(a *Assessment) curve {
	const width, height, decades = 560.0, 180.0, 3.0
	at := func(risk float64) float64 {
		return math.Max(0, math.Min(1, 1+math.Log10(risk)/decades)) * width
	}
	c := curve{Width: width, Height: height, Limit: at(a.Prosecutor.Threshold)}
	for _, risk := range []float64{0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1} {
		c.Ticks = append(c.Ticks, tick{at(risk), strconv.FormatFloat(risk, 'g', 3, 64)})
	}
	// From the largest classes to the smallest: the risk rises.
	persons, share := 0, 0.0
	line := fmt.Sprintf("M0 %.1f", height)
	for i := len(a.Sizes) - 1; i >= 0; i-- {
		s := a.Sizes[i]
		persons += s.Size * s.Classes
		x := at(1 / float64(s.Size))
		line += fmt.Sprintf(" L%.1f %.1f", x, height*(1-share))
		share = float64(persons) / math.Max(1, float64(a.Persons))
		line += fmt.Sprintf(" L%.1f %.1f", x, height*(1-share))
	}
	c.Line = line + fmt.Sprintf(" L%.1f %.1f", width, height*(1-share))
	return c
}
