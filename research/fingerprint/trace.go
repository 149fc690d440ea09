package fingerprint

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/emmansun/gmsm/sm3"
)

// ErrLimit reports a part that is larger than Trace reads.
var ErrLimit = errors.New("fingerprint: over the limit")

// Bounds of a part.
const (
	MaxRows = 4 << 20
	MaxLine = 16 << 20 // bytes
)

// Alpha is how probable it may be, over all candidates together, that a recipient who has
// nothing to do with a part is named.
const Alpha = 1e-6

// Candidate is somebody who may have received the part.
type Candidate struct {
	Recipient string
	Key       Key
}

// Finding is what speaks for one candidate.
type Finding struct {
	Recipient string `json:"recipient"`
	// Marked of Surrogates different surrogates bear the candidate's mark.
	Surrogates int `json:"surrogates"`
	Marked     int `json:"marked"`
	// Inversions are pairs of the Rows different rows that stand the wrong way round for the
	// candidate. By chance half of all pairs do.
	Rows       int   `json:"rows"`
	Inversions int64 `json:"inversions"`
	// ByMarks and ByOrder are how probable each would be for another recipient's copy.
	ByMarks float64 `json:"by_marks"`
	ByOrder float64 `json:"by_order"`
	// Named says that the smaller of them, for all candidates together, is below Alpha.
	Named bool `json:"named"`
}

// probability is the smaller of the two, doubled because there were two ways to be small.
func (f Finding) probability() float64 { return math.Min(1, 2*math.Min(f.ByMarks, f.ByOrder)) }

// Trace reads a part of one file of a dataset, one row on each line in the order in which it
// was found, and weighs each candidate; the most suspected comes first. Column names do no
// harm. Several may be named where a part was put together from several copies.
func Trace(r io.Reader, candidates []Candidate) ([]Finding, error) {
	rows, marks, err := read(r)
	if err != nil {
		return nil, err
	}
	out := make([]Finding, 0, len(candidates))
	for _, c := range candidates {
		f := weigh(NewMarker(c.Key), rows, marks)
		f.Recipient = c.Recipient
		f.Named = f.probability()*float64(len(candidates)) < Alpha
		out = append(out, f)
	}
	slices.SortStableFunc(out, func(a, b Finding) int {
		switch pa, pb := a.probability(), b.probability(); {
		case pa < pb:
			return -1
		case pa > pb:
			return 1
		}
		return 0
	})
	return out, nil
}

// read returns the different contents of the rows, in order, and the different surrogates.
func read(r io.Reader) (rows, marks [][]byte, err error) {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 64<<10), MaxLine)
	seen, met := map[[sm3.Size]byte]bool{}, map[string]bool{}
	for in.Scan() {
		line := bytes.TrimSpace(in.Bytes())
		if len(line) == 0 {
			continue
		}
		Surrogates(line, func(s []byte) {
			if !met[string(s)] {
				met[string(s)] = true
				marks = append(marks, bytes.Clone(s))
			}
		})
		content := Content(nil, line)
		if sum := sm3.Sum(content); !seen[sum] {
			seen[sum] = true
			rows = append(rows, content)
		}
		if len(rows) > MaxRows {
			return nil, nil, fmt.Errorf("%w: more than %d rows", ErrLimit, MaxRows)
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return nil, nil, fmt.Errorf("%w: a line of more than %d bytes", ErrLimit, MaxLine)
	}
	if in.Err() != nil {
		return nil, nil, fmt.Errorf("fingerprint: read: %w", in.Err())
	}
	return rows, marks, nil
}

func weigh(m *Marker, rows, marks [][]byte) Finding {
	f := Finding{Surrogates: len(marks), Rows: len(rows)}
	for _, s := range marks {
		if m.Marked(s) {
			f.Marked++
		}
	}
	ranks := make([]uint64, len(rows))
	for i, row := range rows {
		ranks[i] = m.Rank(row)
	}
	f.Inversions = inversions(ranks, make([]uint64, len(ranks)))
	f.ByMarks = atLeast(f.Surrogates, f.Marked, 1.0/(1<<40))
	f.ByOrder = sortedness(f.Rows, f.Inversions)
	return f
}

// inversions counts pairs out of order while it sorts by merging.
func inversions(a, tmp []uint64) int64 {
	if len(a) < 2 {
		return 0
	}
	half := len(a) / 2
	n := inversions(a[:half], tmp[:half]) + inversions(a[half:], tmp[half:])
	copy(tmp, a)
	left, right := tmp[:half], tmp[half:]
	for i := range a {
		if len(right) == 0 || len(left) > 0 && left[0] <= right[0] {
			a[i], left = left[0], left[1:]
			continue
		}
		a[i], right = right[0], right[1:]
		n += int64(len(left))
	}
	return n
}

// atLeast bounds the probability of m or more hits among n, each with probability p, from
// above: the number of ways to choose m, each of them with p to the m.
func atLeast(n, m int, p float64) float64 {
	if m == 0 {
		return 1
	}
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(m + 1))
	c, _ := math.Lgamma(float64(n - m + 1))
	return math.Min(1, math.Exp(a-b-c+float64(m)*math.Log(p)))
}

// exactRows is up to how many rows the distribution of inversions is computed exactly.
const exactRows = 48

// sortedness is the probability that n rows in random order have no more than k inversions:
// Kendall's test (1938). For many rows the normal approximation with continuity correction
// serves, whose tail is the heavier one, so it accuses less.
func sortedness(n int, k int64) float64 {
	if n < 2 {
		return 1
	}
	if n <= exactRows {
		return exact(n, int(k))
	}
	nf := float64(n)
	mean, dev := nf*(nf-1)/4, math.Sqrt(nf*(nf-1)*(2*nf+5)/72)
	return math.Max(0.5*math.Erfc((mean-float64(k)-0.5)/(dev*math.Sqrt2)), math.SmallestNonzeroFloat64)
}

// exact sums the distribution of inversions of n elements up to k: that of i elements is the
// one of i-1 spread evenly over i places.
func exact(n, k int) float64 {
	dist := []float64{1}
	for i := 2; i <= n; i++ {
		next := make([]float64, len(dist)+i-1)
		for j, p := range dist {
			for s := range i {
				next[j+s] += p / float64(i)
			}
		}
		dist = next
	}
	sum := 0.0
	for _, p := range dist[:min(k+1, len(dist))] {
		sum += p
	}
	return math.Min(1, sum)
}
