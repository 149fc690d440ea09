package desensitize

import (
	"cmp"
	"encoding/json"
	"slices"
)

// Change is one kind of change that was made: where, by which rule, how, to what, how often.
// It never holds a value. Paths have no indexes: Patient.name.family, PID-5.1,
// recordTarget/patientRole/addr.
type Change struct {
	Path   string `json:"path"`
	Rule   string `json:"rule"` // name of the rule in the policy, or "default"
	Method Method `json:"method"`
	Type   Type   `json:"type,omitempty"`
	// Detail says more: the generalisation, what became of an attachment.
	Detail string `json:"detail,omitempty"`
}

// DefaultRule is the rule of a change that no rule of the policy asked for.
const DefaultRule = "default"

// Report says what was done to one record or many. The zero Report is empty. It is not safe
// for concurrent use; reports of several goroutines are merged.
type Report struct {
	Records int                  // de-identified records
	counts  map[string][]Counted // by path, in the order in which they came
}

// Counted is a change with how often it was made.
type Counted struct {
	Change
	Count int `json:"count"`
}

// Add counts a change.
func (r *Report) Add(c Change) { r.AddN(c, 1) }

// AddN counts a change n times.
func (r *Report) AddN(c Change, n int) {
	list := r.counts[c.Path]
	for i := range list {
		if list[i].Change == c {
			list[i].Count += n
			return
		}
	}
	if r.counts == nil {
		r.counts = map[string][]Counted{}
	}
	r.counts[c.Path] = append(list, Counted{c, n})
}

// Merge adds what another report counted.
func (r *Report) Merge(other *Report) {
	if other == nil {
		return
	}
	r.Records += other.Records
	for _, list := range other.counts {
		for _, c := range list {
			r.AddN(c.Change, c.Count)
		}
	}
}

// Changes returns what was done, sorted by path, rule, method, type and detail.
func (r *Report) Changes() []Counted {
	out := make([]Counted, 0, len(r.counts))
	for _, list := range r.counts {
		out = append(out, list...)
	}
	slices.SortFunc(out, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Method, b.Method),
			cmp.Compare(a.Type, b.Type), cmp.Compare(a.Detail, b.Detail))
	})
	return out
}

// Methods returns how many values each method changed or kept.
func (r *Report) Methods() map[Method]int {
	out := map[Method]int{}
	for _, list := range r.counts {
		for _, c := range list {
			out[c.Method] += c.Count
		}
	}
	return out
}

// Types returns how many values of each type were changed, kept ones apart.
func (r *Report) Types() map[Type]int {
	out := map[Type]int{}
	for _, list := range r.counts {
		for _, c := range list {
			if c.Method != Keep && c.Type != "" {
				out[c.Type] += c.Count
			}
		}
	}
	return out
}

// MarshalJSON implements json.Marshaler; the bytes depend on what was done alone.
func (r *Report) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Records int            `json:"records"`
		Methods map[Method]int `json:"methods"`
		Changes []Counted      `json:"changes"`
	}{r.Records, r.Methods(), r.Changes()})
}
