package release

import (
	"bytes"
	"fmt"
	"html/template"

	"github.com/emrbridge/emrbridge/desensitize/risk"
)

// reportPage is the risk report of a release. It shows counts and measures, no value.
var reportPage = template.Must(template.New("risk").Parse(`<!DOCTYPE html>
<html lang="zh"><head><meta charset="utf-8"><title>Risk report · 风险评估报告 – {{.State.Project}}</title>
<style>body{font-family:sans-serif;max-width:60em;margin:2em auto;padding:0 1em}table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3em .7em;text-align:left}
td+td{text-align:right}rect{fill:#4a7fb5}text{font-size:12px}</style></head><body>
<h1>Risk report · 风险评估报告</h1>
<table>
<tr><td>project · 项目</td><td>{{.State.Project}}</td></tr>
<tr><td>hospital · 医院</td><td>{{.Hospital}}</td></tr>
<tr><td>release · 发布序号</td><td>{{.State.Sequence}}</td></tr>
<tr><td>policy · 脱敏策略</td><td>{{.State.Policy}}</td></tr>
<tr><td>sharing model · 共享类型</td><td>{{.State.Model}}</td></tr>
<tr><td>required group · 要求的最小分组</td><td>{{.Least}}</td></tr>
</table>
<h2>Before and after · 处理前后</h2>
<table><tr><th>measure · 指标</th><th>before · 处理前</th><th>after · 处理后</th></tr>
{{range .Rows}}<tr><td>{{index . 0}}</td><td>{{index . 1}}</td><td>{{index . 2}}</td></tr>
{{end}}</table>
<h2>Generalisation · 泛化</h2>
<table>{{range .Levels}}<tr><td>{{index . 0}}</td><td>{{index . 1}}</td></tr>{{end}}
<tr><td>subjects held back · 被抑制的对象</td><td>{{.Suppressed}}</td></tr></table>
<h2>Sizes of groups · 分组大小分布</h2>
<svg width="640" height="{{.Height}}" role="img">{{range .Bars}}<text x="0" y="{{.Text}}">{{.Label}}</text><rect x="110" y="{{.Y}}" width="{{.Width}}" height="14"></rect><text x="{{.End}}" y="{{.Text}}">{{.Count}}</text>{{end}}</svg>
<p>Prosecutor: knows that the person is in the table. Marketer: the share of persons that a linkage of all of them gets right. Quasi-identifiers are sex, age and region;
the sensitive value is the diagnosis (ICD-10 category). GB/T 37964-2019, GB/T 42460-2023.</p>
</body></html>
`))

// bar is one bar of the plot.
type bar struct {
	Label      string
	Count      int
	Y, Text    int
	Width, End int
}

const barStep, barSpace = 18, 440

// report renders the risk report.
func (m *making) report(before, after *risk.Assessment, limits risk.Thresholds, v verdict) ([]byte, error) {
	row := func(name, format string, a, b any) [3]string {
		return [3]string{name, fmt.Sprintf(format, a), fmt.Sprintf(format, b)}
	}
	rows := [][3]string{
		row("subjects · 对象数", "%d", before.Persons, after.Persons),
		row("groups · 分组数", "%d", before.Classes, after.Classes),
		row("k", "%d", before.K, after.K),
		row("alone in their group · 唯一占比", "%.4f", before.Unique, after.Unique),
		row("prosecutor, maximum · 检察官风险最大值", "%.4f", before.Prosecutor.Max, after.Prosecutor.Max),
		row("prosecutor, average · 检察官风险平均值", "%.4f", before.Prosecutor.Average, after.Prosecutor.Average),
		row("marketer · 营销者风险", "%.4f", before.Marketer, after.Marketer),
	}
	for i, s := range after.Sensitive {
		rows = append(rows, row("l-diversity, distinct · l-多样性", "%d", before.Sensitive[i].Distinct, s.Distinct),
			row("t-closeness, equal distance · t-接近性", "%.4f", before.Sensitive[i].EqualT, s.EqualT))
	}
	var levels [][2]string
	for _, q := range quasi {
		levels = append(levels, [2]string{q.column, fmt.Sprintf("level %d", v.levels[q.column])})
	}
	bars := plot(after.Sizes)
	var b bytes.Buffer
	err := reportPage.Execute(&b, map[string]any{"State": m.s, "Hospital": m.MSP, "Least": least(limits), "Rows": rows, "Levels": levels,
		"Suppressed": v.suppressed, "Bars": bars, "Height": barStep * (len(bars) + 1)})
	if err != nil {
		return nil, fmt.Errorf("release: risk report: %w", err)
	}
	return b.Bytes(), nil
}

// plot gathers groups by size, each bar twice as wide a range as the one before.
func plot(sizes []risk.SizeCount) []bar {
	var bars []bar
	most := 1
	for low := 1; low <= 1<<20; low *= 2 {
		n, above := 0, false
		for _, s := range sizes {
			if s.Size >= low && s.Size < 2*low {
				n += s.Classes
			}
			above = above || s.Size >= low
		}
		if !above {
			break
		}
		label := fmt.Sprintf("%d–%d", low, 2*low-1)
		if low == 1 {
			label = "1"
		}
		y := barStep * len(bars)
		bars = append(bars, bar{Label: label, Count: n, Y: y + 2, Text: y + 14})
		most = max(most, n)
	}
	for i := range bars {
		bars[i].Width = bars[i].Count * barSpace / most
		bars[i].End = 116 + bars[i].Width
	}
	return bars
}
