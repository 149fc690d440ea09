package risk

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Detect guesses the type of a column from its name and its values; category where nothing
// fits. The guess is a start for people, who know what the column means.
func (t *Table) Detect(column string) string {
	i := slices.Index(t.schema.Quasi, column)
	if i < 0 {
		return "category"
	}
	values := t.quasi[i].values
	words := wordsOf(column)
	for _, d := range detectors {
		if (d.words == nil || words.has(d.words)) && most(values, d.fits) {
			return d.kind
		}
	}
	return numberType(values)
}

// detectors are tried in order; words nil means that the values suffice.
var detectors = []struct {
	kind  string
	words []string
	fits  func(string) bool
}{
	{"date", nil, func(v string) bool { _, _, d, ok := parseDate(v); return ok && d > 0 && len(v) >= 8 }},
	{"age", []string{"age", "年龄"}, agePattern.MatchString},
	{"date", []string{"date", "year", "month", "birth", "日期", "时间", "年份", "年月", "出生"},
		func(v string) bool { _, _, _, ok := parseDate(v); return ok }},
	{"postcode", []string{"zip", "zipcode", "post", "postal", "postcode", "邮编", "邮政"}, func(v string) bool { return v != "" }},
	{"region", []string{"region", "area", "district", "county", "city", "province", "address", "行政区", "地区", "区划", "住址", "地址", "籍贯", "出生地"},
		func(v string) bool { return regionCode.MatchString(v) || len(regionParts(v)) > 0 }},
	{"icd10", []string{"icd", "icd10", "diag", "diagnosis", "diagnoses", "code", "诊断", "疾病", "编码"}, icdPattern.MatchString},
}

// words are the parts of a column's name: those of Latin letters by themselves, since "age"
// is no part of "language", the rest as it is.
type words struct {
	latin []string
	name  string
}

var latinWord = regexp.MustCompile(`[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*`)

func wordsOf(name string) words {
	w := words{name: name}
	for _, part := range latinWord.FindAllString(name, -1) {
		w.latin = append(w.latin, strings.ToLower(part))
	}
	return w
}

func (w words) has(any []string) bool {
	return slices.ContainsFunc(any, func(s string) bool {
		if s[0] < 0x80 {
			return slices.Contains(w.latin, s)
		}
		return strings.Contains(w.name, s)
	})
}

// numberType gives numbers of many values bands of about a fortieth of their range, rounded to
// 1, 2 or 5 times a power of ten.
func numberType(values []string) string {
	low, high := math.Inf(1), math.Inf(-1)
	number := func(v string) bool {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
		low, high = min(low, x), max(high, x)
		return true
	}
	if !most(values, number) || len(values) < 20 || !(high > low) {
		return "category"
	}
	width := math.Pow(10, math.Floor(math.Log10((high-low)/40)))
	for _, step := range []float64{2, 2.5, 2} { // 1, 2, 5, 10
		if width*40 < high-low {
			width *= step
		}
	}
	width, _ = strconv.ParseFloat(strconv.FormatFloat(width, 'g', 3, 64), 64) // without the noise of Pow
	return "number:" + strconv.FormatFloat(width, 'f', -1, 64)
}

// most says whether at least nine in ten of the values that say something satisfy f.
func most(values []string, f func(string) bool) bool {
	said, yes := 0, 0
	for _, v := range values {
		if v == "" || v == Suppressed {
			continue
		}
		said++
		if f(v) {
			yes++
		}
	}
	return said > 0 && yes*10 >= said*9
}
