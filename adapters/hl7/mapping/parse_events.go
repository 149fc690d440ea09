package mapping

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// eventFacts are the facts of the envelope and how they are read.
var eventFacts = map[string]string{
	"time": "time", "author": "staff", "encounter": "text", "version": "text",
	"replaces": "text", "confidentiality": "text",
}

// forms are the ways in which a value is read.
var forms = []string{"text", "time", "date", "name", "staff", "count"}

// fact reads one text, a list of them, or a set of keys.
func (r *bodyReader) fact(n *yaml.Node, key, as string) *fact {
	if isNull(n) {
		return nil
	}
	f := &fact{line: n.Line, As: as}
	from, at := n, key
	if n.Kind == yaml.MappingNode {
		from = nil
		r.object(n, key, map[string]func(*yaml.Node, string){
			"from":  func(v *yaml.Node, key string) { from, at = v, key },
			"as":    func(v *yaml.Node, key string) { f.As = r.form(v, key) },
			"table": func(v *yaml.Node, key string) { f.Table = r.text(v, key) },
			"every": func(v *yaml.Node, key string) { f.Every = r.flag(v, key) },
		})
		if from == nil {
			r.fault(n, key, "has no from")
			return f
		}
	}
	r.sources(f, from, at)
	return f
}

func (r *bodyReader) form(v *yaml.Node, key string) string {
	s := r.text(v, key)
	if !slices.Contains(forms, s) {
		r.fault(v, key, "%q is not one of %s", s, strings.Join(forms, ", "))
	}
	return s
}

func (r *bodyReader) sources(f *fact, n *yaml.Node, key string) {
	texts, at := r.list(n, key)
	switch {
	case len(texts) == 0:
		r.fault(n, key, "names no place; write ~ to take an inherited fact away")
	case len(texts) > maxSources:
		r.fault(n, key, "more than %d places", maxSources)
		return
	}
	for i, text := range texts {
		if text == "" {
			continue // the fault is noted
		}
		s, err := parseSource(text, f.As == "count")
		if err != nil {
			r.fault(at[i], key, "%v", err)
			continue
		}
		f.From, f.from = append(f.From, text), append(f.from, s)
	}
}

func (r *bodyReader) events(n *yaml.Node, key string) {
	r.b.Events = map[string]*block{}
	for _, e := range r.pairs(n, key) {
		at := join(key, e.name)
		kinds, err := expandKinds(e.name)
		if err != nil {
			r.fault(e.key, at, "%v", err)
			continue
		}
		var b *block
		if !isNull(e.val) {
			b = r.block(e.val, at, strings.Contains(e.name, "^") || e.name == "*")
		}
		for _, kind := range kinds {
			if _, twice := r.b.Events[kind]; twice {
				r.fault(e.key, at, "%s has rules twice", kind)
			}
			r.b.Events[kind], r.b.lines["events."+kind] = b, e.key.Line
		}
	}
}

func (r *bodyReader) block(n *yaml.Node, key string, event bool) *block {
	b := &block{Facts: map[string]*fact{}}
	known := map[string]func(*yaml.Node, string){
		"metadata": func(v *yaml.Node, key string) { b.Metadata = r.metadata(v, key) },
	}
	if !event {
		known["events"] = func(v *yaml.Node, key string) { b.Events = r.eventList(v, key) }
	}
	for name, as := range eventFacts {
		known[name] = func(v *yaml.Node, key string) { b.Facts[name] = r.fact(v, key, as) }
	}
	r.object(n, key, known)
	return b
}

func (r *bodyReader) metadata(n *yaml.Node, key string) map[string]*fact {
	out := map[string]*fact{}
	for _, e := range r.pairs(n, key) {
		at := join(key, e.name)
		if !metadataForm.MatchString(e.name) || reserved[e.name] {
			r.fault(e.key, at, "is no free name; names have the form %s, and %s are the mapper's own", metadataForm, names(reserved))
		}
		out[e.name] = r.fact(e.val, at, "text")
	}
	return out
}

// eventList reads the events of a message code that are known, maybe none; A01-A13 stands
// for all between.
func (r *bodyReader) eventList(n *yaml.Node, key string) []string {
	texts, at := r.list(n, key)
	var out []string
	for i, t := range texts {
		list, err := expandRange(t)
		if err != nil {
			r.fault(at[i], key, "%v", err)
		}
		out = append(out, list...)
	}
	slices.Sort(out)
	return append([]string{}, slices.Compact(out)...)
}

// expandKinds reads "*", "ADT", "ADT^A01" or "MDM^T09,T10".
func expandKinds(s string) ([]string, error) {
	if s == "*" {
		return []string{s}, nil
	}
	code, events, hasEvent := strings.Cut(s, "^")
	if !codeForm.MatchString(code) {
		return nil, fmt.Errorf("%q is no message code; write ADT, ADT^A01, MDM^T09,T10 or *", code)
	}
	if !hasEvent {
		return []string{code}, nil
	}
	var out []string
	for _, part := range strings.Split(events, ",") {
		list, err := expandRange(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		for _, event := range list {
			out = append(out, code+"^"+event)
		}
	}
	return out, nil
}

// expandRange reads "A01" or "A01-A13".
func expandRange(s string) ([]string, error) {
	first, last, ranged := strings.Cut(s, "-")
	if !codeForm.MatchString(first) || ranged && !codeForm.MatchString(last) {
		return nil, fmt.Errorf("%q is no event; write A01 or A01-A13", s)
	}
	if !ranged {
		return []string{s}, nil
	}
	low, errLow := strconv.Atoi(first[1:])
	high, errHigh := strconv.Atoi(last[1:])
	if errLow != nil || errHigh != nil || first[0] != last[0] || low > high {
		return nil, fmt.Errorf("%q is no range of events; write A01-A13", s)
	}
	var out []string
	for n := low; n <= high; n++ {
		out = append(out, fmt.Sprintf("%c%02d", first[0], n))
	}
	return out, nil
}

// mergeSubjects are the keys of merges.
var mergeSubjects = []string{"patient", "link", "move", "account", "visit", "undo"}

func (r *bodyReader) merges(n *yaml.Node, key string) {
	r.b.Merges = map[string]*[]string{}
	known := map[string]func(*yaml.Node, string){}
	for _, subject := range mergeSubjects {
		known[subject] = func(v *yaml.Node, key string) {
			if isNull(v) {
				r.b.Merges[subject] = nil
				return
			}
			list := []string{}
			texts, at := r.list(v, key)
			for i, t := range texts {
				kinds, err := expandKinds(t)
				if err != nil || !strings.Contains(t, "^") {
					r.fault(at[i], key, "%q is no event; write it as ADT^A40", t)
				}
				list = append(list, kinds...)
			}
			r.b.Merges[subject] = &list
		}
	}
	r.object(n, key, known)
}
