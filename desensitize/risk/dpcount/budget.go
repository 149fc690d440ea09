package dpcount

import (
	"fmt"
	"math"
)

// Budget is what may be asked of a table in all, and what has been. Answers add up: with k
// answers of ε and δ an attacker has kε and kδ (basic composition).
type Budget struct {
	// Table names the table, by a digest of its bytes.
	Table string `json:"table"`
	// EpsilonLimit and DeltaLimit are the most that may be spent.
	EpsilonLimit float64 `json:"epsilon_limit"`
	DeltaLimit   float64 `json:"delta_limit"`
	Spent        []Spent `json:"spent"`
}

// Spent is one answer's part of the budget.
type Spent struct {
	At      string   `json:"at"` // time, as text
	By      []string `json:"by"` // columns counted by
	Epsilon float64  `json:"epsilon"`
	Delta   float64  `json:"delta"`
}

// Total is what has been spent.
func (b *Budget) Total() (epsilon, delta float64) {
	for _, s := range b.Spent {
		epsilon, delta = epsilon+s.Epsilon, delta+s.Delta
	}
	return epsilon, delta
}

// Left is what may still be spent.
func (b *Budget) Left() (epsilon, delta float64) {
	epsilon, delta = b.Total()
	return math.Max(0, b.EpsilonLimit-epsilon), math.Max(0, b.DeltaLimit-delta)
}

// Spend records an answer, or refuses it with ErrBudget and changes nothing. The budget must
// be kept safe before the answer is shown.
func (b *Budget) Spend(s Spent) error {
	epsilon, delta := b.Left()
	if !(s.Epsilon >= 0 && s.Delta >= 0) || s.Epsilon > epsilon*(1+1e-9) || s.Delta > delta*(1+1e-9) {
		return fmt.Errorf("%w: ε = %g, δ = %g are asked, ε = %g, δ = %g are left of %g and %g", ErrBudget,
			s.Epsilon, s.Delta, epsilon, delta, b.EpsilonLimit, b.DeltaLimit)
	}
	b.Spent = append(b.Spent, s)
	return nil
}
