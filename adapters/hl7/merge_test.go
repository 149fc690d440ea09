package hl7_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

func TestMergeAsText(t *testing.T) {
	m := hl7.Merge{Event: "ADT^A40", Subject: hl7.PatientSubject, Undo: true,
		Survivor: []record.Identifier{{Authority: "H1", Type: record.LocalPatient, Value: "1"}},
		Prior:    []record.Identifier{{Type: record.MedicalNo, Value: "2"}}}
	assert.Equal(t, `{"event":"ADT^A40","subject":"patient","survivor":[{"authority":"H1","type":"local-patient","value":"1"}],`+
		`"prior":[{"type":"medical","value":"2"}],"undo":true}`, m.Encode())
	back, err := hl7.ParseMerge(m.Encode())
	require.NoError(t, err)
	assert.Equal(t, m, back)
	assert.NotContains(t, slog.AnyValue(m).Resolve().String(), "H1")
	for _, bad := range []string{"", "{}", "[", `{"event":1}`, strings.Repeat(" ", 20<<10)} {
		_, err := hl7.ParseMerge(bad)
		assert.ErrorIs(t, err, hl7.ErrMerge, bad)
	}
}
