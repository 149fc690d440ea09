package desensitize

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// word is a number or an English word in a date that people wrote.
type word struct {
	start, end int
	value      int
	style      numberStyle
	before     string // what separates it from the word before
}

// maxWords bounds the words of a date: year, month, day, hour, minute, second and a little.
const maxWords = 12

// words takes a date apart into its numbers and months.
func words(text string) []word {
	var out []word
	last := 0
	for i := 0; i < len(text) && len(out) < maxWords; {
		r, n := utf8.DecodeRuneInString(text[i:])
		class := classOf(r)
		if class == 0 {
			i += n
			continue
		}
		end := i + n
		for end < len(text) {
			r, n := utf8.DecodeRuneInString(text[end:])
			if classOf(r) != class {
				break
			}
			end += n
		}
		w := word{start: i, end: end, before: text[last:i]}
		if w.read(text[i:end], class) {
			out = append(out, w)
			last = end
		}
		i = end
	}
	return out
}

func classOf(r rune) byte {
	switch {
	case r >= '0' && r <= '9':
		return '0'
	case r >= '０' && r <= '９':
		return 'w'
	case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
		return 'a'
	}
	if _, ok := digitOf(r); ok || unitOf(r) > 0 {
		return 'c'
	}
	return 0
}

func (w *word) read(s string, class byte) bool {
	var ok bool
	switch class {
	case '0':
		w.value, ok = numeral(s)
	case 'w':
		w.style = wide
		w.value, ok = numeral(s)
	case 'c':
		w.style = chinese
		w.value, ok = numeral(s)
	default:
		w.style = english
		w.value = monthOf(s)
		ok = w.value > 0
	}
	return ok
}

// readProse reads a date that people wrote: 2024年5月17日, 二〇二四年五月, 5月17日, 2024-5-17,
// 2024/05/17 08:30, 24.5.17, 17 May 2024, May 17, 2024, 05/17/2024, 20240517.
func (m *moment) readProse() bool {
	if n := strings.IndexFunc(m.text, func(r rune) bool { return r < '0' || r > '9' }); n >= 8 || n < 0 && len(m.text) >= 6 {
		return m.readCompactPrefix()
	}
	ws := words(m.text)
	switch {
	case len(ws) == 0:
		return false
	case strings.ContainsAny(m.text, "年月日号"):
		return m.readMarked(ws)
	case hasEnglish(ws):
		return m.readEnglish(ws)
	}
	return m.readSeparated(ws)
}

// readCompactPrefix reads digits that run together, whatever time of day follows.
func (m *moment) readCompactPrefix() bool {
	n := strings.IndexFunc(m.text, func(r rune) bool { return r < '0' || r > '9' })
	if n < 0 {
		n = len(m.text)
	}
	if n != 6 && n != 8 && n != 10 && n != 12 && n != 14 {
		return false
	}
	return m.digits('y', 0, 4) && m.digits('m', 4, 2) && (n < 8 || m.digits('d', 6, 2))
}

func hasEnglish(ws []word) bool {
	for _, w := range ws {
		if w.style == english {
			return true
		}
	}
	return false
}

// readMarked reads numbers that 年, 月 and 日 or 号 follow.
func (m *moment) readMarked(ws []word) bool {
	for _, w := range ws {
		rest := strings.TrimLeftFunc(m.text[w.end:], unicode.IsSpace)
		switch {
		case strings.HasPrefix(rest, "年") && m.year == 0:
			m.add('y', w.start, w.end, w.value, w.style)
			if m.year < 100 {
				m.year += 2000
			}
		case strings.HasPrefix(rest, "月") && m.month == 0:
			m.add('m', w.start, w.end, w.value, w.style)
		case (strings.HasPrefix(rest, "日") || strings.HasPrefix(rest, "号")) && m.day == 0:
			m.add('d', w.start, w.end, w.value, w.style)
		case m.month > 0 && m.day == 0 && strings.TrimSpace(w.before) == "月":
			m.add('d', w.start, w.end, w.value, w.style) // 5月17
		}
	}
	return m.year > 0 || m.month > 0
}

// readEnglish reads dates with an English month.
func (m *moment) readEnglish(ws []word) bool {
	for i, w := range ws {
		if w.style != english {
			continue
		}
		m.add('m', w.start, w.end, w.value, english)
		day, year := beside(ws, i)
		m.addWord('d', day)
		m.addWord('y', year)
		m.sort()
		return true
	}
	return false
}

// beside finds the day and the year around the month at i: the day stands before it or behind,
// the year behind the day, or before the month.
func beside(ws []word, i int) (day, year *word) {
	if i > 0 && ws[i-1].style == arabic {
		day = &ws[i-1]
	}
	for k := i + 1; k < min(i+3, len(ws)); k++ {
		switch next := &ws[k]; {
		case next.end-next.start == 4 && year == nil:
			year = next
		case day == nil && next.end-next.start <= 2 && year == nil:
			day = next
		}
	}
	if day != nil && day.value > 31 { // 2024 May 17
		day, year = nil, day
		if i+1 < len(ws) && ws[i+1].end-ws[i+1].start <= 2 {
			day = &ws[i+1]
		}
	}
	return day, year
}

func (m *moment) addWord(kind byte, w *word) {
	if w != nil {
		m.add(kind, w.start, w.end, w.value, w.style)
	}
}

// sort puts the parts in the order of the text.
func (m *moment) sort() {
	for i := 1; i < len(m.parts); i++ {
		for j := i; j > 0 && m.parts[j].start < m.parts[j-1].start; j-- {
			m.parts[j], m.parts[j-1] = m.parts[j-1], m.parts[j]
		}
	}
}

// readSeparated reads numbers with hyphens, slashes or dots between them. The year stands
// first or last; of 05/17/2024 and 17/05/2024 the number above 12 is the day, and where
// neither is the month comes first.
func (m *moment) readSeparated(ws []word) bool {
	n := 1
	for n < len(ws) && n < 3 && separates(ws[n].before) {
		n++
	}
	if n < 2 {
		if length := utf8.RuneCountInString(m.text[ws[0].start:ws[0].end]); length == 4 {
			m.addWord('y', &ws[0])
			return true
		}
		return false
	}
	kinds := m.orderOf(ws[:n])
	for i := range n {
		m.addWord(kinds[i], &ws[i])
	}
	return true
}

// orderOf tells which of two or three numbers are year, month and day.
func (m *moment) orderOf(ws []word) string {
	length := func(w word) int { return utf8.RuneCountInString(m.text[w.start:w.end]) }
	yearLast := length(ws[len(ws)-1]) == 4
	switch {
	case length(ws[0]) == 4:
		return "ymd"
	case yearLast && len(ws) == 2:
		return "my"
	case yearLast && (ws[0].value > 12 || strings.Contains(ws[1].before, ".") && ws[1].value <= 12):
		return "dmy"
	case yearLast:
		return "mdy"
	case len(ws) == 2:
		return "md"
	}
	return "ymd"
}

func separates(s string) bool {
	switch strings.TrimSpace(s) {
	case "-", "/", ".", "－", "／", "．", "—", "–", "、":
		return true
	}
	return false
}
