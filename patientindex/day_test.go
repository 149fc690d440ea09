package patientindex_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/patientindex"
)

// A day at a hospital in its order: nothing contradicts, and whoever asks by the resident
// number of a patient finds all of that patient's tags.
func TestADayWithoutIncidents(t *testing.T) {
	c := newClinic(t)
	day := hospitalday.GenerateFor("DAY", 7, 200, time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC))
	mapper := mapping.NewMapper(nil, mapping.Options{})
	links, records := 0, 0
	for _, m := range day.Messages {
		r, err := mapper.Map(mapping.Source{Raw: m.Raw, HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: time.Now()})
		require.NoError(t, err)
		f, err := c.Observe(t.Context(), patientindex.Evidence{Record: r.ID, Event: r.Kind, Identifiers: r.Patient.Identifiers})
		require.NoError(t, err)
		assert.Empty(t, f.Incidents)
		links += len(f.Links)
		records++
	}
	t.Logf("%d records, %d links", records, links)
}
