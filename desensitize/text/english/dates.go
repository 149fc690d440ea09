package english

// value is the number that a token of at most four digits has, -1 for others.
func (e *pass) value(i int) int {
	if n := e.digits(i); n == 0 || n > 4 {
		return -1
	}
	v := 0
	for _, b := range []byte(e.str(i)) {
		v = v*10 + int(b-'0')
	}
	return v
}

func (e *pass) year(i int) bool {
	return e.digits(i) == 4 && e.value(i) >= 1880 && e.value(i) <= 2100
}

// yearAlone says that a token is a year that begins no date of its own.
func (e *pass) yearAlone(i int) bool { return e.year(i) && !e.separated(i+1, "-/") }

// day says that a token is a day of a month, with or without the ending of an ordinal.
func (e *pass) day(i int) bool {
	if v := e.value(i); v >= 1 && v <= 31 && e.digits(i) <= 2 {
		return true
	}
	if e.kind(i) != mixedToken {
		return false
	}
	s := e.str(i)
	if len(s) < 3 || len(s) > 4 {
		return false
	}
	switch s[len(s)-2:] {
	case "st", "nd", "rd", "th", "ST", "ND", "RD", "TH":
		return len(s) == 3 || s[0] >= '0' && s[0] <= '3'
	}
	return false
}

// numericDate reads 03/05/2024, 3-5-24, 2024-03-05, and 3/5 behind on, since or dated.
func (e *pass) numericDate(i int) bool {
	end := e.dateEnd(i)
	if end == 0 {
		return false
	}
	e.take(i, end, Date, true)
	return true
}

// dateLike says that a numeric date begins at a token.
func (e *pass) dateLike(i int) bool { return e.dateEnd(i) > 0 }

func (e *pass) dateEnd(i int) int {
	if e.digits(i) == 0 || !e.separated(i+1, "/-.") {
		return 0
	}
	a, b := e.value(i), e.value(i+2)
	if e.separated(i+3, e.str(i+1)) {
		c := e.value(i + 4)
		monthFirst := a >= 1 && a <= 12 && b >= 1 && b <= 31 || a >= 1 && a <= 31 && b >= 1 && b <= 12
		short := e.digits(i) <= 2 && e.digits(i+2) <= 2 && e.digits(i+4) == 2 && (e.is(i+1, '/') || e.is(i+1, '-')) && c >= 0
		switch {
		case e.separated(i+5, "/-"):
			return 0
		case monthFirst && e.year(i+4), monthFirst && short:
			return i + 5
		case e.year(i) && b >= 1 && b <= 12 && c >= 1 && c <= 31:
			return i + 5
		}
		return 0
	}
	if e.is(i+1, '/') && a >= 1 && a <= 12 && b >= 1 && b <= 31 && e.dateWordBefore(i) && !e.unitFollows(i+3) {
		return i + 3
	}
	if e.is(i+1, '/') && a >= 1 && a <= 12 && e.year(i+2) {
		return i + 3
	}
	return 0
}

func (e *pass) dateWordBefore(i int) bool {
	return e.lower(i-1, "on", "since", "dated", "until", "till", "through", "thru", "date", "by", "from", "before", "after") ||
		e.is(i-1, ':') && e.lower(i-2, "date", "admitted", "discharged", "seen", "dob")
}

func (e *pass) unitFollows(i int) bool {
	return e.is(i, '%') || e.lower(i, "mmhg", "mg", "ml", "systolic", "murmur", "strength", "pain", "doses", "of")
}

// month reads a date around the name of a month. A year alone makes one, too; the name alone
// does not.
func (e *pass) month(i int) {
	if !e.capital(i) && !e.upperMonth(i) && !e.separated(i-1, "-") {
		return
	}
	from, to, found := e.monthLeft(i)
	end := i + 1
	if e.is(end, '.') && len(e.str(i)) <= 4 {
		end++
	}
	if e.separated(i+1, "-/") {
		end = i + 2
	}
	switch {
	case found && e.yearAt(&end, i):
		to = end
	case found:
	case e.day(end) && e.near(end) || e.day(end) && e.separated(i+1, "-/"):
		found, to = true, end+1
		rest := to
		if e.is(rest, ',') {
			rest++
		}
		if e.yearAlone(rest) && e.close(rest) {
			to = rest + 1
		}
	default:
		if e.lower(end, "of") {
			end++
		}
		if e.yearAlone(end) && e.close(end) {
			found, to = true, end+1
		}
	}
	if found && from < to {
		e.take(from, to, Date, true)
	}
}

func (e *pass) upperMonth(i int) bool { return e.tokens[i].upper }

// monthLeft reads the day before the name of a month: 5 March, 5th of March, 05-Mar.
func (e *pass) monthLeft(i int) (from, to int, found bool) {
	j := i - 1
	if e.separated(j, "-/") {
		j--
	}
	if e.lower(j, "of") {
		j--
	}
	if !e.day(j) || j < i-1 && !e.lower(i-1, "of") && !e.separated(i-1, "-/") {
		return i, i + 1, false
	}
	if e.is(j-1, '.') && e.touches(j) || e.is(j-1, '/') && e.touches(j) {
		return i, i + 1, false
	}
	from = j
	if e.kind(j) == mixedToken && e.lower(j-1, "the") {
		from = j - 1
	}
	return from, i + 1, true
}

// yearAt moves end behind a year that follows the name of a month.
func (e *pass) yearAt(end *int, i int) bool {
	j := *end
	if e.is(j, ',') {
		j++
	}
	two := e.separated(i+1, "-/") && e.digits(j) == 2
	if !e.yearAlone(j) && !two || !e.close(j) {
		return false
	}
	*end = j + 1
	return true
}

// ageAt says that a token is an age: 45-year-old, 45 y/o, 72 F, 72M.
func (e *pass) ageAt(i int) bool {
	v := e.value(i)
	if v < 0 || v > 125 || e.digits(i) > 3 {
		return false
	}
	j := i + 1
	if e.is(j, '-') {
		j++
	}
	switch {
	case e.lower(j, "year-old", "yo", "y-o", "years-old", "yr-old", "yrs-old", "year-olds", "yo-"):
		return true
	case e.lower(j, "year", "years", "yr", "yrs"):
		if j++; e.is(j, '.') || e.is(j, '-') {
			j++
		}
		return e.lower(j, "old", "of") && (e.lower(j, "old") || e.lower(j+1, "age"))
	case e.lower(j, "y"):
		return e.is(j+1, '/') && e.lower(j+2, "o") || e.is(j+1, '.') && e.lower(j+2, "o")
	case e.lower(j, "m", "f", "male", "female"):
		return e.is(i-1, ',') && !e.is(j, '-') || e.lower(j, "male", "female")
	}
	return false
}

// ageOf says that a token is an age of which only the number is said: she is 92.
func (e *pass) ageOf(i int) bool {
	v := e.value(i)
	return v > 17 && v <= 125 && e.lower(i-1, "is", "was", "turned") && e.lower(i-2, "he", "she", "patient", "mother", "father", "who") &&
		(e.kind(i+1) == lineToken || e.is(i+1, '.') && !e.touches(i+1+1) || e.is(i+1, ',') || e.lower(i+1, "and", "now"))
}

// ageAfter reads the number behind age and aged.
func (e *pass) ageAfter(i int) {
	j := i + 1
	for e.is(j, ':') || e.lower(j, "is", "of", "at", "was") {
		j++
	}
	if v := e.value(j); v >= 1 && v <= 125 && e.digits(j) <= 3 && !e.separated(j+1, "./") && e.near(j) {
		e.take(j, j+1, Age, true)
	}
}
