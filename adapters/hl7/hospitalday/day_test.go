package hospitalday_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
	"github.com/emrbridge/emrbridge/record"
)

var date = time.Date(2026, 3, 2, 0, 0, 0, 0, hl7.ChinaStandardTime)

func TestTheSameSeedGivesTheSameDay(t *testing.T) {
	one, two := hospitalday.Generate(7, 40, date), hospitalday.Generate(7, 40, date)
	assert.Equal(t, one, two)
	assert.NotEqual(t, one.Messages[0].Raw, hospitalday.Generate(8, 40, date).Messages[0].Raw)
	more := hospitalday.Generate(7, 41, date)
	assert.Equal(t, one.Patients, more.Patients[:40], "more patients change nobody")
	var all bytes.Buffer
	for _, m := range one.Messages {
		all.Write(m.Raw)
	}
	sum := sha256.Sum256(all.Bytes())
	assert.Equal(t, goldenDay, hex.EncodeToString(sum[:8]), "the day of seed 7 changed: say so in the changelog")
}

const goldenDay = "ab8a592b48cc2b81"

func TestEveryMessageBecomesARecord(t *testing.T) {
	day := hospitalday.Generate(1, 200, date)
	mapper := mapping.NewMapper(nil, mapping.Options{})
	kinds, charsets, ids := map[string]int{}, map[string]int{}, map[string]bool{}
	last := map[int]time.Time{}
	for _, m := range day.Messages {
		r, err := mapper.Map(mapping.Source{Raw: m.Raw, HospitalNumber: 1, HospitalMSP: "H1MSP", ReceivedAt: m.At})
		require.NoError(t, err, m.ControlID)
		p := day.Patients[m.PatientIndex]
		kinds[r.Kind]++
		charsets[r.Charset]++
		require.False(t, ids[m.ControlID], "control ids are unique")
		ids[m.ControlID] = true
		require.Equal(t, m.Type, r.Kind)
		require.Equal(t, m.ControlID, r.ControlID)
		require.Equal(t, p.Name(), r.Patient.Name, m.ControlID)
		require.Equal(t, p.Gender, r.Patient.Gender)
		for kind, want := range map[record.IdentifierType]string{record.ResidentID: p.ResidentID, record.InsuranceNo: p.InsuranceNo,
			record.HealthCard: p.HealthCardNo, record.LocalPatient: p.LocalNo, record.OutpatientNo: p.OutpatientNo} {
			id, ok := r.Patient.Find(kind)
			require.True(t, ok, "%s %s", m.ControlID, kind)
			require.Equal(t, want, id.Value)
		}
		require.NotEmpty(t, r.Encounter)
		require.NotEmpty(t, r.Author)
		require.False(t, r.EventTime.IsZero())
		require.Empty(t, r.Metadata["unread"])
		require.Equal(t, date.Format("20060102"), m.At.Format("20060102"))
		require.True(t, m.At.After(last[m.PatientIndex]), "one patient's messages are in order")
		last[m.PatientIndex] = m.At
		_, err = r.Canonical()
		require.NoError(t, err)
	}
	for _, kind := range []string{"ADT^A01", "ADT^A03", "ADT^A04", "ADT^A08", "ORM^O01", "ORU^R01", "MDM^T02"} {
		assert.NotZero(t, kinds[kind], kind)
	}
	assert.Len(t, charsets, 2)
	assert.Greater(t, len(day.Messages), 4*len(day.Patients))
}

func TestMessagesAreOrderedAndRoundTrip(t *testing.T) {
	day := hospitalday.Generate(3, 50, date)
	for i, m := range day.Messages {
		text, cs, err := hl7.CharsetPolicy{}.Decode(m.Raw)
		require.NoError(t, err)
		msg, err := hl7.Parse(text)
		require.NoError(t, err)
		back, err := cs.Encode(msg.Encode())
		require.NoError(t, err)
		require.Equal(t, m.Raw, back)
		if i > 0 {
			require.False(t, m.At.Before(day.Messages[i-1].At))
		}
	}
}

func TestNobodyRealIsHit(t *testing.T) {
	day := hospitalday.Generate(5, 500, date)
	seen := map[string]bool{}
	for _, p := range day.Patients {
		id, ok := hl7.NormalResidentID(p.ResidentID)
		require.True(t, ok, "form and check character are right")
		require.True(t, strings.HasPrefix(id, "9901"), "an area code that is assigned to no place")
		require.Equal(t, p.BirthDate.Format("20060102"), id[6:14])
		require.Equal(t, p.Gender == "1", (id[16]-'0')%2 == 1)
		require.True(t, strings.HasPrefix(p.Phone, "100") && len(p.Phone) == 11)
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestSomeNamesHoldDelimiterBytes(t *testing.T) {
	day := hospitalday.Generate(1, 200, date)
	found := map[byte]int{}
	for _, p := range day.Patients {
		raw, err := hl7.GB18030.Encode([]byte(p.Name()))
		require.NoError(t, err)
		for _, d := range []byte{'|', '^', '~', '\\'} {
			found[d] += bytes.Count(raw, []byte{d})
		}
	}
	for _, d := range []byte{'|', '^', '~', '\\'} {
		assert.NotZero(t, found[d], string(d))
	}
}

func TestTwoHospitalsKnowTheSamePersons(t *testing.T) {
	one, two := hospitalday.GenerateFor("H1", 9, 20, date), hospitalday.GenerateFor("H2", 9, 20, date)
	for i := range one.Patients {
		assert.Equal(t, one.Patients[i].ResidentID, two.Patients[i].ResidentID)
		assert.Equal(t, one.Patients[i].Name(), two.Patients[i].Name())
		assert.NotEqual(t, one.Patients[i].LocalNo, two.Patients[i].LocalNo)
	}
	assert.NotEmpty(t, one.Of(0))
	assert.Empty(t, one.Of(99))
}
