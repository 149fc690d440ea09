package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// fileOptions are the flags of the commands that look at files of messages.
type fileOptions struct {
	charset string
	force   bool
	asJSON  bool
}

// charsetAuto finds the charset of each message by itself where MSH-18 is empty.
const charsetAuto = "auto"

func (o *fileOptions) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.charset, "charset", charsetAuto,
		"charset of messages whose MSH-18 is empty; auto: UTF-8, or what the bytes look like · 缺省字符集")
	cmd.Flags().BoolVar(&o.force, "force-charset", false, "take --charset whatever MSH-18 says · 忽略 MSH-18")
	jsonFlag(cmd, &o.asJSON)
}

// policy returns how raw is decoded, and whether that is a guess: the charset is neither
// declared nor given.
func (o *fileOptions) policy(raw []byte) (p hl7.CharsetPolicy, guessed bool) {
	if o.charset != charsetAuto {
		cs, _ := hl7.CharsetByName(o.charset)
		return hl7.CharsetPolicy{Default: cs, Force: o.force}, false
	}
	if _, declared, err := (hl7.CharsetPolicy{}).Resolve(raw); declared || err != nil {
		return p, false
	}
	if likely, ok := hl7.DetectCharset(raw); ok && likely != hl7.ASCII && likely != hl7.UTF8 {
		return hl7.CharsetPolicy{Default: likely}, true
	}
	return p, false
}

func (o *fileOptions) check() error {
	if _, ok := hl7.CharsetByName(o.charset); !ok && o.charset != charsetAuto {
		return fmt.Errorf("charset %q is not known; use for example UTF-8, GB18030 or auto · 未知字符集", o.charset)
	}
	if o.force && o.charset == charsetAuto {
		return errors.New("--force-charset needs --charset NAME · --force-charset 须同时给出 --charset")
	}
	return nil
}

// hl7About is what the commands say of every message.
type hl7About struct {
	Line      int    `json:"line"`   // where the message begins in the file, from 1
	Offset    int    `json:"offset"` // the same in bytes
	Bytes     int    `json:"bytes"`
	Type      string `json:"type,omitempty"`
	Structure string `json:"structure,omitempty"`
	Version   string `json:"version,omitempty"`
	ControlID string `json:"control_id,omitempty"`
	Charset   string `json:"charset,omitempty"`
	// CharsetGuessed: MSH-18 is empty and the bytes are not UTF-8; an endpoint needs this
	// charset in its configuration.
	CharsetGuessed bool `json:"charset_guessed,omitempty"`
}

// hl7Opened is one message of a file, read as far as it could be.
type hl7Opened struct {
	hl7About
	raw     []byte
	text    []byte
	charset hl7.Charset
	msg     *hl7.Message
}

// open decodes and parses one message.
func (o *fileOptions) open(item hl7.Item) (*hl7Opened, error) {
	m := &hl7Opened{raw: item.Raw, hl7About: hl7About{Line: item.Line, Offset: item.Offset, Bytes: len(item.Raw)}}
	policy, guessed := o.policy(item.Raw)
	text, cs, err := policy.Decode(item.Raw)
	m.Charset, m.CharsetGuessed, m.charset, m.text = cs.String(), guessed, cs, text
	if err != nil {
		return m, err
	}
	if m.msg, err = hl7.Parse(text); err != nil {
		return m, err
	}
	h := m.msg.Header()
	m.Type, m.Structure, m.Version, m.ControlID = h.Kind(), h.Structure, h.Version, h.ControlID
	return m, nil
}

// hl7Found is what a command has found out about one message.
type hl7Found struct {
	err    error
	detail any
	note   string
}

// eachMessage calls see for every message of the files and emits what it says. What is no
// message is a verdict of its own; faults of batch wrappers are one where strict is set.
func eachMessage(cmd *cobra.Command, files []string, o *fileOptions, strict bool, see func(m *hl7Opened) hl7Found) error {
	if err := o.check(); err != nil {
		return err
	}
	return inspect(cmd, files, o.asJSON, func(ctx context.Context, _ string, data []byte, emit func(verdict, string)) {
		stream := hl7.SplitMessages(data)
		if len(stream.Messages()) == 0 && !onlyWrappers(stream) {
			emit(verdict{Error: noMessage(data).Error()}, "")
			return
		}
		item, junk := 0, 0
		for _, it := range stream.Items {
			switch it.Kind {
			case hl7.ItemJunk:
				junk++
			case hl7.ItemMessage:
				item++
				judge(emit, item, o, it, see)
			}
			if ctx.Err() != nil {
				return
			}
		}
		if problems := stream.Problems; len(problems) > 0 && (strict || junk > 0) {
			for _, p := range problems {
				emit(verdict{Error: p.Error()}, "")
			}
		} else if item == 0 {
			emit(verdict{OK: true}, "")
		}
	})
}

// judge opens one message and emits what see says of it.
func judge(emit func(verdict, string), item int, o *fileOptions, it hl7.Item, see func(m *hl7Opened) hl7Found) {
	m, err := o.open(it)
	f := hl7Found{err: err, detail: m.hl7About}
	if err == nil {
		f = see(m)
	}
	v := verdict{Item: item, OK: f.err == nil, Detail: f.detail}
	if f.err != nil {
		v.Error = f.err.Error()
	}
	emit(v, f.note)
}

// onlyWrappers reports a file of batch wrappers around nothing, which is well formed.
func onlyWrappers(s *hl7.Stream) bool {
	for _, it := range s.Items {
		if it.Kind == hl7.ItemJunk {
			return false
		}
	}
	return len(s.Items) > 0
}

// noMessage says why a file holds no message.
func noMessage(data []byte) error {
	if _, _, err := (hl7.CharsetPolicy{}).Resolve(data); err != nil {
		return err
	}
	_, err := hl7.Parse(data)
	if err == nil {
		err = errors.New("no message in the file")
	}
	return err
}

func newHL7RoundTripCommand() *cobra.Command {
	var o fileOptions
	cmd := &cobra.Command{
		Use:   "roundtrip FILE…",
		Short: "Prove that reading and writing a message changes no byte · 验证解析后编码逐字节不变",
		Long: `Decodes, parses and takes apart every message of the files, puts it together again from its
smallest parts, encodes it in its charset, and compares the bytes. A file may hold many messages,
with MLLP framing or batch wrappers or neither; "-" reads standard input.`,
		Example: "  emrbridge hl7 roundtrip --json day.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return eachMessage(cmd, files, &o, false, func(m *hl7Opened) hl7Found {
				return hl7Found{err: roundTrip(m), detail: m.hl7About}
			})
		},
	}
	o.register(cmd)
	return cmd
}

// roundTrip puts a message together again and compares it with what was read.
func roundTrip(m *hl7Opened) error {
	for _, text := range [][]byte{m.msg.Rebuild(), m.msg.Encode()} {
		if n := firstDifference(text, m.text); n >= 0 {
			return fmt.Errorf("the text differs from byte %d on after parsing and encoding", n)
		}
	}
	back, err := m.charset.Encode(m.text)
	if err != nil {
		return err
	}
	if n := firstDifference(back, m.raw); n >= 0 {
		return fmt.Errorf("byte %d: %s has two codes for this character, and the other one is written", n, m.Charset)
	}
	return nil
}

// firstDifference returns where two runs of bytes part, -1 if they are the same.
func firstDifference(a, b []byte) int {
	if bytes.Equal(a, b) {
		return -1
	}
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

func newHL7ParseCommand() *cobra.Command {
	var o fileOptions
	cmd := &cobra.Command{
		Use:   "parse FILE…",
		Short: "Show a message as a tree of its parts · 以树形显示消息各部分",
		Long: `Prints every value of every message with its path, decoded and with escapes resolved. With --json
a message is {"segments": [{"name", "offset", "fields"}]}, where fields[i] is field i+1 as a list of
repetitions, each a list of components, each a list of subcomponents. An empty field is []; null
stands for "", which asks the receiver to delete. The output holds patient data.`,
		Example: "  emrbridge hl7 parse --json adt.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return eachMessage(cmd, files, &o, false, func(m *hl7Opened) hl7Found {
				if err := drawable(m.msg); err != nil {
					return hl7Found{err: err, detail: m.hl7About}
				}
				if o.asJSON {
					return hl7Found{detail: parsed{hl7About: m.hl7About, Delimiters: delimitersOf(m.msg), Segments: treeOf(m.msg)}}
				}
				return hl7Found{note: pathsOf(m.msg)}
			})
		},
	}
	o.register(cmd)
	return cmd
}

// maxTree bounds the parts of a message that is shown as a tree, which takes many times the
// memory of the message.
const maxTree = 2_000_000

// drawable reports a message with more parts than a tree of it should have.
func drawable(m *hl7.Message) error {
	d, text, n := m.Delimiters(), m.Encode(), 0
	for _, c := range []byte{d.Field, d.Repetition, d.Component, d.Subcomponent} {
		if c != 0 {
			n += bytes.Count(text, []byte{c})
		}
	}
	if n > maxTree {
		return fmt.Errorf("the message has about %d parts; at most %d are shown as a tree · 消息过大", n, maxTree)
	}
	return nil
}

// parsed is a whole message as `hl7 parse --json` prints it.
type parsed struct {
	hl7About
	Delimiters string       `json:"delimiters"` // MSH-1 and MSH-2
	Segments   []segmentOut `json:"segments"`
}

type segmentOut struct {
	Name   string `json:"name"`
	Offset int    `json:"offset"` // in the decoded message
	// Fields by number, repetition, component and subcomponent, all from 0.
	Fields [][][][]*string `json:"fields"`
}

func delimitersOf(m *hl7.Message) string {
	d := m.Delimiters()
	return string(d.Field) + string(m.Segment(0).Field(2).Raw())
}

func treeOf(m *hl7.Message) []segmentOut {
	out := make([]segmentOut, 0, m.NumSegments())
	for _, s := range m.Segments() {
		seg := segmentOut{Name: s.Name(), Offset: s.Offset(), Fields: [][][][]*string{}}
		for _, field := range s.Fields() {
			reps := [][][]*string{}
			for _, rep := range field.Reps() {
				reps = append(reps, componentsOf(rep))
			}
			seg.Fields = append(seg.Fields, reps)
		}
		out = append(out, seg)
	}
	return out
}

func componentsOf(rep hl7.Value) [][]*string {
	comps := [][]*string{}
	for _, comp := range rep.Comps() {
		subs := []*string{}
		for _, sub := range comp.Subs() {
			subs = append(subs, textOf(sub))
		}
		comps = append(comps, subs)
	}
	return comps
}

// textOf returns the text of a value, nil for the null value.
func textOf(v hl7.Value) *string {
	if v.IsNull() {
		return nil
	}
	text := v.Text()
	return &text
}

// pathsOf lists every value with its path, one to a line.
func pathsOf(m *hl7.Message) string {
	var b strings.Builder
	seen, last := map[string]int{}, -1
	path := hl7.Path{}
	for w := m.Walk(); w.Next(); {
		if w.SegmentIndex() != last {
			last = w.SegmentIndex()
			path = hl7.Path{Segment: w.Segment().Name()}
			seen[path.Segment]++
			path.Occurrence = seen[path.Segment]
		}
		path.Field, path.Repetition, path.Component, path.Subcomponent = w.Field(), 0, w.Component(), 0
		if w.Repetition() > 1 {
			path.Repetition = w.Repetition()
		}
		if w.Subcomponent() > 1 {
			path.Subcomponent = w.Subcomponent()
		}
		fmt.Fprintf(&b, "  %s = %s\n", path, strconv.Quote(w.Value().Text()))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func newHL7ValidateCommand() *cobra.Command {
	var o fileOptions
	cmd := &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check messages against the standard · 按标准检查消息",
		Long: `Checks every message by its version and event: charset, delimiters, required header fields, the
segments that the event needs and their order, the form of dates and numbers, and the counts of
batch wrappers. Errors make the exit status 1; warnings are listed and do not.`,
		Example: "  emrbridge hl7 validate day.hl7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			return eachMessage(cmd, files, &o, true, validated)
		},
	}
	o.register(cmd)
	return cmd
}

// issueOut is a finding as `hl7 validate --json` prints it.
type issueOut struct {
	Severity hl7.Severity `json:"severity"`
	Code     int          `json:"code"` // table 0357
	Path     string       `json:"path,omitempty"`
	Offset   int          `json:"offset"` // in the decoded message
	Text     string       `json:"text"`
}

func validated(m *hl7Opened) hl7Found {
	issues := hl7.Validate(m.msg)
	if m.CharsetGuessed {
		issues = append([]hl7.Issue{{Severity: hl7.Warning, Code: hl7.CodeRequiredFieldMissing, Path: "MSH-18",
			Text: "no charset is declared and the text is not UTF-8; it reads as " + m.Charset + ": set that for the endpoint"}}, issues...)
	}
	detail := struct {
		hl7About
		Issues []issueOut `json:"issues"`
	}{hl7About: m.hl7About, Issues: []issueOut{}}
	var first *hl7.Issue
	errs := 0
	var note strings.Builder
	for _, i := range issues {
		detail.Issues = append(detail.Issues, issueOut{i.Severity, int(i.Code), i.Path, i.Offset, i.Text})
		fmt.Fprintf(&note, "  %s\n", i)
		if i.Severity == hl7.Error {
			errs++
			if first == nil {
				first = &i
			}
		}
	}
	f := hl7Found{detail: detail, note: strings.TrimSuffix(note.String(), "\n")}
	if first != nil {
		f.err = errors.New(first.String())
		if errs > 1 {
			f.err = fmt.Errorf("%s; %d errors in all", first, errs)
		}
	}
	return f
}
