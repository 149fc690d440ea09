package engine

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/attach"
	"github.com/emrbridge/emrbridge/desensitize/text"
)

// scrubber puts the free-text engine behind the interface of the job.
type scrubber struct{ engine *text.Engine }

func (s scrubber) ForRecord(k *desensitize.Known) desensitize.TextReplacer {
	return &replacer{engine: s.engine, known: s.engine.Prepare(text.Known{
		Names: k.Names, Relatives: k.Relatives, Staff: k.Staff, IDNumbers: k.IDNumbers, Phones: k.Phones, Addresses: k.Addresses,
		Hospitals: k.Hospitals, Employers: k.Employers, RecordNumbers: k.RecordNumbers, Dates: k.Dates,
	})}
}

type replacer struct {
	engine *text.Engine
	known  *text.Known
}

func (r *replacer) Replace(dst []byte, s string, by func(desensitize.Found) string) []byte {
	out, _ := r.engine.Replace(dst, s, r.known, func(span text.Span, value string) string {
		return by(desensitize.Found{Type: desensitize.Type(span.Type), Value: value, Known: span.Known})
	})
	return out
}

// freeText de-identifies a plain text. Its patient is the one that the caller knows; a text
// of nobody known has dates shifted by itself.
func (e *Engine) freeText(ctx context.Context, data []byte, in Input, report *desensitize.Report) ([]byte, error) {
	decoded, err := attach.Decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w", ErrEncoding)
	}
	s := e.job.Session(ctx, in.Subject, in.Known, report)
	if k := in.Known; k != nil {
		for _, numbers := range [][]string{k.IDNumbers, k.RecordNumbers} {
			if len(numbers) > 0 {
				s.SetLocalSubject(numbers[0])
			}
		}
	}
	digest := sm3.Sum(data)
	s.SetLocalSubject("text:" + hex.EncodeToString(digest[:]))
	out, ok, err := s.Scrub("text", nil, decoded)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrFormat, desensitize.FreeText)
	}
	report.Records++
	return []byte(out), nil
}
