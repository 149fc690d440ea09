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
	if c&(idCue|looseCue) != 0 {
		e.identifierAfter(i)
	}
	if c&(phoneCue|faxCue) != 0 {
		e.phoneAfter(i)
	}
	if c&monthCue != 0 {
		e.month(i)
	}
	if c&(roomCue|wardCue) != 0 {
		e.room(i)
	}
	if c&workCue != 0 {
		e.employer(i)
	}
	if c&(placeCue|byCue) != 0 {
		e.place(i)
	}
	if c&(degreeCue) != 0 {
		e.degree(i)
	}
	if c&zipCue != 0 {
		e.zipAfter(i)
	}
	if c&ageCue != 0 {
		e.ageAfter(i)
	}
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
	if e.tokens[i].used || !e.nameLike(from) || e.class(from).cues&(monthCue|titleCue) != 0 && !e.is(from+1, '.') && !e.capital(from+1) {
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
	c, s := e.class(i), e.str(i)
	if c.common || c.eponym || c.state || c.city || c.cues != 0 && !c.given && !c.family {
		return false
	}
	if c.given || c.family {
		return true
	}
	return !e.tokens[i].upper && len(s) >= 3
}

// namePart says that a token continues a name that has begun.
func (e *pass) namePart(i int, sure bool) bool {
	c := e.class(i)
	switch {
	case !e.capital(i):
		return e.particle(i) && (e.particle(i+1) && !e.capital(i+1) || e.capital(i+1)) && e.namePart(i+1, sure)
	case e.initial(i):
		return true
	case c.plain && sure && e.nameyBefore(i):
		return true
	case c.given || c.family || c.maybe && sure:
		return c.cues&monthCue == 0 || sure
	case c.cues&degreeCue != 0 && e.tokens[i].upper, c.common:
		return false
	case c.cues != 0:
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
		forced := i == from && sure || initial && e.capital(i) && !(e.class(i).cues&degreeCue != 0 && e.tokens[i].upper)
		if !forced && !e.namePart(i, sure) {
			break
		}
		initial = e.initial(i)
		i++
		if initial && e.is(i, '.') {
			if i++; e.touches(i) && e.capital(i) && len(e.str(i)) == 1 {
				break // M.D.
			}
		}
		to = i
	}
	return to
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
	from, colon := i+1, false
	for e.lower(from, "name", "physician", "surgeon", "provider", "signature", "doctor", "nurse", "of") && from < i+4 {
		from++
	}
	if e.is(from, ':') || e.is(from, '#') || e.is(from, '.') && e.lower(i, "attn", "pt") {
		from, colon = from+1, true
	}
	if e.is(from, '"') {
		from++
	}
	if colon {
		from = e.skipLine(from)
	}
	salutation := e.lower(i, "dear", "cc", "attn", "named", "labeled", "labelled")
	if !colon && !salutation && !e.strangers(from) {
		return false
	}
	if !e.nameLike(from) || e.class(from).common && !e.listed(from) && !(e.class(from).maybe && e.capital(from+1) && !e.class(from+1).common) && !(colon && e.class(from).plain && e.is(from+1, ',') && e.capital(from+2)) || e.class(from).cues&(titleCue|labelCue|kinCue) != 0 {
		return false
	}
	if !e.nameOnly(from) {
		return false
	}
	e.nameOrList(from)
	return true
}

// nameOnly refuses names of hospitals and the like.
func (e *pass) nameOnly(from int) bool {
	for i := from; i < from+6 && e.capital(i); i++ {
		if e.class(i).cues&(careCue|firmCue) != 0 {
			return false
		}
	}
	return true
}

// strangers says that two words which are no words of the language follow, or a given name.
func (e *pass) strangers(i int) bool {
	if e.class(i).given && e.capital(i) {
		return true
	}
	next := e.capital(i+1) && (!e.class(i+1).common || e.class(i+1).plain) || e.initial(i+1) || e.particle(i+1)
	return (e.stranger(i) || e.capital(i) && e.class(i).maybe && !e.eponymFollows(i+2)) && next && e.near(i+1) || e.listed(i)
}

// listed says that family name, comma and given name stand at a token.
func (e *pass) listed(i int) bool {
	j := i + 1
	if e.is(j, ',') {
		j++
	} else {
		return false
	}
	if !e.capital(i) || !e.capital(j) || e.class(j).common && !e.class(j).maybe || e.class(j).state || stateNames()[e.str(j)] {
		return false
	}
	c, d := e.class(i), e.class(j)
	if c.common && !c.maybe && !c.plain {
		return false
	}
	if d.cues&degreeCue != 0 && e.tokens[j].upper && len(e.str(j)) < 4 {
		return false
	}
	return d.given || (c.family || c.maybe || c.plain || e.stranger(i)) && (d.maybe || e.stranger(j)) && !c.given
}

// nameOrList reports a name at a token, or a family name, a comma and given names.
func (e *pass) nameOrList(from int) {
	to := e.nameEnd(from, true)
	if to == from {
		return
	}
	if e.is(to, ',') && e.capital(to+1) && e.oneName(from, to) && !e.initial(to+1) && e.nameOnly(to+1) && (!e.class(to+1).common || e.class(to+1).maybe) && (e.class(to+1).cues&degreeCue == 0 || !e.tokens[to+1].upper) {
		if end := e.nameEnd(to+1, true); end > to+1 && !stateNames()[e.str(to+1)] {
			e.name(from, end)
			return
		}
	}
	e.name(from, to)
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
	if e.lower(i, "w") && !(e.is(i-1, '/') && e.lower(i-2, "d")) {
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

// kin reads the name behind a relation: his wife Maria, sister (Ann).
func (e *pass) kin(i int) bool {
	from := i + 1
	for e.is(from, ',') || e.is(from, '(') || e.is(from, ':') || e.kind(from) == lineToken && e.str(from) == "\n" || e.lower(from, "is", "named", "called", "name") {
		if from++; from > i+4 {
			return false
		}
	}
	c := e.class(from)
	if !e.capital(from) || !e.stranger(from) && !c.given && !c.maybe {
		return false
	}
	if !e.nameOnly(from) {
		return false
	}
	e.name(from, e.nameEnd(from, true))
	return true
}

// degree reads the name before MD, RN and the like, after a comma or a blank.
func (e *pass) degree(i int) {
	if !e.capital(i) && !e.lower(i, "esq", "jr") || !e.tokens[i].upper && !e.lower(i, "Pharmd", "phd", "psyd", "esq", "jr") {
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
		if !e.stranger(j) && !e.class(j).family && !e.class(j).given && !e.initial(j) && !(e.class(j).maybe && (from < to || !e.class(j).common)) && !(from < to && e.particle(j)) {
			// The last word before a degree is a name even if it is a word or an eponym,
			// when a given name or an initial stands before it.
			if from < to || !e.capital(j) || !(e.class(j-1).given || e.stranger(j-1) || e.is(j-1, '.') && e.initial(j-2)) {
				break
			}
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

// capitalised looks at a capitalised word that no cue has taken.
func (e *pass) capitalised(i int) {
	c := e.class(i)
	if c.cues&(careCue|firmCue) != 0 && e.institution(i) {
		return
	}
	if e.city(i) || e.street(i) {
		return
	}
	if !e.signature(i) && !e.fullName(i) {
		e.nameByRight(i)
	}
}

// fullName reads a name that begins with a known given name, or ends with a known family
// name, or stands on a list.
func (e *pass) fullName(i int) bool {
	c := e.class(i)
	switch {
	case e.listed(i) && (e.class(i+2).given || c.family):
		e.nameOrList(i)
		return true
	case c.given && c.cues&monthCue == 0 && !c.common:
		to := e.nameEnd(i, true)
		if e.eponymFollows(to) && to-i == 1 || !e.nameOnly(i) || e.placeFollows(to) {
			return false
		}
		e.name(i, to)
		return true
	case c.maybe && !c.common && e.near(i+1) && (e.class(i+1).family || e.initial(i+1)) && !e.eponymFollows(i+2):
		e.name(i, e.nameEnd(i, true))
		return true
	case e.stranger(i) && e.near(i+1) && e.class(i+1).family && e.capital(i+1) && !e.class(i+1).common && !e.eponymFollows(i+2) && e.nameOnly(i) && !e.placeFollows(i+2):
		e.name(i, e.nameEnd(i, false))
		return true
	}
	return false
}

// placeFollows says that a token makes a street or a place of the name before it.
func (e *pass) placeFollows(i int) bool {
	return e.capital(i) && e.class(i).cues&(streetCue|careCue|firmCue) != 0 && !e.lower(i, "way", "close", "place") || e.lower(i, "county", "university", "college", "school", "valve")
}

// eponymFollows says that a token makes an eponym of the name before it.
func (e *pass) eponymFollows(i int) bool {
	return e.lower(i, "disease", "syndrome", "sign", "signs", "test", "catheter", "palsy", "score", "scale", "scores", "lymphoma", "procedure", "drain", "fracture", "stain",
		"criteria", "classification", "method", "operation", "maneuver", "manoeuvre", "reflex", "position", "tube", "forceps", "clamp", "clamps", "retractor", "node", "nodes",
		"cyst", "hernia", "phenomenon", "thyroiditis", "dementia", "contracture", "murmur", "lines", "valve", "dressing", "needle", "incision", "stage", "grade", "tumor", "tumour",
		"cells", "bodies", "body", "virus", "granulomatosis", "esophagus", "angina", "tear", "block", "rods", "cast", "splint", "shunt", "duct", "fascia", "line", "foot",
		"type", "law", "index", "equation", "formula", "curve", "plot", "draining", "removed", "score", "bag", "infection", "fever", "amputation", "repair", "osteotomy",
		"gastrectomy", "fundoplication", "resection", "anastomosis", "artery", "vein", "nerve", "gland", "glands", "spot", "point", "triad", "triangle", "ring", "membrane",
		"prosthesis", "scissors", "elevator", "suture", "technique", "approach", "protocol", "regimen", "trial", "study", "solution", "agar", "smear", "cautery", "nodule", "method", "bed", "segment", "class", "balloon", "graft")
}

// nameByRight reads two or three unknown words that what follows makes a name: a degree, an
// age, a date of birth, or a verb of people.
func (e *pass) nameByRight(i int) bool {
	if !e.stranger(i) && !e.class(i).maybe || e.capital(i-1) && e.near(i) && !e.tokens[i-1].used && !e.class(i-1).common {
		return false
	}
	if e.stranger(i) && !e.tokens[i].upper && (e.speaks(i+1) || e.is(i+1, '(') && e.class(i+2).cues&kinCue != 0) {
		e.name(i, i+1)
		return true
	}
	to := e.nameEnd(i, false)
	if to-i < 2 {
		// A single word, or one with an eponym or a word for a family name.
		if e.near(i+1) && e.capital(i+1) && !e.tokens[i+1].upper && e.personFollows(i+2) {
			e.name(i, i+2)
			return true
		}
		return false
	}
	if !e.personFollows(to) {
		return false
	}
	e.name(i, to)
	return true
}

// speaks says that a token is a verb of which only people are the subject.
func (e *pass) speaks(i int) bool {
	return e.lower(i, "asked", "says", "said", "states", "stated", "denies", "denied", "agreed", "verbalized", "verbalised", "complains", "lives", "reports", "wants", "verbalizes")
}

// signature reads a line of two or three capitalised words behind the closing of a letter,
// or at the very end of the text.
func (e *pass) signature(i int) bool {
	if e.kind(i-1) != lineToken && !(e.is(i-1, '-') && e.capital(i+1)) || !e.stranger(i) && !e.class(i).maybe && !e.class(i).family {
		return false
	}
	to := i
	for to < i+4 && (e.capital(to) && !e.class(to).common || e.is(to, '.') && e.initial(to-1) || to > i && e.capital(to) && e.class(to).maybe) {
		to++
	}
	if to-i < 2 || e.kind(to) != lineToken || !e.nameOnly(i) {
		return false
	}
	j := i - 1
	for j > i-8 && (e.kind(j) == lineToken || e.is(j, ',')) {
		j--
	}
	if to < len(e.tokens) && !e.lower(j, "sincerely", "regards", "truly", "wishes", "faithfully", "respectfully", "cordially", "thanks", "yours") {
		return false
	}
	e.name(i, to)
	return true
}

// personFollows says that what stands at a token speaks of a person.
func (e *pass) personFollows(i int) bool {
	i = e.skipLine(i)
	if e.is(i, ',') {
		j := e.skipLine(i + 1)
		c := e.class(j)
		if c.cues&degreeCue != 0 && e.capital(j) && e.tokens[j].upper {
			return true
		}
		if e.kind(j) == numberToken || e.kind(j) == mixedToken {
			return e.ageAt(j)
		}
		return e.lower(j, "dob", "aged", "age", "who")
	}
	if e.is(i, '(') {
		return e.lower(i+1, "dob", "mrn", "age", "aged") || e.class(i+1).cues&kinCue != 0 || e.kind(i+1) == numberToken && e.ageAt(i+1)
	}
	if e.is(i, '|') {
		return e.lower(i+1, "dob", "mrn", "sex", "age")
	}
	if e.lower(i, "is", "was") {
		return e.lower(i+1, "a", "an", "seen", "admitted", "brought", "referred", "discharged", "transferred", "examined", "reviewed", "informed", "born", "living", "married", "health")
	}
	return e.lower(i, "presented", "presents", "reports", "reported", "states", "stated", "denies", "denied", "called", "complains", "says", "said", "signed", "lives", "works", "agreed",
		"consented", "tolerated", "underwent", "arrived", "dob", "aged", "asked", "notified", "verbalized", "has", "had", "will", "weeks") ||
		e.class(i).cues&degreeCue != 0 && e.capital(i) && e.tokens[i].upper
}

// repeatNames reports the parts of sure names wherever else they stand, unless they belong to
// an eponym or are words.
func (e *pass) repeatNames() {
	if len(e.names) == 0 {
		return
	}
	for i := range e.tokens {
		t := &e.tokens[i]
		if t.kind != wordToken || !t.capital || t.used || !e.names[bare(e.str(i))] {
			continue
		}
		if c := e.class(i); (c.common || c.cues&monthCue != 0) && !e.speaks(i+1) && !e.lower(i+1, "has", "had", "was", "is", "will") {
			continue
		}
		c := e.class(i)
		if e.eponymFollows(i+1) || e.placeFollows(i+1) || (c.eponym || c.maybe) && !e.kinOrTitleBefore(i) && !e.near2(i) {
			continue
		}
		e.add(t.start, t.start+len(bare(e.str(i))), Name, false)
	}
}

// near2 says that a part of a name stands beside a token.
func (e *pass) near2(i int) bool {
	return i > 0 && e.names[e.str(i-1)] && e.near(i) || i+1 < len(e.tokens) && e.names[e.str(i+1)] && e.near(i+1) || e.is(i+1, ',') && e.names[e.str(i+2)]
}

func (e *pass) kinOrTitleBefore(i int) bool {
	if e.is(i-1, '.') {
		i--
	}
	return e.class(i-1).cues&(titleCue|kinCue) != 0
}
