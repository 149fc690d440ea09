package risk

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// builtin is a hierarchy made of one function per level.
type builtin []func(value string) string

// Levels implements Hierarchy.
func (b builtin) Levels() int { return len(b) }

// Generalise implements Hierarchy; every value is known, what has not the form of the type
// goes straight to the top.
func (b builtin) Generalise(value string, level int) (string, bool) {
	switch {
	case level == 0:
		return value, true
	case level < 0 || level > len(b):
		return "", false
	case value == Suppressed:
		return Suppressed, true
	}
	return b[level-1](value), true
}

func top(string) string { return Suppressed }

// Types names the built-in hierarchies, as Builtin takes them:
//
//	category     any value → *
//	sex          the same
//	age          years → 5 → 10 → 20 years → *; from 90 on one group (45 CFR 164.514(b)(2)(i)(C))
//	date         date or time → day → month → quarter → year → decade → *
//	postcode     all digits → 4 → 3 → 2 digits → *
//	region       行政区划, GB/T 2260 code or address: full → county → city → province → *
//	icd10        code → 4 characters → 3 characters → block → chapter → *
//	number:W     bands of width W, 2W, 4W, 8W → *
//	prefix:N     first N characters → … → first character → *
func Types() []string {
	return []string{"category", "sex", "age", "date", "postcode", "region", "icd10", "number:W", "prefix:N"}
}

// Builtin gives a built-in hierarchy by its name.
func Builtin(name string) (Hierarchy, error) {
	kind, argument, _ := strings.Cut(name, ":")
	switch kind {
	case "category", "sex":
		return builtin{top}, nil
	case "age":
		return builtin{ageBand(5), ageBand(10), ageBand(20), top}, nil
	case "date":
		return builtin{dateAt("day"), dateAt("month"), dateAt("quarter"), dateAt("year"), dateAt("decade"), top}, nil
	case "postcode":
		return builtin{keep(4), keep(3), keep(2), top}, nil
	case "region":
		return builtin{regionAt(county), regionAt(city), regionAt(province), top}, nil
	case "icd10":
		return builtin{icdAt(icdSubcategory), icdAt(icdCategory), icdAt(icdBlock), icdAt(icdChapter), top}, nil
	case "number":
		w, err := strconv.ParseFloat(argument, 64)
		if err != nil || w <= 0 {
			return nil, fmt.Errorf("%w: number takes the width of its bands, number:10", ErrHierarchy)
		}
		return builtin{band(w, 1), band(w, 2), band(w, 4), band(w, 8), top}, nil
	case "prefix":
		n, err := strconv.Atoi(argument)
		if err != nil || n < 1 || n >= maxLevels {
			return nil, fmt.Errorf("%w: prefix takes a number of characters, prefix:3", ErrHierarchy)
		}
		var b builtin
		for ; n > 0; n-- {
			b = append(b, keep(n))
		}
		return append(b, top), nil
	}
	return nil, fmt.Errorf("%w: no type %q, there are %s", ErrHierarchy, name, strings.Join(Types(), ", "))
}

// oldest is where ages become one group.
const oldest = 90

var agePattern = regexp.MustCompile(`^(\d{1,3})\s*(?:岁|周岁|y|Y)?$`)

// ageBand groups years by width; bands begin at 0.
func ageBand(width int) func(string) string {
	return func(v string) string {
		m := agePattern.FindStringSubmatch(v)
		if m == nil {
			return Suppressed
		}
		n, _ := strconv.Atoi(m[1])
		limit := oldest / width * width // the band that 90 falls into must not be split
		if n >= limit {
			return strconv.Itoa(limit) + "+"
		}
		low := n / width * width
		return fmt.Sprintf("%d-%d", low, low+width-1)
	}
}

// band groups numbers into [low,high), of so many bands of a width together.
func band(width float64, together int) func(string) string {
	return func(v string) string {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || math.IsNaN(x) || math.Abs(x/width) > 1e15 {
			return Suppressed
		}
		n := math.Floor(math.Floor(x/width) / float64(together)) // whole numbers, so that bands nest
		format := func(f float64) string { return strconv.FormatFloat(f, 'g', 12, 64) }
		return "[" + format(n*float64(together)*width) + "," + format((n+1)*float64(together)*width) + ")"
	}
}

// keep masks all but the first n characters.
func keep(n int) func(string) string {
	return func(v string) string {
		r := []rune(v)
		if len(r) == 0 {
			return Suppressed
		}
		for i := n; i < len(r); i++ {
			r[i] = '*'
		}
		return string(r)
	}
}

var (
	datePattern = regexp.MustCompile(`^(\d{4})\s*[-/.年]?\s*(\d{1,2})?\s*[-/.月]?\s*(\d{1,2})?\s*日?(?:[T\s].*)?$`)
	packedDate  = regexp.MustCompile(`^(\d{4})(\d{2})(\d{2})?(?:\d{2,6}(?:\.\d+)?)?(?:[+-]\d{4}|Z)?$`)
)

// parseDate reads a date of any precision: year, month or day.
func parseDate(v string) (year, month, day int, ok bool) {
	m := packedDate.FindStringSubmatch(v)
	if m == nil {
		m = datePattern.FindStringSubmatch(v)
	}
	if m == nil {
		return 0, 0, 0, false
	}
	year, _ = strconv.Atoi(m[1])
	month, _ = strconv.Atoi(m[2])
	day, _ = strconv.Atoi(m[3])
	if month > 12 || (month == 0 && day != 0) || day > 31 {
		return 0, 0, 0, false
	}
	if day > 0 && time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Day() != day {
		return 0, 0, 0, false
	}
	return year, month, day, true
}

// dateAt gives a date at a precision. A date that is less precise than that stands for
// itself: only coarser levels join it with others.
func dateAt(precision string) func(string) string {
	return func(v string) string {
		y, m, d, ok := parseDate(v)
		if !ok {
			return Suppressed
		}
		switch {
		case precision == "day" && d > 0:
			return fmt.Sprintf("%04d-%02d-%02d", y, m, d)
		case (precision == "day" || precision == "month") && m > 0:
			return fmt.Sprintf("%04d-%02d", y, m)
		case precision == "quarter" && m > 0:
			return fmt.Sprintf("%04d-Q%d", y, (m+2)/3)
		case precision == "decade":
			return fmt.Sprintf("%ds", y/10*10)
		}
		return fmt.Sprintf("%04d", y)
	}
}

// Levels of a region.
const (
	province = iota + 1
	city
	county
)

var (
	regionCode   = regexp.MustCompile(`^\d{6}(?:\d{3}|\d{6})?$`)
	provinceName = regexp.MustCompile(`^(?:北京|上海|天津|重庆)市?|^.{2,7}?(?:自治区|特别行政区|省)`)
	cityName     = regexp.MustCompile(`^.{1,10}?(?:自治州|地区|盟|市)`)
	countyName   = regexp.MustCompile(`^.{1,10}?(?:自治县|自治旗|林区|特区|区|县|旗|市)`)
)

// regionAt gives a place at a level of the 行政区划: of a code of GB/T 2260 (six digits, or nine
// or twelve of the statistical codes) its first digits, of an address its first parts.
func regionAt(level int) func(string) string {
	return func(v string) string {
		if regionCode.MatchString(v) {
			return v[:2*level] + strings.Repeat("0", 6-2*level)
		}
		parts := regionParts(v)
		if len(parts) == 0 {
			return Suppressed
		}
		return strings.Join(parts[:min(level, len(parts))], "")
	}
}

// regionParts takes an address apart into province, city and county, as far as they are named.
func regionParts(v string) []string {
	v = strings.TrimPrefix(strings.ReplaceAll(v, " ", ""), "中国")
	p := provinceName.FindString(v)
	if p == "" {
		return nil
	}
	rest := v[len(p):]
	parts := []string{strings.TrimSuffix(p, "市")}
	if isMunicipality(parts[0]) { // 直辖市: the city is the province
		parts = append(parts, "")
		rest = strings.TrimPrefix(strings.TrimPrefix(rest, "市辖区"), p)
	} else if c := cityName.FindString(rest); c != "" {
		parts, rest = append(parts, c), rest[len(c):]
	} else {
		parts = append(parts, "") // 省直辖县
	}
	return append(parts, countyName.FindString(rest))
}

func isMunicipality(name string) bool {
	return slices.Contains([]string{"北京", "上海", "天津", "重庆"}, name)
}
