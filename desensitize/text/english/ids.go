package english

import "strings"

// maxPhoneTokens bounds the number of digits and marks of a telephone number.
const maxPhoneTokens = 40

// number looks at a token with digits by its own shape: telephone, social security number,
// date, age, address, or just too long to be a measurement.
func (e *pass) number(i int) {
	if e.decimals(i) {
		return
	}
	if e.numericDate(i) || e.social(i) || e.phone(i) || e.addressAt(i) {
		return
	}
	if e.ageAt(i) || e.ageOf(i) {
		e.take(i, i+1, Age, false)
		return
	}
	for _, read := range numberReaders {
		if read(e, i) {
			return
		}
	}
}

// numberReaders are the rarer shapes of numbers, in the order in which they are tried.
var numberReaders = []func(*pass, int) bool{
	(*pass).ukPostcode, (*pass).spacedPhone, (*pass).trunkPhone, (*pass).wardAt, (*pass).fours, (*pass).longZip, (*pass).hashed, (*pass).dashed, (*pass).mixedAge, (*pass).bareAge, (*pass).longNumber,
}

// decimals says that a token stands behind a decimal point or a comma within a number.
func (e *pass) decimals(i int) bool {
	return e.touches(i) && e.touches(i-1) && (e.is(i-1, '.') || e.is(i-1, ',')) && e.kind(i-2) == numberToken
}

// digits counts the digits of a token that has nothing else, 0 otherwise.
func (e *pass) digits(i int) int {
	if e.kind(i) != numberToken {
		return 0
	}
	return e.tokens[i].end - e.tokens[i].start
}

// social reads a social security number: three, two and four digits. Numbers that were
// never given out (area 000, 666 or from 900, group 00, serial 0000) are none.
func (e *pass) social(i int) bool {
	if e.digits(i) != 3 || !e.separated(i+1, "- ") || e.digits(i+2) != 2 || !e.separated(i+3, "- ") || e.digits(i+4) != 4 {
		return e.social7(i)
	}
	if area := e.str(i); area == "000" || area == "666" || e.str(i+2) == "00" || e.str(i+4) == "0000" {
		return false
	}
	e.take(i, i+5, SSN, true)
	return true
}

// social7 reads a number of which one mark was left out: 078-051121.
func (e *pass) social7(i int) bool {
	if e.digits(i) != 3 || !e.separated(i+1, "-") || e.digits(i+2) != 6 || e.touches(i+3) {
		return false
	}
	e.take(i, i+3, SSN, false)
	return true
}

// separated says that one of the marks stands at a token, touching both neighbours.
func (e *pass) separated(i int, marks string) bool {
	if e.kind(i) != markToken || !e.touches(i) || !e.touches(i+1) {
		return false
	}
	for k := range len(marks) {
		if e.text[e.tokens[i].start] == marks[k] {
			return true
		}
	}
	return false
}

// phone reads a number of the North American plan, or one with a country code.
func (e *pass) phone(i int) bool {
	from, j := i, i
	if e.is(j-1, '+') && e.touches(j) {
		return e.foreignPhone(i)
	}
	if e.str(j) == "1" && (e.separated(j+1, "-. ") || e.near(j+1) && e.is(j+1, '(') || e.near(j+1) && e.digits(j+1) == 3) {
		if j++; e.is(j, '-') || e.is(j, '.') {
			j++
		}
	}
	if e.is(j, '(') {
		j++
	}
	end := e.plan(j)
	if end == 0 {
		return false
	}
	e.take(e.bracketBefore(from, end), e.extension(end), Phone, true)
	return true
}

// bracketBefore moves the beginning of a number before a bracket that closes within it, and
// before a plus.
func (e *pass) bracketBefore(from, end int) int {
	closed := false
	for j := from; j < end; j++ {
		closed = closed || e.is(j, ')')
	}
	if closed && e.is(from-1, '(') && e.close(from) {
		from--
	}
	if e.is(from-1, '+') && e.close(from) {
		from--
	}
	return from
}

// plan reads area, exchange and line: 555 or (555), three digits, four digits; 0 if it is
// none.
func (e *pass) plan(j int) int {
	if e.digits(j) != 3 || e.text[e.tokens[j].start] < '2' {
		return 0
	}
	open := e.is(j-1, '(')
	j++
	marks := 0
	for marks < 2 && (e.is(j, ')') || e.is(j, '-') || e.is(j, '.') || e.is(j, '/')) {
		j++
		marks++
	}
	if e.digits(j) != 3 || !e.close(j) {
		return e.sevenAfterArea(j, marks, open)
	}
	return e.line(j+1, marks)
}

// line reads the last four digits; marks says how many marks the number had before.
func (e *pass) line(j, marks int) int {
	if e.is(j, '-') || e.is(j, '.') {
		j++
		marks++
	}
	if e.digits(j) != 4 || !e.close(j) || marks == 0 && !e.phoneBefore(j) {
		return 0
	}
	return j + 1
}

// sevenAfterArea reads the rest of a number that has no mark between exchange and line.
func (e *pass) sevenAfterArea(j, marks int, open bool) int {
	if e.digits(j) == 7 && e.close(j) && (open || marks > 0 || e.phoneBefore(j)) {
		return j + 1
	}
	return 0
}

// close says that a token stands at most one blank behind the one before it.
func (e *pass) close(j int) bool {
	return j > 0 && j < len(e.tokens) && e.tokens[j].start-e.tokens[j-1].end <= 1
}

// phoneBefore says that one of the eight tokens before names a telephone.
func (e *pass) phoneBefore(i int) bool {
	for j := i - 1; j >= 0 && j >= i-8; j-- {
		if e.class(j).cues&(phoneCue|faxCue) != 0 {
			return true
		}
	}
	return false
}

// extension reads x123 or ext. 123 behind a number.
func (e *pass) extension(end int) int {
	j := end
	if e.kind(j) == mixedToken && (e.text[e.tokens[j].start] == 'x' || e.text[e.tokens[j].start] == 'X') && e.tokens[j].end-e.tokens[j].start <= 6 {
		return j + 1
	}
	if e.is(j, ',') {
		j++
	}
	if e.lower(j, "x", "ext", "extension") {
		if j++; e.is(j, '.') {
			j++
		}
		if n := e.digits(j); n > 0 && n <= 6 {
			return j + 1
		}
	}
	return end
}

// foreignPhone reads + and eight to fifteen digits in groups (ITU-T E.164).
func (e *pass) foreignPhone(i int) bool {
	total, j, end := 0, i, i
	for j < i+maxPhoneTokens && total <= 15 && (j == i || e.close(j)) {
		if n := e.digits(j); n > 0 {
			total += n
			end = j + 1
		} else if !e.is(j, '-') && !e.is(j, '.') && !e.is(j, '(') && !e.is(j, ')') {
			break
		}
		j++
	}
	if total < 8 || total > 15 {
		return false
	}
	e.take(i-1, e.extension(end), Phone, true)
	return true
}

// phoneAfter reads any number of seven digits or more behind Tel, phone, fax; of four behind
// pager.
func (e *pass) phoneAfter(i int) {
	t, least := Phone, 7
	if e.class(i).cues&faxCue != 0 {
		t = Fax
	}
	if e.lower(i, "pager", "beeper", "extension") {
		least = 4
	}
	from := e.phoneStart(i + 1)
	total, end := 0, from
	for j := from; j < from+maxPhoneTokens && total < 15 && (j == from || e.close(j)); j++ {
		if n := e.digits(j); n > 0 {
			total, end = total+n, j+1
		} else if !e.phoneMark(j) {
			break
		}
	}
	if total >= least && !e.dateLike(from) {
		e.take(e.bracketBefore(from, end), e.extension(end), t, true)
	}
}

// phoneStart steps over a few words and marks to where a number may begin.
func (e *pass) phoneStart(from int) int {
	for n := 0; n < 6 && (e.kind(from) == wordToken || e.kind(from) == markToken); n++ {
		switch {
		case e.is(from, ';'), e.is(from, '.') && !e.touches(from), e.is(from, '+') && e.digits(from+1) > 0, e.is(from, '(') && e.digits(from+1) == 3:
			return from
		}
		from++
	}
	return from
}

// phoneMark says that a token is a mark that stands within telephone numbers.
func (e *pass) phoneMark(j int) bool {
	return e.kind(j) == markToken && strings.IndexByte("-.()+/", e.text[e.tokens[j].start]) >= 0
}

// spacedPhone reads a number whose digits stand apart: 5 5 5-1 2 3 … or (28 1) 441-86 64.
func (e *pass) spacedPhone(i int) bool {
	total, single, bracket, j := 0, 0, e.is(i-1, '('), i
	end := i
	for ; j < i+maxPhoneTokens && total <= 15 && (j == i || e.close(j)); j++ {
		if n := e.digits(j); n > 0 {
			total, end = total+n, j+1
			if n == 1 {
				single++
			}
		} else if e.is(j, '(') || e.is(j, ')') {
			bracket = true
		} else if !e.is(j, '-') && !e.is(j, '.') {
			break
		}
	}
	if total < 10 || total > 15 || !bracket && single < 7 {
		return false
	}
	e.take(e.bracketBefore(i, end), e.extension(end), Phone, false)
	return true
}

// trunkPhone reads a number that begins with the zero of a trunk prefix: 03-1234-5678.
func (e *pass) trunkPhone(i int) bool {
	a, b, c := e.digits(i), e.digits(i+2), e.digits(i+4)
	if a < 2 || a > 5 || e.text[e.tokens[i].start] != '0' || !e.separated(i+1, "-") || b < 2 || b > 4 || !e.separated(i+3, "-") || c < 3 || c > 4 {
		return false
	}
	e.take(i, i+5, Phone, false)
	return true
}

// fours reads three or more groups of four digits, as on cards. Years are none.
func (e *pass) fours(i int) bool {
	j, years := i, true
	for j < i+10 && e.digits(j) == 4 && (j == i || e.close(j)) {
		years = years && e.year(j)
		if j++; e.separated(j, "-") {
			j++
		}
	}
	if years || j < i+3 || e.digits(i+1) == 0 && j < i+5 {
		return false
	}
	for e.kind(j-1) == markToken {
		j--
	}
	e.take(i, j, OtherID, false)
	return true
}

// longZip reads a ZIP code of nine digits: 91170-1234.
func (e *pass) longZip(i int) bool {
	if e.digits(i) != 5 || !e.separated(i+1, "-") || e.digits(i+2) != 4 || e.touches(i+3) && !e.is(i+3, '.') && !e.is(i+3, ',') {
		return false
	}
	e.take(i, i+3, Postcode, false)
	return true
}

// wardAt reads a ward named by floor and side: 4 West.
func (e *pass) wardAt(i int) bool {
	if n := e.digits(i); n == 0 || n > 2 || !e.near(i+1) || !e.capital(i+1) || e.capital(i+2) && e.near(i+2) || !e.lower(i+1, "north", "south", "east", "west") {
		return false
	}
	e.take(i, i+2, Ward, false)
	return true
}

// maxFiller is how many words may stand between a cue and its number.
const maxFiller = 6

// identifierAfter reads the number behind MRN, account, licence … A loose cue needs no., # or
// a colon.
func (e *pass) identifierAfter(i int) {
	c := e.class(i)
	loose := c.cues&idCue == 0
	marked := false
	for n, j := 0, i+1; n < maxFiller && j < len(e.tokens); n++ {
		switch {
		case !loose && e.spacedID(j, c.id):
			return
		case e.idValue(j, loose):
			// A loose cue alone takes only a long number that follows at once.
			if !loose || marked || j == i+1 && e.longID(j) {
				e.takeID(e.lettersBefore(i, j), c.id)
			}
			return
		case e.class(j).cues&idCue != 0:
			return // another cue, which reads the number itself
		case e.numberSign(j):
			marked = true
			if j++; e.is(j, '.') {
				j++
			}
		case e.filler(j, loose, marked):
			j++
		default:
			return
		}
	}
}

// lettersBefore moves the beginning of a plate before its letters: ABC 1234.
func (e *pass) lettersBefore(i, j int) int {
	if e.class(i).id == Plate && j-1 > i && e.kind(j-1) == wordToken && e.tokens[j-1].upper && len(e.str(j-1)) <= 4 {
		e.add(e.tokens[j-1].start, e.tokens[j-1].end, Plate, true)
	}
	return j
}

// numberSign says that a token announces a number: #, a colon, no.
func (e *pass) numberSign(j int) bool {
	return e.is(j, '#') || e.is(j, ':') || e.lower(j, "no", "number", "num", "nr", "id")
}

// filler says that a token may stand between a cue and its number.
func (e *pass) filler(j int, loose, marked bool) bool {
	if e.kind(j) == wordToken {
		return !loose || marked && e.lower(j, "is", "was")
	}
	return e.kind(j) == markToken && !e.is(j, '.') && !e.is(j, ';') && !e.is(j, ',')
}

// user reads the name of an account behind username:, login: and logged in as.
func (e *pass) user(i int) {
	j := i + 1
	for j < i+4 && (e.is(j, ':') || e.lower(j, "in", "as", "is", "name", "id")) {
		j++
	}
	if j == i+1 || j >= len(e.tokens) || e.kind(j) == markToken || e.kind(j) == lineToken {
		return
	}
	// A word alone is none: it takes a digit or an underscore.
	if s := e.text[e.tokens[j].start:e.idEnd(j)]; len(s) >= 4 && strings.ContainsAny(s, "_0123456789") {
		e.takeID(j, Account)
	}
}

// spacedID reads a number in groups of digits, each of less than six: 943 476 5919.
func (e *pass) spacedID(j int, t Type) bool {
	total, end := 0, j
	for end < j+maxPhoneTokens && e.digits(end) > 0 && e.digits(end) < 6 && (end == j || e.close(end) && !e.touches(end)) {
		total += e.digits(end)
		end++
	}
	if end < j+2 || total < 6 || total > 20 || e.ageAt(end-1) {
		return false
	}
	e.take(j, end, t, true)
	return true
}

// idValue says that a token begins a number of an identifier: at least four digits, or
// letters and at least three digits, and no date.
func (e *pass) idValue(j int, loose bool) bool {
	if !e.hasDigits(j) && !e.prefix(j) || e.dateLike(j) || e.streetEnd(j+1) > 0 {
		return false
	}
	end := e.idEnd(j)
	digits, size := 0, end-e.tokens[j].start
	for _, b := range []byte(e.text[e.tokens[j].start:end]) {
		if b >= '0' && b <= '9' {
			digits++
		}
	}
	if loose {
		return digits >= 4 || digits >= 3 && size >= 6
	}
	return digits >= 4 || digits >= 3 && size >= 5
}

func (e *pass) hasDigits(j int) bool { return e.kind(j) == numberToken || e.kind(j) == mixedToken }

// prefix says that a token is capital letters that a hyphen joins to a number.
func (e *pass) prefix(j int) bool {
	return e.kind(j) == wordToken && e.tokens[j].upper && e.separated(j+1, "-") && e.hasDigits(j+2)
}

// maxID is the longest number of an identifier, in bytes.
const maxID = 64

func (e *pass) longID(j int) bool { return e.near(j) && e.idEnd(j)-e.tokens[j].start >= 6 }

// idEnd returns the offset behind letters, digits and single marks between them; of stars
// there may be several.
func (e *pass) idEnd(j int) int {
	s, i := e.text, e.tokens[j].start
	for limit := min(len(s), i+maxID); i < limit; {
		switch charKinds[s[i]] {
		case digitChar, lowerChar, upperChar:
			i++
		case punctChar:
			k := i + 1
			for s[i] == '*' && k < limit && k < i+3 && s[k] == '*' {
				k++
			}
			if strings.IndexByte("-/.*_", s[i]) < 0 || k >= limit || charKinds[s[k]] != digitChar && charKinds[s[k]] != upperChar {
				return i
			}
			i = k
		default:
			return i
		}
	}
	return i
}

func (e *pass) takeID(j int, t Type) {
	end := e.idEnd(j)
	if e.separated(j-1, "-") && e.kind(j-2) == wordToken && e.upperEnd(j-2) {
		j -= 2 // MRN-2468135
	}
	e.add(e.tokens[j].start, end, t, true)
	for j < len(e.tokens) && e.tokens[j].start < end {
		e.tokens[j].used = true
		j++
	}
}

// longNumber removes what has too many digits for a measurement: seven in a row, or six in
// a row glued to letters.
func (e *pass) longNumber(i int) bool {
	longest, size := e.longestRun(i), len(e.str(i))
	least := 7
	if e.touches(i) && e.kind(i-1) == lineToken {
		least = 9 // beside another script, whose own rules know more
	}
	glued := longest >= 6 && (e.separated(i-1, "-") && e.kind(i-2) == wordToken && e.upperEnd(i-2) || // MRN-2468135
		e.kind(i) == mixedToken && size >= 8)
	if longest < least && !glued || e.coded(i) || e.is(i-1, '.') && e.touches(i) {
		return false
	}
	e.takeID(i, OtherID)
	return true
}

// hashed reads a number of five digits or more behind #.
func (e *pass) hashed(i int) bool {
	if !e.is(i-1, '#') || !e.touches(i) || e.longestRun(i) < 5 {
		return false
	}
	e.takeID(i, OtherID)
	return true
}

// dashed reads three groups of digits with hyphens that have seven digits or more: 105-65-505.
func (e *pass) dashed(i int) bool {
	a, b, c := e.digits(i), e.digits(i+2), e.digits(i+4)
	if e.coded(i) || a*b*c == 0 || a+b+c < 7 || !e.separated(i+1, "-") || !e.separated(i+3, "-") {
		return false
	}
	e.takeID(i, OtherID)
	return true
}

// coded says that a code of a terminology or of a product stands at a token.
func (e *pass) coded(i int) bool {
	return e.lower(i-1, "snomed", "sctid", "loinc", "rxnorm", "ndc", "gtin", "code")
}

// longestRun is the number of digits in a row in a token.
func (e *pass) longestRun(i int) int {
	run, longest := 0, 0
	for _, b := range []byte(e.str(i)) {
		if b < '0' || b > '9' {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// upperEnd says that a word ends with two capital letters.
func (e *pass) upperEnd(i int) bool {
	s := e.str(i)
	return len(s) >= 2 && charKinds[s[len(s)-1]] == upperChar && charKinds[s[len(s)-2]] == upperChar
}
