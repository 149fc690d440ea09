package english

import "strings"

// strongStreet says that a token names a kind of street and nothing else.
func (e *pass) strongStreet(i int) bool {
	return e.capital(i) && e.lower(i, "street", "avenue", "ave", "road", "rd", "lane", "drive", "blvd", "boulevard", "court", "terrace", "highway", "parkway", "crescent")
}

// addressAt reads an address from the number of a house.
func (e *pass) addressAt(i int) bool {
	if n := e.digits(i); n > 5 || n == 0 && len(e.str(i)) > 6 {
		return false
	}
	j := i + 1
	if e.separated(j, "-/") && e.digits(j+1) > 0 {
		j += 2
	}
	end := e.streetEnd(j)
	if end == 0 {
		return false
	}
	e.take(i, e.townAfter(e.unitAfter(end)), Address, true)
	return true
}

// streetEnd returns where the name of a street ends that begins at a token: one to five
// capitalised words and the kind of street.
func (e *pass) streetEnd(from int) int {
	for j := from; j < from+6; j++ {
		if j > from && e.capital(j) && e.class(j).cues&streetCue != 0 && !e.streetGoesOn(j) {
			return e.sideAfter(j)
		}
		ordinal := e.kind(j) == mixedToken && e.day(j)
		joins := j > from && e.lower(j, "of", "de", "la", "del", "the")
		if !e.near(j) || !e.capital(j) && !ordinal && !joins && !e.stop(j) {
			return 0
		}
	}
	return 0
}

// sideAfter steps over the full stop of an abbreviation and a point of the compass.
func (e *pass) sideAfter(j int) int {
	if e.is(j+1, '.') && len(e.str(j)) <= 4 {
		j++
	}
	if e.capital(j+1) && e.near(j+1) && e.lower(j+1, "n", "s", "e", "w", "ne", "nw", "se", "sw", "north", "south", "east", "west") {
		j++
	}
	return j + 1
}

// stop says that a token is the full stop of an abbreviation in the name of a street.
func (e *pass) stop(j int) bool {
	return e.is(j, '.') && (e.lower(j-1, "st", "mt", "ft", "jr", "dr", "sgt") || e.capital(j-1) && len(e.str(j-1)) == 1)
}

// streetGoesOn says that a kind of street is a part of its name: Court Street, St. Mary Road.
func (e *pass) streetGoesOn(j int) bool {
	if e.lower(j, "st") && e.is(j+1, '.') && e.capital(j+2) && e.near(j+2) && e.class(j+3).cues&streetCue != 0 {
		return true
	}
	if e.lower(j, "dr") && e.is(j+1, '.') && e.capital(j+2) && e.near(j+2) {
		return true // a doctor
	}
	return e.capital(j+1) && e.near(j+1) && e.class(j+1).cues&streetCue != 0 && !e.is(j, '.')
}

// unitAfter reads a flat: , Apt 4B; #12; Suite 300.
func (e *pass) unitAfter(end int) int {
	j := end
	if e.is(j, ',') {
		j++
	}
	switch {
	case e.lower(j, "apt", "apartment", "unit", "suite", "ste", "flat", "floor", "room"):
		j++
		if e.is(j, '.') || e.is(j, '#') {
			j++
		}
	case e.is(j, '#'):
		j++
	default:
		return end
	}
	if e.kind(j) == numberToken || e.kind(j) == mixedToken || e.capital(j) && len(e.str(j)) == 1 {
		return j + 1
	}
	return end
}

// townAfter reads town, state and postal code behind a street.
func (e *pass) townAfter(end int) int {
	j := end
	if e.is(j, ',') {
		j++
	}
	j = e.skipLine(j)
	k := j
	for k < j+3 && e.capital(k) && !e.class(k).common && !e.isState(k) && (k == j || e.near(k)) {
		k++
	}
	state := e.is(k, ',') && e.isState(k+1)
	label := e.class(j).cues&(phoneCue|faxCue|labelCue|titleCue) != 0
	if k > j && (j > end || e.is(k, ',') || e.isState(k)) && (!label || state) {
		end = k
	}
	return e.stateAfter(end)
}

// stateAfter reads a state and, as a span of its own, a postal code.
func (e *pass) stateAfter(end int) int {
	j := end
	if e.is(j, ',') {
		j++
	}
	if e.isState(j) && e.close(j) {
		if end = j + 1; e.lower(j+1, "carolina", "dakota", "hampshire", "jersey", "mexico", "york", "virginia", "island") {
			end++
		}
		j = end
	} else {
		j = end
	}
	if e.is(j, ',') {
		j++
	}
	e.postcode(j)
	return end
}

// isState says that a state or a province of North America stands at a token.
func (e *pass) isState(i int) bool {
	if !e.capital(i) {
		return false
	}
	if e.class(i).state || e.tokens[i].upper && stateNames()[e.str(i)] {
		return true
	}
	return e.lower(i, "north", "south", "new", "west", "rhode") && e.lower(i+1, "carolina", "dakota", "hampshire", "jersey", "mexico", "york", "virginia", "island")
}

// postcode reads a ZIP code, or one of Britain or Canada, at a token.
func (e *pass) postcode(i int) {
	if e.digits(i) != 5 {
		e.ukPostcode(i)
		return
	}
	to := i + 1
	if e.separated(to, "-") && e.digits(to+1) == 4 {
		to += 2
	}
	e.take(i, to, Postcode, true)
}

// outwardCodes are the shapes of the first part of a British postcode.
var outwardCodes = map[string]bool{"A9": true, "A99": true, "AA9": true, "AA99": true, "A9A": true, "AA9A": true}

// zipAfter reads the code behind zip.
func (e *pass) zipAfter(i int) {
	j := i + 1
	for k := 0; k < 3 && (e.is(j, ':') || e.lower(j, "code", "is")); k++ {
		j++
	}
	e.postcode(j)
}

// ukPostcode reads codes such as SW1A 2AA (BS 7666) and K1A 0B1.
func (e *pass) ukPostcode(i int) bool {
	if e.kind(i) != mixedToken || e.kind(i+1) != mixedToken || e.tokens[i+1].start-e.tokens[i].end != 1 {
		return false
	}
	a, b := e.str(i), e.str(i+1)
	if len(a) > 4 || len(b) != 3 {
		return false
	}
	outward, inward := shape(a), shape(b)
	british := outwardCodes[outward] && inward == "9AA" && !strings.ContainsAny(b, "CIKMOV")
	canadian := outward == "A9A" && inward == "9A9"
	if !british && !canadian {
		return false
	}
	e.take(i, i+2, Postcode, true)
	return true
}

// shape writes a letter as A and a digit as 9.
func shape(s string) string {
	b := []byte(s)
	for i, c := range b {
		switch charKinds[c] {
		case digitChar:
			b[i] = '9'
		case upperChar:
			b[i] = 'A'
		}
	}
	return string(b)
}

// street reads a street without a number: near Highland Drive.
func (e *pass) street(i int) bool {
	soon := e.strongStreet(i+1) || !e.class(i).common && e.strongStreet(i+2)
	if !soon && (e.class(i).common || e.sentence(i)) {
		return false
	}
	near := e.lower(i-1, "near", "at", "on", "off", "to")
	for j := i + 1; j < i+6 && (e.capital(j) || e.stop(j)) && e.near(j); j++ {
		if (e.strongStreet(j) || near && e.lower(j, "st", "way")) && !e.streetGoesOn(j) {
			e.take(i, e.townAfter(j+1), Address, true)
			return true
		}
	}
	return false
}

// city reads a known city, and an unknown place that a state follows.
func (e *pass) city(i int) bool {
	to := e.knownCity(i)
	if to == i {
		to = e.cityWithState(i)
	}
	if to == i {
		return false
	}
	e.take(i, to, Address, true)
	e.stateAfter(to)
	return true
}

// knownCity returns where a known city ends, its beginning if there is none.
func (e *pass) knownCity(i int) int {
	for _, long := range longCities()[e.str(i)] {
		if strings.HasPrefix(e.text[e.tokens[i].start:], long) {
			to := i
			for to < len(e.tokens) && e.tokens[to].start < e.tokens[i].start+len(long) {
				to++
			}
			if e.careFollows(to) {
				return i
			}
			return to
		}
	}
	c := e.class(i)
	if !c.city || e.careFollows(i+1) || e.eponymFollows(i+1) || c.given && e.capital(i+1) {
		return i
	}
	return i + 1
}

// cityWithState returns where a place ends that a comma and a state follow.
func (e *pass) cityWithState(i int) int {
	j := i
	for j < i+3 && e.capital(j) && !e.class(j).common && (j == i || e.near(j)) {
		j++
	}
	if j == i || !e.is(j, ',') || !e.isState(j+1) || !e.close(j+1) || e.class(i).cues&(titleCue|labelCue) != 0 {
		return i
	}
	if e.class(j+1).cues&degreeCue != 0 && !e.placeBefore(i) {
		return i // MD and PA are degrees as well
	}
	return j
}

func (e *pass) placeBefore(i int) bool {
	return e.lower(i-1, "from", "in", "of", "near", "at") || e.class(i-1).cues&placeCue != 0
}

// careFollows says that a hospital is named after what stands before a token.
func (e *pass) careFollows(i int) bool {
	for j := i; j < i+4 && e.capital(j) && e.near(j); j++ {
		if e.class(j).cues&(careCue|firmCue|streetCue) != 0 || e.lower(j, "university", "medical", "general") {
			return true
		}
	}
	return false
}

// place reads the name of a place behind lives in, from, born in.
func (e *pass) place(i int) {
	j := i + 1
	if e.class(i).cues&placeCue != 0 {
		for k := 0; k < 5 && e.lower(j, "the", "corner", "in", "at", "to", "from", "near", "alone", "with", "of", "and"); k++ {
			j++
		}
		if j == i+1 {
			return
		}
	} else if !e.lower(i, "from") {
		return
	}
	e.placeAt(i, j)
}

// somewhere reads one or two unknown words behind in, near and at, where the sentence ends or
// goes on with a preposition.
func (e *pass) somewhere(i int) bool {
	if !e.lower(i-1, "in", "near", "outside", "at") || !e.stranger(i) || e.class(i).given {
		return false
	}
	to := i + 1
	if e.near(to) && e.stranger(to) {
		to++
	}
	ends := e.kind(to) == lineToken || e.kind(to) == markToken && !e.is(to, '(') && !e.is(to, '-') && !e.is(to, '/')
	if !ends && !e.lower(to, "on", "for", "when", "where", "since", "after", "with", "and", "until", "last", "this") || e.careFollows(i) {
		return false
	}
	e.take(i, to, Address, false)
	return true
}

// workplace reads two capitalised words or more behind "at": a firm, a shop, a school.
func (e *pass) workplace(i int) bool {
	if e.lower(i-1, "at") && e.initial(i) && e.letterAt(i+2) {
		e.firm(i)
		return e.tokens[i].used
	}
	if !e.lower(i-1, "at") || e.class(i).common && !e.class(i).plain || e.careFollows(i) || !e.capital(i+1) || !e.near(i+1) || e.class(i).cues&monthCue != 0 {
		return false
	}
	e.firm(i)
	return e.tokens[i].used
}

// placeLike says that a token could be the name of a place.
func (e *pass) placeLike(i int) bool {
	c := e.class(i)
	return e.capital(i) && !e.tokens[i].upper && !c.common && c.cues&(titleCue|labelCue|kinCue|monthCue|degreeCue) == 0 && len(e.str(i)) > 2
}

// placeAt reads the name of a place at j, behind the cue at i.
func (e *pass) placeAt(i, j int) {
	to := j
	for to < j+3 && e.capital(to) && (to == j && e.placeLike(to) || to > j && e.near(to)) {
		to++
	}
	if to == j || e.tokens[j].used || e.noPlace(i, j, to) {
		return
	}
	if e.lower(to, "and") && e.placeLike(to+1) && e.lower(j-2, "corner") {
		to += 2 // the corner of Clark and Belmont
	}
	e.take(j, to, Address, false)
	e.stateAfter(to)
}

// noPlace says that the words from j to to, behind the cue at i, are a person or an
// institution.
func (e *pass) noPlace(i, j, to int) bool {
	if e.careFollows(j) || e.class(to).cues&degreeCue != 0 {
		return true
	}
	return e.class(to-1).cues&(careCue|firmCue) != 0 || e.class(j).given && e.class(i).cues&placeCue == 0
}

// room reads the number of a room, a bed or a ward.
func (e *pass) room(i int) {
	j := i + 1
	for k := 0; k < 2 && (e.is(j, ':') || e.is(j, '#') || e.lower(j, "no", "number")); k++ {
		j++
	}
	if !e.hasDigits(j) || !e.near(j) || len(e.str(j)) > 5 {
		return
	}
	if e.class(i).cues&wardCue != 0 {
		e.take(i, j+1, Ward, true)
		return
	}
	to := j + 1
	if e.separated(to, "-/") && (e.hasDigits(to+1) || e.capital(to+1)) {
		to += 2
	}
	e.take(j, to, Bed, true)
}

// institution reads the name of a hospital or a firm that ends at a token.
func (e *pass) institution(i int) bool {
	from, named := e.nameOfInstitution(i)
	if !named {
		return false
	}
	t := Hospital
	if e.class(i).cues&careCue == 0 {
		t = Employer
	}
	to := e.institutionEnd(i)
	e.take(from, to, t, true)
	if e.lower(to, "in") || e.is(to, ',') && e.placeEnds(to+1) {
		e.placeAt(to, to+1)
	}
	return true
}

// placeEnds says that one or two capitalised words stand at a token, and the sentence or the
// field ends behind them.
func (e *pass) placeEnds(i int) bool {
	to := i
	for to < i+2 && e.placeLike(to) && !e.class(to).given {
		to++
	}
	return to > i && (e.kind(to) == lineToken || e.is(to, '.') || e.is(to, ',') || e.is(to, ';'))
}

// saint reads a hospital that is named after a saint and nothing else: St. Mary's.
func (e *pass) saint(i int) bool {
	j := i + 1
	if !e.lower(i, "st", "saint") {
		return false
	}
	if e.is(j, '.') {
		j++
	}
	if s := e.str(j); !e.capital(j) || !e.near(j) || len(bare(s)) == len(s) {
		return false
	}
	if e.careFollows(j + 1) {
		return false // the longer name is read at its end
	}
	e.take(i, j+1, Hospital, true)
	return true
}

// quarter reads a part of a town: the Lakeview neighborhood.
func (e *pass) quarter(i int) bool {
	if !e.placeLike(i) || !e.lower(i+1, "neighborhood", "neighbourhood", "county", "township", "borough", "parish", "suburb", "district") || e.class(i).eponym {
		return false
	}
	e.take(i, i+1, Address, true)
	return true
}

// institutionEnd returns where a name goes on to: Medical Center, Inc., of Wexley.
func (e *pass) institutionEnd(i int) int {
	to := i + 1
	for to < i+4 && e.capital(to) && e.near(to) && (e.class(to).cues&(careCue|firmCue) != 0 || e.lower(to, "medical", "health", "system", "home")) {
		to++
	}
	if e.is(to, '.') && e.lower(to-1, "inc", "co", "corp", "ltd") {
		to++
	}
	if e.lower(to, "of") && e.capital(to+1) && !e.class(to+1).common {
		for to++; to < i+8 && e.capital(to) && e.near(to); {
			to++
		}
	}
	return to
}

// generic are words before Hospital and Clinic that name none.
func (e *pass) generic(i int) bool {
	return e.class(i).common && !e.lower(i, "saint", "st", "north", "south", "east", "west", "university", "new", "first", "good", "county", "city", "lake", "bay")
}

// nameOfInstitution returns where the name begins that ends at a token, and whether it says
// more than what kind of institution it is.
func (e *pass) nameOfInstitution(i int) (from int, named bool) {
	from = i
	for j := i - 1; j >= 0 && j >= i-7 && e.near(j+1); j-- {
		switch {
		case e.is(j, '.') && e.lower(j-1, "st", "mt", "ft"), e.is(j, '&'), e.lower(j, "of", "the", "and", "for") && e.capital(j-1):
		case !e.capital(j) || e.tokens[j].used || e.class(j).cues&(labelCue|kinCue) != 0 || e.class(j).before:
			return from, named
		default:
			from = j
			named = named || !e.generic(j)
		}
	}
	return from, named
}

// employer reads the name of a firm behind works at, employed by.
func (e *pass) employer(i int) {
	j := i + 1
	for k := j; k < i+5 && e.kind(k) == wordToken && !e.capital(k); k++ {
		if e.lower(k, "at", "for", "by") {
			j = k // works with her at
		}
	}
	for j < i+7 && (e.is(j, ':') || e.lower(j, "at", "by", "for", "from", "with", "in", "as")) {
		j++
	}
	if j > i+1 && e.capital(j) {
		e.firm(j)
	}
}

// firm reads the name of a firm that begins at a token.
func (e *pass) firm(j int) {
	to := j
	for to < j+7 && (to == j || e.near(to)) && (e.capital(to) || e.joinsFirm(to)) {
		to++
	}
	for to > j && !e.capital(to-1) && !e.firmStop(to-1) {
		to--
	}
	if to > j && !e.class(j).common || to > j+1 {
		e.take(j, to, Employer, true)
		if e.is(to, ',') && e.placeEnds(to+1) {
			e.placeAt(to, to+1)
		}
	}
}

// joinsFirm says that a token may stand within the name of a firm: &, of, the stops of U.S.
func (e *pass) joinsFirm(i int) bool {
	return e.lower(i, "of", "and", "the") || e.is(i, '&') || e.is(i, '.') && e.touches(i+1) || e.firmStop(i)
}

// firmStop says that a token is the full stop of an abbreviation in the name of a firm.
func (e *pass) firmStop(i int) bool {
	return e.is(i, '.') && e.lower(i-1, "inc", "co", "corp", "s")
}
