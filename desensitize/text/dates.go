package text

// numeralAt reads a number of Chinese numerals: 十二, 二十三, 一百零五, 二〇二四.
func (v *view) numeralAt(i int) (n, end int) {
	positional, value, section := 0, 0, -1
	end = i
	hasUnit := false
	for v.is(end, numeral) && end-i < 8 {
		if v.gapAt(end) >= lineEnd && end > i {
			break
		}
		switch d, unit := numeralValue(v.r[end]); {
		case unit:
			hasUnit = true
			if section < 0 {
				section = 1
			}
			value += section * d
			section = -1
		case d >= 20:
			hasUnit = true
			value += d
		default:
			positional = positional*10 + d
			section = d
		}
		end++
	}
	if !hasUnit {
		return positional, end
	}
	if section > 0 {
		value += section
	}
	return value, end
}

// numeralValue is the value of a numeral; unit tells that it multiplies what is before it.
func numeralValue(r rune) (n int, unit bool) {
	switch r {
	case '十':
		return 10, true
	case '百':
		return 100, true
	case '千':
		return 1000, true
	case '廿':
		return 20, false
	case '卅':
		return 30, false
	case '两':
		return 2, false
	}
	for n, x := range []rune("〇一二三四五六七八九") {
		if r == x {
			return n, false
		}
	}
	return 0, false
}

// integer reads a number in either script at i, with at most one misread digit. The width is
// that of Arabic digits; 0 for Chinese numerals. Without a number, end is i.
func (v *view) integer(i, limit int) (n, width, end int) {
	if v.is(i, numeral) {
		n, end = v.numeralAt(i)
		return n, 0, end
	}
	misses := 0
	end = i
	for width < limit {
		d := 0
		if v.is(end, digit) {
			d = int(v.r[end] - '0')
		} else if x, ok := misread(v.at(end)); ok && misses == 0 && (v.is(end+1, digit|wide) || v.is(end-1, digit)) {
			misses++
			d = int(x)
		} else {
			break
		}
		n = n*10 + d
		width++
		end++
	}
	if misses == width {
		if width == 0 || !v.is(end, wide) || v.is(i-1, alpha) {
			return 0, 0, i
		}
	}
	return n, width, end
}

// date recognises the dates that begin with a number at i.
func (s *scan) date(i int) int {
	v := s.v
	for _, f := range [...]func(int) int{v.yearFirst, v.compact, v.monthDay, v.dayFirst} {
		end := f(i)
		if end == i {
			continue
		}
		s.claim(i, end, Date, 0.9)
		return s.rangeEnd(end)
	}
	if end := s.looseDay(i); end > i {
		s.claim(i, end, Date, 0.8)
		return s.rangeEnd(end)
	}
	return i
}

// rangeEnd claims the day that ends a range whose first day was just read: 3月5日至8日.
func (s *scan) rangeEnd(end int) int {
	v := s.v
	at := end
	switch v.at(at) {
	case '-', '~', '至', '到', '、', '和', '及':
		at++
	default:
		return end
	}
	if v.at(end-1) != '日' && v.at(end-1) != '号' {
		return end
	}
	n, _, to := v.integer(at, 2)
	if to == at || n < 1 || n > 31 || v.at(to) != '日' && v.at(to) != '号' {
		return end
	}
	s.claim(at, to+1, Date, 0.85)
	return to + 1
}

// yearFirst reads 2024年1月5日, 二〇二四年一月, 2024-01-05, 2024/1/5, 2024.1.5 and their parts.
func (v *view) yearFirst(i int) int {
	y, width, at := v.integer(i, 4)
	if at == i || v.is(at, digit) {
		return i
	}
	full := y >= 1880 && y <= 2100 && (width == 4 || width == 0)
	if v.at(at) == '年' {
		return v.afterYear(i, at+1, full)
	}
	if !full || width == 0 {
		return i
	}
	return v.yearMonthDay(i, at, y)
}

// yearMonthDay reads the month and the day behind a year and its separator.
func (v *view) yearMonthDay(i, at, y int) int {
	sep, mAt := v.separator(at)
	if sep == 0 {
		return i
	}
	m, mw, at2 := v.integer(mAt, 2)
	if mw == 0 || m < 1 || m > 12 {
		return i
	}
	sep2, dAt := v.separator(at2)
	if sep2 != 0 {
		if d, dw, end := v.integer(dAt, 2); dw > 0 && validDate(y, m, d) && !v.is(end, digit) {
			return v.clock(end)
		}
	}
	if sep2 != 0 && v.is(dAt, digit) {
		return i
	}
	return v.yearMonth(i, at2, sep, mw)
}

// yearMonth decides whether a year and a month of so many digits, which end at end, are a date.
func (v *view) yearMonth(i, end int, sep rune, width int) int {
	switch {
	case sep == '-' && width == 1 && (v.is(end, function) || end == v.len()):
		return end
	case sep == '.' || v.is(end, alpha|digit):
		return i
	case v.at(end) == '月':
		return end + 1
	case sep == '-' && (width < 2 || v.at(end) == '%'):
		return i
	}
	return end
}

// afterYear reads what follows 年.
func (v *view) afterYear(i, at int, full bool) int {
	m, _, mEnd := v.integer(at, 2)
	if mEnd > at && m >= 1 && m <= 12 && v.at(mEnd) == '月' {
		end := mEnd + 1
		if d, dEnd := v.dayAt(end); d > 0 {
			if v.oneOf(dEnd, "日号曰") {
				return dEnd + 1
			}
			if full && !v.counts(dEnd) {
				return dEnd
			}
		}
		return v.tenDays(end)
	}
	if !full {
		return i
	}
	return v.season(at)
}

// season reads what may follow a year that has no month: 初, 底, 春, or a traditional date.
func (v *view) season(at int) int {
	switch v.at(at) {
	case '初', '底', '末', '春', '夏', '秋', '冬':
		if v.at(at+1) != '节' && v.at(at+1) != '季' {
			return at + 1
		}
	case '农', '阴': // 2023年农历八月十五
		if end := v.lunar(at+2, at+2); end > at+2 {
			return end
		}
	}
	return at
}

// dayAt reads a day of the month, also 初五.
func (v *view) dayAt(i int) (d, end int) {
	at := i
	if v.at(at) == '初' {
		at++
	}
	d, _, end = v.integer(at, 2)
	if end == at || d < 1 || d > 31 {
		return 0, i
	}
	return d, end
}

// counts tells that a unit follows, so that the number before it is no day.
func (v *view) counts(i int) bool {
	switch v.at(i) {
	case '个', '次', '天', '周', '年', '岁', '级', '度', '期', '例', '片', '支', '粒', '.', '%', '/', '°', '℃':
		return true
	}
	return v.is(i, alpha|digit)
}

// tenDays reads 上旬, 中旬, 下旬, 初, 底 behind a month.
func (v *view) tenDays(i int) int {
	for _, w := range [...]string{"上旬", "中旬", "下旬", "份", "初", "底", "末"} {
		if v.has(i, w) {
			return i + len([]rune(w))
		}
	}
	return i
}

// separator reads the mark between the numbers of a date, with blanks around it.
func (v *view) separator(i int) (mark rune, next int) {
	at := i
	if v.at(at) == ' ' {
		at++
	}
	mark = v.at(at)
	if mark != '-' && mark != '/' && mark != '.' {
		return 0, i
	}
	at++
	if v.at(at) == ' ' {
		at++
	}
	return mark, at
}

// clock reads the time of day that is joined to a date by T (ISO 8601).
func (v *view) clock(i int) int {
	if v.at(i) != 't' || !v.is(i+1, digit) {
		return i
	}
	at := i + 1
	for v.is(at, digit) || v.at(at) == ':' || v.at(at) == '.' || v.at(at) == '+' || v.at(at) == '-' || v.at(at) == 'z' {
		at++
	}
	return at
}

// compact reads 20240105 and 20240105103000.
func (v *view) compact(i int) int {
	r := v.read(i, 15)
	if r.ng != 1 || r.misses > 0 || r.n != 8 && r.n != 12 && r.n != 14 || !v.closed(r.end) || v.batch(i) {
		return i
	}
	y := r.value(0, 4)
	if y < 1900 || y > 2099 || !validDate(y, r.value(4, 6), r.value(6, 8)) {
		return i
	}
	if r.n > 8 && (r.value(8, 10) > 23 || r.value(10, 12) > 59) {
		return i
	}
	return r.end
}

// batch tells whether the number of a batch stands at i, which often looks like a date.
func (v *view) batch(i int) bool { return v.before(i, "批号") || v.before(i, "批号:") }

// monthDay reads 3月5日, 三月初五, 3月上旬, 3月份.
func (v *view) monthDay(i int) int {
	if end := v.lunar(i, i); end > i {
		return end
	}
	m, _, at := v.integer(i, 2)
	if at == i || m < 1 || m > 12 || v.at(at) != '月' {
		return i
	}
	if d, end := v.dayAt(at + 1); d > 0 && v.oneOf(end, "日号曰") {
		return end + 1
	}
	if end := v.tenDays(at + 1); end > at+1 {
		return end
	}
	switch v.at(i - 1) {
	case '年', '于', '自', '今', '去', '同', '从':
		if v.at(at+1) != '龄' && v.at(at+1) != '前' && v.at(at+1) != '余' {
			return at + 1
		}
	}
	return i
}

// lunar reads a day of the traditional calendar: 正月初五, 腊月廿三, 八月十五.
func (v *view) lunar(i, at int) int {
	if at = v.lunarMonth(at); at < 0 {
		return i
	}
	d, end := v.dayAt(at)
	if d == 0 || d > 30 || !v.oneOf(at, "初十廿二三") || v.counts(end) {
		return i
	}
	if v.oneOf(end, "日号") {
		end++
	}
	return end
}

// lunarMonth reads 正月, 八月 in Chinese numerals; -1 is none.
func (v *view) lunarMonth(at int) int {
	if v.oneOf(at, "正腊冬") {
		at++
	} else {
		m, width, end := v.integer(at, 2)
		if end == at || width > 0 || m < 1 || m > 12 {
			return -1
		}
		at = end
	}
	if v.at(at) != '月' {
		return -1
	}
	return at + 1
}

// dayFirst reads 05/01/2024, 5.1.2024 and 1/5/24.
func (v *view) dayFirst(i int) int {
	a, aw, at := v.integer(i, 2)
	mark := v.at(at)
	if aw == 0 || !dayNumber(a) || !v.oneOf(at, "-/.") {
		return i
	}
	b, bw, at2 := v.integer(at+1, 2)
	if bw == 0 || !dayNumber(b) || a > 12 && b > 12 || v.at(at2) != mark {
		return i
	}
	if end := v.yearLast(at2+1, mark, aw+bw); end > 0 {
		return end
	}
	return i
}

// yearLast reads the year behind a day and a month of so many digits; 0 is none.
func (v *view) yearLast(i int, mark rune, width int) int {
	y, yw, end := v.integer(i, 4)
	if !v.closed(end) || v.at(end) == mark || v.at(end) == '%' {
		return 0
	}
	switch {
	case yw == 4 && validDate(y, 1, 1):
		return v.clock(end)
	case yw == 2 && (mark == '/' || mark == '-' && width == 4):
		return end
	}
	return 0
}

func dayNumber(n int) bool { return n >= 1 && n <= 31 }

// looseDay reads what is a date by the words around it: 于5日, 本月5号, 5日上午, 于3.5, 于3-15.
func (s *scan) looseDay(i int) int {
	v := s.v
	n, width, at := v.integer(i, 2)
	if at == i || !dayNumber(n) {
		return i
	}
	if v.oneOf(at, "日号") {
		if v.dayBefore(i) || v.dayAfter(at+1) {
			return at + 1
		}
		return i
	}
	if width > 0 && n <= 12 && v.oneOf(at, "-/.") && v.expectsDay(i) {
		d, dw, end := v.integer(at+1, 2)
		if dw > 0 && dayNumber(d) && v.closed(end) && v.is(end, wide) && !v.counts(end) {
			return end
		}
	}
	return i
}

// expectsDay tells whether a month and a day may follow at i: 于3-15.
func (v *view) expectsDay(i int) bool { return v.at(i-1) == '于' || v.before(i, "日期:") }

func (v *view) dayBefore(i int) bool {
	if v.at(i-1) == '于' {
		return true
	}
	for _, w := range [...]string{"本月", "当月", "上月", "下月", "同月", "月份"} {
		if v.before(i, w) {
			return true
		}
	}
	return false
}

func (v *view) dayAfter(i int) bool {
	for _, w := range [...]string{"上午", "下午", "凌晨", "清晨", "傍晚", "晚上", "中午", "晨", "夜间"} {
		if v.has(i, w) {
			return true
		}
	}
	return false
}
