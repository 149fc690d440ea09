package v2tofhir_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
)

var update = flag.Bool("update", false, "write the golden files anew")

// judge is the validator that a receiving hospital may have.
var judge = fhir.NewValidator(fhir.ValidatorConfig{})

// goldenID stands for the record of a golden file.
const goldenID = "0001000102030405060708090a0b0c0d"

// TestGoldens compares the Bundle of each message in testdata with the one beside it.
func TestGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hl7")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			r, _, err := convert(message(t, file), v2tofhir.Options{RecordID: goldenID})
			require.NoError(t, err)
			b, err := json.Marshal(r.Bundle)
			require.NoError(t, err)
			var got bytes.Buffer
			require.NoError(t, json.Indent(&got, b, "", " "))
			_, issues := judge.Validate(t.Context(), b)
			require.False(t, issues.Failed(), "%v", issues)
			got.WriteByte('\n')
			golden := strings.TrimSuffix(file, ".hl7") + ".json"
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String(), "go test ./adapters/v2tofhir -update writes it anew")
		})
	}
}

// message reads a test message, which is written with line feeds.
func message(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.ReplaceAll(string(b), "\n", "\r")
}

// TestHospitalDay converts a synthetic day and finds nothing without a map but what the day
// puts in for that purpose.
func TestHospitalDay(t *testing.T) {
	day := hospitalday.Generate(7, 20, time.Date(2026, 3, 2, 0, 0, 0, 0, hl7.ChinaStandardTime))
	left := map[string]int{}
	for _, m := range day.Messages {
		text, _, err := (hl7.CharsetPolicy{}).Decode(m.Raw)
		require.NoError(t, err)
		r, _, err := convert(string(text), v2tofhir.Options{})
		require.NoError(t, err)
		for _, path := range r.Unmapped {
			left[path]++
		}
	}
	for path := range left {
		require.Contains(t, []string{"ZPI[1]", "PID-12"}, path)
	}
}

func TestDeterministic(t *testing.T) {
	text := message(t, "testdata/oru_r01.hl7")
	var first []byte
	for range 3 {
		r, _, err := convert(text, v2tofhir.Options{RecordID: "a"})
		require.NoError(t, err)
		b, err := json.Marshal(r.Bundle)
		require.NoError(t, err)
		if first == nil {
			first = b
		}
		require.Equal(t, string(first), string(b))
	}
	r, _, err := convert(text, v2tofhir.Options{RecordID: "b"})
	require.NoError(t, err)
	b, err := json.Marshal(r.Bundle)
	require.NoError(t, err)
	require.NotEqual(t, string(first), string(b), "another record has other ids")
}

func TestTooMany(t *testing.T) {
	text := "MSH|^~\\&|A|B|C|D|20260302||ORU^R01|1|P|2.5\r" + strings.Repeat("OBX|1|NM|X||1\r", 30)
	_, _, err := convert(text, v2tofhir.Options{MaxResources: 20})
	require.ErrorIs(t, err, v2tofhir.ErrTooMany)
}

// facts converts lines after a header and returns the resources of a type.
func facts(t *testing.T, kind, typ string, lines ...string) ([]map[string]any, *v2tofhir.Result) {
	t.Helper()
	text := "MSH|^~\\&|HIS|H1|B|H2|20260302081500+0800||" + kind + "|1|P|2.5.1\r" + strings.Join(lines, "\r") + "\r"
	r, entries, err := convert(text, v2tofhir.Options{RecordID: goldenID})
	require.NoError(t, err)
	var out []map[string]any
	for _, e := range entries {
		if e.Resource["resourceType"] == typ {
			out = append(out, e.Resource)
		}
	}
	return out, r
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestTimes(t *testing.T) {
	for _, c := range []struct{ in, want, original string }{
		{"2026", "2026", ""},
		{"202603", "2026-03", ""},
		{"20260302", "2026-03-02", ""},
		{"2026030208", "2026-03-02", "2026030208"},
		{"202603020815", "2026-03-02T08:15:00+08:00", "202603020815"},
		{"20260302081559", "2026-03-02T08:15:59+08:00", ""},
		{"20260302081559.25-0500", "2026-03-02T08:15:59.25-05:00", ""},
		{"20260230", "", ""},
		{"00000000", "", ""},
		{"yesterday", "", ""},
	} {
		got, r := facts(t, "ADT^A01", "Encounter", "PID|1", "PV1|1|I"+strings.Repeat("|", 42)+c.in)
		require.Len(t, got, 1)
		start := map[string]any{}
		if p, ok := got[0]["period"].(map[string]any); ok {
			start = p
		}
		if c.want == "" {
			require.Empty(t, start, c.in)
			require.Contains(t, r.Unmapped, "PV1-44", "what is no time is kept as it stands")
			continue
		}
		require.Equal(t, c.want, start["start"], c.in)
		if c.original != "" {
			require.Contains(t, asJSON(t, start["_start"]), c.original)
		} else {
			require.NotContains(t, start, "_start")
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"诸葛^亮", `{"family":"诸葛","given":["亮"],"text":"诸葛亮"}`},
		{"诸葛亮", `{"family":"诸葛亮","text":"诸葛亮"}`},
		{"Everyman^Adam^A^III^Dr^^L", `{"family":"Everyman","given":["Adam","A"],"prefix":["Dr"],"suffix":["III"],"text":"Dr Adam A Everyman III","use":"official"}`},
		{"van Beethoven&van&Beethoven^Ludwig", `{"family":"van Beethoven","given":["Ludwig"],"text":"Ludwig van Beethoven"}`},
	} {
		got, _ := facts(t, "ADT^A01", "Patient", "PID|1||1||"+c.in)
		require.JSONEq(t, "["+c.want+"]", asJSON(t, got[0]["name"]))
	}
}

func TestIdentifiers(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"123^^^HIS&1.2.3&ISO^MR", `{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR"}]},"system":"urn:oid:1.2.3","value":"123","assigner":{"display":"HIS","identifier":{"value":"1.2.3"}}}`},
		{"99010619411003553x^^^GA^NNCHN", `{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NNCHN"}]},"system":"urn:oid:2.16.156.10011.1.3","value":"99010619411003553X","assigner":{"display":"GA"}}`},
		{"99010619411003553x^^^HIS^PI", `{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"PI"}]},"value":"99010619411003553x","assigner":{"display":"HIS"}}`},
		{"7", `{"value":"7"}`},
	} {
		got, _ := facts(t, "ADT^A01", "Patient", "PID|1||"+c.in)
		require.JSONEq(t, "["+c.want+"]", asJSON(t, got[0]["identifier"]), c.in)
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct{ kind, value, unit, want string }{
		{"NM", "5.60", "mmol/L", `"valueQuantity":{"value":5.60,"unit":"mmol/L"}`},
		{"NM", "+007.50", "mmol/L^^UCUM", `"valueQuantity":{"value":7.50,"unit":"mmol/L","system":"http://unitsofmeasure.org","code":"mmol/L"}`},
		{"NM", "&lt;5", "", `"valueString":"&lt;5"`},
		{"NM", "<5", "g", `"valueQuantity":{"comparator":"<","value":5,"unit":"g"}`},
		{"NM", "阴性", "", `"valueString":"阴性"`},
		{"SN", ">^100", "U", `"valueQuantity":{"value":100,"comparator":">","unit":"U"}`},
		{"SN", "^1^:^128", "", `"valueRatio":{"numerator":{"value":1},"denominator":{"value":128}}`},
		{"SN", "^2^-^4", "g", `"valueRange":{"low":{"value":2,"unit":"g"},"high":{"value":4,"unit":"g"}}`},
		{"CWE", "B^乙^L", "", `"code":"B"`},
		{"TX", "第一行~第二行", "", `"valueString":"第一行\n第二行"`},
		{"ST", "a & b ^ c", "", `"valueString":"a & b ^ c"`},
		{"TM", "081530", "", `"valueTime":"08:15:30"`},
		{"TM", "0815", "", `"valueString":"0815"`},
		{"DT", "20260302", "", `"valueDateTime":"2026-03-02"`},
		{"DR", "20260302^20260305", "", `"valuePeriod":{"start":"2026-03-02","end":"2026-03-05"}`},
		{"NR", "1^2", "", `"valueRange":{"low":{"value":1},"high":{"value":2}}`},
		{"XX", "kept^as^it is", "", `"valueString":"kept^as^it is"`},
	} {
		text := "MSH|^~\\&|L|H||||| ORU^R01^ORU_R01|1|P|2.5\rPID|1\rOBR|1|||T|||||||||||||||||||||F\rOBX|1|" + c.kind + "|X^Y^L||" + c.value + "|" + c.unit + "|||||F\r"
		msg, err := hl7.Parse([]byte(text))
		require.NoError(t, err)
		r, err := v2tofhir.Convert(msg, v2tofhir.Options{})
		require.NoError(t, err)
		o := r.Bundle.Find("Observation")
		require.Len(t, o, 1)
		require.Contains(t, string(o[0].AppendJSON(nil)), c.want, "%s %s", c.kind, c.value)
	}
}

func TestNothingDisappears(t *testing.T) {
	const secret = "9f1c"
	got, r := facts(t, "ADT^A01", "Basic", "PID|1||1^^^^PI||A^B^^^^^^^^^^^^^"+secret+"1||||||||||||||||||||||||||||||"+secret+"2", "ZZZ|1|"+secret+"3", "PV1|1|I||||||||||||||||||"+secret+"4", "QQQ|"+secret+"5")
	require.Len(t, got, 1)
	text := asJSON(t, got)
	for _, n := range "12345" {
		require.Contains(t, text, secret+string(n))
	}
	require.Equal(t, []string{"ZZZ[1]", "QQQ[1]", "PID-5.15", "PID-35", "PV1-20"}, r.Unmapped)
}

func TestNull(t *testing.T) {
	got, r := facts(t, "ADT^A08", "OperationOutcome", `PID|1||1|""|王^五||""|M|||""`)
	require.Len(t, got, 1)
	for _, path := range []string{"PID-4", "PID-7", "PID-11"} {
		require.Contains(t, asJSON(t, got), path+" was sent as null")
	}
	require.Empty(t, r.Unmapped)
	patient, _ := facts(t, "ADT^A08", "Patient", `PID|1||1|""|王^五||""|M|||""`)
	require.NotContains(t, patient[0], "birthDate")
}

func TestMerge(t *testing.T) {
	got, _ := facts(t, "ADT^A40", "Patient", "PID|1||1^^^H1^PI||王^五", "MRG|2^^^H1^PI|||||王^武")
	require.Len(t, got, 2)
	require.Contains(t, asJSON(t, got[0]["link"]), `"type":"replaces"`)
	require.Contains(t, asJSON(t, got[1]["link"]), `"type":"replaced-by"`)
	require.Equal(t, false, got[1]["active"])
	got, _ = facts(t, "ADT^A47", "Patient", "PID|1||1^^^H1^PI", "MRG|2^^^H1^PI")
	require.Len(t, got, 1, "a changed number is no other person")
	require.Contains(t, asJSON(t, got[0]["identifier"]), `"use":"old"`)
}

func TestEncounterStatus(t *testing.T) {
	for event, want := range map[string]string{
		"A01": "in-progress", "A02": "in-progress", "A03": "finished", "A04": "in-progress", "A05": "planned", "A06": "in-progress", "A07": "in-progress",
		"A08": "in-progress", "A11": "cancelled", "A12": "in-progress", "A13": "in-progress",
	} {
		got, _ := facts(t, "ADT^"+event, "Encounter", "PID|1||1", "PV1|1|I|W^1")
		require.Equal(t, want, got[0]["status"], event)
	}
}

// FuzzConvert converts whatever parses: never a panic, always a valid Bundle whose
// references resolve.
func FuzzConvert(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.hl7")
	for _, file := range files {
		f.Add(message(f, file))
	}
	f.Add("MSH|^~\\&\r")
	f.Add("MSH|^~\\&|||||||ORU^R01\rOBX|1|ED|||^^^Base64^ ==\rMRG|1\rRXR|a\rRXC|b\rTQ1|1\rNTE|1||x\rAIS|1")
	f.Add("MSH|^\rPID|1||\"\"^^~\rMSH|x\rTXA|1\rTXA|2\rSCH|1\rSCH|2\rORC|NW\rORC|CA")
	f.Fuzz(func(t *testing.T, text string) {
		msg, err := hl7.Parse([]byte(text))
		if err != nil {
			return
		}
		r, err := v2tofhir.Convert(msg, v2tofhir.Options{MaxResources: 500})
		if err != nil {
			require.ErrorIs(t, err, v2tofhir.ErrTooMany)
			return
		}
		b, err := json.Marshal(r.Bundle)
		require.NoError(t, err)
		_, err = checkBundle(b)
		require.NoError(t, err)
		_, issues := judge.Validate(t.Context(), b)
		require.False(t, issues.Failed(), "%v", issues)
	})
}

// BenchmarkConvert measures conversion and writing of a laboratory report of 40 results.
func BenchmarkConvert(b *testing.B) {
	text := message(b, "testdata/oru_r01.hl7") + strings.Repeat("OBX|9|NM|2345-7^葡萄糖^LN||4.85|mmol/L|3.90-6.10|N|||F|||20260302120000||T002^牧^小舟\r", 40)
	msg, err := hl7.Parse([]byte(text))
	require.NoError(b, err)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := v2tofhir.Convert(msg, v2tofhir.Options{RecordID: goldenID})
		require.NoError(b, err)
		_, _ = r.Bundle.MarshalJSON()
	}
}

// TestLargeDocument converts a document of 50 MB in base64 without copying it often.
func TestLargeDocument(t *testing.T) {
	const size = 50 << 20
	data := strings.Repeat("QUJD", size/4)
	text := "MSH|^~\\&|L|H|B|H|20260302081500||ORU^R01|1|P|2.5\rPID|1||1\rOBR|1|||T|||||||||||||||||||||F\rOBX|1|ED|R^报告^L||^Application^PDF^Base64^" + data + "||||||F\r"
	msg, err := hl7.Parse([]byte(text))
	require.NoError(t, err)
	r, err := v2tofhir.Convert(msg, v2tofhir.Options{RecordID: goldenID})
	require.NoError(t, err)
	require.Len(t, r.Bundle.Find("Binary"), 1)
	require.Equal(t, data, r.Bundle.Find("Binary")[0].Text("data"))
	require.Empty(t, r.Unmapped)
}

// TestHostileShapes ends quickly whatever the message repeats.
func TestHostileShapes(t *testing.T) {
	head := "MSH|^~\\&|L|H|B|H|20260302||ORU^R01|1|P|2.5\r"
	for name, text := range map[string]string{
		"identifiers": head + "PID|1||" + strings.Repeat("1~", 20000),
		"orders":      head + "ORC|RE|" + strings.Repeat("|", 30) + strings.Repeat("1~", 20000) + "\rOBR|1",
		"components":  head + "PID|1|||||" + strings.Repeat("^", 20000) + "x",
		"fields":      head + "PID" + strings.Repeat("|1", 20000),
		"notes":       head + "OBX|1|TX|a||b\r" + strings.Repeat("NTE|1||x\r", 10000),
		"unknown":     head + strings.Repeat("ZZZ|1\r", 5000),
		"orders only": head + strings.Repeat("OBR|1\r", 3000),
	} {
		start := time.Now()
		_, _, err := convert(text, v2tofhir.Options{})
		require.NoError(t, err, name)
		require.Less(t, time.Since(start), 5*time.Second, name)
	}
}
