package desensitize_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
)

// finder is a stand-in for the engine of free text: it finds 张三, 13800138000 and 2024-05-17.
type finder struct{}

func (finder) ForRecord(*desensitize.Known) desensitize.TextReplacer { return finder{} }

func (finder) Replace(dst []byte, text string, by func(desensitize.Found) string) []byte {
	for value, typ := range map[string]desensitize.Type{"张三": desensitize.Name, "13800138000": desensitize.Phone, "2024-05-17": desensitize.Date} {
		if strings.Contains(text, value) {
			text = strings.ReplaceAll(text, value, by(desensitize.Found{Type: typ, Value: value}))
		}
	}
	return append(dst, text...)
}

func ptr[T any](v T) *T { return &v }

func TestGeneralise(t *testing.T) {
	date, age, birth := desensitize.Date, desensitize.Age, desensitize.BirthDate
	for _, c := range []struct {
		to     string
		typ    desensitize.Type
		layout desensitize.Layout
		in     string
		want   string // "" is removed
	}{
		{"year", date, desensitize.ISO, "2024-05-17T08:30:00+08:00", "2024"}, {"month", date, desensitize.ISO, "2024-05-17", "2024-05"},
		{"quarter", date, desensitize.ISO, "2024-06-17", "2024-04"}, {"decade", date, desensitize.ISO, "2024", "2020"}, {"day", date, desensitize.ISO, "2024-05-17T08:30:00Z", "2024-05-17"},
		{"year", date, desensitize.Compact, "20240517083000+0800", "2024"}, {"month", date, desensitize.Compact, "20240517", "202405"}, {"quarter", date, desensitize.Compact, "202412", "202410"},
		{"year", date, desensitize.Prose, "2024年5月17日", "2024年"}, {"month", date, desensitize.Prose, "二〇二四年五月十七日", "2024年5月"}, {"year", date, desensitize.Prose, "May 17, 2024", "2024"},
		{"year", date, desensitize.ISO, "张三", ""}, {"year", date, desensitize.ISO, "2024-02-30", ""}, {"month", date, desensitize.Prose, "5月17日", ""},
		{"age-89", age, desensitize.ISO, "91", "90"}, {"age-89", age, desensitize.ISO, "89", "89"}, {"age-5", age, desensitize.ISO, "43", "40"}, {"age-10", age, desensitize.ISO, "43.5", ""},
		{"age-89", age, desensitize.Prose, "92岁", "90岁"}, {"age-89", age, desensitize.Prose, "九十二岁", "90岁"}, {"age-89", age, desensitize.Prose, "8月", "8月"}, {"age-10", age, desensitize.Prose, "43-year-old", "40-year-old"},
		{"age-89", birth, desensitize.ISO, "1940-03-01", "1940"}, {"age-89", birth, desensitize.ISO, "1936-03-01", ""}, {"age-10", birth, desensitize.ISO, "1947-03-01", "1940"}, {"age-5", birth, desensitize.Compact, "19470301", "1945"},
		{"province", desensitize.Address, 0, "广东省广州市天河区体育西路1号", "广东省"}, {"city", desensitize.Address, 0, "广东省广州市天河区体育西路1号", "广东省广州市"},
		{"county", desensitize.Address, 0, "广东省广州市天河区体育西路1号", "广东省广州市天河区"}, {"county", desensitize.Address, 0, "北京市海淀区中关村1号", "北京市海淀区"},
		{"city", desensitize.Address, 0, "北京市海淀区中关村1号", "北京市"}, {"county", desensitize.Address, 0, "新疆维吾尔自治区伊犁哈萨克自治州伊宁市1号", "新疆维吾尔自治区伊犁哈萨克自治州伊宁市"},
		{"city", desensitize.Address, 0, "内蒙古自治区锡林郭勒盟1号", "内蒙古自治区锡林郭勒盟"}, {"city", desensitize.Address, 0, "体育西路1号", ""}, {"county", desensitize.Address, 0, "湖南省某处", "湖南省"},
		{"postcode-3", desensitize.Postcode, 0, "510630", "510000"}, {"postcode-3", desensitize.Postcode, 0, "98052-6399", "98000"}, {"postcode-3", desensitize.Postcode, 0, "03601", "00000"}, {"postcode-2", desensitize.Postcode, 0, "510630", "510000"[:2] + "0000"}, {"postcode-3", desensitize.Postcode, 0, "SW1A", ""},
		{"industry", desensitize.Employer, 0, "广州市第一中学", "教育"}, {"industry", desensitize.Employer, 0, "Acme Inc", "商业服务"}, {"industry", desensitize.Employer, 0, "自由职业", "其他"},
		{"icd-3", desensitize.Diagnosis, 0, "I21.003", "I21"}, {"icd-block", desensitize.Diagnosis, 0, "I21.003", "I20-I25"}, {"icd-chapter", desensitize.Diagnosis, 0, "I21", "I00-I99"}, {"icd-3", desensitize.Diagnosis, 0, "急性心梗", ""},
	} {
		s, _ := session(t, []byte("s"))
		r, err := s.Apply(&desensitize.Rule{Select: "x", Method: desensitize.Generalise, Params: desensitize.Params{To: c.to}}, desensitize.Value{Path: "p", Type: c.typ, Text: c.in, Layout: c.layout})
		require.NoError(t, err)
		require.Equal(t, c.want, r.Text, "%s of %s", c.to, c.in)
		require.Equal(t, c.want == "", r.Removed, c.in)
	}
}

func TestGeneraliseRareOnly(t *testing.T) {
	s, _ := session(t, nil)
	rule := &desensitize.Rule{Select: "x", Method: desensitize.Generalise, Params: desensitize.Params{To: desensitize.ToICD3, Codes: []string{"rare", "F2"}}}
	for in, want := range map[string]string{"E75.2": "E75", "E75.3": "E75.3", "F20.0": "F20", "I10": "I10"} {
		r, err := s.Apply(rule, desensitize.Value{Type: desensitize.Diagnosis, Text: in})
		require.NoError(t, err)
		require.Equal(t, want, r.Text)
	}
}

// shifted returns a subject whose dates move by so many days.
func shifted(t *testing.T, days int) []byte {
	t.Helper()
	p := newProject(t, "P1", 1)
	for i := range 100_000 {
		if subject := fmt.Append(nil, i); p.Shift(subject, 183) == days {
			return subject
		}
	}
	require.FailNow(t, "no such subject")
	return nil
}

// TestDateShift moves dates in every way in which people write them, all by the same days.
func TestDateShift(t *testing.T) {
	s, _ := session(t, shifted(t, 46))
	rule := &desensitize.Rule{Select: "x", Method: desensitize.DateShift}
	shift := func(layout desensitize.Layout, in string) string {
		r, err := s.Apply(rule, desensitize.Value{Type: desensitize.Date, Text: in, Layout: layout})
		require.NoError(t, err)
		return r.Text
	}
	for _, c := range []struct {
		layout   desensitize.Layout
		in, want string
	}{
		{desensitize.ISO, "2024-05-17", "2024-07-02"}, {desensitize.ISO, "2024-05-17T08:30:00.123+08:00", "2024-07-02T08:30:00.123+08:00"}, {desensitize.ISO, "2024-12-17", "2025-02-01"},
		{desensitize.ISO, "2024-05", "2024-06"}, {desensitize.ISO, "2024", "2024"}, {desensitize.ISO, "20240517", ""},
		{desensitize.Compact, "20240517", "20240702"}, {desensitize.Compact, "20240517083000.1+0800", "20240702083000.1+0800"}, {desensitize.Compact, "202405", "202406"}, {desensitize.Compact, "2024-05-17", ""}, {desensitize.ISO, "2024-05-17T13800138000", ""}, {desensitize.ISO, "2024-05-17T08:30Z", "2024-07-02T08:30Z"}, {desensitize.Compact, "20240517.13800138000", ""}, {desensitize.Compact, "2024051708+13800138000", ""},
		{desensitize.Prose, "2024年5月17日", "2024年7月2日"}, {desensitize.Prose, "2024年05月17日 08:30", "2024年07月02日 08:30"}, {desensitize.Prose, "二〇二四年五月十七日", "二〇二四年七月二日"}, {desensitize.Prose, "二零二四年十二月三十一日", "二零二五年二月十五日"},
		{desensitize.Prose, "2024-5-17", "2024-7-2"}, {desensitize.Prose, "2024/05/17", "2024/07/02"}, {desensitize.Prose, "2024.5.17", "2024.7.2"}, {desensitize.Prose, "24.5.17", "24.7.2"}, {desensitize.Prose, "20240517", "20240702"},
		{desensitize.Prose, "５月１７日", "７月２日"}, {desensitize.Prose, "5月17日", "7月2日"}, {desensitize.Prose, "2024年5月", "2024年6月"}, {desensitize.Prose, "２０２４年５月１７日", "２０２４年７月２日"},
		{desensitize.Prose, "May 17, 2024", "Jul 2, 2024"}, {desensitize.Prose, "17 May 2024", "2 Jul 2024"}, {desensitize.Prose, "17-Dec-2024", "1-Feb-2025"}, {desensitize.Prose, "05/17/2024", "07/02/2024"}, {desensitize.Prose, "17/05/2024", "02/07/2024"},
		{desensitize.Prose, "17.05.2024", "02.07.2024"}, {desensitize.Prose, "2024", "2024"}, {desensitize.Prose, "上周三", ""}, {desensitize.Prose, "2024-13-45", ""}, {desensitize.Prose, "5/17", "7/2"},
	} {
		require.Equal(t, c.want, shift(c.layout, c.in), c.in)
	}
}

func TestShiftWithoutSubject(t *testing.T) {
	s, _ := session(t, nil)
	r, err := s.Apply(&desensitize.Rule{Method: desensitize.DateShift}, desensitize.Value{Text: "2024-05-17"})
	require.NoError(t, err)
	require.Equal(t, "2024", r.Text)
	s.SetLocalSubject("123")
	r, err = s.Apply(&desensitize.Rule{Method: desensitize.DateShift}, desensitize.Value{Text: "2024-05-17"})
	require.NoError(t, err)
	require.Len(t, r.Text, 10)
	require.NotEqual(t, "2024-05-17", r.Text)
}

func TestMethods(t *testing.T) {
	s, report := session(t, []byte("s"))
	apply := func(r desensitize.Rule, v desensitize.Value) desensitize.Result {
		out, err := s.Apply(&r, v)
		require.NoError(t, err)
		return out
	}
	name := desensitize.Value{Path: "Patient.name", Type: desensitize.Name, Text: "欧阳修文"}
	require.Equal(t, "欧**文", apply(desensitize.Rule{Method: desensitize.Mask, Params: desensitize.Params{First: 1, Last: 1}}, name).Text)
	require.Equal(t, "****", apply(desensitize.Rule{Method: desensitize.Mask, Params: desensitize.Params{First: 2, Last: 2}}, name).Text, "nothing would be masked")
	require.Equal(t, "X", apply(desensitize.Rule{Method: desensitize.Substitute, Params: desensitize.Params{With: ptr("X")}}, name).Text)
	require.True(t, desensitize.IsSurrogate(desensitize.Name, apply(desensitize.Rule{Method: desensitize.Substitute}, name).Text))
	require.Len(t, apply(desensitize.Rule{Method: desensitize.CryptoHash}, name).Text, 64)
	require.Len(t, apply(desensitize.Rule{Method: desensitize.CryptoHash, Params: desensitize.Params{Length: 16}}, name).Text, 16)
	require.Regexp(t, `^PT-[a-z2-7]{12}$`, apply(desensitize.Rule{Method: desensitize.Pseudonymise, Params: desensitize.Params{Prefix: "PT-", Length: 12}}, name).Text)
	require.Equal(t, newProject(t, "P1", 1).SubjectPseudonym([]byte("s")), apply(desensitize.Rule{Method: desensitize.Pseudonymise, Params: desensitize.Params{Of: desensitize.OfSubject}}, name).Text)
	require.True(t, apply(desensitize.Rule{Method: desensitize.Redact}, name).Removed)
	out, err := s.Apply(nil, name)
	require.NoError(t, err)
	require.True(t, out.Removed, "the default is redact")
	number := desensitize.Value{Path: "Observation.value", Type: desensitize.Quantity, Text: "120.50"}
	perturbed := apply(desensitize.Rule{Method: desensitize.Perturb, Params: desensitize.Params{Span: 10}}, number).Text
	require.Regexp(t, `^1[12]\d\.\d\d$`, perturbed)
	require.Equal(t, perturbed, apply(desensitize.Rule{Method: desensitize.Perturb, Params: desensitize.Params{Span: 10}}, number).Text)
	require.Regexp(t, `^1[12]\d$`, apply(desensitize.Rule{Method: desensitize.Perturb, Params: desensitize.Params{Span: 0.1, Range: desensitize.RangeProportional, Round: ptr(0)}}, number).Text)
	require.True(t, apply(desensitize.Rule{Method: desensitize.Perturb, Params: desensitize.Params{Span: 10}}, name).Removed)
	text, err := json.Marshal(report)
	require.NoError(t, err)
	require.NotContains(t, string(text), "欧")
	require.Contains(t, string(text), `"path":"Patient.name","rule":"default","method":"redact","type":"name","count":1`)
}

func TestScrub(t *testing.T) {
	s, report := session(t, shifted(t, 46), desensitize.Rule{Select: "date", Method: desensitize.DateShift}, desensitize.Rule{Select: "phone", Method: desensitize.Mask, Params: desensitize.Params{Last: 4}})
	out, err := s.Apply(&desensitize.Rule{Method: desensitize.Scrub}, desensitize.Value{Path: "note", Type: desensitize.Text, Text: "张三 2024-05-17 来诊，电话13800138000。"})
	require.NoError(t, err)
	require.Equal(t, "[姓名] 2024-07-02 来诊，电话*******8000。", out.Text)
	require.Equal(t, map[desensitize.Method]int{desensitize.Redact: 1, desensitize.DateShift: 1, desensitize.Mask: 1, desensitize.Scrub: 1}, report.Methods())
	clean, err := s.Clean("白蛋白")
	require.NoError(t, err)
	require.True(t, clean)
	clean, err = s.Clean("张三")
	require.NoError(t, err)
	require.False(t, clean)
	require.True(t, desensitize.IsLabel("[姓名]"))
	require.False(t, desensitize.IsLabel("[张三]"))
}

func TestHolds(t *testing.T) {
	s, _ := session(t, nil)
	require.False(t, s.Holds("I21.003"))
	k := s.Known()
	k.Add(desensitize.Name, "张三丰")
	k.Add(desensitize.RecordNo, "77")
	k.Add(desensitize.Phone, "13800138000")
	for text, want := range map[string]bool{
		"张三丰": true, "x张三丰y": true, "77": true, "I77.1": false, "tel:13800138000": true, "11010519491231002X": true, "": false, "张": false, "白蛋白": false,
	} {
		require.Equal(t, want, s.Holds(text), text)
	}
}

func FuzzDates(f *testing.F) {
	for _, s := range []string{"2024-05-17", "二〇二四年五月十七日", "17 May 2024", "05/17/24", "２０２４．５．１７", "廿", "年月日"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := session(t, []byte("s"))
		for _, layout := range []desensitize.Layout{desensitize.ISO, desensitize.Compact, desensitize.Prose} {
			for _, r := range []desensitize.Rule{
				{Method: desensitize.DateShift}, {Method: desensitize.Generalise, Params: desensitize.Params{To: desensitize.ToYear}},
				{Method: desensitize.Generalise, Params: desensitize.Params{To: desensitize.ToAge89}}, {Method: desensitize.Generalise, Params: desensitize.Params{To: desensitize.ToCounty}},
			} {
				_, err := s.Apply(&r, desensitize.Value{Type: desensitize.Age, Text: text, Layout: layout})
				require.NoError(t, err)
			}
		}
	})
}
