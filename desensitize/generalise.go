package desensitize

import (
	"fmt"
	"slices"
	"strings"
)

// shift moves a date by the days of the session's patient. A record that names no patient
// has no shift of its own: its dates become years.
func (s *Session) shift(rule *Rule, v Value) (string, bool) {
	if s.subject == nil {
		m, ok := readDate(v.Text, v.Layout)
		if !ok {
			return "", false
		}
		return m.coarse(ToYear, v.Layout)
	}
	by := s.days(rule)
	if v.Layout == ISO {
		if out, ok := shiftISO(v.Text, by); ok {
			return out, true
		}
	}
	m, ok := readDate(v.Text, v.Layout)
	if !ok {
		return "", false
	}
	return m.shiftDays(by)
}

// days is by how many days the patient's dates move under a rule.
func (s *Session) days(rule *Rule) int {
	days := rule.Days
	if days == 0 {
		days = s.job.cfg.Policy.ShiftDays
	}
	key := shiftKey{string(s.subject), days}
	by, ok := s.shifts[key]
	if !ok {
		by = s.job.cfg.Project.Shift(s.subject, days)
		if s.shifts == nil {
			s.shifts = map[shiftKey]int{}
		}
		if len(s.shifts) < maxShifts {
			s.shifts[key] = by
		}
	}
	return by
}

// maxShifts bounds the patients of one record whose shifts are remembered.
const maxShifts = 1024

// generalise makes a value coarser; ok is false where it cannot be read.
func (s *Session) generalise(rule *Rule, v Value) (string, bool) {
	switch to := rule.To; to {
	case ToYear, ToQuarter, ToMonth, ToDay, ToDecade:
		m, ok := readDate(v.Text, v.Layout)
		if !ok {
			return "", false
		}
		return m.coarse(to, v.Layout)
	case ToAge89, ToAge5, ToAge10:
		return s.byAge(to, v)
	case ToProvince, ToCity, ToCounty:
		return coarseAddress(v.Text, to)
	case ToPostcode3:
		return coarsePostcode(v.Text, 3)
	case ToPostcode2:
		return coarsePostcode(v.Text, 2)
	case ToIndustry:
		return industry(v.Text), true
	default:
		return s.coarseDiagnosis(rule, v)
	}
}

// coarse returns the date with less of it, in the layout.
func (m *moment) coarse(to string, layout Layout) (string, bool) {
	if m.year == 0 {
		return "", false
	}
	year, month := m.year, m.month
	switch {
	case to == ToDecade:
		year, month = year/10*10, 0
	case to == ToYear:
		month = 0
	case to == ToQuarter && month > 0:
		month = (month-1)/3*3 + 1
	}
	day := 0
	if to == ToDay {
		day = m.day
	}
	return writeCoarse(year, month, day, layout, layout == Prose && strings.Contains(m.text, "年")), true
}

// writeCoarse writes as much of a date as there is; month and day may be 0.
func writeCoarse(year, month, day int, layout Layout, marked bool) string {
	out := fmt.Sprintf("%04d", year)
	if marked {
		out += "年"
		if month > 0 {
			out += fmt.Sprintf("%d月", month)
		}
		if month > 0 && day > 0 {
			out += fmt.Sprintf("%d日", day)
		}
		return out
	}
	separator := "-"
	if layout == Compact {
		separator = ""
	}
	for _, n := range []int{month, day} {
		if n == 0 {
			break
		}
		out += fmt.Sprintf("%s%02d", separator, n)
	}
	return out
}

// oldest is the greatest age that is shown as it is (45 CFR 164.514(b)(2)(i)(C)).
const oldest = 89

// byAge generalises an age, or a date of birth by the age that it gives.
func (s *Session) byAge(to string, v Value) (string, bool) {
	if v.Type == BirthDate || v.Type == Date {
		m, ok := readDate(v.Text, v.Layout)
		if !ok || m.year == 0 || s.job.cfg.AsOf.Year()-m.year > oldest {
			return "", false
		}
		step := map[string]int{ToAge89: 1, ToAge5: 5, ToAge10: 10}[to]
		m.year = m.year / step * step
		return m.coarse(ToYear, v.Layout)
	}
	start := strings.IndexFunc(v.Text, isNumeral)
	if start < 0 {
		return "", false
	}
	end := start + strings.IndexFunc(v.Text[start:]+"!", func(r rune) bool { return !isNumeral(r) })
	age, ok := numeral(v.Text[start:end])
	if !ok || strings.IndexFunc(v.Text[end:], isNumeral) >= 0 && v.Layout != Prose {
		return "", false
	}
	if !years(v.Text[end:]) {
		return v.Text, true // months and days of an infant
	}
	out := age
	switch {
	case age > oldest:
		out = oldest + 1
	case to == ToAge5:
		out = age / 5 * 5
	case to == ToAge10:
		out = age / 10 * 10
	}
	if out == age {
		return v.Text, true
	}
	return v.Text[:start] + fmt.Sprint(out) + v.Text[end:], true
}

func isNumeral(r rune) bool {
	c := classOf(r)
	return c != 0 && c != 'a'
}

// years reports a unit of age that is not smaller than a year.
func years(unit string) bool {
	unit = strings.ToLower(strings.TrimLeft(unit, " -"))
	for _, small := range []string{"月", "个月", "天", "日", "周", "小时", "分", "m", "w", "d", "h"} {
		if strings.HasPrefix(unit, small) {
			return false
		}
	}
	return true
}

// restrictedPostcodes are the first three digits of US ZIP codes whose areas have at most
// 20,000 people by the census of 2000 or of 2010 (45 CFR 164.514(b)(2)(i)(B)(2)).
var restrictedPostcodes = []string{
	"036", "059", "063", "102", "203", "205", "369", "556", "692", "790", "821", "823", "830", "831", "878", "879", "884", "890", "893",
}

// coarsePostcode keeps the first digits and makes the others zero, so that it stays a
// postcode in shape. A US ZIP+4 code loses the four digits.
func coarsePostcode(text string, keep int) (string, bool) {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "-")
	if len(text) < 5 || len(text) > 6 || strings.Trim(text, "0123456789") != "" {
		return "", false
	}
	if len(text) == 5 && slices.Contains(restrictedPostcodes, text[:3]) {
		keep = 0
	}
	return text[:keep] + strings.Repeat("0", len(text)-keep), true
}

var industries = []struct{ name, words string }{
	{"医疗卫生", "医院 卫生院 诊所 卫生服务 疾控 hospital clinic health"},
	{"教育", "大学 学院 中学 小学 学校 幼儿园 教育 university school college kindergarten"},
	{"机关", "政府 委员会 公安 法院 检察 税务 街道 人民 机关 department government city of county of ministry"},
	{"军队", "部队 武警 army navy force"},
	{"金融", "银行 保险 证券 bank insurance"},
	{"制造", "厂 制造 机械 化工 电子 钢铁 纺织 factory works manufactur"},
	{"建筑", "建筑 建设 工程 施工 construction"},
	{"交通", "铁路 公交 运输 航空 物流 港口 railway airline transport logistics"},
	{"农业", "农场 农业 林场 渔 村 farm"},
	{"商业服务", "公司 商店 超市 酒店 饭店 集团 inc ltd llc company corp store hotel"},
	{"研究", "研究所 研究院 institute"},
}

// industry says what kind of employer a name tells of.
func industry(name string) string {
	name = strings.ToLower(name)
	for _, i := range industries {
		for w := range strings.FieldsSeq(i.words) {
			if strings.Contains(name, w) {
				return i.name
			}
		}
	}
	return "其他"
}
