package english

// capitalised looks at a capitalised word that no cue has taken.
func (e *pass) capitalised(i int) {
	c := e.class(i)
	if c.cues&(careCue|firmCue) != 0 && e.institution(i) {
		return
	}
	if e.saint(i) || e.quarter(i) || e.city(i) || e.street(i) || e.workplace(i) || e.somewhere(i) {
		return
	}
	if !e.signature(i) && !e.fullName(i) && !e.nameByRight(i) {
		e.pair(i)
	}
}

// fullName reads a name that begins with a known given name, or ends with a known family
// name, or stands on a list.
func (e *pass) fullName(i int) bool {
	c := e.class(i)
	switch {
	case e.sureList(i):
		e.nameOrList(i)
		return true
	case c.given && c.cues&monthCue == 0 && !c.common:
		return e.givenName(i)
	case !e.near(i+1) || e.eponymFollows(i+2):
		return false
	case c.maybe && !c.common && (e.class(i+1).family || e.initial(i+1)) && e.nameOnly(i):
		e.name(i, e.nameEnd(i, true))
		return true
	}
	return e.beforeFamily(i)
}

// beforeFamily reads an unknown word and a known family name.
func (e *pass) beforeFamily(i int) bool {
	if !e.stranger(i) || !e.familyName(i+1) || !e.nameOnly(i) || e.placeFollows(i+2) {
		return false
	}
	e.name(i, e.nameEnd(i, false))
	return true
}

// sureList says that a family name, a comma and a given name stand at a token, and that
// they are known or spoken of as a person.
func (e *pass) sureList(i int) bool {
	if e.capitalList(i) {
		return true
	}
	return e.listed(i) && (e.class(i+2).given || e.class(i).family || e.personFollows(i+3))
}

// capitalList says that ULVLEY, IGNACIO stands at a token, and what follows speaks of a
// person.
func (e *pass) capitalList(i int) bool {
	j := i + 2
	if !e.is(i+1, ',') || !e.capital(i) || !e.capital(j) || !e.tokens[i].upper || !e.tokens[j].upper {
		return false
	}
	return !e.class(i).common && len(e.str(i)) > 2 && len(e.str(j)) > 2 && e.givenAt(j) && e.personFollows(j+1)
}

// givenName reads what follows a known given name.
func (e *pass) givenName(i int) bool {
	to := e.nameEnd(i, true)
	if e.eponymFollows(to) && to-i == 1 || !e.nameOnly(i) || e.placeFollows(to) {
		return false
	}
	e.name(i, to)
	return true
}

// familyName says that a token is a known family name and no word.
func (e *pass) familyName(i int) bool {
	return e.class(i).family && e.capital(i) && !e.class(i).common
}

// placeFollows says that a token makes a street or a place of the name before it.
func (e *pass) placeFollows(i int) bool {
	if e.lower(i, "county", "university", "college", "school", "valve") {
		return true
	}
	return e.capital(i) && e.class(i).cues&(streetCue|careCue|firmCue) != 0 && !e.lower(i, "way", "close", "place")
}

// eponymFollows says that a token makes an eponym of the name before it: disease, catheter.
func (e *pass) eponymFollows(i int) bool { return e.class(i).noun }

// nameByRight reads two or three unknown words that what follows makes a name: a degree, an
// age, a date of birth, or a verb of people.
func (e *pass) nameByRight(i int) bool {
	if !e.stranger(i) && !e.class(i).maybe || e.inPhrase(i) {
		return false
	}
	if e.stranger(i) && !e.tokens[i].upper && (e.speaks(i+1) || e.is(i+1, '(') && e.class(i+2).cues&kinCue != 0) {
		e.name(i, i+1)
		return true
	}
	to := e.nameEnd(i, false)
	if to-i < 2 && e.near(i+1) && e.capital(i+1) && !e.tokens[i+1].upper {
		to = i + 2 // an eponym or a word may be the family name
	}
	if to-i < 2 || !e.personFollows(to) {
		return false
	}
	e.name(i, to)
	return true
}

// pair reads two unknown words in the middle of a sentence, or an initial and a word.
func (e *pass) pair(i int) {
	if e.inPhrase(i) || !e.initialled(i) && !e.unknownPair(i) {
		return
	}
	e.name(i, e.nameEnd(i, true))
}

// initialled says that an initial, a full stop and a family name stand at a token.
func (e *pass) initialled(i int) bool {
	if !e.initial(i) || !e.is(i+1, '.') || !e.near(i+2) || e.letterAt(i+2) || e.kind(i-1) == numberToken {
		return false
	}
	return e.stranger(i+2) || e.class(i+2).plain && e.capital(i+2)
}

// unknownPair says that two words which are no words of the language stand at a token, not at
// the beginning of a sentence, and not before what makes a place or an eponym of them.
func (e *pass) unknownPair(i int) bool {
	first := e.stranger(i) || e.class(i).maybe && !e.tokens[i].upper
	if !first || e.opens(i) || !e.near(i+1) || !e.surnameLike(i+1) {
		return false
	}
	return e.nameOnly(i) && !e.placeFollows(i+2) && !e.eponymFollows(i+2)
}

// surnameLike says that a token may be a family name behind an unknown word.
func (e *pass) surnameLike(i int) bool {
	switch c := e.class(i); {
	case !e.capital(i):
		return e.particle(i) && (e.stranger(i+1) || e.particle(i+1) && e.stranger(i+2))
	case c.plain || c.eponym:
		// A word or an eponym, if the sentence does not go on with it.
		return (e.kind(i+1) == markToken || e.kind(i+1) == lineToken) && (!c.common || c.plain) && !e.tokens[i].upper
	}
	return e.stranger(i)
}

// opens says that a token begins a sentence or a line, where words have a capital letter.
func (e *pass) opens(i int) bool {
	return i == 0 || e.kind(i-1) == lineToken || e.is(i-1, '.') || e.is(i-1, ':') || e.is(i-1, ';')
}

// inPhrase says that a capitalised word stands before a token which is neither a word of the
// language nor a part of something found.
func (e *pass) inPhrase(i int) bool {
	return e.capital(i-1) && e.near(i) && !e.tokens[i-1].used && !e.class(i-1).common
}

// speaks says that a token is a verb of which only people are the subject.
func (e *pass) speaks(i int) bool { return e.class(i).speaks }

// signature reads a line of two or three capitalised words behind the closing of a letter,
// or at the very end of the text.
func (e *pass) signature(i int) bool {
	c := e.class(i)
	dash := e.is(i-1, '-') && e.capital(i+1)
	if e.kind(i-1) != lineToken && !dash || !e.stranger(i) && !c.maybe && !c.family {
		return false
	}
	to := i
	for to < i+4 && (to == i || e.signed(to)) {
		to++
	}
	if to-i < 2 || e.kind(to) != lineToken || !e.nameOnly(i) || to < len(e.tokens) && !e.closing(i) {
		return false
	}
	e.name(i, to)
	return true
}

// signed says that a token may stand in a signature.
func (e *pass) signed(i int) bool {
	c := e.class(i)
	return e.capital(i) && (!c.common || c.maybe || c.plain) || e.is(i, '.') && e.initial(i-1)
}

// closing says that a letter is closed before a token: Yours sincerely, and empty lines.
func (e *pass) closing(i int) bool {
	j := i - 1
	for j > i-8 && (e.kind(j) == lineToken || e.is(j, ',')) {
		j--
	}
	return e.lower(j, "sincerely", "regards", "truly", "wishes", "faithfully", "respectfully", "cordially", "thanks", "yours")
}

// personFollows says that what stands at a token speaks of a person.
func (e *pass) personFollows(i int) bool {
	i = e.skipLine(i)
	switch {
	case e.is(i, ','):
		j := e.skipLine(i + 1)
		return e.degreeAt(j) || e.ageAt(j) || e.lower(j, "dob", "mrn", "born", "aged", "age", "who")
	case e.is(i, '('):
		return e.lower(i+1, "dob", "mrn", "age", "aged") || e.class(i+1).cues&kinCue != 0 || e.ageAt(i+1)
	case e.is(i, '|'):
		return e.lower(i+1, "dob", "mrn", "sex", "age")
	case e.lower(i, "is", "was"):
		return e.class(i + 1).passive
	}
	return e.class(i).speaks || e.class(i).acts || e.degreeAt(i)
}

// repeatNames reports the parts of sure names wherever else they stand, unless they belong to
// an eponym or are words.
func (e *pass) repeatNames() {
	if len(e.names) == 0 {
		return
	}
	for i := range e.tokens {
		t := &e.tokens[i]
		if t.kind == wordToken && t.capital && !t.used && e.names[bare(e.str(i))] && e.repeats(i) {
			e.add(t.start, t.start+len(bare(e.str(i))), Name, false)
		}
	}
}

// repeats says that a word which is a part of a name elsewhere means the person here.
func (e *pass) repeats(i int) bool {
	c := e.class(i)
	spoken := e.speaks(i+1) || e.lower(i+1, "has", "had", "was", "is", "will")
	switch {
	case e.eponymFollows(i + 1), e.placeFollows(i + 1):
		return false
	case spoken:
		return true
	case c.common, c.cues&monthCue != 0:
		return false
	}
	return !c.eponym && !c.maybe || e.kinOrTitleBefore(i) || e.besideName(i)
}

// besideName says that a part of a name stands beside a token.
func (e *pass) besideName(i int) bool {
	switch {
	case e.near(i) && e.names[e.str(i-1)], e.near(i+1) && e.names[e.str(i+1)]:
		return true
	}
	return e.is(i+1, ',') && e.names[e.str(i+2)]
}

func (e *pass) kinOrTitleBefore(i int) bool {
	if e.is(i-1, '.') {
		i--
	}
	return e.class(i-1).cues&(titleCue|kinCue) != 0
}
