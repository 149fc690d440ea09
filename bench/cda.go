package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// cdaGroup is the group of the figures.
const cdaGroup = "CDA, one core"

// CDA measures reading clinical documents of all 53 types of WS/T 500, one core, in MB of
// UTF-8 text: the XML alone, the document, the document checked by its rules, and the
// record made of it.
func CDA(_ context.Context, r *Results, o Options) error {
	var docs [][]byte
	for _, t := range cda.Types() {
		b, err := cda.Render(cdaexample.Document(t, 7), cda.Roots{})
		if err != nil {
			return fmt.Errorf("bench: cda: %w", err)
		}
		docs = append(docs, b)
	}
	total := float64(size(docs))
	fmt.Fprintf(o.Progress, "%d clinical documents, %d KB\n", len(docs), size(docs)>>10)
	mapper := cda.NewMapper(cda.MapperConfig{})
	steps := []struct {
		name string
		work func(raw []byte) error
	}{
		{"read XML", func(raw []byte) error {
			_, err := safexml.Parse(raw, safexml.Encoding{}, safexml.Limits{})
			return err
		}},
		{"parse", func(raw []byte) error { _, err := cda.Parse(raw, cda.ReadOptions{}); return err }},
		{"parse and validate", func(raw []byte) error {
			d, err := cda.Parse(raw, cda.ReadOptions{})
			if err != nil {
				return err
			}
			return cda.Check(d, cda.Partner{})
		}},
		{"parse and map to a record", func(raw []byte) error {
			_, err := mapper.Map(cda.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "EMR", ControlID: "1", ReceivedAt: time.UnixMilli(1)})
			return err
		}},
	}
	const rounds = 5
	speeds := make([][]float64, len(steps))
	for range rounds {
		for i, s := range steps {
			took, err := perOp(o.Span/40, func() error { return each(docs, s.work) })
			if err != nil {
				return fmt.Errorf("bench: cda: %s: %w", s.name, err)
			}
			speeds[i] = append(speeds[i], total/took/1e6)
		}
	}
	for i, s := range steps {
		r.add(cdaGroup, s.name, median(speeds[i]), "MB/s", "documents of WS/T 500, 53 types")
	}
	return nil
}

func each(docs [][]byte, work func([]byte) error) error {
	for _, raw := range docs {
		if err := work(raw); err != nil {
			return err
		}
	}
	return nil
}
