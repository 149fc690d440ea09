package leak

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// detect runs the detectors for what looks like an identifier of anybody.
func (s *search) detect(path string, v *view, r role) {
	note := func(t Type, start, end int) {
		s.add(Finding{Type: t, Path: path, Offset: start, Length: end - start}, v.text[start:end])
	}
	v.numbers(r, note)
	if r != free {
		return
	}
	v.cued(note)
	v.places(note)
	v.mails(note)
	v.addresses(note)
	v.english(note)
	if s.gate.config.Dates {
		for d := range datesOf(v) {
			if !numbered(v.text, d) {
				note(Date, d.start, d.end)
			}
		}
	}
}

// numbered reports eight digits that are the number of something, 批号20220614, and the
// first instant of a year, which is how a year is written where the format wants an instant.
func numbered(text string, d dateAt) bool {
	if d.m == 1 && d.d == 1 && (strings.HasPrefix(text[d.end:], "T00:00:00") || strings.HasPrefix(text[d.end:], "000000")) {
		return true
	}
	if d.end-d.start != 8 {
		return false
	}
	before := strings.ToLower(strings.TrimRight(text[max(0, d.start-16):d.start], " :：.#"))
	for _, word := range []string{"号", "號", "lot", "batch", "no"} {
		if strings.HasSuffix(before, word) {
			return true
		}
	}
	return false
}

// numbers looks at every run of digits, whole, and its groups from the left.
func (v *view) numbers(r role, note func(Type, int, int)) {
	for i := 0; i < len(v.tight); i++ {
		u := v.tight[i]
		if !isDigit(u.r) {
			continue
		}
		if i > 0 && u.joined && isLatin(v.tight[i-1].r) {
			i = v.skipWord(i) - 1
			continue
		}
		i = v.numberFrom(i, r, note) - 1
	}
}

// skipWord passes letters and digits that stand together.
func (v *view) skipWord(i int) int {
	for i++; i < len(v.tight) && v.tight[i].joined && isAlnum(v.tight[i].r); i++ {
	}
	return i
}

// numberFrom tries the number at i with all its groups, then with fewer, and returns where to
// go on.
func (v *view) numberFrom(i int, r role, note func(Type, int, int)) int {
	n := v.numberAt(i)
	for groups := len(n.groups); groups > 0; groups-- {
		p := v.sub(n, groups)
		if groups == len(n.groups) && n.to < len(v.tight) && v.tight[n.to].joined && isLatin(v.tight[n.to].r) && len(p.digits) < 15 {
			continue
		}
		t := numberType(p)
		switch {
		case t != "":
		case r == free && ssn(v, p):
			t = SSN
		case r == free && ip(v, p):
			t = IP
		default:
			continue
		}
		note(t, p.start, p.end)
		return p.to
	}
	return i + n.groups[0]
}

// mails looks for e-mail addresses.
func (v *view) mails(note func(Type, int, int)) {
	text := v.text
	if strings.IndexByte(text, '@') < 0 && !strings.Contains(text, "＠") {
		return
	}
	for at := 0; ; {
		i := strings.IndexAny(text[at:], "@＠")
		if i < 0 {
			return
		}
		i += at
		_, n := utf8.DecodeRuneInString(text[i:])
		start := strings.LastIndexFunc(text[:i], func(r rune) bool { return !mailRune(r) }) + 1
		if start > 0 {
			_, w := utf8.DecodeRuneInString(text[start-1:])
			start += w - 1
		}
		end := i + n
		for end < len(text) && mailRune(rune(text[end])) {
			end++
		}
		domain := strings.TrimRight(text[i+n:end], ".-_")
		if i-start >= 1 && strings.Contains(domain, ".") && len(domain) >= 4 && unicode.IsLetter(rune(domain[len(domain)-1])) {
			note(Email, start, i+n+len(domain))
		}
		at = max(end, i+n)
	}
}

func mailRune(r rune) bool {
	return r < utf8.RuneSelf && (isAlnum(unicode.ToLower(r)) || strings.ContainsRune("._%+-", r))
}

// standards are hosts whose addresses name a terminology or a format, not a person.
var standards = []string{"hl7.org", "loinc.org", "snomed.info", "unitsofmeasure.org", "nih.gov", "who.int", "w3.org", "ihe.net", "dicom.nema.org",
	"ietf.org", "iso.org", "hl7.org.cn", "purl.org", "fhir.org", "ama-assn.org", "cdc.gov", "cms.gov", "whocc.no", "schema.org", "xmlsoap.org", "smarthealthit.org", "doi.org"}

// places looks for web addresses, which lead to somebody's page.
func (v *view) places(note func(Type, int, int)) {
	for _, mark := range []string{"://", "www."} {
		for at := 0; ; {
			i := strings.Index(v.text[at:], mark)
			if i < 0 {
				break
			}
			i += at
			end := i + len(mark)
			for end < len(v.text) && v.text[end] > ' ' && v.text[end] < utf8.RuneSelf && !strings.ContainsRune(`"'<>()[]{}|`, rune(v.text[end])) {
				end++
			}
			host := v.text[i+len(mark) : end]
			if cut := strings.IndexAny(host, "/?#:"); cut >= 0 {
				host = host[:cut]
			}
			if strings.Contains(host, ".") && !standard(host) {
				note(URL, i, end)
			}
			at = end
		}
	}
}

func standard(host string) bool {
	host = strings.ToLower(strings.TrimRight(host, "."))
	for _, s := range standards {
		if host == s || strings.HasSuffix(host, "."+s) {
			return true
		}
	}
	return false
}
