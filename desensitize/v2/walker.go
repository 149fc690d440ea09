package v2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// Errors of a walker, for errors.Is.
var (
	// ErrPolicy reports a policy that has no rules for HL7 v2 or wrong selectors in them.
	ErrPolicy = errors.New("v2: unusable policy")
	// ErrInput reports input that is no HL7 v2 message, or more than the limits allow.
	ErrInput = errors.New("v2: unusable message")
	// ErrOutput reports a result that is no message any more; nothing is returned then.
	ErrOutput = errors.New("v2: the result is not a message")
)

// DefaultMaxMessage is the size limit of one message in bytes.
const DefaultMaxMessage = 64 << 20

// Options of a walker. The zero value serves.
type Options struct {
	// Charset is how messages without MSH-18 are read; default UTF-8.
	Charset hl7.CharsetPolicy
	// MaxMessage is the size limit of one message in bytes; default DefaultMaxMessage.
	MaxMessage int
}

// Walker de-identifies messages under the policy of a job. It is safe for concurrent use.
type Walker struct {
	job     *desensitize.Job
	opts    Options
	planner planner
	initial desensitize.Method
	runs    sync.Pool
}

// New returns a walker with default options. The error matches ErrPolicy and lists all faults
// of the rules.
func New(job *desensitize.Job) (*Walker, error) { return NewWith(job, Options{}) }

// NewWith is New with options.
func NewWith(job *desensitize.Job, opts Options) (*Walker, error) {
	set, ok := job.Policy().Rules(desensitize.HL7v2)
	if !ok {
		return nil, fmt.Errorf("%w: policy %s has no rules for %s", ErrPolicy, job.Policy().Name, desensitize.HL7v2)
	}
	rules, faults := compile(set)
	if len(faults) > 0 {
		return nil, fmt.Errorf("%w: %s: %s", ErrPolicy, job.Policy().Name, strings.Join(faults, "; "))
	}
	if opts.MaxMessage <= 0 {
		opts.MaxMessage = DefaultMaxMessage
	}
	w := &Walker{job: job, opts: opts, initial: set.Default}
	w.planner.rules = rules
	w.runs.New = func() any {
		return &run{w: w, tally: map[tallied]int{}, seen: map[cached]desensitize.Result{}, moved: map[cached]desensitize.Result{}}
	}
	return w, nil
}

// Record de-identifies one message in its own charset. subject names the patient
// project-wide, nil if the message's first patient number is to do it; known, which may be
// nil, is what is known beside the message. What was done is counted in report.
//
// Errors match ErrInput, ErrOutput or are those of the job's cipher and of ctx. They name
// places and never values.
func (w *Walker) Record(ctx context.Context, raw, subject []byte, known *desensitize.Known, report *desensitize.Report) ([]byte, error) {
	if len(raw) > w.opts.MaxMessage {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrInput, w.opts.MaxMessage)
	}
	text, cs, err := w.opts.Charset.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	m, err := hl7.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	r, _ := w.runs.Get().(*run)
	defer r.release()
	r.begin(ctx, m, text, subject, known, report)
	if err := r.message(m); err != nil {
		return nil, err
	}
	out, err := finish(r.out, raw, cs)
	if err != nil {
		return nil, err
	}
	r.flush()
	report.Records++
	return out, nil
}

// finish brings the result into a charset and makes sure that it is a message.
func finish(text, raw []byte, cs hl7.Charset) ([]byte, error) {
	if _, err := hl7.Parse(text); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	out, err := cs.Encode(text)
	if err == nil && (isASCII(text) || !isASCII(raw)) {
		return bytes.Clone(out), nil
	}
	out = declareUTF8(text) // the text has characters that the message did not announce
	if _, err := hl7.Parse(out); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOutput, err)
	}
	return out, nil
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// declareUTF8 puts the name of UTF-8 into MSH-18 (table 0211).
func declareUTF8(text []byte) []byte {
	start := bytes.Index(text, []byte("MSH"))
	end := start
	for end < len(text) && text[end] != '\r' && text[end] != '\n' {
		end++
	}
	sep := text[start+3 : start+4]
	fields := bytes.Split(text[start:end], sep)
	for len(fields) < 18 { // fields[17] is MSH-18
		fields = append(fields, nil)
	}
	fields[17] = []byte(hl7.UTF8.String())
	line := bytes.Join(fields, sep)
	out := make([]byte, 0, len(text)+len(line))
	out = append(out, text[:start]...)
	out = append(out, line...)
	return append(out, text[end:]...)
}

// run is the de-identification of one message. Runs are used again.
type run struct {
	w       *Walker
	session *desensitize.Session
	report  *desensitize.Report
	d       hl7.Delimiters
	text    []byte // of the message
	segment []byte // the line at hand
	out     []byte
	people  guard.People // their numbers and names, as tokens
	tally   map[tallied]int
	seen    map[cached]desensitize.Result // changes that are the same for every patient
	moved   map[cached]desensitize.Result // changes that are the same within the message
	news    []string                      // new texts of parts
	lines   map[int]scrubbed              // texts of segments that were scrubbed together, by segment
	index   int                           // of the segment at hand
	// typeCode is CX.5 of the value at hand.
	typeCode string
	// terminology is the kind of the code system of the code at hand.
	terminology guard.Terminology
	err         error
}

// tallied counts what was done without the session.
type tallied struct {
	node   *node
	rule   *desensitize.Rule
	method desensitize.Method
	typ    desensitize.Type // "" for what the node means
}

func (r *run) begin(ctx context.Context, m *hl7.Message, text, subject []byte, known *desensitize.Known, report *desensitize.Report) {
	r.session, r.report = r.w.job.Session(ctx, subject, known, report), report
	r.d, r.text, r.out, r.err = m.Delimiters(), text, r.out[:0], nil
	r.lines = nil
	r.collect(m)
	r.people = guard.PeopleOf(r.session.Known())
}

// release clears what the run knows of a message.
func (r *run) release() {
	clear(r.out)
	clear(r.tally)
	clear(r.moved)
	clear(r.news)
	r.news = r.news[:0]
	r.session, r.report, r.text, r.segment, r.people, r.lines = nil, nil, nil, nil, nil, nil
	if len(r.seen) > maxCached {
		clear(r.seen)
	}
	r.w.runs.Put(r)
}

func (r *run) flush() {
	for t, n := range r.tally {
		if t.typ == "" {
			t.typ = t.node.meaning
		}
		r.report.AddN(desensitize.Change{Path: t.node.path, Rule: t.rule.Label(), Method: t.method, Type: t.typ}, n)
	}
}

func (r *run) note(n *node, rule *desensitize.Rule, m desensitize.Method) {
	r.tally[tallied{n, rule, m, ""}]++
}

// message goes through the segments.
func (r *run) message(m *hl7.Message) error {
	r.scrubTogether(m)
	r.out = append(r.out, r.text[:m.Segment(0).Offset()]...)
	for i, s := range m.Segments() {
		if err := r.session.Context().Err(); err != nil {
			return err
		}
		next := len(r.text)
		if i+1 < m.NumSegments() {
			next = m.Segment(i + 1).Offset()
		}
		r.index = i
		raw := s.Raw()
		if r.line(raw) {
			r.out = append(r.out, r.text[s.Offset()+len(raw):next]...)
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// line writes what becomes of one segment. It reports whether anything of it is left: a
// segment of which nothing stays goes with its name.
func (r *run) line(raw []byte) bool {
	p := r.w.planner.plan(raw[:3])
	r.segment = raw
	start := len(r.out)
	r.out = append(r.out, raw[:3]...)
	rest, number := raw[3:], 0
	if declares(p.name) && len(rest) > 0 {
		rest, number = r.declaration(p.name, rest), 2
	}
	had, filled := number > 0, number > 0
	for len(rest) > 0 {
		number++
		field := rest[1:]
		end := bytes.IndexByte(field, r.d.Field)
		if end < 0 {
			end = len(field)
		}
		r.out = append(r.out, r.d.Field)
		before := len(r.out)
		if end > 0 {
			had = true
			n := p.extra
			if number <= len(p.fields) {
				n = p.fields[number-1]
			}
			r.field(p, n, field[:end])
		}
		filled = filled || len(r.out) > before
		rest = field[end:]
	}
	if had && !filled {
		r.out = r.out[:start]
		return false
	}
	return true
}

// declares reports a segment whose first fields are the delimiters.
func declares(name string) bool { return name == "MSH" || name == "FHS" || name == "BHS" }

// declaration writes the first two fields of a header segment and returns what follows them.
func (r *run) declaration(name string, rest []byte) []byte {
	end := 1
	for end < len(rest) && rest[end] != r.d.Field {
		end++
	}
	if name == "MSH" || delimiters(rest[1:end]) {
		r.out = append(r.out, rest[:end]...)
	} else {
		r.out = append(append(r.out, r.d.Field), r.d.EncodingCharacters()...)
	}
	return rest[end:]
}

// delimiters reports what may be the encoding characters of a header segment.
func delimiters(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return false
		}
	}
	return len(b) <= 5
}

// field writes what becomes of a field, repetition by repetition.
func (r *run) field(p *plan, n *node, raw []byte) {
	if n.varying {
		n = r.variation(p, n)
	}
	if line, ok := r.lines[r.index]; ok && n.path == line.path {
		r.together(n, raw, line)
		return
	}
	if r.d.Repetition == 0 || bytes.IndexByte(raw, r.d.Repetition) < 0 {
		r.value(n, raw, nil)
		return
	}
	start := len(r.out)
	for more := true; more; {
		rep := raw
		end := bytes.IndexByte(raw, r.d.Repetition)
		if more = end >= 0; more {
			rep, raw = raw[:end], raw[end+1:]
		}
		r.value(n, rep, nil)
		if more {
			r.out = append(r.out, r.d.Repetition)
		}
	}
	if len(bytes.Trim(r.out[start:], string(r.d.Repetition))) == 0 { // nothing but separators is left
		r.out = r.out[:start]
	}
}

// variation is the node of OBX-5 for the type that OBX-2 names.
func (r *run) variation(p *plan, n *node) *node {
	typ := r.fieldOf(r.segment, 2)
	return r.w.planner.variation(p, n, string(typ))
}

// fieldOf returns a field of a line that is no header segment.
func (r *run) fieldOf(line []byte, number int) []byte {
	for range number {
		i := bytes.IndexByte(line, r.d.Field)
		if i < 0 {
			return nil
		}
		line = line[i+1:]
	}
	if i := bytes.IndexByte(line, r.d.Field); i >= 0 {
		line = line[:i]
	}
	return line
}

// Batch de-identifies a file of messages: one after another, in MLLP frames or not, inside
// FHS/BHS/BTS/FTS wrappers or not. Messages are parted by their own line ends; framing bytes
// and lines that belong to no message are left out.
func (w *Walker) Batch(ctx context.Context, data, subject []byte, known *desensitize.Known, report *desensitize.Report) ([]byte, error) {
	stream := hl7.SplitMessages(data)
	var out []byte
	for _, it := range stream.Items {
		var part []byte
		var err error
		switch it.Kind {
		case hl7.ItemJunk:
			report.Add(desensitize.Change{Path: "file", Rule: desensitize.DefaultRule, Method: desensitize.Redact, Detail: "bytes of no message"})
			continue
		case hl7.ItemMessage:
			part, err = w.Record(ctx, it.Raw, subject, known, report)
		default:
			part, err = w.Wrapper(ctx, it.Raw, report)
		}
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", it.Offset, err)
		}
		out = append(out, part...)
		if len(part) > 0 && part[len(part)-1] != '\r' && part[len(part)-1] != '\n' {
			out = append(out, '\r')
		}
	}
	return out, nil
}

// wrappers are the segments that stand around messages (HL7 v2 chapter 2, §2.10.3).
var wrappers = map[string]bool{"FHS": true, "BHS": true, "BTS": true, "FTS": true}

// Wrapper de-identifies a segment that stands outside messages: FHS, BHS, BTS or FTS.
func (w *Walker) Wrapper(ctx context.Context, raw []byte, report *desensitize.Report) ([]byte, error) {
	text, cs, err := w.opts.Charset.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	line := bytes.TrimRight(text, "\r\n")
	if len(line) < 3 || !wrappers[string(line[:3])] {
		return nil, fmt.Errorf("%w: not a segment around messages", ErrInput)
	}
	if len(line) == 3 {
		return bytes.Clone(raw), nil
	}
	m, err := hl7.Parse(headerFor(line))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	r, _ := w.runs.Get().(*run)
	defer r.release()
	r.begin(ctx, m, text, nil, nil, report)
	r.line(line)
	if r.err != nil {
		return nil, r.err
	}
	r.flush()
	out, err := cs.Encode(r.out)
	if err != nil {
		out = r.out
	}
	return bytes.Clone(out), nil
}

// headerFor makes a message whose header declares the delimiters of a line: its own where the
// line declares some, else the usual ones with its field separator.
func headerFor(line []byte) []byte {
	end := 4
	for end < len(line) && line[end] != line[3] {
		end++
	}
	if line[0] != 'B' && line[0] != 'F' || string(line[1:3]) == "TS" || end == 4 {
		return append([]byte("MSH"), line[3], '^', '~', '\\', '&', line[3])
	}
	return append(append([]byte("MSH"), line[3:end]...), line[3])
}
