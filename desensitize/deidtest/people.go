package deidtest

import (
	"strings"
	"time"
	"unicode/utf8"
)

// person is somebody whom a note names.
type person struct {
	full   string // as written in the note's language
	family string // family name; empty if the name has no such part
	given  string
	latin  string // Chinese: pinyin; English: empty
	male   bool
	role   string // of a relative: 儿子, daughter
	phone  string
}

// chinesePerson draws a name: two in three of usual parts, the others with a rare surname, a
// surname of two characters, a given name put together by chance, or of another people.
func (r *rng) chinesePerson(male bool) person {
	n := r.intn(100)
	if n < 6 {
		full, latin := cutPair(r.word("zh_given", "whole"))
		return person{full: full, latin: latin, male: male}
	}
	section := "common"
	if n < 28 {
		section = "rare"
	} else if n < 36 {
		section = "compound"
	}
	family, familyLatin := cutPair(r.word("zh_surnames", section))
	given, givenLatin := r.chineseGiven(male)
	latin := capital(familyLatin) + " " + capital(givenLatin)
	return person{full: family + given, family: family, given: given, latin: latin, male: male}
}

func (r *rng) chineseGiven(male bool) (given, latin string) {
	if r.percent(30) {
		for range r.between(1, 2) {
			c, l := cutPair(r.word("zh_given", "syllables"))
			given, latin = given+c, latin+l
		}
		return given, latin
	}
	if male {
		return cutPair(r.word("zh_given", "male"))
	}
	return cutPair(r.word("zh_given", "female"))
}

func cutPair(line string) (text, latin string) {
	text, latin, _ = strings.Cut(line, " ")
	return text, latin
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// englishPerson draws a name of many origins; one in five is put together of syllables.
func (r *rng) englishPerson(male bool) person {
	section := "female"
	if male {
		section = "male"
	}
	given := r.word("en_names", section)
	family := r.word("en_names", "family")
	if r.percent(25) {
		family = capital(r.word("en_names", "head") + r.word("en_names", "tail"))
	}
	if r.percent(8) {
		family += "-" + r.word("en_names", "family")
	}
	if r.percent(15) {
		given = capital(r.word("en_names", "head") + r.word("en_names", "ending"))
	}
	return person{full: given + " " + family, family: family, given: given, male: male}
}

// initial is the first letter of the given name with a full stop.
func (p person) initial() string {
	_, n := utf8.DecodeRuneInString(p.given)
	return p.given[:n] + "."
}

// birthday draws a date of birth; a tenth of the people are older than 89 at the day of
// admission.
func (r *rng) birthday(admitted time.Time) time.Time {
	years := r.between(18, 89)
	if r.percent(10) {
		years = r.between(90, 103)
	} else if r.percent(8) {
		years = r.between(1, 17)
	}
	return admitted.AddDate(-years, 0, -r.between(1, 360))
}

// age is the full years at a day.
func age(birth, at time.Time) int {
	years := at.Year() - birth.Year()
	if at.YearDay() < birth.YearDay() {
		years--
	}
	return years
}
