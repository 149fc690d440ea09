package desensitize

import (
	"fmt"
	"strings"
	"time"
)

// moment is a date as it stands in a text: which bytes are its year, month and day. What
// stands around them (times, zones, 年 and 月, separators) is left as it is.
type moment struct {
	text             string
	year, month, day int // 0 where absent
	parts            []datePart
}

// datePart is one number of a date.
type datePart struct {
	start, end int
	kind       byte // y, m or d
	style      numberStyle
}

type numberStyle uint8

const (
	arabic  numberStyle = iota // as wide as it stands
	wide                       // full-width digits
	chinese                    // 十二, and years digit by digit
	english                    // Jan or January
)

// maxDate bounds the bytes of a date with everything around it.
const maxDate = 64

// readDate finds the year, month and day of a date in a layout.
func readDate(text string, layout Layout) (*moment, bool) {
	if len(text) < 2 || len(text) > maxDate {
		return nil, false
	}
	m := &moment{text: text}
	var ok bool
	switch layout {
	case ISO:
		ok = m.readISO()
	case Compact:
		ok = m.readCompact(0)
	default:
		ok = m.readProse()
	}
	return m, ok && m.sane()
}

// sane refuses numbers that are no date, such as 31 February.
func (m *moment) sane() bool {
	if m.month < 0 || m.month > 12 || m.day < 0 || m.day > 31 || m.year > 9999 || m.day > 0 && m.month == 0 {
		return false
	}
	if m.day == 0 || m.month == 0 {
		return m.year > 0 || m.month > 0
	}
	y := m.year
	if y == 0 {
		y = leapYear
	}
	t := time.Date(y, time.Month(m.month), m.day, 0, 0, 0, 0, time.UTC)
	return t.Day() == m.day
}

// leapYear is the year in which dates without one are moved.
const leapYear = 2024

func (m *moment) add(kind byte, start, end, value int, style numberStyle) {
	m.parts = append(m.parts, datePart{start, end, kind, style})
	switch kind {
	case 'y':
		if end-start == 2 && style == arabic {
			value += 2000
		}
		m.year = value
	case 'm':
		m.month = value
	default:
		m.day = value
	}
}

// digits reads n digits at i.
func (m *moment) digits(kind byte, i, n int) bool {
	if i+n > len(m.text) {
		return false
	}
	v := 0
	for _, c := range []byte(m.text[i : i+n]) {
		if c < '0' || c > '9' {
			return false
		}
		v = v*10 + int(c-'0')
	}
	if v == 0 {
		return false
	}
	m.add(kind, i, i+n, v, arabic)
	return true
}

func (m *moment) readISO() bool {
	t := m.text
	if !m.digits('y', 0, 4) {
		return false
	}
	if len(t) == 4 {
		return true
	}
	if t[4] != '-' || !m.digits('m', 5, 2) {
		return false
	}
	if len(t) == 7 {
		return true
	}
	if t[7] != '-' || !m.digits('d', 8, 2) {
		return false
	}
	return len(t) == 10 || t[10] == 'T' && isoClock(t[11:])
}

// readCompact reads YYYY[MM[DD[HH[MM[SS[.S]]]]]][±ZZZZ] from byte i on.
func (m *moment) readCompact(i int) bool {
	t := m.text[i:]
	n := 0
	for n < len(t) && t[n] >= '0' && t[n] <= '9' {
		n++
	}
	if n != 4 && n != 6 && n != 8 && n != 10 && n != 12 && n != 14 || !compactTail(t[n:], n == 14) {
		return false
	}
	return m.digits('y', i, 4) && (n < 6 || m.digits('m', i+4, 2)) && (n < 8 || m.digits('d', i+6, 2))
}

// isoClock reports a time of day with its zone behind the T of a FHIR dateTime.
func isoClock(s string) bool {
	s, zone, ok := cutZone(s, len("+08:00"))
	if !ok || len(zone) > 1 && zone[3] != ':' {
		return false
	}
	whole, fraction, cut := strings.Cut(s, ".")
	if cut && (!onlyDigits(fraction, 1, 9) || len(whole) < len("08:30:00")) {
		return false
	}
	const pattern = "00:00:00"
	if len(whole) != len(pattern) && len(whole) != len("00:00") {
		return false
	}
	for i := range len(whole) {
		if digit := whole[i] >= '0' && whole[i] <= '9'; digit != (pattern[i] == '0') || !digit && whole[i] != ':' {
			return false
		}
	}
	return true
}

// compactTail reports what may follow the digits of an HL7 date: a fraction of a second and
// a zone.
func compactTail(s string, seconds bool) bool {
	s, zone, ok := cutZone(s, len("+0800"))
	if !ok || zone == "Z" {
		return false
	}
	fraction, cut := strings.CutPrefix(s, ".")
	return s == "" || cut && seconds && onlyDigits(fraction, 1, 4)
}

// cutZone takes a zone of so many bytes, or Z, off the end; ok is false where it is none.
func cutZone(s string, size int) (rest, zone string, ok bool) {
	if rest, ok := strings.CutSuffix(s, "Z"); ok {
		return rest, "Z", true
	}
	i := strings.LastIndexAny(s, "+-")
	if i < 0 {
		return s, "", true
	}
	return s[:i], s[i:], len(s)-i == size && strings.Trim(s[i+1:], "0123456789:") == ""
}

func onlyDigits(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789") == ""
}

// shiftDays returns the date moved by days, written as it was. Of a month its middle moves,
// of a year the middle of the year, so that the interval to other dates is kept as well as
// the precision allows. Years that stand alone in 4 digits, months and days keep their width.
func (m *moment) shiftDays(days int) (string, bool) {
	y, mo, d := m.year, m.month, m.day
	if y == 0 {
		y = leapYear
	}
	if mo == 0 {
		mo, d = 7, 1
	} else if d == 0 {
		d = 15
	}
	t := time.Date(y, time.Month(mo), d, 0, 0, 0, 0, time.UTC).AddDate(0, 0, days)
	if t.Year() < 1 || t.Year() > 9999 {
		return "", false
	}
	return m.write(t.Year(), int(t.Month()), t.Day()), true
}

// shiftISO is the short way for a whole date of FHIR; ok is false for all others.
func shiftISO(text string, days int) (string, bool) {
	t, ok := isoDate(text)
	if !ok || len(text) > maxDate || len(text) > 10 && (text[10] != 'T' || !isoClock(text[11:])) {
		return "", false
	}
	t = t.AddDate(0, 0, days)
	if t.Year() < 1 || t.Year() > 9999 {
		return "", false
	}
	var room [maxDate]byte
	return string(append(t.AppendFormat(room[:0], "2006-01-02"), text[10:]...)), true
}

// isoDate reads the ten bytes of a date at the start of a text.
func isoDate(text string) (time.Time, bool) {
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		return time.Time{}, false
	}
	century, ok := twoDigits(text)
	year, ok2 := twoDigits(text[2:])
	m, ok3 := twoDigits(text[5:])
	d, ok4 := twoDigits(text[8:])
	if !ok || !ok2 || !ok3 || !ok4 || m < 1 || m > 12 || d < 1 {
		return time.Time{}, false
	}
	t := time.Date(century*100+year, time.Month(m), d, 0, 0, 0, 0, time.UTC)
	return t, t.Day() == d
}

func twoDigits(s string) (int, bool) {
	a, b := s[0]-'0', s[1]-'0'
	return int(a)*10 + int(b), a <= 9 && b <= 9
}

// write returns the text with other numbers.
func (m *moment) write(y, mo, d int) string {
	var b strings.Builder
	at, padded := 0, m.padded()
	for _, p := range m.parts {
		b.WriteString(m.text[at:p.start])
		was := m.text[p.start:p.end]
		switch p.kind {
		case 'y':
			b.WriteString(writeYear(y, was, p.style))
		case 'm':
			b.WriteString(writeNumber(mo, was, p.style, padded))
		default:
			b.WriteString(writeNumber(d, was, p.style, padded))
		}
		at = p.end
	}
	b.WriteString(m.text[at:])
	return b.String()
}

// padded reports that months and days have two digits: one is written with a zero before it,
// or all have two digits where people would write a zero (2024-12-17, but not 12月17日).
func (m *moment) padded() bool {
	all := !strings.ContainsAny(m.text, "年月日号")
	for _, p := range m.parts {
		digits := []rune(m.text[p.start:p.end])
		switch {
		case p.style == english:
			all = false
		case p.kind == 'y':
		case len(digits) == 2 && (digits[0] == '0' || digits[0] == '０'):
			return true
		case len(digits) == 1:
			all = false
		}
	}
	return all
}

func writeYear(y int, was string, style numberStyle) string {
	s := fmt.Sprintf("%04d", y)
	if style == arabic && len(was) == 2 || style != arabic && len([]rune(was)) == 2 {
		s = s[2:]
	}
	switch style {
	case wide:
		return widen(s)
	case chinese:
		return chineseDigits(s, strings.Contains(was, "零"))
	}
	return s
}

func writeNumber(n int, was string, style numberStyle, padded bool) string {
	switch style {
	case english:
		return englishMonth(n, was)
	case chinese:
		return chineseNumber(n)
	}
	s := fmt.Sprint(n)
	if padded && n < 10 {
		s = "0" + s
	}
	if style == wide {
		return widen(s)
	}
	return s
}

func widen(s string) string {
	return strings.Map(func(r rune) rune { return r - '0' + '０' }, s)
}

func chineseDigits(s string, zero bool) string {
	digits := []rune("〇一二三四五六七八九")
	if zero {
		digits[0] = '零'
	}
	return strings.Map(func(r rune) rune { return digits[r-'0'] }, s)
}

// chineseNumber writes 1 to 99.
func chineseNumber(n int) string {
	digits := []rune("〇一二三四五六七八九")
	s := ""
	if n >= 20 {
		s = string(digits[n/10])
	}
	if n >= 10 {
		s += "十"
	}
	if n%10 > 0 {
		s += string(digits[n%10])
	}
	return s
}

var englishMonths = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}

func englishMonth(n int, was string) string {
	name := englishMonths[n-1]
	if len(was) == 3 || len(was) == 4 && n == 9 {
		name = name[:3]
	}
	if was == strings.ToUpper(was) {
		return strings.ToUpper(name)
	}
	if was == strings.ToLower(was) {
		return strings.ToLower(name)
	}
	return name
}

// monthOf reads an English month, 0 if it is none.
func monthOf(s string) int {
	s = strings.ToLower(s)
	if s == "sept" {
		return 9
	}
	for i, name := range englishMonths {
		if name = strings.ToLower(name); s == name || len(s) == 3 && s == name[:3] {
			return i + 1
		}
	}
	return 0
}
