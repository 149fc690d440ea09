package record_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/record"
)

var update = flag.Bool("update", false, "write the golden files anew")

func sample() *record.Record {
	payload := []byte("MSH|^~\\&|HIS|H1|EMR|H1|20260301080000||ADT^A01|1|P|2.5\rPID|1||10001\r")
	o := record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "HIS|H1", ControlID: "1", Payload: payload}
	zone := time.FixedZone("", 8*3600)
	return &record.Record{
		ModelVersion: record.ModelVersion, ID: record.NewID(o), HospitalMSP: "H1MSP", Sender: o.Sender,
		ControlID: o.ControlID, Kind: "ADT^A01",
		Patient: record.Patient{Name: "测试甲", Identifiers: []record.Identifier{
			{Authority: "H1", Type: record.LocalPatient, Value: "10001"}}},
		EventTime:  record.NewTime(time.Date(2026, 3, 1, 8, 0, 0, 0, zone), record.Second, true),
		ReceivedAt: 1772323200123, MediaType: "x-application/hl7-v2+er7", Charset: "UTF-8",
		Metadata: map[string]string{"pv1-2": "I", "evn-1": "A01"}, Payload: payload,
	}
}

func TestCanonicalIsStable(t *testing.T) {
	b, err := sample().Canonical()
	require.NoError(t, err)
	const golden = "testdata/record-v1.hex"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(hex.EncodeToString(b)+"\n"), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), hex.EncodeToString(b),
		"the canonical form is evidence: a change needs a new model version")
	back, err := record.Parse(b)
	require.NoError(t, err)
	require.Equal(t, sample(), back)
}

func TestParseRefuses(t *testing.T) {
	b, err := sample().Canonical()
	require.NoError(t, err)
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": b[:len(b)-1], "trailing byte": append(bytes.Clone(b), 0),
		"not a map": {0x01}, "unknown field": {0xa1, 0x18, 0x63, 0x01},
		"longer integer form": append([]byte{0xb8, b[0] & 0x1f}, b[1:]...),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := record.Parse(bad)
			require.ErrorIs(t, err, record.ErrInvalid)
		})
	}
}

func TestValidateNamesTheField(t *testing.T) {
	cases := map[string]func(*record.Record){
		"model version": func(r *record.Record) { r.ModelVersion = 9 },
		"no id":         func(r *record.Record) { r.ID = record.ID{} },
		"no hospital":   func(r *record.Record) { r.HospitalMSP = "" },
		"no kind":       func(r *record.Record) { r.Kind = "" },
		"no media type": func(r *record.Record) { r.MediaType = "" },
		"receipt":       func(r *record.Record) { r.ReceivedAt = 0 },
		"empty payload": func(r *record.Record) { r.Payload = nil },
		"the limit is":  func(r *record.Record) { r.Payload = make([]byte, record.MaxPayload+1) },
	}
	for want, spoil := range cases {
		r := sample()
		spoil(r)
		_, err := r.Canonical()
		require.ErrorIs(t, err, record.ErrInvalid)
		require.ErrorContains(t, err, want)
	}
}

func TestIDIsDeterministicAndSeparatesItsParts(t *testing.T) {
	base := record.Origin{HospitalNumber: 7, HospitalMSP: "H7MSP", Sender: "LIS", ControlID: "42", Payload: []byte("x")}
	id := record.NewID(base)
	assert.Equal(t, id, record.NewID(base))
	assert.Equal(t, uint16(7), id.HospitalNumber())
	seen := map[record.ID]bool{id: true}
	for _, change := range []func(*record.Origin){
		func(o *record.Origin) { o.HospitalNumber = 8 },
		func(o *record.Origin) { o.HospitalMSP = "H8MSP" },
		func(o *record.Origin) { o.Sender, o.ControlID = "LIS4", "2" },
		func(o *record.Origin) { o.ControlID = "43" },
		func(o *record.Origin) { o.Payload = []byte("y") },
	} {
		o := base
		change(&o)
		other := record.NewID(o)
		assert.False(t, seen[other])
		seen[other] = true
	}
	back, err := record.ParseID(id.String())
	require.NoError(t, err)
	assert.Equal(t, id, back)
	for _, bad := range []string{"", "00", strings.Repeat("g", 32), strings.Repeat("0", 33)} {
		_, err := record.ParseID(bad)
		assert.ErrorIs(t, err, record.ErrBadID)
	}
}

func TestNothingPersonalIsLogged(t *testing.T) {
	r := sample()
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("x", "record", r, "patient", r.Patient, "identifier", r.Patient.Identifiers[0])
	for _, secret := range []string{"测试甲", "10001", "PID|"} {
		assert.NotContains(t, out.String(), secret)
	}
	assert.Contains(t, out.String(), r.ID.String())
}

func TestTimeShowsOnlyWhatIsKnown(t *testing.T) {
	at := time.Date(2026, 3, 1, 8, 9, 10, 123e6, time.FixedZone("", 8*3600))
	for p, want := range map[record.Precision]string{
		record.Unknown: "", record.Year: "2026", record.Month: "2026-03", record.Day: "2026-03-01",
		record.Hour: "2026-03-01T08+08:00", record.Minute: "2026-03-01T08:09+08:00",
		record.Second: "2026-03-01T08:09:10+08:00", record.Millisecond: "2026-03-01T08:09:10.123+08:00",
	} {
		assert.Equal(t, want, record.NewTime(at, p, false).String())
	}
	assert.Error(t, record.Time{Precision: 99}.Validate())
}

func FuzzParse(f *testing.F) {
	b, err := sample().Canonical()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := record.Parse(in)
		if err != nil {
			return
		}
		out, err := r.Canonical()
		require.NoError(t, err)
		require.Equal(t, in, out)
	})
}

func ExampleNewID() {
	id := record.NewID(record.Origin{HospitalNumber: 3, HospitalMSP: "H3MSP", Sender: "HIS|H3", ControlID: "A-1", Payload: []byte("…")})
	fmt.Println(id.HospitalNumber(), len(id.String()))
	// Output: 3 32
}
