package desensitize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// JobConfig sets a Job up.
type JobConfig struct {
	Policy  *Policy
	Project *Project
	// Text finds identifiers in free text; without it the method scrub redacts texts.
	Text TextScrubber
	// Attachments scrubs attached content; without it attachments are dropped.
	Attachments Attachments
	// Cipher serves the method encrypt; a policy that encrypts needs one.
	Cipher Cipher
	// AsOf is the day at which ages are counted from birth dates, usually that of the
	// release. A policy that generalises by age needs it.
	AsOf time.Time
	// Rare reports ICD-10 codes of diagnoses that are rare in the data set; the word rare in
	// the codes of a rule stands for them. Without it none is.
	Rare func(code string) bool
}

// Job is everything that the de-identification of many records has in common. It is safe
// for concurrent use.
type Job struct {
	cfg    JobConfig
	text   map[Type]*Rule
	others *Rule // of the text rules: select *
}

// ErrJob reports a job that cannot be done with what was given.
var ErrJob = errors.New("desensitize: incomplete job")

// NewJob returns a job.
func NewJob(cfg JobConfig) (*Job, error) {
	if cfg.Policy == nil || cfg.Project == nil {
		return nil, fmt.Errorf("%w: it needs a policy and a project", ErrJob)
	}
	if cfg.Policy.digest == [32]byte{} {
		return nil, fmt.Errorf("%w: the policy was not checked", ErrJob)
	}
	j := &Job{cfg: cfg, text: map[Type]*Rule{}}
	if err := cfg.covers(); err != nil {
		return nil, err
	}
	if set, ok := cfg.Policy.Rules(FreeText); ok {
		for i := range set.Rules {
			r := &set.Rules[i]
			if r.Select == "*" {
				if j.others == nil {
					j.others = r
				}
			} else if t := Type(r.Select); j.text[t] == nil && j.others == nil {
				j.text[t] = r
			}
		}
	}
	return j, nil
}

// covers reports a rule of the policy for which something is missing.
func (cfg *JobConfig) covers() error {
	for f, set := range cfg.Policy.Formats {
		for i := range set.Rules {
			r := &set.Rules[i]
			if r.Method == Encrypt && cfg.Cipher == nil {
				return fmt.Errorf("%w: policy %s encrypts (formats.%s.rules[%d]) and there is no key", ErrJob, cfg.Policy.Name, f, i)
			}
			if byAge(r.To) && cfg.AsOf.IsZero() {
				return fmt.Errorf("%w: policy %s generalises by age (formats.%s.rules[%d]) and the day to count ages at is missing", ErrJob, cfg.Policy.Name, f, i)
			}
		}
	}
	return nil
}

func byAge(to string) bool { return to == ToAge89 || to == ToAge5 || to == ToAge10 }

// Policy is the policy of the job.
func (j *Job) Policy() *Policy { return j.cfg.Policy }

// Project is the project of the job.
func (j *Job) Project() *Project { return j.cfg.Project }

// Session de-identifies one record: it knows whose record it is, what is known of the people
// in it, and counts what was done. It is used by one goroutine at a time.
type Session struct {
	job     *Job
	ctx     context.Context //nolint:containedctx // a session is one call of a walker
	subject []byte
	known   Known
	report  *Report
	shifts  map[shiftKey]int
	replace TextReplacer
	needles *needles
	err     error
}

// Session starts the de-identification of a record. subject names the patient project-wide;
// nil leaves it to the walker, which takes the first number of the patient in the record.
// known may be nil. Counts go into report.
func (j *Job) Session(ctx context.Context, subject []byte, known *Known, report *Report) *Session {
	s := &Session{job: j, ctx: ctx, subject: subject, report: report}
	s.known.Merge(known)
	return s
}

// LogValue implements slog.LogValuer.
func (s *Session) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Job is the job of the session.
func (s *Session) Job() *Job { return s.job }

// Context bounds the session.
func (s *Session) Context() context.Context { return s.ctx }

// Known is what is known of the people in the record. A walker adds to it all that the
// structured part says, before the first text is scrubbed.
func (s *Session) Known() *Known { return &s.known }

// Subject is the patient, nil while unknown.
func (s *Session) Subject() []byte { return s.subject }

// SetLocalSubject names the patient by a number of the record, if nobody named it yet. The
// same number names the same patient in all formats.
func (s *Session) SetLocalSubject(number string) {
	if s.subject == nil && number != "" {
		s.subject = []byte("local:" + Normal(number))
	}
}

// Note counts a change that a walker made itself. rule nil is the default of the format.
func (s *Session) Note(path string, rule *Rule, m Method, t Type, detail string) {
	s.report.Add(Change{Path: path, Rule: rule.Label(), Method: m, Type: t, Detail: detail})
}

// Layout says how dates are written where a value stands.
type Layout uint8

// Layouts of dates.
const (
	ISO     Layout = iota // 2024-05-17T08:30:00+08:00 and parts of it (FHIR R4 §2.24.0.1)
	Compact               // 20240517083000+0800 and parts of it (HL7 v2 §2.A.22, CDA TS)
	Prose                 // as people write
)

// Value is one value that a walker found.
type Value struct {
	Path   string // of the element, without indexes
	Type   Type
	Text   string
	Layout Layout
}

// LogValue implements slog.LogValuer.
func (v Value) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Result is what becomes of a value.
type Result struct {
	Text    string
	Removed bool   // nothing takes the value's place
	Method  Method // what was done: redact where the method does not fit the value
}

// Apply does to a value what a rule says; rule nil is the default of a release policy, redact.
// A value that does not fit the method (a date that cannot be read, an address whose city is
// not found) is redacted. The error is one of the cipher or of the context, or nil.
func (s *Session) Apply(rule *Rule, v Value) (Result, error) {
	if err := s.ctx.Err(); err != nil {
		return Result{Removed: true}, err
	}
	m := Redact
	if rule != nil {
		m = rule.Method
		if rule.Type != "" {
			v.Type = rule.Type
		}
	}
	if v.Text == "" && m != Keep {
		return Result{Method: m}, nil
	}
	out, ok, err := s.change(m, rule, v)
	if err != nil {
		return Result{Removed: true}, err
	}
	detail := ""
	if !ok {
		out, m = "", Redact
	} else if m == Generalise {
		detail = rule.To
	}
	s.Note(v.Path, rule, m, v.Type, detail)
	return Result{Text: out, Removed: !ok, Method: m}, nil
}

// change returns the new text; ok is false where nothing may stand in its place.
func (s *Session) change(m Method, rule *Rule, v Value) (out string, ok bool, err error) {
	project := s.job.cfg.Project
	switch m {
	case Keep:
		return v.Text, true, nil
	case Mask:
		return mask(v.Text, rule.First, rule.Last), true, nil
	case Pseudonymise:
		return s.pseudonym(rule, v), true, nil
	case DateShift:
		out, ok = s.shift(rule, v)
	case Generalise:
		out, ok = s.generalise(rule, v)
	case Perturb:
		out, ok = perturb(project, s.subject, rule, v)
	case Substitute:
		if rule.With != nil {
			return *rule.With, true, nil
		}
		out, ok = project.Surrogate(v.Type, v.Text), true
	case Encrypt:
		out, err = s.job.cfg.Cipher.Encrypt([]byte(v.Text))
		if err != nil {
			return "", false, fmt.Errorf("encrypt %s: %w", v.Path, err)
		}
		ok = true
	case CryptoHash:
		out, ok = cut(project.Hash(v.Type, v.Text), rule.Length), true
	case Scrub:
		return s.Scrub(v.Path, rule, v.Text)
	}
	return out, ok, nil
}

func cut(s string, n int) string {
	if n > 0 && n < len(s) {
		return s[:n]
	}
	return s
}

func (s *Session) pseudonym(rule *Rule, v Value) string {
	var p string
	if rule.Of == OfSubject && s.subject != nil {
		p = s.job.cfg.Project.SubjectPseudonym(s.subject)
	} else {
		p = s.job.cfg.Project.Pseudonym(v.Type, v.Text)
	}
	return rule.Prefix + cut(p, rule.Length)
}

// Scrub removes the identifiers from a free text. ok is false where the session has no
// scrubber and the text must go. It does not count the text itself, only what was found in it.
func (s *Session) Scrub(path string, _ *Rule, text string) (out string, ok bool, err error) {
	if s.job.cfg.Text == nil {
		return "", false, nil
	}
	if s.replace == nil {
		s.replace = s.job.cfg.Text.ForRecord(&s.known)
	}
	s.err = nil
	b := s.replace.Replace(make([]byte, 0, len(text)+len(text)/8), text, func(f Found) string { return s.found(path, f) })
	return string(b), s.err == nil, s.err
}

// Clean reports a text in which the recognisers find nothing; without a scrubber it is false
// for all texts. Nothing is counted.
func (s *Session) Clean(text string) (bool, error) {
	if err := s.ctx.Err(); err != nil || s.job.cfg.Text == nil {
		return false, err
	}
	if s.replace == nil {
		s.replace = s.job.cfg.Text.ForRecord(&s.known)
	}
	clean := true
	s.replace.Replace(nil, text, func(f Found) string {
		clean = false
		return f.Value
	})
	return clean, nil
}

// found returns what takes the place of an identifier in a text.
func (s *Session) found(path string, f Found) string {
	rule := s.job.text[f.Type]
	if rule == nil {
		rule = s.job.others
	}
	label := s.job.Label(f.Type)
	if rule == nil || rule.Method == Redact {
		s.Note(path, rule, Redact, f.Type, "text")
		return label
	}
	out, ok, err := s.change(rule.Method, rule, Value{Path: path, Type: f.Type, Text: f.Value, Layout: Prose})
	if err != nil {
		s.err = err
		return label
	}
	if !ok || out == "" {
		s.Note(path, rule, Redact, f.Type, "text")
		return label
	}
	s.Note(path, rule, rule.Method, f.Type, "text")
	return out
}

// Attachment scrubs attached content by the policy's rules for attachments. A nil Data means
// that the attachment is dropped, as it is where the policy has no rule for its media type.
func (s *Session) Attachment(path, mediaType string, data []byte) (Content, error) {
	set, _ := s.job.cfg.Policy.Rules(Attached)
	var rule *Rule
	if set != nil {
		rule = attachmentRule(set, mediaType)
	}
	m := Redact
	if rule != nil {
		m = rule.Method
	}
	out := Content{What: "dropped"}
	switch {
	case m == Keep:
		out = Content{Data: data, MediaType: mediaType, What: "kept"}
	case m == Scrub && s.job.cfg.Attachments != nil:
		var err error
		out, err = s.job.cfg.Attachments.Scrub(s.ctx, mediaType, data, func(text string) string {
			clean, _, _ := s.Scrub(path, rule, text)
			return clean
		})
		if err == nil {
			err = s.err
		}
		if err != nil {
			out = Content{What: "refused"} // what cannot be read cannot be judged
		}
		if ctxErr := s.ctx.Err(); ctxErr != nil {
			return Content{}, ctxErr
		}
	}
	if out.Data == nil {
		m = Redact
	}
	s.Note(path, rule, m, Attachment, out.What)
	return out, nil
}

// Count counts a change that a walker made itself, under the name of its rule.
func (s *Session) Count(c Change) { s.report.Add(c) }

// shiftKey is a patient and the bound of a shift in days.
type shiftKey struct {
	subject string
	days    int
}

// Under sets the patient for a part of a record that is about somebody else, and returns what
// puts the one before back.
func (s *Session) Under(subject []byte) (back func()) {
	was := s.subject
	s.subject = subject
	return func() { s.subject = was }
}

// LocalSubject names a patient by a number of a record, for Under.
func LocalSubject(number string) []byte { return []byte("local:" + Normal(number)) }
