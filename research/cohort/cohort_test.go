package cohort_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/bridge/release/resources"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/research/cohort"
)

func config() cohort.Config {
	return cohort.Config{Seed: 1, Patients: 200, Hospitals: []string{"H1", "H2", "H3"}, Shared: 0.2, From: time.Date(2025, 1, 1, 8, 0, 0, 0, time.UTC)}
}

func TestCohort(t *testing.T) {
	c, err := cohort.Generate(config())
	require.NoError(t, err)
	again, err := cohort.Generate(config())
	require.NoError(t, err)
	assert.Equal(t, c, again)
	require.Len(t, c.Patients, 200)
	shared, numbers := 0, map[string]bool{}
	for _, p := range c.Patients {
		_, err := keystore.NormalizeResidentID(p.ResidentID)
		require.NoError(t, err)
		numbers[p.ResidentID] = true
		if len(p.Hospitals) == 2 {
			shared++
			assert.NotEqual(t, p.Hospitals[0], p.Hospitals[1])
		}
	}
	assert.Len(t, numbers, 200)
	assert.InDelta(t, 40, shared, 20)
	for _, list := range c.Messages {
		require.NotEmpty(t, list)
		for i, m := range list {
			msg, err := hl7.Parse(m.Raw)
			require.NoError(t, err)
			assert.Equal(t, string(m.Raw), string(msg.Encode()))
			if i > 0 {
				assert.False(t, m.At.Before(list[i-1].At))
			}
			got, err := resources.Read(&record.Record{MediaType: hl7.MediaType, Payload: m.Raw}, nil)
			require.NoError(t, err)
			require.NotEmpty(t, got.Region())
			if msg.Header().MessageCode == "ADT" {
				require.Equal(t, []string{c.Patients[m.Patient].Diagnosis}, got.Diagnoses())
			}
		}
	}
}

func TestRefused(t *testing.T) {
	for _, change := range []func(*cohort.Config){
		func(c *cohort.Config) { c.Patients = 0 }, func(c *cohort.Config) { c.Patients = cohort.MaxPatients + 1 },
		func(c *cohort.Config) { c.Hospitals = nil }, func(c *cohort.Config) { c.Shared = 2 },
		func(c *cohort.Config) { c.Hospitals = c.Hospitals[:1] },
	} {
		c := config()
		change(&c)
		_, err := cohort.Generate(c)
		require.ErrorIs(t, err, cohort.ErrConfig)
	}
}
