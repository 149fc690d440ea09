package text

// numbers looks at every place where a number begins.
func (s *scan) numbers() {
	v := s.v
	for i := 0; i < v.len(); {
		next := i + 1
		switch {
		case s.taken[i] != "":
		case v.cls[i]&digit != 0 && !v.is(i-1, digit):
			next = max(next, s.number(i))
		case v.cls[i]&numeral != 0 && !v.is(i-1, numeral):
			next = max(next, s.chineseNumber(i))
		default:
			next = max(next, s.marked(i))
		}
		i = next
	}
}

// marked recognises what begins with a mark or a character before a number.
func (s *scan) marked(i int) int {
	v := s.v
	switch v.r[i] {
	case '正', '腊', '冬':
		if end := v.lunar(i, i); end > i {
			s.claim(i, end, Date, 0.9)
		}
	case '第':
		return s.officer(i)
	case '+':
		return s.international(i)
	case 'l', 'i', 'o':
		if v.is(i+1, digit) && !v.is(i-1, alpha|digit) {
			return s.number(i)
		}
	}
	return i
}

// number recognises what begins with the digit at i and returns where to go on.
func (s *scan) number(i int) int {
	v := s.v
	joined := v.is(i-1, alpha) || v.at(i-1) == '.' && v.is(i-2, digit) || v.at(i-1) == '_'
	if joined && v.at(i-1) == '.' && s.afterPoint(i) {
		return i + 1
	}
	if !joined {
		if end := s.longNumber(i); end > i {
			return end
		}
	}
	end := i
	for v.is(end, digit) {
		end++
	}
	if n, width, to := v.integer(i, 3); width > 0 && to > end && v.at(to) == '岁' {
		s.counted(i, to, n)
		return to
	}
	if !joined {
		s.counted(i, end, decimal(v.r[i:min(end, i+6)]))
	}
	return end
}

// longNumber recognises dates, and the numbers of seven digits and more.
func (s *scan) longNumber(i int) int {
	n := s.v.read(i, 16).n
	if n >= 15 {
		if end := s.residentID(i); end > i {
			return end
		}
	}
	if end := s.date(i); end > i || n < 3 && !s.v.has(i, "86") {
		return end
	}
	for _, f := range [...]func(int) int{s.mobile, s.landline} {
		if end := f(i); end > i {
			return end
		}
	}
	if n >= 16 {
		if end := s.bankCard(i); end > i {
			return end
		}
	}
	return i
}

// afterPoint recognises a date behind the number of an item in a list: 3.2020年2月29日.
func (s *scan) afterPoint(i int) bool {
	for _, f := range [...]func(int) int{s.v.yearFirst, s.v.monthDay} {
		if end := f(i); end > i && s.v.is(end-1, han) {
			s.claim(i, end, Date, 0.88)
			return true
		}
	}
	return false
}

// officer claims 南字第0123456号 and 军官证第123456号 at the 第.
func (s *scan) officer(i int) int {
	v := s.v
	end := v.skipDigits(i + 1)
	from := i
	switch {
	case v.at(i-1) == '字' && v.is(i-2, han):
		from = i - 2
	case v.at(i-1) == '证':
		from = i - 3
	}
	if from < 0 || from == i || end-i < 6 {
		return i
	}
	if v.at(end) == '号' {
		end++
	}
	s.claim(from, end, OfficerID, 0.97)
	return end
}

func decimal(digits []rune) int {
	n := 0
	for _, r := range digits {
		n = n*10 + int(r-'0')
	}
	return n
}

// residentID recognises the number of an identity card: 18 characters with check digit, a
// date of birth in the middle, or the 15 digits in use before 2000.
func (s *scan) residentID(i int) int {
	r := s.v.read(i, 18)
	if r.n == 18 && s.v.closed(r.end) && r.region() {
		if score := r.residentScore(); score > 0 {
			s.claim(i, r.end, IDCard, score)
			return r.end
		}
	}
	r = s.v.read(i, 15)
	if r.n == 15 && s.v.closed(r.end) && r.region() && r.uniform() && validDate(1900+r.value(6, 8), r.value(8, 10), r.value(10, 12)) {
		s.claim(i, r.end, IDCard, 0.8)
		return r.end
	}
	return i
}

// residentScore tells how sure a number of 18 digits is one of an identity card. One with a
// wrong check digit is still taken, if its date of birth is one: it may be a typing error.
func (r *run) residentScore() float32 {
	valid := validDate(r.value(6, 10), r.value(10, 12), r.value(12, 14))
	switch {
	case valid && r.residentCheck():
		return 1
	case valid && r.misses == 0:
		return 0.9
	case valid, r.residentCheck() && r.misses == 0 && r.uniform():
		return 0.8
	}
	return 0
}

// mobile recognises a mobile number, 1 and ten digits, with or without 86.
func (s *scan) mobile(i int) int {
	v := s.v
	if !v.oneOf(i, "108liob") {
		return i
	}
	r := v.read(v.countryCode(i), 11)
	if r.n != 11 || r.d[0] != 1 || r.d[1] < 3 || !r.uniform() || !v.closed(r.end) {
		return i
	}
	if r.misses > 0 && r.ng > 3 || v.at(i-1) == '-' && v.is(i-2, digit) {
		return i
	}
	s.claim(v.plusBefore(i), r.end, Phone, 0.95)
	return r.end
}

// plusBefore goes back over the + of a country code and the bracket around it.
func (v *view) plusBefore(i int) int {
	at := i
	if v.at(at-1) == ' ' && v.at(at-2) == '+' {
		at--
	}
	if v.at(at-1) != '+' {
		return i
	}
	at--
	if v.at(at-1) == ' ' && v.at(at-2) == '(' {
		at--
	}
	if v.at(at-1) == '(' {
		at--
	}
	return at
}

// countryCode reads 86 or 0086 with the bracket and the blank behind it.
func (v *view) countryCode(i int) int {
	for _, n := range [...]int{4, 2} {
		r := v.read(i, n)
		if r.n != n || r.value(0, n) != 86 {
			continue
		}
		at := r.end
		for at < r.end+3 && (separates(v.at(at)) || v.at(at) == ')') {
			at++
		}
		if v.at(at) == '1' {
			return at
		}
	}
	return i
}

// landline recognises a number with area code, or of a service (400, 800), and its extension.
func (s *scan) landline(i int) int {
	v := s.v
	r := v.landlineRun(i)
	if v.at(i-1) == '(' && v.at(r.end) == ')' && v.is(r.end+1, digit) && (r.n == 3 || r.n == 4) {
		return s.bracketed(i, r)
	}
	if r.n < 10 || !v.closed(r.end) && !v.oneOf(r.end, "xe") || v.at(i-1) == '-' && v.is(i-2, alpha|digit) {
		return i
	}
	if !r.service() && (r.d[0] != 0 || r.d[1] == 0 || !r.areaCode()) {
		return i
	}
	end := v.extension(r.end, r.ng > 2)
	s.claim(i, end, Phone, 0.9)
	return end
}

// service tells whether a number is one of a service: 400-xxx-xxxx, 800-xxx-xxxx.
func (r *run) service() bool {
	code := r.value(0, 3)
	return (code == 400 || code == 800) && r.n == 10 && r.ng > 1 && r.uniform()
}

// landlineRun reads as many digits as the area code says, so that an extension is left.
func (v *view) landlineRun(i int) run {
	r := v.read(i, 12)
	if r.n < 10 || r.d[0] != 0 {
		return r
	}
	for _, n := range [...]int{12, 11, 10} {
		if x := v.read(i, n); x.n == n && v.closed(x.end) && x.areaCode() {
			return x
		}
	}
	return r
}

// bracketed recognises a number whose area code stands in brackets.
func (s *scan) bracketed(i int, area run) int {
	at := area.end + 1
	r := s.v.read(at, 8)
	if area.d[0] != 0 || r.n < 7 || !s.v.closed(r.end) {
		return i
	}
	end := s.v.extension(r.end, r.ng > 2)
	s.claim(i-1, end, Phone, 0.9)
	return end
}

// areaCode tells whether the groups are those of an area code and a number of seven or eight
// digits.
func (r *run) areaCode() bool {
	code := 4
	if r.d[1] == 1 || r.d[1] == 2 {
		code = 3
	}
	rest := r.n - code
	if rest != 7 && rest != 8 {
		return false
	}
	return r.ng == 1 || int(r.groups[0]) == code || r.uniform()
}

// extension returns the end of an extension that begins at end, such as 转801 or -801; in a
// number written with blanks it may have one too.
func (v *view) extension(end int, spaced bool) int {
	at := end
	switch {
	case v.oneOf(at, "转-#"):
		at++
	case v.has(at, " ext"), v.has(at, "ext"), v.has(at, " x"), v.has(at, "x"):
		for at < end+6 && !v.is(at, digit) && v.at(at) != 0 {
			at++
		}
	default:
		return end
	}
	if v.oneOf(at, " :") {
		at++
	}
	n := at
	for n < at+8 && (v.is(n, digit) || spaced && v.blankInside(n)) {
		n++
	}
	if n == at || v.is(n, digit) {
		return end
	}
	return n
}

// blankInside tells whether a blank inside a short number stands at i.
func (v *view) blankInside(i int) bool {
	return v.at(i) == ' ' && v.is(i+1, digit) && !v.is(i+5, digit)
}

// international recognises a number that begins with + and a country code.
func (s *scan) international(i int) int {
	v := s.v
	r := v.read(i+1, 15)
	end, n := r.end, r.n
	if v.at(end) == '(' || v.at(end) == ' ' && v.at(end+1) == '(' {
		at := end + 1
		for v.at(at) == '(' || v.at(at) == ' ' {
			at++
		}
		area := v.read(at, 4)
		at = area.end
		if v.at(at) == ')' {
			at++
			if v.at(at) == ' ' {
				at++
			}
			rest := v.read(at, 10)
			n, end = n+area.n+rest.n, rest.end
		}
	}
	if n < 8 || n > 15 || !v.closed(end) {
		return i
	}
	s.claim(i, end, Phone, 0.95)
	return end
}

// bankCard recognises a number of 16 to 19 digits that passes the Luhn check.
func (s *scan) bankCard(i int) int {
	for _, n := range [...]int{19, 18, 17, 16} {
		r := s.v.read(i, n)
		if r.n != n {
			continue
		}
		if s.v.closed(r.end) && r.misses == 0 && r.uniform() && r.luhn() && r.d[0] >= 3 && r.d[0] <= 6 {
			s.claim(i, r.end, BankCard, 0.9)
			return r.end
		}
	}
	return i
}

// counted recognises a number by what stands behind it: an age, a bed, a ward.
func (s *scan) counted(i, end, n int) {
	v := s.v
	switch v.at(end) {
	case '岁':
		if n > 0 && n < 140 {
			s.claim(i, end, Age, 0.9)
		}
	case '床':
		if n > 0 && n < 400 && !v.has(end, "床位") && !v.has(end, "床数") {
			s.bed(i, end)
		}
	case '-':
		if to := v.skipDigits(end + 1); to > end+1 && to <= end+3 && v.at(to) == '床' {
			s.bed(i, to)
		}
	}
	s.ward(i, end)
}

func (v *view) skipDigits(i int) int {
	for v.is(i, digit) {
		i++
	}
	return i
}

// bed claims the number of a bed with the sign for an added one (加3床).
func (s *scan) bed(i, end int) {
	if s.v.at(i-1) == '加' || s.v.at(i-1) == '+' {
		i--
	}
	s.claim(i, end, Bed, 0.85)
}

// ward claims 三病区, 12楼东病区 and the like with their number.
func (s *scan) ward(i, end int) {
	v := s.v
	at := end
	if v.at(at) == '号' || v.at(at) == '楼' || v.at(at) == '层' {
		at++
	}
	for n := 0; n < 2; n++ {
		switch v.at(at) {
		case '东', '西', '南', '北', '中', '区', 'a', 'b', 'c':
			at++
		}
	}
	for _, w := range [...]string{"病区", "病房", "病室", "护理单元", "病栋", "护士站"} {
		if v.has(at, w) {
			s.claim(i, at+len([]rune(w)), Ward, 0.85)
			return
		}
	}
}

// chineseNumber recognises what begins with the Chinese numeral at i.
func (s *scan) chineseNumber(i int) int {
	if end := s.date(i); end > i {
		return end
	}
	n, end := s.v.numeralAt(i)
	if end > i {
		s.counted(i, end, n)
	}
	return end
}
