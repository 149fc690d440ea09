package engine

import (
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/cda"
	"github.com/emrbridge/emrbridge/desensitize/fhir"
	"github.com/emrbridge/emrbridge/desensitize/v2"
)

// walkers makes a walker for each format that the policy has rules for.
func (e *Engine) walkers() (map[desensitize.Format]walk, error) {
	out := map[desensitize.Format]walk{}
	policy := e.config.Policy
	if _, ok := policy.Rules(desensitize.FreeText); ok {
		out[desensitize.FreeText] = e.freeText
	}
	if _, ok := policy.Rules(desensitize.HL7v2); ok {
		w, err := v2.NewWith(e.job, v2.Options{Charset: e.config.Charset, MaxMessage: e.config.MaxRecord})
		if err != nil {
			return nil, err
		}
		chinese, err := v2.NewWith(e.job, v2.Options{Charset: hl7.CharsetPolicy{Default: hl7.GB18030}, MaxMessage: e.config.MaxRecord})
		if err != nil {
			return nil, err
		}
		out[desensitize.HL7v2] = func(ctx context.Context, data []byte, in Input, r *desensitize.Report) ([]byte, error) {
			if e.config.Charset == (hl7.CharsetPolicy{}) && !utf8.Valid(data) { // MSH-18 decides; without it, what China writes
				return chinese.Record(ctx, data, in.Subject, in.Known, r)
			}
			return w.Record(ctx, data, in.Subject, in.Known, r)
		}
		e.wrapper = w.Wrapper
	}
	if _, ok := policy.Rules(desensitize.FHIR); ok {
		w, err := fhir.New(e.job)
		if err != nil {
			return nil, err
		}
		out[desensitize.FHIR] = func(ctx context.Context, data []byte, in Input, r *desensitize.Report) ([]byte, error) {
			return w.Record(ctx, data, in.Subject, in.Known, r)
		}
	}
	if _, ok := policy.Rules(desensitize.CDA); ok {
		w, err := cda.NewWith(e.job, cda.Options{})
		if err != nil {
			return nil, err
		}
		out[desensitize.CDA] = func(ctx context.Context, data []byte, in Input, r *desensitize.Report) ([]byte, error) {
			return w.Record(ctx, data, in.Subject, in.Known, r)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: policy %s", ErrFormat, policy.Name)
	}
	return out, nil
}
