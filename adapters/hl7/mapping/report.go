package mapping

import (
	"cmp"
	"slices"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Unmapped is a code for which a table has no entry. Code is bounded and never anything
// that looks like a number of a person; see HiddenCode.
type Unmapped struct {
	Table string `json:"table"`
	Path  string `json:"path"`
	Code  string `json:"code"`
}

// HiddenCode stands for a code that is not shown because it is long, holds four or more
// digits, or has characters that codes do not have: it may not be a code at all.
const HiddenCode = "(not shown)"

// maxCode is the longest code that is shown, in characters.
const maxCode = 16

// presentable returns the code if it may be shown.
func presentable(code string) string {
	if utf8.RuneCountInString(code) > maxCode {
		return HiddenCode
	}
	digits := 0
	for _, r := range code {
		switch {
		case unicode.IsDigit(r):
			digits++
		case unicode.IsLetter(r), r == '-', r == '_', r == '.', r == '/', r == '+', r == '*':
		default:
			return HiddenCode
		}
	}
	if digits > 3 {
		return HiddenCode
	}
	return code
}

// maxReport bounds the different codes that a report keeps.
const maxReport = 10_000

// Report counts unmapped codes. The zero value is ready; it is safe for concurrent use.
type Report struct {
	mu     sync.Mutex
	counts map[Unmapped]int
	more   int
}

// Count is one line of a report.
type Count struct {
	Unmapped
	N int `json:"count"`
}

// Note counts a code. It has the form of Options.Unmapped.
func (r *Report) Note(u Unmapped) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[Unmapped]int{}
	}
	if _, known := r.counts[u]; !known && len(r.counts) >= maxReport {
		r.more++
		return
	}
	r.counts[u]++
}

// Counts returns what was counted, by table and path, the most frequent codes first.
func (r *Report) Counts() []Count {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Count, 0, len(r.counts))
	for u, n := range r.counts {
		out = append(out, Count{u, n})
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Path, b.Path), cmp.Compare(b.N, a.N), cmp.Compare(a.Code, b.Code))
	})
	return out
}

// Total returns how many codes were noted, those included that found no room.
func (r *Report) Total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.more
	for _, c := range r.counts {
		n += c
	}
	return n
}
