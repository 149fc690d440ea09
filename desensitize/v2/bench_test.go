package v2_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/text"
	v2 "github.com/emrbridge/emrbridge/desensitize/v2"
)

// real puts the free-text engine behind the interface, as package engine does.
type real struct{ engine *text.Engine }

func (s real) ForRecord(k *desensitize.Known) desensitize.TextReplacer {
	return &realReplacer{s.engine, s.engine.Prepare(text.Known{Names: k.Names, Relatives: k.Relatives, Staff: k.Staff, IDNumbers: k.IDNumbers,
		Phones: k.Phones, Addresses: k.Addresses, Hospitals: k.Hospitals, Employers: k.Employers, RecordNumbers: k.RecordNumbers, Dates: k.Dates})}
}

type realReplacer struct {
	engine *text.Engine
	known  *text.Known
}

func (r *realReplacer) Replace(dst []byte, s string, by func(desensitize.Found) string) []byte {
	out, _ := r.engine.Replace(dst, s, r.known, func(span text.Span, value string) string {
		return by(desensitize.Found{Type: desensitize.Type(span.Type), Value: value, Known: span.Known})
	})
	return out
}

func day() (messages [][]byte, size int64) {
	for _, m := range hospitalday.Generate(5, 20, time.Date(2024, 5, 17, 0, 0, 0, 0, time.UTC)).Messages {
		messages, size = append(messages, m.Raw), size+int64(len(m.Raw))
	}
	return messages, size
}

// BenchmarkParse is the measure: a message decoded, parsed and walked through.
func BenchmarkParse(b *testing.B) {
	messages, size := day()
	b.SetBytes(size)
	for b.Loop() {
		for _, raw := range messages {
			text, _, err := hl7.CharsetPolicy{}.Decode(raw)
			require.NoError(b, err)
			m, err := hl7.Parse(text)
			require.NoError(b, err)
			for w := m.Walk(); w.Next(); {
				_ = w.Value()
			}
		}
	}
}

func benchmark(b *testing.B, scrubber desensitize.TextScrubber) {
	policy, err := desensitize.ShippedPolicy("gbt39725-agreement")
	require.NoError(b, err)
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P1", Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(b, err)
	job, err := desensitize.NewJob(desensitize.JobConfig{Policy: policy, Project: project, Text: scrubber, AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(b, err)
	w, err := v2.New(job)
	require.NoError(b, err)
	messages, size := day()
	b.SetBytes(size)
	b.ReportAllocs()
	var report desensitize.Report
	for b.Loop() {
		for _, raw := range messages {
			_, err := w.Record(context.Background(), raw, nil, nil, &report)
			require.NoError(b, err)
		}
	}
}

// BenchmarkRecord is a whole message with its free text, BenchmarkStructure without a
// recogniser of free text.
func BenchmarkRecord(b *testing.B)    { benchmark(b, real{text.New(text.Options{})}) }
func BenchmarkStructure(b *testing.B) { benchmark(b, nil) }
