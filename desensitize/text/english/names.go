package english

import "strings"

// maxNameParts is the number of words of the longest name that is read.
const maxNameParts = 4

// cue looks at a word that announces something.
func (e *pass) cue(i int) {
	c := e.class(i).cues
	switch {
	case c&titleCue != 0 && e.capital(i) && e.titled(i):
	case c&kinCue != 0 && e.kin(i):
	case c&labelCue != 0 && e.labelled(i):
	case c&byCue != 0 && e.by(i):
	}
	for _, r := range cueReaders {
		if c&r.cues != 0 {
			r.read(e, i)
		}
	}
}

// cueReaders are what reads behind a cue that announces no name.
var cueReaders = []struct {
	cues cueSet
	read func(*pass, int)
}{
	{idCue | looseCue, (*pass).identifierAfter}, {phoneCue | faxCue, (*pass).phoneAfter}, {monthCue, (*pass).month},
	{roomCue | wardCue, (*pass).room}, {workCue, (*pass).employer}, {userCue, (*pass).user}, {placeCue | byCue, (*pass).place},
	{degreeCue, (*pass).degree}, {zipCue, (*pass).zipAfter}, {ageCue, (*pass).ageAfter},
}

// titled reads the name behind a title: Dr. Smith, Mrs. de la Cruz, Dr Jane Q. Smith. Behind
// a title any capitalised word is a name.
func (e *pass) titled(i int) bool {
	from := i + 1
	if e.is(from, '.') {
		from++
	}
	if e.lower(from, "practitioner", "manager", "midwife") {
		from++
	}
	if e.tokens[i].used || !e.nameLike(from) || e.class(from).cues&(monthCue|titleCue) != 0 && !e.nameGoesOn(from+1) {
		return false
	}
	to := e.nameEnd(from, true)
	doubtful := e.class(to-1).eponym || e.tokens[i].upper || e.lower(i, "sister")
	if to == from || doubtful && e.eponymFollows(to) {
		return false
	}
	e.name(from, to)
	return true
}

// nameGoesOn says that a full stop or a capitalised word stands at a token.
func (e *pass) nameGoesOn(i int) bool { return e.is(i, '.') || e.capital(i) }

// degreeAt says that a token is a degree in capital letters, such as MD.
func (e *pass) degreeAt(i int) bool {
	return e.class(i).cues&degreeCue != 0 && e.capital(i) && e.tokens[i].upper
}

// sentence says that a token begins a sentence or a line.
func (e *pass) sentence(i int) bool {
	return i == 0 || e.kind(i-1) == lineToken || e.kind(i-1) == markToken && !e.is(i-1, ',') && !e.is(i-1, '(')
}

// nameLike says that a token could begin a name, by its letters alone.
func (e *pass) nameLike(i int) bool {
	return e.capital(i) || e.particle(i) && (e.capital(i+1) || e.particle(i+1) && e.capital(i+2))
}

// particle says that a token is a part of a family name in small letters.
func (e *pass) particle(i int) bool {
	return e.lower(i, "van", "der", "de", "la", "da", "di", "du", "le", "von", "den", "bin", "ibn", "al", "el", "del", "dos", "st", "ter", "y")
}

// stranger says that a token is a capitalised word that is no word of the language, no
// abbreviation, eponym or place.
func (e *pass) stranger(i int) bool {
	if !e.capital(i) {
		return false
	}
	c := e.class(i)
	switch {
	case c.common || c.eponym || c.state || c.city:
		return false
	case c.given || c.family:
		return true
	}
	return c.cues == 0 && !e.tokens[i].upper && len(e.str(i)) >= 3 && !wordLike(e.str(i))
}

// namePart says that a token continues a name that has begun.
func (e *pass) namePart(i int, sure bool) bool {
	if !e.capital(i) {
		return e.particle(i) && (e.particle(i+1) || e.capital(i+1)) && e.namePart(i+1, sure)
	}
	return e.initial(i) || e.capitalPart(i, sure)
}

// capitalPart says that a capitalised word continues a name.
func (e *pass) capitalPart(i int, sure bool) bool {
	c := e.class(i)
	switch {
	case c.plain && sure && e.nameyBefore(i):
		return true
	case c.given || c.family || c.maybe && sure:
		return c.cues&monthCue == 0 || sure
	case c.common || c.cues != 0:
		return false
	case e.tokens[i].upper:
		return sure && len(e.str(i)) > 2
	}
	return sure || !c.eponym
}

// nameyBefore says that a token stands behind a given name or an initial.
func (e *pass) nameyBefore(i int) bool {
	if e.is(i-1, '.') {
		return e.initial(i - 2)
	}
	c := e.class(i - 1)
	return e.capital(i-1) && (c.given || c.maybe || e.initial(i-1) || !c.common && c.cues == 0)
}

// initial says that a token is one capital letter, with or without a full stop.
func (e *pass) initial(i int) bool {
	return e.capital(i) && len(e.str(i)) == 1 && (e.is(i+1, '.') || e.capital(i+1))
}

// nameEnd returns where a name that begins with a token ends. sure says that the first token
// is a name whatever it looks like.
func (e *pass) nameEnd(from int, sure bool) int {
	to, initial := from, false
	for i, parts := from, 0; i < len(e.tokens) && parts < maxNameParts; parts++ {
		if i > from && !e.near(i) {
			break
		}
		// Behind an initial, as behind a title, any capitalised word is a name.
		forced := i == from && sure || initial && e.capital(i) && !e.degreeAt(i)
		if !forced && !e.namePart(i, sure) {
			break
		}
		initial = e.initial(i)
		i++
		if initial && e.is(i, '.') {
			if i++; e.letterAt(i) {
				break // M.D.
			}
		}
		to = i
	}
	return to
}

// letterAt says that a token is a capital letter which touches what stands before it.
func (e *pass) letterAt(i int) bool {
	return e.touches(i) && e.capital(i) && len(e.str(i)) == 1
}

// near says that only a blank, or the end of a line within a paragraph, stands before a token.
func (e *pass) near(i int) bool {
	if i <= 0 || i >= len(e.tokens) {
		return false
	}
	gap := e.text[e.tokens[i-1].end:e.tokens[i].start]
	return len(gap) <= 1 || len(gap) <= 3 && strings.Contains(gap, "\n")
}

// name reports a name and remembers its parts.
func (e *pass) name(from, to int) {
	e.take(from, to, Name, true)
	for i := from; i < to; i++ {
		if s := bare(e.str(i)); e.capital(i) && len(s) > 2 {
			e.names[s] = true
		}
	}
}

// labelled reads the name behind a label such as "Attending:" or "cc:", and behind "Patient"
// without a colon when what follows can be nothing else.
func (e *pass) labelled(i int) bool {
	from, colon := e.behindLabel(i)
	salutation := e.lower(i, "dear", "cc", "attn", "named", "labeled", "labelled") || e.closes(i) && from > i+1
	if !colon && (e.lower(i, "to", "from") || !salutation && !e.strangers(from)) {
		return false
	}
	if !e.nameLike(from) || e.class(from).common && !e.commonName(from, colon) || e.class(from).cues&(titleCue|labelCue|kinCue) != 0 {
		return false
	}
	if !e.nameOnly(from) {
		return false
	}
	e.nameOrList(from)
	return true
}

// closes says that a token is a word with which a letter closes.
func (e *pass) closes(i int) bool { return e.lower(i, "regards", "sincerely", "thanks", "cheers") }

// behindLabel returns the token behind a label, its colon and a quotation mark.
func (e *pass) behindLabel(i int) (from int, colon bool) {
	from = i + 1
	for e.lower(from, "name", "physician", "surgeon", "provider", "signature", "doctor", "nurse", "of") && from < i+4 {
		from++
	}
	if e.is(from, ':') || e.is(from, '#') || e.is(from, '.') && e.lower(i, "attn", "pt") {
		from, colon = from+1, true
	}
	if e.is(from, '"') || e.is(from, ',') && e.closes(i) {
		from++
	}
	if colon {
		from = e.skipLine(from)
	}
	return from, colon
}

// commonName says that a word of the language is a name here: White, Oluwaseun or June Mwangi.
func (e *pass) commonName(i int, colon bool) bool {
	c := e.class(i)
	switch {
	case e.listed(i), e.initial(i) && e.is(i+1, '.'):
		return true
	case c.maybe && e.capital(i+1) && !e.class(i+1).common:
		return true
	}
	return colon && c.plain && e.is(i+1, ',') && e.capital(i+2)
}

// nameOnly refuses names of hospitals and the like.
func (e *pass) nameOnly(from int) bool {
	for i := from; i < from+6 && (e.capital(i) || i > from && e.lower(i, "and", "of")); i++ {
		if e.class(i).cues&(careCue|firmCue) != 0 {
			return false
		}
	}
	return true
}

// strangers says that two words which are no words of the language follow, or a given name.
func (e *pass) strangers(i int) bool {
	if e.class(i).given && e.capital(i) || e.listed(i) {
		return true
	}
	wordAndName := e.capital(i) && e.class(i).maybe && !e.eponymFollows(i+2)
	if !e.stranger(i) && !wordAndName {
		return false
	}
	c := e.class(i + 1)
	return e.near(i+1) && (e.capital(i+1) && (!c.common || c.plain) || e.initial(i+1) || e.particle(i+1))
}

// listed says that family name, comma and given name stand at a token.
func (e *pass) listed(i int) bool {
	j := i + 2
	if !e.is(i+1, ',') || !e.capital(i) || !e.capital(j) {
		return false
	}
	c, d := e.class(i), e.class(j)
	wordy := c.maybe || c.plain
	if c.common && !wordy || d.common && !d.maybe || e.notGiven(j) {
		return false
	}
	return d.given || !c.given && (wordy || c.family || e.stranger(i)) && e.givenLike(j)
}

// notGiven says that a state or a degree stands at a token.
func (e *pass) notGiven(i int) bool { return e.isState(i) || e.degreeAt(i) }

// givenLike says that a token may be a given name.
func (e *pass) givenLike(i int) bool { return e.class(i).maybe || e.stranger(i) }

// nameOrList reports a name at a token, or a family name, a comma and given names.
func (e *pass) nameOrList(from int) {
	to := e.nameEnd(from, true)
	if to == from {
		return
	}
	if e.is(to, ',') && e.oneName(from, to) && e.givenAt(to+1) {
		if end := e.nameEnd(to+1, true); end > to+1 {
			to = end
		}
	}
	e.name(from, to)
}

// givenAt says that a given name may stand at a token, behind a family name and a comma.
func (e *pass) givenAt(i int) bool {
	c := e.class(i)
	return e.capital(i) && !e.initial(i) && e.nameOnly(i) && (!c.common || c.maybe) && !e.degreeAt(i) && !e.isState(i)
}

// oneName says that a name has one word, particles aside: what follows a comma is then
// probably the given name.
func (e *pass) oneName(from, to int) bool {
	words := 0
	for i := from; i < to; i++ {
		if e.capital(i) && !e.particle(i) {
			words++
		}
	}
	return words == 1
}

// by reads a name of two words or more behind by, with, per.
func (e *pass) by(i int) bool {
	from := e.skipLine(i + 1)
	if e.is(from, ':') {
		from++
	}
	if e.lower(i, "is") {
		return e.introduced(i)
	}
	if discussed := e.is(i-1, '/') && e.lower(i-2, "d"); e.lower(i, "w") && !discussed {
		return false
	}
	if e.initial(from) && e.is(from+1, '.') && e.capital(from+2) {
		e.name(from, e.nameEnd(from, true))
		return true
	}
	if !e.strangers(from) || !e.nameOnly(from) {
		return false
	}
	to := e.nameEnd(from, true)
	if to == from {
		return false
	}
	e.name(from, to)
	return true
}

// introduced reads the name behind "this is" and "name is".
func (e *pass) introduced(i int) bool {
	from := i + 1
	if !e.lower(i-1, "this", "name") || !e.capital(from) || !e.class(from).given && !e.givenLike(from) {
		return false
	}
	e.name(from, e.nameEnd(from, true))
	return true
}

// kin reads the name behind a relation: his wife Maria, sister (Ann).
func (e *pass) kin(i int) bool {
	from := i + 1
	for e.is(from, ',') || e.is(from, '(') || e.is(from, ':') || e.skipLine(from) > from || e.lower(from, "is", "named", "called", "name") {
		if from++; from > i+4 {
			return false
		}
	}
	c := e.class(from)
	if !e.capital(from) || !e.stranger(from) && !c.given && !c.maybe || !e.nameOnly(from) {
		return false
	}
	e.name(from, e.nameEnd(from, true))
	return true
}

// degree reads the name before MD, RN and the like, after a comma or a blank.
func (e *pass) degree(i int) {
	if !e.degreeAt(i) && !e.lower(i, "pharmd", "phd", "psyd", "esq", "jr") {
		return
	}
	to := i
	if e.is(to-1, ',') {
		to--
	}
	e.nameBefore(to)
}

// nameBefore reports the name that ends before a token.
func (e *pass) nameBefore(to int) {
	from := to
	for parts := 0; parts < maxNameParts && from > 0; parts++ {
		j := from - 1
		if from < to && !e.near(from) {
			break
		}
		if e.is(j, '.') && e.initial(j-1) {
			from = j - 1
			continue
		}
		if !e.partBefore(j, from == to) {
			break
		}
		from = j
	}
	for from < to && !e.capital(from) {
		from++
	}
	if from < to {
		e.name(from, to)
	}
}

// partBefore says that a token is a part of a name that ends before a degree. The last word
// is a name even if it is a word or an eponym, when a given name or an initial stands before
// it.
func (e *pass) partBefore(j int, last bool) bool {
	c := e.class(j)
	switch {
	case e.stranger(j) || e.initial(j), (c.family || c.given) && e.capital(j):
		return true
	case c.maybe && (!last || !c.common):
		return true
	case !last:
		return e.particle(j)
	}
	return e.capital(j) && (e.class(j-1).given || e.stranger(j-1) || e.is(j-1, '.') && e.initial(j-2))
}
