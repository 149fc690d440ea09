package english

import "strings"

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

// dateEnd returns where a numeric date ends that begins at a token, 0 if none does.
func (e *pass) dateEnd(i int) int {
	if e.digits(i) == 0 || !e.separated(i+1, "/-.") {
		return 0
	}
	if e.separated(i+3, e.str(i+1)) {
		if e.threeParts(i) && !e.separated(i+5, "/-") {
			return i + 5
		}
		return 0
	}
	if !e.is(i+1, '/') || !e.within(i, 1, 12) {
		return 0
	}
	if e.year(i+2) || e.within(i+2, 1, 31) && e.dateWordBefore(i) && !e.unitFollows(i+3) {
		return i + 3
	}
	return 0
}

// threeParts says that three numbers are a date: day and month in either order and a year, or
// a year, a month and a day.
func (e *pass) threeParts(i int) bool {
	if e.year(i) {
		return e.within(i+2, 1, 12) && e.within(i+4, 1, 31)
	}
	dayAndMonth := e.within(i, 1, 12) && e.within(i+2, 1, 31) || e.within(i, 1, 31) && e.within(i+2, 1, 12)
	if !dayAndMonth || e.digits(i) > 2 || e.digits(i+2) > 2 {
		return false
	}
	return e.year(i+4) || e.digits(i+4) == 2 && !e.is(i+1, '.')
}

// within says that a token is a number from least to most.
func (e *pass) within(i, least, most int) bool {
	v := e.value(i)
	return v >= least && v <= most
}

func (e *pass) dateWordBefore(i int) bool {
	return e.lower(i-1, "on", "since", "dated", "until", "till", "through", "thru", "date", "by", "from", "before", "after") ||
		e.is(i-1, ':') && e.lower(i-2, "date", "admitted", "discharged", "seen", "dob")
}

func (e *pass) unitFollows(i int) bool {
	return e.is(i, '%') || e.lower(i, "mmhg", "mg", "ml", "systolic", "murmur", "strength", "pain", "doses", "of")
}

// month reads a date around the name of a month: with a day before or behind it, or with a
// year. The name alone makes none.
func (e *pass) month(i int) {
	if !e.capital(i) && !e.separated(i-1, "-") {
		return
	}
	end := i + 1
	if e.is(end, '.') && len(e.str(i)) <= 4 || e.separated(end, "-/") {
		end++
	}
	from, found := e.dayBefore(i)
	to := i + 1
	switch {
	case found && e.yearAt(end, i) > 0:
		to = e.yearAt(end, i)
	case found:
	case e.day(end) && (e.near(end) || e.separated(i+1, "-/")):
		if to = end + 1; e.yearAt(to, to) > 0 {
			to = e.yearAt(to, to)
		}
	default:
		if to = e.ofYear(end); to == 0 {
			return
		}
	}
	e.take(from, to, Date, true)
}

// ofYear returns the token behind a year, perhaps with "of" before it; 0 if there is none.
func (e *pass) ofYear(j int) int {
	if e.lower(j, "of") {
		j++
	}
	if !e.yearAlone(j) || !e.close(j) {
		return 0
	}
	return j + 1
}

// dayBefore reads the day before the name of a month: 5 March, the 5th of March, 05-Mar.
func (e *pass) dayBefore(i int) (from int, found bool) {
	j := i - 1
	if e.separated(j, "-/") || e.lower(j, "of") {
		j--
	}
	if !e.day(j) || (e.is(j-1, '.') || e.is(j-1, '/')) && e.touches(j) {
		return i, false
	}
	if e.kind(j) == mixedToken && e.lower(j-1, "the") {
		j--
	}
	return j, true
}

// yearAt returns the token behind a year that stands at j, perhaps behind a comma; 0 if there
// is none. Behind 05-Mar- two digits make one.
func (e *pass) yearAt(j, month int) int {
	if e.is(j, ',') {
		j++
	}
	two := e.separated(month+1, "-/") && e.digits(j) == 2
	if !e.yearAlone(j) && !two || !e.close(j) {
		return 0
	}
	return j + 1
}

// ageAt says that a token is an age: 45-year-old, 45 y/o, 72 F.
func (e *pass) ageAt(i int) bool {
	if !e.within(i, 0, 125) {
		return false
	}
	j := i + 1
	if e.is(j, '-') {
		j++
	}
	switch {
	case e.lower(j, "year-old", "yo", "y-o", "years-old", "yr-old", "yrs-old", "year-olds", "male", "female"):
		return true
	case e.lower(j, "year", "years", "yr", "yrs"):
		return e.oldFollows(j + 1)
	case e.lower(j, "y"):
		return (e.is(j+1, '/') || e.is(j+1, '.')) && e.lower(j+2, "o")
	case e.lower(j, "m", "f"):
		return (e.is(i-1, ',') || e.is(i-1, '(')) && j == i+1
	}
	return false
}

// oldFollows says that "old" or "of age" stands at a token.
func (e *pass) oldFollows(j int) bool {
	if e.is(j, '.') || e.is(j, '-') {
		j++
	}
	return e.lower(j, "old") || e.lower(j, "of") && e.lower(j+1, "age")
}

// ageOf says that a token is an age of which only the number is said: she is 92.
func (e *pass) ageOf(i int) bool {
	if !e.within(i, 18, 125) || !e.lower(i-1, "is", "was", "turned") || !e.lower(i-2, "he", "she", "patient", "mother", "father", "who") {
		return false
	}
	return e.kind(i+1) == lineToken || e.is(i+1, '.') && !e.touches(i+2) || e.is(i+1, ',') || e.lower(i+1, "and", "now")
}

// mixedAge reads an age that letters follow at once: 95yo, 72F.
func (e *pass) mixedAge(i int) bool {
	s := e.str(i)
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	if n < 2 || n > 3 {
		return false
	}
	switch strings.ToLower(s[n:]) {
	case "yo", "yr", "yrs":
	case "m", "f":
		if !e.is(i-1, ',') && !e.is(i-1, '(') && !e.opens(i) || !e.lower(i+1, "with", "who", "presents", "presented", "admitted", "here", "status") {
			return false
		}
	default:
		return false
	}
	e.add(e.tokens[i].start, e.tokens[i].start+n, Age, false)
	return true
}

// bareAge reads a number from 90 to 125 between commas behind a name or a bracket, and one
// before M or F in a bracket.
func (e *pass) bareAge(i int) bool {
	between := (e.is(i-1, ',') || e.is(i-1, '(')) && (e.is(i+1, ',') || e.is(i+1, ')')) && (e.is(i-2, ')') || i > 2 && e.tokens[i-2].used)
	sex := e.is(i-1, '(') && e.lower(i+1, "m", "f")
	if !e.within(i, 90, 125) || !between && !sex {
		return false
	}
	e.take(i, i+1, Age, false)
	return true
}

// ageAfter reads the number behind age and aged.
func (e *pass) ageAfter(i int) {
	j := i + 1
	for j < i+4 && (e.is(j, ':') || e.lower(j, "is", "of", "at", "was")) {
		j++
	}
	if e.within(j, 1, 125) && !e.separated(j+1, "./") && e.near(j) {
		e.take(j, j+1, Age, true)
	}
}
