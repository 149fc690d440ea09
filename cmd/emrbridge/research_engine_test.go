package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/deidtest"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/research/cohort"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// projectEngine builds the de-identification of a release as the running bridge does.
func projectEngine(t *testing.T, policy string) release.Deidentifier {
	t.Helper()
	p, err := desensitize.ShippedPolicy(policy)
	require.NoError(t, err)
	s := &site{provider: smcrypto.Default(), config: &config.Config{}}
	d, err := s.deidentifier(release.Project{ID: "INST1.P1", Institute: "INST1", Policy: p.Digest()}, [32]byte{1})
	require.NoError(t, err)
	require.NoError(t, d.Prepare(func(string) bool { return false }))
	return d
}

// TestReleasesOfEveryFormat takes records of all formats through the policies that may be
// released under, and looks for what must not be there.
func TestReleasesOfEveryFormat(t *testing.T) {
	c, err := cohort.Generate(cohort.Config{Seed: 3, Patients: 8, Hospitals: []string{"H1"}, From: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	for _, policy := range []string{"gbt39725-agreement", "gbt39725-public"} {
		d := projectEngine(t, policy)
		name, digest := d.Policy()
		assert.Equal(t, policy, name)
		assert.False(t, digest.IsZero())
		for _, m := range c.Messages[0] {
			p := c.Patients[m.Patient]
			r := &record.Record{ID: record.ID{1}, MediaType: mediaHL7, Charset: "UNICODE UTF-8", Payload: m.Raw, Kind: "ORU^R01"}
			facts, err := d.Facts(t.Context(), r)
			require.NoError(t, err)
			assert.Contains(t, facts.Region, "市")
			list, err := d.Deidentify(t.Context(), r, release.Subject{Key: [32]byte{byte(m.Patient)}})
			require.NoError(t, err, policy)
			require.NotEmpty(t, list)
			all := bytes.Join(rawBytes(list), nil)
			for _, secret := range []string{p.ResidentID, p.Phone, p.Family + p.Given} {
				assert.NotContains(t, string(all), secret)
			}
		}
	}
}

func rawBytes(list []json.RawMessage) (out [][]byte) {
	for _, r := range list {
		out = append(out, r)
	}
	return out
}

// TestReleasesOfNotes does the same with generated notes as FHIR and CDA records.
func TestReleasesOfNotes(t *testing.T) {
	d := projectEngine(t, "gbt39725-agreement")
	for _, format := range []struct{ name, media string }{{"fhir", fhir.MediaType}, {"cda", cda.MediaType}} {
		made := 0
		for i := range 12 {
			note := deidtest.Make("zh", 11, i)
			r := &record.Record{ID: record.ID{2, byte(i)}, MediaType: format.media, Payload: note.Record(format.name), Kind: "C0034"}
			_, err := d.Facts(t.Context(), r)
			require.NoError(t, err)
			list, err := d.Deidentify(t.Context(), r, release.Subject{Key: [32]byte{9}})
			if err != nil { // held back is not leaked
				require.ErrorIs(t, err, release.ErrLeak, "%s %d", format.name, i)
				continue
			}
			made++
			for _, raw := range list {
				var m map[string]any
				require.NoError(t, json.Unmarshal(raw, &m))
				require.NotEmpty(t, m["resourceType"])
				for _, secret := range note.Known.IDNumbers {
					assert.NotContains(t, string(raw), secret)
				}
			}
		}
		assert.Positive(t, made, "%s: at least some notes pass the leak gate", format.name)
		t.Logf("%s: %d of 12 notes released", format.name, made)
	}
	_, err := d.Deidentify(t.Context(), &record.Record{MediaType: "image/png", Payload: []byte("x")}, release.Subject{})
	require.ErrorIs(t, err, release.ErrUnfit)
}

func TestAProjectNamesAPolicyThatIsNotThere(t *testing.T) {
	s := &site{provider: smcrypto.Default(), config: &config.Config{}}
	_, err := s.deidentifier(release.Project{ID: "INST1.P1", Institute: "INST1", Policy: [32]byte{9}}, [32]byte{1})
	require.ErrorContains(t, err, "research.policies")
}
