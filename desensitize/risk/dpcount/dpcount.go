// Package dpcount counts persons by groups under differential privacy: whether any one person
// is in the table changes the chance of every answer by at most a factor e^ε, but for a part
// δ of chance (Dwork and Roth 2014). Noise and thresholds are those of
// github.com/google/differential-privacy, whose noise is drawn from the system's generator and
// is safe against the attack on floating-point numbers (Mironov 2012); of all that is under
// desensitize only this package draws random numbers, and only there.
package dpcount

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/differential-privacy/go/v3/dpagg"
	"github.com/google/differential-privacy/go/v3/noise"
)

// Errors, wrapped with the cause.
var (
	ErrOptions = errors.New("the parameters of the count do not fit")
	ErrLimit   = errors.New("the count is over a limit")
	ErrBudget  = errors.New("the privacy budget does not suffice")
)

// Noises.
const (
	Laplace  = "laplace"
	Gaussian = "gaussian"
)

// maxGroups bounds the memory of a count.
const maxGroups = 5_000_000

// Options of a count.
type Options struct {
	// Epsilon is the budget ε of the whole count, greater than 0 and at most 20.
	Epsilon float64
	// Delta is the chance δ, under 0.01; greater than 0 where the groups come from the table
	// or the noise is Gaussian, else 0.
	Delta float64
	// Groups is the largest number of groups that one person may count in, default 1. Of a
	// person in more, some are left out.
	Groups int
	// Noise is Laplace (default) or Gaussian; Gaussian is less noise where Groups is large.
	Noise string
	// Known lists all groups that are counted, whatever the table holds: then which groups
	// there are tells nothing, and groups of nobody are shown too. Where it is empty, groups
	// come from the table and small ones are left out.
	Known [][]string
}

func (o *Options) prepare() error {
	if o.Groups == 0 {
		o.Groups = 1
	}
	if o.Noise == "" {
		o.Noise = Laplace
	}
	needsDelta := len(o.Known) == 0 || o.Noise == Gaussian
	switch {
	case !(o.Epsilon > 0 && o.Epsilon <= 20):
		return fmt.Errorf("%w: epsilon is greater than 0 and at most 20", ErrOptions)
	case o.Groups < 1 || o.Groups > 1000:
		return fmt.Errorf("%w: a person counts in 1 to 1000 groups", ErrOptions)
	case o.Noise != Laplace && o.Noise != Gaussian:
		return fmt.Errorf("%w: the noise is laplace or gaussian", ErrOptions)
	case needsDelta && !(o.Delta > 0 && o.Delta < 0.01):
		return fmt.Errorf("%w: groups that come from the table, and Gaussian noise, need a delta greater than 0 and under 0.01", ErrOptions)
	case !needsDelta && o.Delta != 0:
		return fmt.Errorf("%w: Laplace noise over known groups takes no delta", ErrOptions)
	}
	return nil
}

// Counter counts. It is not safe for concurrent use.
type Counter struct {
	o        Options
	width    int
	counts   map[string]int64
	subjects map[string][]string // groups a person counts in, at most Options.Groups
	known    map[string]bool
}

// New returns a counter of groups that are tuples of width values.
func New(width int, o Options) (*Counter, error) {
	if err := o.prepare(); err != nil {
		return nil, err
	}
	if width < 1 {
		return nil, fmt.Errorf("%w: name at least one column to count by", ErrOptions)
	}
	c := &Counter{o: o, width: width, counts: map[string]int64{}, subjects: map[string][]string{}}
	if len(o.Known) > maxGroups {
		return nil, fmt.Errorf("%w: more than %d groups", ErrLimit, maxGroups)
	}
	for i, group := range o.Known {
		if len(group) != width {
			return nil, fmt.Errorf("%w: known group %d has %d values, %d are due", ErrOptions, i+1, len(group), width)
		}
		if c.known == nil {
			c.known = map[string]bool{}
		}
		c.known[key(group)] = true
	}
	return c, nil
}

// Add counts a row. subject tells whose it is; with "" the row is a person of its own, and
// only then may Groups be 1 without loss.
func (c *Counter) Add(group []string, subject string) error {
	if len(group) != c.width {
		return fmt.Errorf("%w: a row has %d values, %d are due", ErrOptions, len(group), c.width)
	}
	k := key(group)
	if c.known != nil && !c.known[k] {
		return nil
	}
	if subject == "" {
		c.counts[k]++
	} else if groups := c.subjects[subject]; !slices.Contains(groups, k) {
		c.subjects[strings.Clone(subject)] = c.bound(subject, append(groups, k))
	}
	if len(c.counts)+len(c.subjects) > 10*maxGroups {
		return fmt.Errorf("%w: more than %d groups or persons", ErrLimit, 10*maxGroups)
	}
	return nil
}

// bound leaves a person the groups that come first in an order of the person's own. The
// choice depends on nobody else's rows, so that one person still changes Groups groups only.
func (c *Counter) bound(subject string, groups []string) []string {
	if len(groups) <= c.o.Groups {
		return groups
	}
	rank := func(k string) string {
		h := sha256.Sum256([]byte(subject + "\x00" + k))
		return string(h[:])
	}
	slices.SortFunc(groups, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return groups[:c.o.Groups]
}

// Cell is a group with its noisy count. The true count lies between Low and High with a
// probability of 95 %.
type Cell struct {
	Group []string `json:"group"`
	Count int64    `json:"count"`
	Low   int64    `json:"low"`
	High  int64    `json:"high"`
}

// Result is a count and what it cost.
type Result struct {
	Cells   []Cell  `json:"cells"`
	Epsilon float64 `json:"epsilon"`
	Delta   float64 `json:"delta"`
	Noise   string  `json:"noise"`
	Groups  int     `json:"groups_per_person"`
	// Threshold is the noisy count under which a group is left out, 0 for known groups.
	Threshold int64 `json:"threshold,omitempty"`
}

// Result draws the noise. A counter gives one result: each drawing costs the budget again.
func (c *Counter) Result() (*Result, error) {
	if c.counts == nil {
		return nil, fmt.Errorf("%w: the result was drawn already", ErrOptions)
	}
	for _, groups := range c.subjects {
		for _, k := range groups {
			c.counts[k]++
		}
	}
	r := &Result{Epsilon: c.o.Epsilon, Delta: c.o.Delta, Noise: c.o.Noise, Groups: c.o.Groups}
	noiseDelta, thresholdDelta := c.deltas()
	if c.known == nil {
		t, err := c.noise().Threshold(int64(c.o.Groups), 1, c.o.Epsilon, noiseDelta, thresholdDelta)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
		r.Threshold = int64(math.Ceil(t))
	}
	for k := range c.known { // groups of nobody are drawn too
		c.counts[k] += 0
	}
	for k, n := range c.counts {
		cell, err := c.draw(n, noiseDelta, thresholdDelta)
		if err != nil {
			return nil, err
		}
		if cell != nil {
			cell.Group = unkey(k)
			r.Cells = append(r.Cells, *cell)
		}
	}
	slices.SortFunc(r.Cells, func(a, b Cell) int { return slices.Compare(a.Group, b.Group) })
	c.counts, c.subjects = nil, nil
	return r, nil
}

// deltas splits δ between the noise and the choice of groups.
func (c *Counter) deltas() (ofNoise, ofThreshold float64) {
	switch {
	case c.o.Noise == Gaussian && c.known == nil:
		return c.o.Delta / 2, c.o.Delta / 2
	case c.o.Noise == Gaussian:
		return c.o.Delta, 0
	}
	return 0, c.o.Delta
}

func (c *Counter) noise() noise.Noise {
	if c.o.Noise == Gaussian {
		return noise.Gaussian()
	}
	return noise.Laplace()
}

// draw gives the noisy count of a group, or nil for one that must not be shown.
func (c *Counter) draw(n int64, noiseDelta, thresholdDelta float64) (*Cell, error) {
	count, err := dpagg.NewCount(&dpagg.CountOptions{Epsilon: c.o.Epsilon, Delta: noiseDelta,
		MaxPartitionsContributed: int64(c.o.Groups), Noise: c.noise()})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if err := count.IncrementBy(n); err != nil {
		return nil, err
	}
	cell := &Cell{}
	if c.known != nil {
		if cell.Count, err = count.Result(); err != nil {
			return nil, err
		}
	} else {
		shown, err := count.ThresholdedResult(thresholdDelta)
		if shown == nil || err != nil {
			return nil, err
		}
		cell.Count = *shown
	}
	interval, err := count.ComputeConfidenceInterval(0.05)
	if err != nil {
		return nil, err
	}
	cell.Low, cell.High = int64(max(0, interval.LowerBound)), int64(max(0, interval.UpperBound))
	cell.Count = max(0, cell.Count)
	return cell, nil
}

func key(group []string) string {
	var b strings.Builder
	for _, v := range group {
		fmt.Fprintf(&b, "%d:%s", len(v), v)
	}
	return b.String()
}

func unkey(k string) (group []string) {
	for k != "" {
		var n int
		head, rest, _ := strings.Cut(k, ":")
		_, _ = fmt.Sscanf(head, "%d", &n) // written by key
		group, k = append(group, rest[:n]), rest[n:]
	}
	return group
}
