package leak

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// english looks for names behind a title or a label, written with a capital.
func (v *view) english(note func(Type, int, int)) {
	text := v.text
	for i := 0; i < len(text); {
		if !upper(text, i) || i > 0 && word(text[i-1]) {
			i++
			continue
		}
		end := wordEnd(text, i)
		switch w := text[i:end]; {
		case honorific[w]:
			v.capitalised(afterTitle(text, end), 1, note)
		case w == "Name" || w == "Patient" || w == "NAME" || w == "PATIENT" || w == "Physician" || w == "Attending" || w == "Surgeon" || w == "Guardian":
			if at, ok := afterLabel(text, end); ok {
				v.capitalised(at, 2, note)
			}
		}
		i = end
	}
	v.street(note)
}

// streetKinds end the name of a street.
var streetKinds = words(`street st avenue ave road rd drive lane ln boulevard blvd court ct terrace parkway pkwy highway hwy`)

// street notes "123 Main Street": a number, words with capitals, what kind of street it is.
func (v *view) street(note func(Type, int, int)) {
	text := v.text
	for i := 0; i < len(text); i++ {
		if !isDigit(rune(text[i])) || i > 0 && (word(text[i-1]) || text[i-1] == '.' || text[i-1] == '-') {
			continue
		}
		start := i
		for i < len(text) && isDigit(rune(text[i])) {
			i++
		}
		if end := streetEnd(text, i); end > 0 && i-start <= 5 {
			note(Address, start, end)
		}
	}
}

// streetEnd returns where the name of a street behind a house number ends, 0 if none comes.
func streetEnd(text string, i int) int {
	for n, at := 0, i+1; n < 4 && at < len(text) && text[at-1] == ' ' && upper(text, at); n++ {
		stop := wordEnd(text, at)
		if n > 0 && streetKinds[strings.ToLower(text[at:stop])] {
			return stop
		}
		at = stop + 1
	}
	return 0
}

// honorific are titles that stand before a family name.
var honorific = map[string]bool{"Mr": true, "Mrs": true, "Ms": true, "Miss": true, "Dr": true, "Prof": true, "MR": true, "MRS": true, "DR": true}

func upper(s string, i int) bool { return s[i] >= 'A' && s[i] <= 'Z' }

func word(c byte) bool { return c < utf8.RuneSelf && (unicode.IsLetter(rune(c)) || isDigit(rune(c))) }

func wordEnd(s string, i int) int {
	for i < len(s) && (word(s[i]) || s[i] == '\'' || s[i] == '-') {
		i++
	}
	return i
}

func afterTitle(s string, i int) int {
	if i < len(s) && s[i] == '.' {
		i++
	}
	for i < len(s) && s[i] == ' ' {
		i++
	}
	return i
}

// afterLabel passes a colon, which must be there.
func afterLabel(s string, i int) (int, bool) {
	for _, more := range []string{" Name", " name", " NAME"} {
		if strings.HasPrefix(s[i:], more) {
			i += len(more)
		}
	}
	rest := strings.TrimLeft(s[i:], " \t")
	if !strings.HasPrefix(rest, ":") {
		return 0, false
	}
	rest = strings.TrimLeft(rest[1:], " \t")
	return len(s) - len(rest), true
}

// capitalised notes a name of at least so many words with capitals at i.
func (v *view) capitalised(i, least int, note func(Type, int, int)) {
	text, words, end := v.text, 0, i
	for at := i; at < len(text) && upper(text, at) && words < 4; {
		stop := wordEnd(text, at)
		w := text[at:stop]
		if low := strings.ToLower(w); noName[low] || words > 0 && prefixes[low] {
			break
		}
		words++
		end = stop
		switch { // "Smith, John" and "John Q. Smith" go on; "Smith. He" does not
		case strings.HasPrefix(text[stop:], ", "), strings.HasPrefix(text[stop:], ". ") && len(w) == 1:
			at = stop + 2
		case strings.HasPrefix(text[stop:], " "):
			at = stop + 1
		default:
			at = len(text)
		}
	}
	if words >= least && end-i >= 3 {
		note(Name, i, end)
	}
}

// noName are words that follow a label and are no name.
var noName = words(`name patient unknown the this he she was is has had with date dob birth age sex male female id mrn removed redacted anonymous withheld none not
denies reports presents presented states complains and history of admitted discharged number no information education status signature phone address`)
