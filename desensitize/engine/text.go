package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"

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
	at := 0
	for _, span := range accounts(s, r.engine.Find(s, r.known)) {
		dst = append(dst, s[at:span.Start]...)
		dst = append(dst, by(desensitize.Found{Type: desensitize.Type(span.Type), Value: s[span.Start:span.End], Known: span.Known})...)
		at = span.End
	}
	return append(dst, s[at:]...)
}

// accounts makes one span of an e-mail address of which parts were found apart, such as the
// known name in john.smith@example.org: the rest of an address tells whose it was.
func accounts(s string, spans []text.Span) []text.Span {
	if !strings.Contains(s, "@") {
		return spans
	}
	out := spans[:0]
	for _, span := range spans {
		if n := len(out); n > 0 && out[n-1].End >= span.End {
			continue // it is in the address before
		}
		start, end := mailAround(s, span.Start, span.End)
		if n := len(out); n > 0 && start < out[n-1].End {
			start = out[n-1].End
		}
		if end > span.End || start < span.Start {
			span.Start, span.End, span.Type = start, max(end, span.End), text.Email
		}
		out = append(out, span)
	}
	return out
}

// mailAround widens a span of Latin letters that touches an e-mail address to all of it.
func mailAround(s string, start, end int) (int, int) {
	from, to := start, end
	for from > 0 && mailByte(s[from-1]) {
		from--
	}
	for to < len(s) && mailByte(s[to]) {
		to++
	}
	if to-from > 320 || strings.IndexFunc(s[from:to], func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 { // RFC 5321 §4.5.3.1: 64 and 255
		return start, end
	}
	local, domain, found := strings.Cut(s[from:to], "@")
	domain = strings.TrimRight(domain, ".-_")
	if !found || local == "" || !strings.Contains(domain, ".") {
		return start, end
	}
	return from, max(end, from+len(local)+1+len(domain))
}

func mailByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("@._%+-", c) >= 0
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
