package demo

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"path/filepath"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	_ "gonum.org/v1/plot/vg/vgsvg" // the report's plots are SVG

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// Report is what a run of the demo found. Its JSON form is stable.
type Report struct {
	Started   string `json:"started"` // RFC 3339 with zone
	Seconds   int    `json:"seconds"`
	Hospitals int    `json:"hospitals"`
	Orderers  int    `json:"orderers"`

	Acknowledged int `json:"acknowledged"` // messages that the HIS has an AA for
	Refused      int `json:"refused"`      // messages answered AE or AR
	Sealed       int `json:"sealed"`
	Anchored     int `json:"anchored"`
	Lost         int `json:"lost"`       // acknowledged and not on the ledger
	Duplicated   int `json:"duplicated"` // on the ledger more than once
	Blocks       int `json:"blocks"`

	ChainBytesPerRecord float64   `json:"chain_bytes_per_record"`
	AnchorSeconds       float64   `json:"anchor_seconds"`
	Retrieval           Quantiles `json:"retrieval_ms"`
	// ConsensusShare is the part of a retrieval spent waiting for blocks.
	ConsensusShare float64 `json:"consensus_share"`

	RetrievalWithConsent          bool `json:"retrieval_with_consent"`
	RetrievalWithoutConsentDenied bool `json:"retrieval_without_consent_denied"`
	TamperDetected                bool `json:"tamper_detected"`
	OrdererLossSurvived           bool `json:"orderer_loss_survived"`
	BreakGlassFlagged             bool `json:"break_glass_flagged"`
	StoreVerified                 bool `json:"store_verified"`

	// Timeline counts what was acknowledged and anchored, for the plot.
	Timeline []Point `json:"timeline"`
	// Retrievals are the single measurements, milliseconds.
	Retrievals []float64 `json:"retrievals_ms"`
	Problems   []string  `json:"problems"`
}

// Quantiles of a measurement.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Point is one moment of the timeline.
type Point struct {
	Seconds      float64 `json:"seconds"` // since the first message
	Acknowledged int     `json:"acknowledged"`
	Anchored     int     `json:"anchored"`
}

// OK reports whether everything held.
func (r *Report) OK() bool {
	return r.Acknowledged > 0 && r.Lost == 0 && r.Duplicated == 0 && r.Anchored >= r.Acknowledged && len(r.Problems) == 0 &&
		!slices.Contains([]bool{r.RetrievalWithConsent, r.RetrievalWithoutConsentDenied, r.TamperDetected,
			r.OrdererLossSurvived, r.BreakGlassFlagged, r.StoreVerified}, false)
}

// quantiles of measurements in milliseconds.
func quantiles(ms []float64) Quantiles {
	if len(ms) == 0 {
		return Quantiles{}
	}
	s := slices.Sorted(slices.Values(ms))
	at := func(q float64) float64 { return s[min(len(s)-1, int(q*float64(len(s))))] }
	return Quantiles{P50: at(0.50), P99: at(0.99)}
}

// Rows are the report as a table, in both languages.
func (r *Report) Rows() [][]any {
	verdict := func(b bool) string {
		if b {
			return "yes · 是"
		}
		return "NO · 否"
	}
	return [][]any{
		{"messages acknowledged · 已确认报文", r.Acknowledged},
		{"messages refused · 拒收报文", r.Refused},
		{"records sealed · 已封装病历", r.Sealed},
		{"records anchored · 已上链病历", r.Anchored},
		{"lost / duplicated · 丢失 / 重复", fmt.Sprintf("%d / %d", r.Lost, r.Duplicated)},
		{"blocks · 区块数", r.Blocks},
		{"chain bytes per record · 每条上链字节", fmt.Sprintf("%.1f", r.ChainBytesPerRecord)},
		{"retrieval p50 / p99 · 调阅时延", fmt.Sprintf("%.0f / %.0f ms", r.Retrieval.P50, r.Retrieval.P99)},
		{"share of consensus · 共识占比", fmt.Sprintf("%.0f %%", 100*r.ConsensusShare)},
		{"retrieval with consent · 授权调阅成功", verdict(r.RetrievalWithConsent)},
		{"denied without consent · 未授权被拒", verdict(r.RetrievalWithoutConsentDenied)},
		{"tampering detected · 篡改被发现", verdict(r.TamperDetected)},
		{"orderer loss survived · 排序节点故障不影响", verdict(r.OrdererLossSurvived)},
		{"break-glass flagged · 紧急调阅已标记", verdict(r.BreakGlassFlagged)},
		{"whole store verified · 全库核验通过", verdict(r.StoreVerified)},
	}
}

//go:embed report.html
var page string

// Write leaves report.json and report.html in dir.
func (r *Report) Write(dir string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("demo: report: %w", err)
	}
	if err := fsatomic.WriteFile(filepath.Join(dir, "report.json"), append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("demo: report: %w", err)
	}
	html, err := r.html()
	if err != nil {
		return fmt.Errorf("demo: report page: %w", err)
	}
	return fsatomic.WriteFile(filepath.Join(dir, "report.html"), html, 0o644)
}

func (r *Report) html() ([]byte, error) {
	flow, err := r.flowPlot()
	if err != nil {
		return nil, err
	}
	latency, err := r.latencyPlot()
	if err != nil {
		return nil, err
	}
	t, err := template.New("report").Parse(page)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]any{
		"Report": r, "Rows": r.Rows(), "OK": r.OK(),
		"Flow":    template.HTML(flow),    //nolint:gosec // drawn here from numbers
		"Latency": template.HTML(latency), //nolint:gosec // drawn here from numbers
	})
	return out.Bytes(), err
}

func (r *Report) flowPlot() (string, error) {
	var acked, anchored plotter.XYs
	for _, p := range r.Timeline {
		acked = append(acked, plotter.XY{X: p.Seconds, Y: float64(p.Acknowledged)})
		anchored = append(anchored, plotter.XY{X: p.Seconds, Y: float64(p.Anchored)})
	}
	p := plot.New()
	p.Title.Text = "acknowledged (dashed) and anchored · 已确认（虚线）与已上链"
	p.X.Label.Text, p.Y.Label.Text = "seconds", "records"
	for i, xy := range []plotter.XYs{acked, anchored} {
		line, err := plotter.NewLine(xy)
		if err != nil {
			return "", err
		}
		line.Width = vg.Points(1.5)
		if i == 0 {
			line.Dashes = []vg.Length{vg.Points(5), vg.Points(3)}
		}
		p.Add(line)
	}
	p.Add(plotter.NewGrid())
	return draw(p)
}

func (r *Report) latencyPlot() (string, error) {
	if len(r.Retrievals) == 0 {
		return "", nil
	}
	p := plot.New()
	p.Title.Text = "retrievals · 调阅时延"
	p.X.Label.Text, p.Y.Label.Text = "milliseconds", "count"
	h, err := plotter.NewHist(plotter.Values(r.Retrievals), 20)
	if err != nil {
		return "", err
	}
	p.Add(h)
	return draw(p)
}

// draw returns the plot as an SVG element.
func draw(p *plot.Plot) (string, error) {
	w, err := p.WriterTo(16*vg.Centimeter, 7*vg.Centimeter, "svg")
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if _, err := w.WriteTo(&out); err != nil {
		return "", err
	}
	svg := out.Bytes()
	if i := bytes.Index(svg, []byte("<svg")); i > 0 {
		svg = svg[i:]
	}
	return string(svg), nil
}

// clock is the time since an event, for progress lines.
func since(t time.Time) string { return fmt.Sprintf("%6.1fs", time.Since(t).Seconds()) }
