package risk

import (
	"fmt"
	"math"
	"slices"
)

// Thresholds are limits that a table must keep. A zero limit is not checked.
type Thresholds struct {
	// K is the least size of a class.
	K int `json:"k,omitempty"`
	// MaxRisk and AverageRisk limit the prosecutor's risk.
	MaxRisk     float64 `json:"max_risk,omitempty"`
	AverageRisk float64 `json:"average_risk,omitempty"`
	// L is the least number of different sensitive values in a class, EntropyL the least
	// entropy l.
	L        int     `json:"l,omitempty"`
	EntropyL float64 `json:"l_entropy,omitempty"`
	// T limits the distance of a class from the table: hierarchical where a hierarchy of the
	// sensitive column is given, ordered where its values are numbers, else equal.
	T float64 `json:"t,omitempty"`
	// Suppressed limits the share of records taken out.
	Suppressed float64 `json:"suppressed,omitempty"`
}

// Sharing models (共享类型) of GB/T 37964-2019, by the names of the project statements.
const (
	Public    = "public"    // 完全公开共享: anyone may take the data
	Agreement = "agreement" // 受控公开共享: under a data-use agreement
	Enclave   = "enclave"   // 领地公开共享: in a protected place, nothing leaves
)

// ThresholdsFor gives the limits of a sharing model. Under an agreement a group has more than
// five members (GB/T 39725-2020). The other two are this project's: publication needs 20, a
// risk of 0.05, the strictest limit in use for public data (El Emam 2013); an enclave
// needs 3, a risk of 0.33, the laxest.
func ThresholdsFor(model string) (Thresholds, error) {
	switch model {
	case Public:
		return Thresholds{K: 20, MaxRisk: 0.05}, nil
	case Agreement:
		return Thresholds{K: 6}, nil
	case Enclave:
		return Thresholds{K: 3}, nil
	}
	return Thresholds{}, fmt.Errorf("%w: no sharing model %q, there are public, agreement, enclave", ErrSchema, model)
}

// Models lists the sharing models, the strictest first.
func Models() []string { return []string{Public, Agreement, Enclave} }

// Check says what is wrong with the limits themselves, or nil.
func (th Thresholds) Check() error {
	for _, x := range []float64{th.MaxRisk, th.AverageRisk, th.T, th.Suppressed} {
		if !(x >= 0 && x <= 1) {
			return fmt.Errorf("%w: risks, t and the suppressed share lie between 0 and 1", ErrSchema)
		}
	}
	if th.K < 0 || th.L < 0 || !(th.EntropyL >= 0) {
		return fmt.Errorf("%w: k and l are not negative", ErrSchema)
	}
	return nil
}

// Least is the smallest class that k and the greatest risk allow.
func (th Thresholds) Least() int {
	k := max(th.K, 1)
	if th.MaxRisk > 0 {
		k = max(k, int(math.Ceil(1/th.MaxRisk-1e-9)))
	}
	return k
}

// Breach is a limit that a table does not keep.
type Breach struct {
	Measure string  `json:"measure"` // k, max_risk, average_risk, l, l_entropy, t, suppressed, direct
	Column  string  `json:"column,omitempty"`
	Value   float64 `json:"value"`
	Limit   float64 `json:"limit"`
}

// String says it in words for people.
func (b Breach) String() string {
	in := ""
	if b.Column != "" {
		in = fmt.Sprintf(" (%s)", b.Column)
	}
	if b.Measure == "direct" {
		return "direct identifier" + in
	}
	relation := "over"
	if b.Value < b.Limit {
		relation = "under"
	}
	return fmt.Sprintf("%s%s = %.4g is %s %.4g", b.Measure, in, b.Value, relation, b.Limit)
}

// Check lists the limits that the table does not keep, none if all are kept. A direct
// identifier breaks any limit.
func (a *Assessment) Check(th Thresholds) []Breach {
	var out []Breach
	atLeast := func(measure, column string, value, limit float64) {
		if limit > 0 && value < limit-1e-9 {
			out = append(out, Breach{measure, column, value, limit})
		}
	}
	atMost := func(measure, column string, value, limit float64) {
		if limit > 0 && value > limit+1e-9 {
			out = append(out, Breach{measure, column, value, limit})
		}
	}
	for _, d := range a.Direct {
		out = append(out, Breach{Measure: "direct", Column: d.Column})
	}
	if a.Classes > 0 { // a table with all rows taken out shows nobody
		atLeast("k", "", float64(a.K), float64(th.K))
	}
	atMost("max_risk", "", a.Prosecutor.Max, th.MaxRisk)
	atMost("average_risk", "", a.Prosecutor.Average, th.AverageRisk)
	for _, s := range a.Sensitive {
		if a.Classes > 0 {
			atLeast("l", s.Column, float64(s.Distinct), float64(th.L))
			atLeast("l_entropy", s.Column, s.Entropy, th.EntropyL)
		}
		atMost("t", s.Column, s.closeness(), th.T)
	}
	if a.Records > 0 {
		atMost("suppressed", "", float64(a.Suppressed)/float64(a.Records), th.Suppressed)
	}
	return out
}

// closeness is the distance that suits the column best.
func (s SensitiveRisk) closeness() float64 {
	switch {
	case s.HierarchicalT != nil:
		return *s.HierarchicalT
	case s.OrderedT != nil:
		return *s.OrderedT
	}
	return s.EqualT
}

// Grade is the grade of de-identification of GB/T 42460-2023, clause 4: 1 names persons
// directly; 2 has no direct identifiers but its risk is over the limit; 3 keeps the limit; 4
// is aggregated and holds no single persons, which a table of records never is.
func (a *Assessment) Grade(th Thresholds) int {
	breaches := a.Check(th)
	switch {
	case slices.ContainsFunc(breaches, func(b Breach) bool { return b.Measure == "direct" }):
		return 1
	case len(breaches) > 0:
		return 2
	}
	return 3
}
