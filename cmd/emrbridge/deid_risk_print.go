package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize/risk"
)

// riskText is the table of figures that people read: figures first, so that the columns
// line up whatever the width of the characters after them.
func riskText(d *riskDetail) string {
	if d == nil || d.Assessment == nil {
		return ""
	}
	var b strings.Builder
	line := func(figure, label string, args ...any) {
		fmt.Fprintf(&b, "%14s  %s\n", figure, fmt.Sprintf(label, args...))
	}
	a := d.Assessment
	line(strconv.Itoa(a.Records), "records · 记录")
	if a.Suppressed > 0 {
		line(strconv.Itoa(a.Suppressed), "of them taken out · 其中已抑制")
	}
	line(strconv.Itoa(a.Classes), "equivalence classes · 等价类")
	line(strconv.Itoa(a.K), "k, the smallest class · 最小等价类")
	line(share(a.Unique), "unique persons · 唯一的人")
	line(share(a.Prosecutor.Max), "highest risk, prosecutor · 最高风险（检察官）")
	line(share(a.Prosecutor.Average), "average risk, prosecutor · 平均风险（检察官）")
	line(share(a.Prosecutor.AtRisk), "persons at risk above %.3g · 高于阈值的人", a.Prosecutor.Threshold)
	line(share(a.Journalist.Max), "highest risk, journalist · 最高风险（记者）")
	line(share(a.Journalist.Average), "average risk, journalist · 平均风险（记者）")
	line(share(a.Marketer), "marketer's success · 营销者成功率")
	if a.PopulationUnique != nil {
		line(share(*a.PopulationUnique), "unique in the population, estimated · 总体唯一（估计）")
	}
	line(strconv.Itoa(d.Grade), "grade of GB/T 42460-2023 · 去标识化效果分级")
	for _, m := range risk.Models() {
		line(map[bool]string{true: "yes", false: "no"}[d.Models[m]], "fit for sharing: %s · 可否共享", m)
	}
	for _, s := range a.Sensitive {
		sensitiveText(&b, s)
	}
	columnsText(&b, a)
	sequenceText(line, d.Releases)
	proposalText(&b, d)
	return strings.TrimRight(b.String(), "\n")
}

func share(x float64) string { return fmt.Sprintf("%.4f %%", 100*x) }

func sensitiveText(b *strings.Builder, s risk.SensitiveRisk) {
	fmt.Fprintf(b, "  %s: l = %d (distinct), %.4g (entropy), %d (recursive, c = %.3g); t = %.4g (equal)", s.Column,
		s.Distinct, s.Entropy, s.Recursive, s.C, s.EqualT)
	if s.OrderedT != nil {
		fmt.Fprintf(b, ", %.4g (ordered)", *s.OrderedT)
	}
	if s.HierarchicalT != nil {
		fmt.Fprintf(b, ", %.4g (hierarchical)", *s.HierarchicalT)
	}
	fmt.Fprintf(b, "; %d homogeneous · 同质\n", s.Homogeneous)
}

func columnsText(b *strings.Builder, a *risk.Assessment) {
	for _, c := range a.Columns {
		fmt.Fprintf(b, "  %s: %d values, separates %.2f %% · 区分度, k without it %d · 去掉后的 k\n", c.Column, c.Values, 100*c.Separation, c.KWithout)
	}
	for _, x := range a.Direct {
		fmt.Fprintf(b, "  %s: looks like a direct identifier (%s, by its %s) · 疑似直接标识符\n", x.Column, x.Type, x.By)
	}
}

func sequenceText(line func(figure, label string, args ...any), s *risk.Sequence) {
	if s == nil {
		return
	}
	line(strconv.Itoa(s.K), "k over %d releases · 跨 %d 次发布的 k", s.Releases, s.Releases)
	line(share(s.Max), "highest risk over the releases · 跨发布最高风险")
	line(strconv.Itoa(s.Differences), "classes that changed by fewer than %d · 变化过小的等价类", s.Limit)
}

func proposalText(b *strings.Builder, d *riskDetail) {
	p := d.Proposal
	if p == nil {
		return
	}
	how := "best found · 已找到的最优"
	if p.Exact {
		how = "proven best · 已证明最优"
	}
	fmt.Fprintf(b, "proposal · 泛化方案: %s = %.6g, %d records taken out · 抑制, %s (%d/%d)\n", p.Metric, p.Cost[0], p.Suppressed, how, p.Tried, p.Possible)
	for _, c := range p.Columns {
		kind := d.Types[c.Column]
		if kind != "" {
			kind = " (" + kind + ")"
		}
		fmt.Fprintf(b, "  %s%s: level %d of %d, %d → %d values, loss %.4g\n", c.Column, kind, c.Level, c.Levels, c.Values[0], c.Values[1], c.Loss)
	}
	a := p.After
	fmt.Fprintf(b, "  after · 泛化后: k = %d, %d classes, highest risk %s, average %s\n", a.K, a.Classes, share(a.Prosecutor.Max), share(a.Prosecutor.Average))
}
