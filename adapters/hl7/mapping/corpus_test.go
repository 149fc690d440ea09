//go:build corpus

package mapping_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/record"
)

// TestCorpusMapsToRecords maps every message that an endpoint would accept: each becomes a
// valid record, with the default rules and with a hospital's. Run it with
//
//	CORPUS=/path/to/corpus go test -tags corpus -run TestCorpus ./adapters/hl7/mapping
func TestCorpusMapsToRecords(t *testing.T) {
	var report mapping.Report
	mappers := []*mapping.Mapper{
		mapping.NewMapper(nil, mapping.Options{Unmapped: report.Note}),
		mapping.NewMapper(parse(t, string(mapping.ExampleText())), mapping.Options{}),
	}
	accepted, refused, patients, timed, authored, known, merges := 0, 0, 0, 0, 0, 0, 0
	eachMessage(t, func(path string, raw []byte) {
		text, cs, err := hl7.CharsetPolicy{}.Decode(raw)
		if err != nil {
			refused++
			return
		}
		msg, err := hl7.Parse(text)
		if err != nil {
			refused++
			return
		}
		if err := msg.Header().Check(); err != nil {
			name, _ := filepath.Rel(filepath.Join(os.Getenv("CORPUS"), "hl7v2"), path)
			assert.ErrorContains(t, err, headerRefusals[filepath.ToSlash(name)], "%s", name)
			assert.Contains(t, headerRefusals, filepath.ToSlash(name))
			delete(headerRefusals, filepath.ToSlash(name))
			refused++
			return
		}
		accepted++
		for _, m := range mappers {
			r, err := m.Map(mapping.Source{Raw: raw, Charset: cs.String(), HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: time.UnixMilli(1)})
			require.NoError(t, err, path)
			canonical, err := r.Canonical()
			require.NoError(t, err, path)
			back, err := record.Parse(canonical)
			require.NoError(t, err, path)
			assert.Equal(t, raw, back.Payload, path)
			assert.Equal(t, m.Document().ID(), r.MappingVersion)
			if m != mappers[0] {
				continue
			}
			patients += one(len(r.Patient.Identifiers) > 0)
			timed += one(!r.EventTime.IsZero())
			authored += one(r.Author != "")
			known += one(m.Knows(r.Kind))
			merges += one(r.Metadata[hl7.MergeKey] != "")
		}
	})
	t.Logf("%d messages became records, %d were refused before", accepted, refused)
	t.Logf("of those: %d with a patient, %d with a time, %d with an author, %d of known kinds, %d merges", patients, timed, authored, known, merges)
	for _, c := range report.Counts() {
		t.Logf("unmapped %-18s %-8s %-16s %d", c.Table, c.Path, c.Code, c.N)
	}
	assert.Empty(t, headerRefusals, "every listed file is there")
	assert.Greater(t, accepted, 700)
	assert.Greater(t, patients*100, accepted*90)
	assert.Greater(t, timed*100, accepted*95)
}

// headerRefusals lists the messages that parse but cannot be told from others or whose type
// is not said; what does not decode or parse is listed in package hl7.
var headerRefusals = map[string]string{
	"CDCgov+data-exchange-hl7/messages/PHLIP_FLU_2.5.1_NO_MSH10.txt": "MSH-10", // so named
	"cosyte+hl7/vendor-quirks/missing-required-field.hl7":            "MSH-9",  // so named
	"hapifhir+hapi-hl7v2/ExampleUseTerser.L55.hl7":                   "MSH-10", // a skeleton in a code example
	"hapifhir+hapi-hl7v2/NewPipeParserTest.L121.hl7":                 "MSH-9",  // wrong on purpose
	"hapifhir+hapi-hl7v2/ParserConfigurationTest.L67.hl7":            "MSH-10", // a skeleton in a test
	"hapifhir+hapi-hl7v2/ParserTest.L163.hl7":                        "MSH-10", // a skeleton in a test
	"johnpaulett+python-hl7/test_accessor.L41.hl7":                   "MSH-10", // a skeleton in a test
	"johnpaulett+python-hl7/test_parse.L258.hl7":                     "MSH-9",  // a skeleton in a test
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func eachMessage(t *testing.T, see func(path string, raw []byte)) {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds hl7v2")
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "hl7v2"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, raw := range hl7.SplitMessages(data).Messages() {
			see(path, raw)
		}
		return nil
	}))
}
