package msfhir

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize"
	walker "github.com/emrbridge/emrbridge/desensitize/fhir"
)

// action is a rule at work.
type action struct {
	*rule
	w      *Walker
	effect walker.Effect
	inner  *desensitize.Rule // for the methods that a session has
}

func (w *Walker) newAction(r *rule) *action {
	a := &action{rule: r, w: w, effect: walker.Changes, inner: &desensitize.Rule{Name: r.method, Select: r.path}}
	switch r.method {
	case "keep":
		a.effect = walker.Keeps
	case "remove":
		a.effect = walker.Removes
	case "substitute":
		if r.object != nil {
			a.effect = walker.Replaces
		}
	case "encrypt":
		a.inner.Method = desensitize.Encrypt
	case "pseudonymize":
		a.inner.Method = desensitize.Pseudonymise
	case "perturb":
		a.inner.Method, a.inner.Span, a.inner.Range = desensitize.Perturb, r.span, desensitize.RangeFixed
		if r.proportional {
			a.inner.Range = desensitize.RangeProportional
		}
		a.inner.Round = &a.round
	}
	return a
}

// Effect implements walker.Action.
func (a *action) Effect() walker.Effect { return a.effect }

// Label names the rule in reports.
func (a *action) Label() string { return a.path }

// Replacement implements walker.Action.
func (a *action) Replacement() *fhir.Node { return a.object }

// Change implements walker.Action.
func (a *action) Change(c *walker.Call) (walker.Outcome, error) {
	out, err := a.change(c)
	if err == nil && out.Method != desensitize.Keep {
		c.Session.Count(desensitize.Change{Path: c.Path(), Rule: a.path, Method: out.Method, Type: c.Type})
	}
	return out, err
}

func (a *action) change(c *walker.Call) (walker.Outcome, error) {
	same := walker.Outcome{Text: c.Text, Method: desensitize.Keep}
	switch a.method {
	case "redact":
		return a.redact(c), nil
	case "dateshift":
		if !isDate(c) {
			return same, nil
		}
		return a.shift(c), nil
	case "cryptohash":
		return a.crypto(c), nil
	case "substitute":
		return walker.Outcome{Text: a.text, Removed: a.object != nil, Method: desensitize.Substitute}, nil
	case "generalize":
		return a.generalize(c)
	case "pseudonymize":
		if a.w.opt.Pseudonym != nil {
			return walker.Outcome{Text: a.w.opt.Pseudonym(a.domain, c.Text), Method: desensitize.Pseudonymise}, nil
		}
	case "perturb":
		if !numeric(c.Element.Primitive) || c.Element.Name != "value" && quantity(c.OwnerType.Name) {
			return same, nil
		}
		return a.perturb(c)
	}
	return a.apply(c)
}

// crypto hashes a value, or the id in what refers to a resource.
func (a *action) crypto(c *walker.Call) walker.Outcome {
	hash := func(s string) string { return a.cut(a.w.hash(s)) }
	name, owner := c.Element.Name, c.OwnerType.Name
	refers := name == "reference" && owner == "Reference" || name == "fullUrl" || name == "url" && strings.HasSuffix(owner, ".Request")
	if refers {
		return walker.Outcome{Text: walker.Reference(c.Text, hash), Method: desensitize.CryptoHash}
	}
	return walker.Outcome{Text: hash(c.Text), Method: desensitize.CryptoHash}
}

// apply does what a session does.
func (a *action) apply(c *walker.Call) (walker.Outcome, error) {
	r, err := c.Session.Apply(a.inner, desensitize.Value{Path: c.Path(), Type: c.Type, Text: c.Text, Layout: desensitize.ISO})
	if err != nil {
		return walker.Outcome{}, fmt.Errorf("%s: %w", c.Path(), err)
	}
	return walker.Outcome{Text: r.Text, Removed: r.Removed, Method: r.Method}, nil
}

func (a *action) perturb(c *walker.Call) (walker.Outcome, error) {
	if a.span == 0 {
		return walker.Outcome{Text: c.Text, Method: desensitize.Perturb}, nil
	}
	if c.Element.Primitive == "decimal" {
		return a.apply(c)
	}
	whole := *a
	zero := 0
	inner := *a.inner
	inner.Round, whole.inner = &zero, &inner // integers stay integers
	return whole.apply(c)
}

func (a *action) cut(s string) string {
	if a.truncate > 0 && a.truncate < len(s) {
		return s[:a.truncate]
	}
	return s
}

// hash is HMAC-SHA256 in hexadecimal digits; without a key of the configuration it is that of
// the project.
func (w *Walker) hash(s string) string {
	if w.cfg.params.cryptoHashKey == "" {
		return w.project.Hash(desensitize.OtherID, s)
	}
	h := hmac.New(sha256.New, []byte(w.cfg.params.cryptoHashKey))
	_, _ = h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil))
}

func isDate(c *walker.Call) bool {
	p := c.Element.Primitive
	return p == "date" || p == "dateTime" || p == "instant"
}

func numeric(p string) bool {
	return p == "decimal" || p == "integer" || p == "positiveInt" || p == "unsignedInt"
}

func quantity(t string) bool {
	return slices.Contains([]string{"Quantity", "SimpleQuantity", "Age", "Duration", "Count", "Distance", "Money", "MoneyQuantity"}, t)
}

// oldest is the greatest age of which something remains.
const oldest = 89

func (a *action) redact(c *walker.Call) walker.Outcome {
	p := &a.w.cfg.params
	gone := walker.Outcome{Removed: true, Method: desensitize.Redact}
	part := func(text string) walker.Outcome { return walker.Outcome{Text: text, Method: desensitize.Redact} }
	switch {
	case isDate(c) && p.partialDates && len(c.Text) >= 4:
		year := c.Text[:4]
		if t, err := time.Parse("2006", year); err != nil || a.w.opt.AsOf.Year()-t.Year() > oldest || c.Element.Primitive == "instant" {
			return gone
		}
		return part(year)
	case c.OwnerType.Name == "Age" && c.Element.Name == "value" && p.partialAges:
		if tooOld(c.Text) {
			return gone
		}
		return part(c.Text)
	case c.OwnerType.Name == "Address" && c.Element.Name == "postalCode" && p.partial:
		return part(a.postcode(c.Text))
	}
	return gone
}

func tooOld(age string) bool {
	whole, _, _ := strings.Cut(age, ".")
	return len(whole) > 2 || len(whole) == 2 && whole > "89" || strings.ContainsAny(age, "eE")
}

// postcode keeps the first three digits where enough people live in their area.
func (a *action) postcode(code string) string {
	keep := 3
	if len(code) < 3 || slices.Contains(a.w.cfg.params.restricted, code[:3]) {
		keep = 0
	}
	zero := func(r rune) rune {
		if r >= '0' && r <= '9' {
			return '0'
		}
		return '*' // of other countries' codes nothing remains either
	}
	return code[:keep] + strings.Map(zero, code[keep:])
}

// shift moves a date. What is less than a day becomes a year or goes, and times of day become
// midnight, as in the original.
func (a *action) shift(c *walker.Call) walker.Outcome {
	p := &a.w.cfg.params
	if len(c.Text) < len("2006-01-02") {
		if p.partialDates && len(c.Text) >= 4 {
			return walker.Outcome{Text: c.Text[:4], Method: desensitize.Redact}
		}
		return walker.Outcome{Removed: true, Method: desensitize.Redact}
	}
	t, err := time.Parse("2006-01-02", c.Text[:10])
	if err != nil {
		return walker.Outcome{Removed: true, Method: desensitize.Redact}
	}
	text := t.AddDate(0, 0, a.w.days(c)).Format("2006-01-02")
	if _, clock, ok := strings.Cut(c.Text, "T"); ok {
		text += "T00:00:00" + zone(clock)
	}
	return walker.Outcome{Text: text, Method: desensitize.Perturb}
}

func zone(clock string) string {
	if strings.HasSuffix(clock, "Z") {
		return "+00:00" // as the original writes it
	}
	if i := strings.LastIndexAny(clock, "+-"); i >= 0 {
		return clock[i:]
	}
	return "+00:00"
}

// shiftDays is the range of the original.
const shiftDays = 50

// days is how far the dates of a resource (or of the file or folder) move.
func (w *Walker) days(c *walker.Call) int {
	p := &w.cfg.params
	if p.fixedOffset != nil {
		return *p.fixedOffset
	}
	scope := w.opt.Scope
	if scope == "" || p.dateShiftScope == "" || p.dateShiftScope == "resource" {
		scope = c.Resource.Node.Get("resourceType").Str() + "/" + c.Resource.Node.Get("id").Str()
	}
	return w.project.Shift([]byte(p.dateShiftKey+"\x00"+scope), shiftDays)
}

// ErrProcessing reports a value that a rule could not be applied to.
var ErrProcessing = errors.New("msfhir: a rule does not fit a value")

func (a *action) generalize(c *walker.Call) (walker.Outcome, error) {
	for i, k := range a.cases {
		ok, err := k.when.Holds(c.Item, c.Resource)
		if err != nil {
			return walker.Outcome{}, fmt.Errorf("%w: %s, case %d: %w", ErrProcessing, c.Path(), i+1, err)
		}
		if !ok {
			continue
		}
		text, ok, err := k.then.Text(c.Item, c.Resource)
		if err != nil {
			return walker.Outcome{}, fmt.Errorf("%w: %s, case %d: %w", ErrProcessing, c.Path(), i+1, err)
		}
		return walker.Outcome{Text: text, Removed: !ok, Method: desensitize.Generalise}, nil
	}
	if a.keepOther {
		return walker.Outcome{Text: c.Text, Method: desensitize.Keep}, nil
	}
	return walker.Outcome{Removed: true, Method: desensitize.Generalise}, nil
}
