package hl7_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// place is one part of a message that is not empty, and where it stands.
type place struct {
	seg, field, rep, comp, sub, offset int
	text                               string
}

func walked(m *hl7.Message) (out []place) {
	for w := m.Walk(); w.Next(); {
		out = append(out, place{w.SegmentIndex(), w.Field(), w.Repetition(), w.Component(), w.Subcomponent(),
			w.Value().Offset(), w.Value().Text()})
	}
	return out
}

func nested(m *hl7.Message) (out []place) {
	for i, s := range m.Segments() {
		for f, field := range s.Fields() {
			for r, rep := range field.Reps() {
				for c, comp := range rep.Comps() {
					for n, sub := range comp.Subs() {
						if !sub.IsEmpty() {
							out = append(out, place{i, f, r, c, n, sub.Offset(), sub.Text()})
						}
					}
				}
			}
		}
	}
	return out
}

func TestWalkVisitsEveryPart(t *testing.T) {
	for _, text := range []string{adt, "MSH|^~\\&|", "MSH|^|A^B&C~D\rPID\rPV1|\rZ99||a~b^c&d\\T\\|~^&|x",
		"MSH@~#!$@A~B\rBHS@~#!$@X#Y\rFHS\rFHS@\r"} {
		m, err := hl7.Parse([]byte(text))
		require.NoError(t, err)
		assert.Equal(t, nested(m), walked(m), text)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		text, _ := randomMessage(r)
		m, err := hl7.Parse(text)
		require.NoError(t, err)
		require.Equal(t, nested(m), walked(m), "%q", text)
	}
}

func TestWalkerNamesItsSegment(t *testing.T) {
	m, err := hl7.Parse([]byte(adt))
	require.NoError(t, err)
	for w := m.Walk(); w.Next(); {
		if string(w.Raw()) == "测" {
			assert.True(t, w.Segment().Is("PID"))
			return
		}
	}
	t.Fatal("PID-5.1 was not visited")
}
