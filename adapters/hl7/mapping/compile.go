package mapping

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// program is a document made ready for use: paths parsed, tables joined to the facts that
// use them, and one set of rules for each kind, with what it inherits. It never changes.
type program struct {
	zone        *time.Location
	forms       []timeForm
	segments    map[string]int // the segments that rules name, numbered
	width       []int          // the last field of each that any rule looks at
	fields      []field
	types       map[string]record.IdentifierType
	authorities map[string]record.IdentifierType
	byBoth      map[string]record.IdentifierType // AUTHORITY^CODE
	name        *step
	birthDate   *step
	gender      *step
	kinds       []string
	known       map[string]bool   // kinds that the document names
	open        map[string]bool   // codes of which every event is known
	codes       map[string]bool   // codes of which any event is known
	rules       map[string]*rules // by kind, by code, and "*"
	merges      map[string]hl7.MergeSubject
	undo        map[string]bool
	pairs       map[string]bool // events that name both patients by PID
}

// rules are all facts of one kind.
type rules struct {
	time, author, encounter, version, replaces, confidentiality *step
	metadata                                                    []named
}

type named struct {
	name string
	*step
}

// step is one fact made ready.
type step struct {
	from  []source
	as    string
	every bool
	table *lookup
}

// lookup is a table made ready.
type lookup struct {
	name     string
	codes    map[string]string
	fallback string // for codes without an entry
	keep     bool   // codes without an entry stay as they are
}

func (l *lookup) of(code string) (string, bool) {
	if v, ok := l.codes[code]; ok {
		return v, true
	}
	if v, ok := l.codes[upper(code)]; ok {
		return v, true
	}
	if l.keep {
		return code, false
	}
	return l.fallback, false
}

// knows reports whether there are rules for a kind, or for any event of a code.
func (p *program) knows(kind string) bool {
	code, _, event := strings.Cut(kind, "^")
	if event {
		return p.known[kind] || p.open[code]
	}
	return p.codes[code]
}

// of returns the rules for a kind.
func (p *program) of(kind, code string) *rules {
	if r := p.rules[kind]; r != nil {
		return r
	}
	if r := p.rules[code]; r != nil {
		return r
	}
	return p.rules["*"]
}

// compiler makes a program and gathers faults.
type compiler struct {
	body   *body
	p      *program
	tables map[string]*lookup
	faults Faults
}

// compile checks a complete body as a whole and makes its program.
func compile(b *body) (*program, Faults) {
	c := &compiler{body: b, tables: map[string]*lookup{}, p: &program{
		segments: map[string]int{}, known: map[string]bool{}, open: map[string]bool{}, codes: map[string]bool{}, rules: map[string]*rules{},
		merges: map[string]hl7.MergeSubject{}, undo: map[string]bool{}, pairs: map[string]bool{},
		forms: b.TimeForms, types: typesOf(b.Types), authorities: typesOf(b.Authorities), byBoth: typesOf(b.AuthorityTypes),
	}}
	if b.Zone != "" {
		zone, err := time.LoadLocation(b.Zone)
		c.check(err == nil, 0, "zone", "%q is no time zone", b.Zone)
		c.p.zone = zone
	}
	c.lookups()
	c.fields()
	c.patient()
	c.events()
	c.merges()
	if len(c.faults) > 0 {
		return nil, once(c.faults)
	}
	return c.p, nil
}

// once drops the faults of inherited facts that other kinds repeat.
func once(list Faults) Faults {
	type seen struct {
		line    int
		problem string
	}
	had := map[seen]bool{}
	return slices.DeleteFunc(list, func(f Fault) bool {
		key := seen{f.Line, f.Problem}
		repeated := had[key] && f.Line > 0
		had[key] = true
		return repeated
	})
}

func (c *compiler) check(ok bool, line int, key, format string, args ...any) {
	if !ok {
		c.faults = append(c.faults, Fault{Line: line, Key: key, Problem: fmt.Sprintf(format, args...)})
	}
}

func typesOf(m map[string]*string) map[string]record.IdentifierType {
	out := make(map[string]record.IdentifierType, len(m))
	for k, v := range m {
		if v != nil {
			out[k] = record.IdentifierType(*v)
		}
	}
	return out
}

func (c *compiler) lookups() {
	for name, t := range c.body.Tables {
		if t == nil {
			continue
		}
		l := &lookup{name: name, codes: make(map[string]string, len(t.Codes)), keep: t.Unmapped == "keep" || t.Unmapped == ""}
		if fixed, ok := strings.CutPrefix(t.Unmapped, "="); ok {
			l.fallback = fixed
		}
		for code, v := range t.Codes {
			if v != nil {
				l.codes[code] = *v
			}
		}
		c.tables[name] = l
	}
}

func (c *compiler) fields() {
	c.check(len(c.body.Fields) > 0, 0, "identifiers.fields", "is missing: without it no message has a patient; extend default, or list PID-3")
	for _, f := range c.body.Fields {
		c.number(&f.source)
		c.p.fields = append(c.p.fields, f)
	}
}

// number numbers the segments that a source names.
func (c *compiler) number(src *source) {
	if !src.fixed {
		src.segment = c.segment(src.path)
	}
	if src.when != nil {
		when := *src.when // the document's own stays as it is
		when.segment = c.segment(when.path)
		src.when = &when
	}
}

// segment numbers the segment of a path.
func (c *compiler) segment(p hl7.Path) int {
	n, ok := c.p.segments[p.Segment]
	if !ok {
		n = len(c.p.segments)
		c.p.segments[p.Segment] = n
		c.p.width = append(c.p.width, 0)
	}
	c.p.width[n] = max(c.p.width[n], p.Field)
	return n
}

func (c *compiler) patient() {
	at := "patient."
	c.p.name = c.step(c.body.Patient["name"], at+"name", "name", "text")
	c.p.birthDate = c.step(c.body.Patient["birth-date"], at+"birth-date", "date", "text")
	c.p.gender = c.step(c.body.Patient["gender"], at+"gender", "text")
	c.targets(c.p.gender, at+"gender", "0", "1", "2", "9")
}

// step makes a fact ready. allowed are the forms that it may be read in; none: any.
func (c *compiler) step(f *fact, key string, allowed ...string) *step {
	if f == nil {
		return nil
	}
	c.check(len(allowed) == 0 || slices.Contains(allowed, f.As), f.line, key, "cannot be read as %s; allowed are %s", f.As, strings.Join(allowed, ", "))
	s := &step{as: f.As, every: f.Every, from: slices.Clone(f.from)}
	if f.Table != "" {
		s.table = c.tables[f.Table]
		c.check(s.table != nil, f.line, key, "there is no table %q", f.Table)
		c.check(f.As == "text", f.line, key, "a table translates text; this fact is read as %s", f.As)
	}
	for i := range s.from {
		c.number(&s.from[i])
	}
	return s
}

// targets refuses a table whose codes are not among those that the record knows.
func (c *compiler) targets(s *step, key string, allowed ...string) {
	if s == nil {
		return
	}
	if s.table == nil {
		c.check(false, 0, key, "needs a table with the codes %s", strings.Join(allowed, ", "))
		return
	}
	c.check(!s.table.keep, 0, "tables."+s.table.name, "%s needs unmapped: drop or =CODE, since a foreign code has no meaning there", key)
	bad := s.table.fallback != "" && !slices.Contains(allowed, s.table.fallback)
	for _, v := range s.table.codes {
		bad = bad || v != "" && !slices.Contains(allowed, v)
	}
	c.check(!bad, c.body.lines["tables"], "tables."+s.table.name, "%s takes only the codes %s", key, strings.Join(allowed, ", "))
}

func (c *compiler) events() {
	c.p.rules["*"] = c.rules("*", c.body.Events["*"])
	for _, kind := range slices.Sorted(maps.Keys(c.body.Events)) {
		b := c.body.Events[kind]
		if b == nil || kind == "*" {
			continue
		}
		code, _, event := strings.Cut(kind, "^")
		chain := []*block{c.body.Events["*"], c.body.Events[code]}
		if event {
			chain = append(chain, b)
			c.p.known[kind], c.p.codes[code] = true, true
			if c.p.rules[code] == nil && c.body.Events[code] == nil {
				c.p.rules[code] = c.rules(code, c.body.Events["*"])
			}
		}
		for _, e := range b.Events {
			c.p.known[code+"^"+e], c.p.codes[code] = true, true
		}
		c.p.rules[kind] = c.rules(kind, chain...)
		if !event && b.Events == nil {
			c.p.open[code], c.p.codes[code] = true, true
			c.p.kinds = append(c.p.kinds, code)
		}
	}
	c.p.kinds = append(c.p.kinds, slices.Collect(maps.Keys(c.p.known))...)
	slices.Sort(c.p.kinds)
}

// rules joins the blocks that a kind inherits from, the nearest last.
func (c *compiler) rules(kind string, chain ...*block) *rules {
	facts, metadata := map[string]*fact{}, map[string]*fact{}
	for _, b := range chain {
		if b != nil {
			maps.Copy(facts, b.Facts)
			maps.Copy(metadata, b.Metadata)
		}
	}
	at := "events." + kind + "."
	r := &rules{
		time: c.step(facts["time"], at+"time", "time"), author: c.step(facts["author"], at+"author", "staff", "name", "text"),
		encounter: c.step(facts["encounter"], at+"encounter", "text"), version: c.step(facts["version"], at+"version", "text", "time"),
		replaces: c.step(facts["replaces"], at+"replaces", "text"), confidentiality: c.step(facts["confidentiality"], at+"confidentiality", "text"),
	}
	c.targets(r.confidentiality, at+"confidentiality", string(record.Normal), string(record.Restricted), string(record.VeryRestricted))
	for name, f := range metadata {
		if f != nil {
			r.metadata = append(r.metadata, named{name, c.step(f, at+"metadata."+name)})
		}
	}
	slices.SortFunc(r.metadata, func(a, b named) int { return strings.Compare(a.name, b.name) })
	c.check(len(r.metadata) <= maxMetadata, c.body.lines["events."+kind], at+"metadata", "more than %d names", maxMetadata)
	return r
}

func (c *compiler) merges() {
	for subject, list := range c.body.Merges {
		if list == nil {
			continue
		}
		of := hl7.MergeSubject(subject)
		if subject == "link" {
			of = hl7.PatientSubject
		}
		for _, kind := range *list {
			c.p.pairs[kind] = c.p.pairs[kind] || subject == "link" || subject == "undo"
			if subject == "undo" {
				c.p.undo[kind] = true
				continue
			}
			c.check(c.p.merges[kind] == "", c.body.lines["merges"], "merges."+subject, "%s stands under two subjects", kind)
			c.p.merges[kind] = of
		}
	}
}
