package text

// run is a number read across its separators and misread characters.
type run struct {
	d      [24]byte // values 0 to 9; 10 is an X in the last place of an identity number
	n      int
	end    int // place in the view after the last character
	groups [24]uint8
	ng     int
	misses int // characters that were letters
	mark   rune
	mixed  bool // more than one kind of separator
}

// misread maps letters that scanning makes of digits.
func misread(r rune) (byte, bool) {
	switch r {
	case 'o':
		return 0, true
	case 'l', 'i':
		return 1, true
	case 's':
		return 5, true
	case 'b':
		return 8, true
	}
	return 0, false
}

// read reads up to limit digits from i on; groups may be parted by one blank, hyphen or dot
// in the middle. At most two characters may be letters taken for digits.
func (v *view) read(i, limit int) run {
	var r run
	r.end = i
	size := uint8(0)
	for j := i; r.n < limit; j++ {
		d, ok := v.digitAt(j, &r)
		switch {
		case ok:
			r.d[r.n] = d
			r.n++
			r.end = j + 1
			size++
		case r.n > 0 && r.end == j && separates(v.at(j)) && v.digitLike(j+1):
			if r.ng > 0 && v.at(j) != r.mark {
				r.mixed = true
			}
			r.mark = v.at(j)
			r.groups[r.ng] = size
			r.ng++
			size = 0
		default:
			limit = 0
		}
	}
	r.groups[r.ng] = size
	r.ng++
	return r
}

func separates(r rune) bool { return r == ' ' || r == '-' || r == '\n' || r == '·' }

func (v *view) digitLike(i int) bool {
	if v.is(i, digit) {
		return true
	}
	_, ok := misread(v.at(i))
	return ok && (v.is(i+1, digit) || v.is(i-1, digit)) || v.at(i) == 'x' && !v.is(i+1, alpha|digit)
}

func (v *view) digitAt(j int, r *run) (byte, bool) {
	if v.is(j, digit) {
		return byte(v.r[j] - '0'), true
	}
	if r.n == 17 && v.at(j) == 'x' {
		return 10, true
	}
	d, ok := misread(v.at(j))
	if !ok || r.misses >= 2 || !v.is(j-1, digit) && !v.is(j+1, digit) {
		return 0, false
	}
	r.misses++
	return d, true
}

// uniform tells whether the groups are those in which people write long numbers: all in one,
// one by one, or in groups of three and more but the last.
func (r *run) uniform() bool {
	if r.ng == 1 {
		return true
	}
	single := true
	for _, g := range r.groups[:r.ng] {
		single = single && g == 1
	}
	if single {
		return true
	}
	if r.mixed && r.groups[r.ng-1] < 4 {
		return false
	}
	for _, g := range r.groups[:r.ng-1] {
		if g < 3 {
			return false
		}
	}
	return true
}

// spaced tells whether a number of up to twelve digits is written in small groups, none of
// which is a year.
func (r *run) spaced() bool {
	at := 0
	for i, g := range r.groups[:r.ng] {
		if g > 4 || i > 0 && g == 4 && r.value(at, at+4) >= 1900 && r.value(at, at+4) < 2100 {
			return false
		}
		at += int(g)
	}
	return r.n <= 12
}

// closed tells that no digit or letter goes on at end.
func (v *view) closed(end int) bool {
	if v.is(end, digit) {
		return false
	}
	if v.is(end, alpha) && v.gapAt(end) == noGap {
		return false
	}
	return v.at(end) != '.' || !v.is(end+1, digit)
}

// value is the number of a few digits.
func (r *run) value(from, to int) int {
	n := 0
	for _, d := range r.d[from:to] {
		n = n*10 + int(d)
	}
	return n
}

// luhn is the check of ISO/IEC 7812-1, annex B.
func (r *run) luhn() bool {
	sum := 0
	for i := range r.n {
		d := int(r.d[r.n-1-i])
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// residentCheck is the check digit of GB 11643-1999 (ISO 7064 MOD 11-2).
func (r *run) residentCheck() bool {
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	const check = "10X98765432"
	sum := 0
	for i, w := range weights {
		sum += int(r.d[i]) * w
	}
	want := check[sum%11]
	if want == 'X' {
		return r.d[17] == 10
	}
	return r.d[17] == want-'0'
}

// region tells whether the first two digits are those of a province (GB/T 2260).
func (r *run) region() bool {
	switch c := r.value(0, 2); {
	case c >= 11 && c <= 15, c >= 21 && c <= 23, c >= 31 && c <= 37, c >= 41 && c <= 46,
		c >= 50 && c <= 54, c >= 61 && c <= 65, c == 71, c >= 81 && c <= 83:
		return true
	}
	return false
}

func validDate(y, m, d int) bool {
	if y < 1880 || y > 2100 || m < 1 || m > 12 || d < 1 {
		return false
	}
	days := [...]int{31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	return d <= days[m-1]
}
