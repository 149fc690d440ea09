package mapping

import (
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// maxValue bounds one value of the envelope, in bytes. What is longer is no name or
// number; it stays in the payload.
const maxValue = 256

// maxEvery bounds how many values of one fact are looked at.
const maxEvery = 64

// reading is one run of the rules over one message.
type reading struct {
	*Mapper
	msg    *hl7.Message
	header hl7.Header
	rec    *record.Record
	rules  *rules
	lines  []line // the first segment of each name that the rules know, by number
	unread []string
	missed []Unmapped // codes without an entry, as they stand in the message
}

// line is a segment that is taken apart when it is first asked for.
type line struct {
	segment hl7.Segment
	there   bool
	apart   bool
	fields  []hl7.Value // from field 1 on, as far as any rule looks
}

// readings are kept for reuse, without what they have read.
var readings = sync.Pool{New: func() any { return new(reading) }}

// begin prepares a reading; end gives it back. Nothing of it may be used afterwards.
func (m *Mapper) begin(msg *hl7.Message, h hl7.Header) *reading {
	g, _ := readings.Get().(*reading)
	g.Mapper, g.msg, g.header = m, msg, h
	g.lines = slices.Grow(g.lines[:0], len(m.p.segments))[:len(m.p.segments)]
	for i := range msg.NumSegments() {
		s := msg.Segment(i)
		if n, ok := m.p.segments[s.Name()]; ok && !g.lines[n].there {
			g.lines[n].segment, g.lines[n].there = s, true
		}
	}
	return g
}

func (g *reading) end() {
	for i := range g.lines {
		l := &g.lines[i]
		clear(l.fields)
		*l = line{fields: l.fields[:0]}
	}
	clear(g.missed)
	*g = reading{lines: g.lines, missed: g.missed[:0], unread: g.unread[:0]}
	readings.Put(g)
}

// field returns a field of the first segment with a number.
func (g *reading) field(number, n int) hl7.Value {
	l := &g.lines[number]
	if !l.apart {
		l.apart = true
		if l.there {
			l.fields = l.takeApart(g.p.width[number])
		}
	}
	if n > len(l.fields) {
		return hl7.Value{}
	}
	return l.fields[n-1]
}

func (l *line) takeApart(width int) []hl7.Value {
	fields := l.fields[:0]
	for c := l.segment.Cursor(); len(fields) < width && c.Next(); {
		fields = append(fields, c.Value())
	}
	return fields
}

// fieldOf returns the field that a path names.
func (g *reading) fieldOf(p *hl7.Path, number int) hl7.Value {
	if p.Occurrence <= 1 {
		return g.field(number, p.Field)
	}
	s, _ := g.msg.Find(p.Segment, p.Occurrence)
	return s.Field(p.Field)
}

// at returns the value of a path whose segment has a number.
func (g *reading) at(p *hl7.Path, number int) hl7.Value {
	v := g.fieldOf(p, number)
	if v.IsEmpty() {
		return v
	}
	return inField(v, p)
}

// inField goes from a field to the part of it that a path names.
func inField(v hl7.Value, p *hl7.Path) hl7.Value {
	if p.Repetition > 0 {
		v = v.Rep(p.Repetition)
	}
	if p.Component > 0 {
		v = v.Comp(p.Component)
	}
	if p.Subcomponent > 0 {
		v = v.Sub(p.Subcomponent)
	}
	return v
}

func (g *reading) fill() {
	r := g.rec
	g.rules = g.p.of(r.Kind, g.header.MessageCode)
	r.Metadata = make(map[string]string, 16)
	for _, n := range g.patient(g.fieldOfFirst) {
		if n.invalid {
			g.unread = append(g.unread, n.path)
		}
		r.Patient.Identifiers = append(r.Patient.Identifiers, n.Identifier)
	}
	r.Patient.Name = g.value(g.p.name)
	r.Patient.Gender = g.value(g.p.gender)
	r.Patient.BirthDate = g.value(g.p.birthDate)
	r.Encounter = g.value(g.rules.encounter)
	r.Author = g.value(g.rules.author)
	r.Version = g.value(g.rules.version)
	r.Replaces = g.value(g.rules.replaces)
	r.EventTime = g.time(g.rules.time)
	patients := g.distinctPatients()
	r.Confidentiality = g.confidentiality(patients)
	g.metadata(patients)
	g.merges()
	if len(g.unread) > 0 {
		slices.Sort(g.unread)
		g.unread = slices.Compact(g.unread)
		r.Metadata["unread"] = cut(strings.Join(g.unread, ","), 4*maxValue)
	}
	g.tell()
}

// cut shortens a list at a comma.
func cut(list string, limit int) string {
	if len(list) <= limit {
		return list
	}
	return list[:strings.LastIndexByte(list[:limit], ',')] + ",…"
}

func (g *reading) metadata(patients int) {
	for i := range g.rules.metadata {
		n := &g.rules.metadata[i]
		if v := g.value(n.step); v != "" {
			g.rec.Metadata[n.name] = v
		}
	}
	if patients > 1 {
		g.rec.Metadata["patients"] = strconv.Itoa(patients)
	}
}

// distinctPatients counts PID segments with different PID-3. Messages that merge patients
// name two on purpose and are counted too.
func (g *reading) distinctPatients() int {
	var seen [][]byte
	for i := range g.msg.NumSegments() {
		s := g.msg.Segment(i)
		if s.Name() != "PID" {
			continue
		}
		id := s.Field(3).Raw()
		if !slices.ContainsFunc(seen, func(have []byte) bool { return string(have) == string(id) }) {
			if seen = append(seen, id); len(seen) >= maxIdentifiers {
				break
			}
		}
	}
	return len(seen)
}

// confidentiality takes the strictest class of all places. A message about more than one
// patient gets the strictest there is, since a grant for one must not open the other's data.
func (g *reading) confidentiality(patients int) record.Confidentiality {
	class := record.Normal
	if s := g.rules.confidentiality; s != nil {
		for i := range s.from {
			switch g.translate(s, &s.from[i], g.text(&s.from[i])) {
			case string(record.VeryRestricted):
				class = record.VeryRestricted
			case string(record.Restricted):
				if class == record.Normal {
					class = record.Restricted
				}
			}
		}
	}
	if patients > 1 {
		class = record.VeryRestricted
	}
	return class
}

// value returns the first value that the places of a fact have, or all of them.
func (g *reading) value(s *step) string {
	switch {
	case s == nil:
		return ""
	case s.every && s.as != "count":
		return g.all(s)
	}
	before := len(g.missed)
	for i := range s.from {
		src := &s.from[i]
		if !g.holds(src.when) {
			continue
		}
		missed := len(g.missed)
		if v := g.read(s, src); v != "" {
			if len(g.missed) == missed {
				g.missed = g.missed[:before] // another place has what the table knows
			}
			return v
		}
	}
	return ""
}

// read returns the value at one place in the form of the fact.
func (g *reading) read(s *step, src *source) string {
	if src.fixed {
		return src.literal
	}
	switch s.as {
	case "count":
		return g.count(src.path.Segment)
	case "text":
		return g.translate(s, src, g.bounded(src, strings.TrimSpace(g.at(&src.path, src.segment).Text())))
	}
	return g.shaped(s.as, src, g.at(&src.path, src.segment))
}

// shaped reads a value that has parts.
func (g *reading) shaped(as string, src *source, v hl7.Value) string {
	switch as {
	case "name":
		return g.bounded(src, personName(v))
	case "staff":
		return g.bounded(src, staffName(v))
	case "date":
		return g.date(src, v)
	case "time":
		if t, ok := g.timeAt(src, v); ok {
			return t.String()
		}
	}
	return ""
}

// text returns the text at one place, "" if the place's condition does not hold.
func (g *reading) text(src *source) string {
	switch {
	case !g.holds(src.when):
		return ""
	case src.fixed:
		return src.literal
	}
	return g.bounded(src, strings.TrimSpace(g.at(&src.path, src.segment).Text()))
}

func (g *reading) holds(c *condition) bool {
	if c == nil {
		return true
	}
	v := strings.TrimSpace(g.at(&c.path, c.segment).Text())
	if len(c.values) == 0 {
		return v != ""
	}
	return slices.ContainsFunc(c.values, func(want string) bool { return strings.EqualFold(v, want) }) != c.not
}

// bounded leaves out a value that is too long and notes where it stood.
func (g *reading) bounded(src *source, v string) string {
	if len(v) > maxValue {
		g.unread = append(g.unread, src.name)
		return ""
	}
	return v
}

// translate applies the table of a fact and reports a code that it does not have.
func (g *reading) translate(s *step, src *source, code string) string {
	if code == "" || s.table == nil {
		return code
	}
	out, known := s.table.of(code)
	if !known {
		g.report(s.table.name, src.name, code)
	}
	return out
}

func (g *reading) report(table, path, code string) {
	if g.unmapped != nil {
		g.missed = append(g.missed, Unmapped{Table: table, Path: path, Code: code})
	}
}

// tell reports the codes that were missed.
func (g *reading) tell() {
	for _, u := range g.missed {
		u.Code = presentable(u.Code)
		g.unmapped(u)
	}
}

// all joins the distinct values of every segment and repetition with commas.
func (g *reading) all(s *step) string {
	var out []string
	size := 0
	for i := range s.from {
		src := &s.from[i]
		if !g.holds(src.when) {
			continue
		}
		for _, v := range g.every(src) {
			text := v.literal
			switch {
			case s.as != "text":
				text = g.shaped(s.as, src, v.value)
			case !src.fixed:
				text = g.translate(s, src, g.bounded(src, strings.TrimSpace(v.value.Text())))
			}
			if text == "" || slices.Contains(out, text) {
				continue
			}
			if size += len(text) + 1; size > maxValue {
				g.unread = append(g.unread, src.name)
				return strings.Join(out, ",")
			}
			out = append(out, text)
		}
	}
	return strings.Join(out, ",")
}

type found struct {
	value   hl7.Value
	literal string
}

// every returns the values of a place in all segments of its name and all repetitions.
func (g *reading) every(src *source) []found {
	if src.fixed {
		return []found{{literal: src.literal}}
	}
	var out []found
	part := src.path
	part.Repetition = 0
	for i := range g.msg.NumSegments() {
		s := g.msg.Segment(i)
		if s.Name() != src.path.Segment {
			continue
		}
		for c := s.Field(src.path.Field).Cursor(); c.Next() && len(out) < maxEvery; {
			out = append(out, found{value: inField(c.Value(), &part)})
		}
	}
	return out
}

func (g *reading) count(name string) string {
	n := 0
	for i := range g.msg.NumSegments() {
		if g.msg.Segment(i).Name() == name {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func (g *reading) time(s *step) record.Time {
	if s == nil {
		return record.Time{}
	}
	for i := range s.from {
		src := &s.from[i]
		if src.fixed || !g.holds(src.when) {
			continue
		}
		if t, ok := g.timeAt(src, g.at(&src.path, src.segment)); ok {
			return t
		}
	}
	return record.Time{}
}

// timeAt reads a time; a value that is none is noted as unread.
func (g *reading) timeAt(src *source, v hl7.Value) (record.Time, bool) {
	text := strings.TrimSpace(v.Comp(1).Sub(1).Text())
	if text == "" {
		return record.Time{}, false
	}
	t, err := v.Time(g.zone)
	if err != nil {
		t, err = hl7.ParseTime(g.p.inHL7(text), g.zone)
	}
	if err != nil {
		g.unread = append(g.unread, src.name)
		return record.Time{}, false
	}
	return t, true
}

// date reads a day as YYYYMMDD, or the part of it that is known.
func (g *reading) date(src *source, v hl7.Value) string {
	text := g.p.inHL7(strings.TrimSpace(v.Comp(1).Sub(1).Text()))
	if text == "" {
		return ""
	}
	if _, err := hl7.ParseTime(text, g.zone); err != nil {
		g.unread = append(g.unread, src.name)
		return ""
	}
	n := 0
	for n < min(len(text), 8) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return text[:n]
}
