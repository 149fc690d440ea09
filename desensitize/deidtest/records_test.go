package deidtest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize/deidtest"
)

// A note comes back from every format as it went in.
func TestRecordsCanBeRead(t *testing.T) {
	for _, language := range deidtest.Languages {
		for n := range deidtest.Notes(language, 4, 30) {
			m, err := hl7.Parse(n.Record("hl7v2"))
			require.NoError(t, err)
			require.Equal(t, n.Subject.Doctors[0], m.Get("PV1-7.2").Text())
			require.Equal(t, n.Text, unbreak(m.Get("OBX-5").Text()))

			_, err = fhir.Parse(n.Record("fhir"), fhir.Limits{})
			require.NoError(t, err)
			_, err = cda.Parse(n.Record("cda"), cda.ReadOptions{})
			require.NoError(t, err)
		}
	}
}

func unbreak(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '\r' {
			b[i] = '\n'
		}
	}
	return string(b)
}

func TestContextHasTheFieldsOfTheCommand(t *testing.T) {
	n := deidtest.Make("zh", 1, 1)
	raw, err := json.Marshal(n.Context("a.txt"))
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(raw, &fields))
	for _, name := range []string{"file", "patient_name", "id_number", "phone", "address", "admission_no", "outpatient_no", "relatives", "doctors", "hospital"} {
		require.NotEmpty(t, fields[name], name)
	}
	require.NotContains(t, n.Subject.LogValue().String(), n.Subject.Name)
}
