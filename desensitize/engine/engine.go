package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/leak"
	"github.com/emrbridge/emrbridge/desensitize/text"
)

// Why nothing came out. Errors of an engine wrap one of these, a *leak.Found, an error of a
// walker or that of the context.
var (
	// ErrFormat: the policy has no rules for the format, or there is no such format.
	ErrFormat = errors.New("engine: the policy has no rules for this format")
	// ErrTooLarge: a record is larger than the limit.
	ErrTooLarge = errors.New("engine: the record is larger than the limit")
	// ErrEncoding: a text is in no charset that can be read.
	ErrEncoding = errors.New("engine: the text is neither UTF-8 nor GB 18030 nor UTF-16")
	// ErrEmpty: there was no record in the input.
	ErrEmpty = errors.New("engine: the input holds no record")
)

// Config sets an Engine up.
type Config struct {
	Policy  *desensitize.Policy  // required
	Project *desensitize.Project // required
	// Cipher serves policies that encrypt.
	Cipher desensitize.Cipher
	// AsOf is the day at which ages are counted; required by policies that generalise ages
	// of birth dates.
	AsOf time.Time
	// Rare reports diagnoses that are rare in the data set; nil: all are.
	Rare func(code string) bool
	// Images and Genomic let such attachments pass as they are.
	Images, Genomic bool
	// Text adapts the free-text engine to a hospital.
	Text text.Options
	// Charset is how HL7 v2 without MSH-18 is read; default UTF-8, and GB 18030 where the
	// bytes are not that.
	Charset hl7.CharsetPolicy
	// MaxRecord is the size limit of one record in bytes; 64 MiB if zero.
	MaxRecord int
}

// Input is what is known of a record beside its bytes. The zero Input is that of a record
// that says everything itself.
type Input struct {
	// Subject names the patient project-wide; nil: the record's first patient number does.
	Subject []byte
	// Known is what a structured header would say, for a plain text above all.
	Known *desensitize.Known
}

// LogValue implements slog.LogValuer.
func (Input) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Failure is the error of one record.
type Failure struct {
	Item int // number of the record in its input, from 1
	Err  error
}

func (f *Failure) Error() string { return fmt.Sprintf("record %d: %v", f.Item, f.Err) }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Engine de-identifies records of all formats under one policy and project.
type Engine struct {
	config Config
	job    *desensitize.Job
	gate   *leak.Gate
	walks  map[desensitize.Format]walk
	// wrapper de-identifies a segment that stands around HL7 v2 messages.
	wrapper func(ctx context.Context, segment []byte, report *desensitize.Report) ([]byte, error)
}

// walk de-identifies one record of a format.
type walk func(ctx context.Context, data []byte, in Input, report *desensitize.Report) ([]byte, error)

// New returns an engine. The error lists what is wrong with the policy or the job.
func New(c Config) (*Engine, error) {
	if c.MaxRecord <= 0 {
		c.MaxRecord = 64 << 20
	}
	e := &Engine{config: c}
	job, err := desensitize.NewJob(desensitize.JobConfig{
		Policy: c.Policy, Project: c.Project, Cipher: c.Cipher, AsOf: c.AsOf, Rare: c.Rare,
		Text: scrubber{text.New(c.Text)}, Attachments: attachments{e},
	})
	if err != nil {
		return nil, err
	}
	e.job = job
	if e.walks, err = e.walkers(); err != nil {
		return nil, err
	}
	e.gate = leak.New(leak.Config{
		Ignore: ignored(c.Policy), Dates: removesDates(c.Policy), Allow: Allowed, MaxBytes: 8 * c.MaxRecord,
		Images: c.Images || keepsImages(c.Policy), Genomic: c.Genomic,
	})
	return e, nil
}

// Formats returns the formats that the policy has rules for.
func (e *Engine) Formats() []desensitize.Format {
	var out []desensitize.Format
	for _, f := range []desensitize.Format{desensitize.HL7v2, desensitize.FHIR, desensitize.CDA, desensitize.FreeText} {
		if e.walks[f] != nil {
			out = append(out, f)
		}
	}
	return out
}

// Record de-identifies one record: an HL7 v2 message, a FHIR resource or Bundle, a CDA
// document, a text. The result has passed the leak gate. The error is a *Failure, or that of
// ctx; then there is no result.
func (e *Engine) Record(ctx context.Context, f desensitize.Format, data []byte, in Input) ([]byte, *desensitize.Report, error) {
	report := &desensitize.Report{}
	out, err := e.record(ctx, f, data, in, report)
	if ctxErr := ctx.Err(); ctxErr != nil {
		return nil, nil, ctxErr
	}
	if err != nil {
		return nil, nil, &Failure{Item: 1, Err: err}
	}
	return out, report, nil
}

// record adds to report only what was done to a record that passed.
func (e *Engine) record(ctx context.Context, f desensitize.Format, data []byte, in Input, report *desensitize.Report) ([]byte, error) {
	do := e.walks[f]
	switch {
	case do == nil:
		return nil, fmt.Errorf("%w: %s", ErrFormat, f)
	case len(data) > e.config.MaxRecord:
		return nil, ErrTooLarge
	}
	known := leak.Harvest(gateFormats[f], data)
	known.Add(GateKnown(in.Known))
	compiled := leak.Compile(known)
	for pass := 1; ; pass++ {
		done := &desensitize.Report{}
		out, err := do(withInput(ctx, in), data, in, done)
		if err != nil {
			return nil, err
		}
		more := &desensitize.Known{}
		found, err := e.gate.Examine(ctx, gateFormats[f], out, compiled, func(t leak.Type, value string) { learn(more, t, value) })
		switch {
		case err != nil:
			return nil, err
		case len(found) == 0:
			report.Merge(done)
			return out, nil
		case pass == maxPasses:
			return nil, &leak.Found{Findings: found}
		}
		more.Merge(in.Known)
		in.Known = more
	}
}

// maxPasses is how often a record is done: what the gate found the first time is known the
// second time.
const maxPasses = 3
