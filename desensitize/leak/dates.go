package leak

import (
	"iter"
	"strings"
)

// day is a date in the Gregorian calendar.
type day struct{ y, m, d int }

func (d day) valid() bool {
	return d.y >= 1900 && d.y <= 2099 && d.m >= 1 && d.m <= 12 && d.d >= 1 && d.d <= 31
}

// dateAt is a date and where it stands in the text.
type dateAt struct {
	day
	start, end int
}

// datesOf yields the dates of a text: 2019-03-05, 2019/3/5, 2019.03.05, 20190305 with or
// without a time behind it, 2019年3月5日, 二〇一九年三月五日, 5 March 2019, Mar 5, 2019,
// 03/05/2019 in both readings, 85年3月5日 in both centuries.
func datesOf(v *view) iter.Seq[dateAt] {
	return func(yield func(dateAt) bool) {
		for i := 0; i < len(v.tight); i++ {
			r := v.tight[i].r
			inWord := v.tight[i].joined && i > 0
			var found []day
			end := i
			switch {
			case isDigit(r) && (!inWord || !isDigit(v.tight[i-1].r)):
				found, end = v.numericDate(i)
			case isLatin(r) && (!inWord || !isLatin(v.tight[i-1].r)):
				found, end = v.monthFirst(i)
			}
			for _, d := range found {
				if d.valid() && !yield(dateAt{d, int(v.tight[i].start), int(v.tight[end-1].end)}) {
					return
				}
			}
		}
	}
}

// digitsAt reads up to most digits that stand together.
func (v *view) digitsAt(i, most int) (value, end int) {
	for end = i; end < len(v.tight) && end-i < most && isDigit(v.tight[end].r) && (end == i || v.tight[end].joined); end++ {
		value = value*10 + int(v.tight[end].r-'0')
	}
	return value, end
}

// numericDate reads a date that begins with a digit.
func (v *view) numericDate(i int) ([]day, int) {
	n, end := v.digitsAt(i, 14)
	switch end - i {
	case 8, 12, 14:
		for k := end; k > i+8; k-- {
			n /= 10
		}
		return []day{{n / 10000, n / 100 % 100, n % 100}}, i + 8
	case 4:
		if m, d, stop, ok := v.monthDay(end); ok {
			return []day{{n, m, d}}, stop
		}
	case 1, 2:
		return v.shortFirst(n, end)
	}
	return nil, i
}

// monthDay reads "-03-05", "年3月5日", "年三月五日".
func (v *view) monthDay(i int) (m, d, end int, ok bool) {
	i, ok = v.partOfDate(i, '年')
	if !ok {
		return 0, 0, i, false
	}
	if m, i = v.small(i); m == 0 {
		return 0, 0, i, false
	}
	if i, ok = v.partOfDate(i, '月'); !ok {
		return 0, 0, i, false
	}
	d, end = v.small(i)
	return m, d, end, d > 0
}

// partOfDate passes the character that ends the part of a date before i; without it, the
// next part must stand behind a separator on the same line.
func (v *view) partOfDate(i int, mark rune) (int, bool) {
	if i >= len(v.tight) {
		return i, false
	}
	if v.tight[i].r == mark {
		return i + 1, i+1 < len(v.tight)
	}
	if v.tight[i].joined || i == 0 {
		return i, false
	}
	gap := v.text[v.tight[i-1].end:v.tight[i].start]
	return i, len(gap) <= 3 && !strings.ContainsAny(gap, "\r\n\t,;^|&")
}

// small reads a number up to 31 in digits or Chinese numerals; 0 if there is none.
func (v *view) small(i int) (value, end int) {
	if value, end = v.digitsAt(i, 2); end > i {
		return value, end
	}
	for end = i; end < len(v.tight) && end-i < 3; end++ {
		r := v.tight[end].r
		n, ok := numeral(r)
		switch {
		case r == '十' && value == 0:
			value = 10
		case r == '十':
			value *= 10
		case ok && value%10 == 0:
			value += int(n - '0')
		default:
			return value, end
		}
	}
	return value, end
}

// shortFirst reads "03/05/2019", "5 March 2019" and "85年3月5日".
func (v *view) shortFirst(n, i int) ([]day, int) {
	if i >= len(v.tight) {
		return nil, i
	}
	if v.tight[i].r == '年' {
		m, d, end, ok := v.monthDay(i)
		if !ok {
			return nil, i
		}
		return []day{{1900 + n, m, d}, {2000 + n, m, d}}, end
	}
	if m, end := v.month(i); m > 0 {
		if y, stop := v.digitsAt(end, 4); y > 0 {
			return []day{{y, m, n}}, stop
		}
		return nil, i
	}
	if v.tight[i].joined {
		return nil, i
	}
	second, end := v.digitsAt(i, 2)
	_, near := v.partOfDate(i, 0)
	_, nearer := v.partOfDate(end, 0)
	if end == i || !near || !nearer {
		return nil, i
	}
	if y, stop := v.digitsAt(end, 4); stop-end == 4 && (stop == len(v.tight) || !v.tight[stop].joined || !isDigit(v.tight[stop].r)) {
		return []day{{y, n, second}, {y, second, n}}, stop
	}
	return nil, i
}

// monthFirst reads "March 5, 2019".
func (v *view) monthFirst(i int) ([]day, int) {
	m, end := v.month(i)
	if m == 0 {
		return nil, i
	}
	d, at := v.digitsAt(end, 2)
	if at == end {
		return nil, i
	}
	for _, suffix := range []string{"st", "nd", "rd", "th"} {
		if v.has(at, suffix) {
			at += 2
			break
		}
	}
	if y, stop := v.digitsAt(at, 4); stop-at == 4 {
		return []day{{y, m, d}}, stop
	}
	return nil, i
}

var months = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}

// month reads the name of a month, whole or by its first three letters.
func (v *view) month(i int) (month, end int) {
	if !strings.ContainsRune("jfmasond", v.tight[i].r) {
		return 0, i
	}
	for end = i; end < len(v.tight) && end-i < 10 && isLatin(v.tight[end].r) && (end == i || v.tight[end].joined); end++ {
	}
	for n, name := range months {
		if (end-i == 3 && v.has(i, name[:3])) || end-i == len(name) && v.has(i, name) || n == 8 && end-i == 4 && v.has(i, "sept") {
			return n + 1, end
		}
	}
	return 0, i
}

// has reports that text stands at i of the view.
func (v *view) has(i int, text string) bool {
	for _, r := range text {
		if i >= len(v.tight) || v.tight[i].r != r {
			return false
		}
		i++
	}
	return true
}
