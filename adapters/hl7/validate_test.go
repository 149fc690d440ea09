package hl7_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// findings lists the issues of a message as "error PID-7" and "warning PV1".
func findings(t testing.TB, text string) []string {
	m, err := hl7.Parse([]byte(text))
	require.NoError(t, err)
	out := []string{}
	for _, i := range hl7.Validate(m) {
		out = append(out, strings.TrimSpace(i.Severity.String()+" "+i.Path))
	}
	return out
}

const validHead = "MSH|^~\\&|HIS|H1|EMR|H1|20260301080000+0800||"

func TestValidate(t *testing.T) {
	visit := "EVN|A01|20260301\rPID|1||7^^^H1^PI||测^试||19800101|M\rPV1|1|I\r"
	oru := validHead + "ORU^R01|1|P|2.5\rPID|1||7||X\rOBR|1|||WBC\r"
	cases := []struct {
		name, text string
		want       []string
	}{
		{"clean", validHead + "ADT^A01^ADT_A01|1|P|2.5\r" + visit, nil},
		{"local segments and extra fields", validHead + "ADT^A01|1|P|2.5||||||||||||||x\rZXX|a\r" + strings.TrimSuffix(visit, "\r") + "|||||||||||||||||||||||||||||||||||||||||||||||||||||||y\rZYY|\r", nil},
		{"acknowledgement", validHead + "ACK|1|P|2.5\rMSA|AA|1\r", nil},
		{"empty header", "MSH|^~\\&|\r", []string{"warning MSH-3", "warning MSH-4", "error MSH-9", "error MSH-10", "warning MSH-11", "error MSH-12"}},
		{"no time since v2.4", "MSH|^~\\&|A|B|||||ACK|1|P|2.4\rMSA|AA|1\r", []string{"error MSH-7"}},
		{"no time before", "MSH|^~\\&|A|B|||||ACK|1|P|2.3\rMSA|AA|1\r", nil},
		{"header values", validHead + "ack|1|X|9.9|||YES|no\r", []string{"error MSH-9", "warning MSH-11", "error MSH-12", "warning MSH-15", "warning MSH-16"}},
		{"no event", validHead + "ORU|1|P|2.5\rOBR|1|||X\r", []string{"error MSH-9"}},
		{"event that is none", validHead + "ORU^r01|1|P|2.5\rOBR|1|||X\r", []string{"error MSH-9"}},
		{"long control id", validHead + "ACK|" + strings.Repeat("1", 200) + "|P|2.5\rMSA|AA|1\r", []string{"error MSH-10"}},
		{"no patient", validHead + "ADT^A01|1|P|2.5\rPV1|1|I\r", []string{"error PV1", "error PID", "warning EVN"}},
		{"no visit", validHead + "ADT^A01|1|P|2.5\rEVN|A01\rPID|1||7||X\r", []string{"warning PV1"}},
		{"person without visit", validHead + "ADT^A28|1|P|2.5\rEVN|A28\rPID|1||7||X\r", nil},
		{"merge without prior", validHead + "ADT^A40|1|P|2.5\rEVN|A40\rPID|1||7||X\r", []string{"error MRG"}},
		{"document without content", validHead + "MDM^T02|1|P|2.5\rEVN|T02\rPID|1||7||X\rPV1|1|I\rTXA|1|CN\r", []string{"error OBX"}},
		{"query", validHead + "QRY^A19|1|P|2.3\rZZZ|1\r", []string{"error QRD"}},
		{"order without order", validHead + "ORM^O01|1|P|2.3\rPID|1||7||X\r", []string{"error ORC", "warning ORC"}},
		{"order by its detail", validHead + "OML^O21|1|P|2.5\rPID|1||7||X\rOBR|1|||X\r", []string{"warning ORC"}},
		{"wrong order", validHead + "ADT^A01|1|P|2.5\rPV1|1|I\rPID|1||7||X\rEVN|A01\r", []string{"error PV1", "warning EVN"}},
		{"software before the event", validHead + "ADT^A31|1|P|2.5\rSFT|x\rEVN|A31\rPID|1||7||X\r", nil},
		{"dates", strings.ReplaceAll(oru, "X\r", "X||19801301\r") + "OBX|x|DT|A||2026-03-01||||||F|||20260301^D\r",
			[]string{"error PID-7", "warning OBX-1", "warning OBX-5"}},
		{"numbers", oru + "OBX|1|NM|A||+05.60\rOBX|2|NM|A||<15~7\rOBX|3|TM|A||0815.5\rOBX|4|TM|A||081500.5+0800\r",
			[]string{"warning OBX[2]-5", "warning OBX[3]-5"}},
		{"repetition at fault", oru + "OBX|1|NM|A||1~2~x\r", []string{"warning OBX-5[3]"}},
		{"second patient", validHead + "ADT^A01|1|P|2.5\r" + visit + "PID|2||8||X\r", []string{"error PID[2]"}},
		{"two patients change beds", validHead + "ADT^A17|1|P|2.5\rEVN|A17\rPID|1||7||X\rPV1|1|I\rPID|2||8||X\rPV1|1|I\r", nil},
		{"another event", validHead + "ADT^A08|1|P|2.5\r" + visit, []string{"warning EVN-1"}},
		{"segment of nobody", validHead + "ADT^A01|1|P|2.5\r" + visit + "ABC|1\r", []string{"warning ABC"}},
		{"value type of nobody", oru + "OBX|1|STT|A||x\rOBX|2|ZX|A||x\r", []string{"error OBX-2"}},
		{"escapes", oru + "NTE|1||C:\\temp\\x~\\H\\a\\N\\\\.br\\\\X0D\\\\Zx\\\\C2842\\~\\\\~a\\Fb\r", []string{"warning NTE-3.1", "warning NTE-3[3].1", "warning NTE-3[4].1"}},
		{"control character", oru + "NTE|1||a\x01b\r", []string{"warning NTE-3.1"}},
		{"null is no fault", validHead + "ADT^A31|1|P|2.5\rEVN|A31|\"\"\rPID|1||7||X||\"\"\r", nil},
		{"value without type", oru + "OBX|1||A||5\r", []string{"error OBX-2"}},
		{"value without type, early", strings.Replace(oru, "2.5", "2.3", 1) + "OBX|1||A||5\r", []string{"warning OBX-2"}},
		{"no value, no type", oru + "OBX|1||A||||||||X\r", nil},
		{"data without data", oru + "OBX|1|ED|A||^TEXT^^Base64^\r", []string{"warning OBX-5"}},
		{"required fields", validHead + "ADT^A31|1|P|2.5\rEVN|A31\rPID|1\rPV1|1|\rNK1\r", []string{"warning PID-3", "warning PID-5", "warning PV1-2", "warning NK1"}},
		{"field new in v2.5", validHead + "ADT^A31|1|P|2.3\rEVN|A31|||||x\rPID|1||7||X\r", nil},
		{"short MSH-2", "MSH|^|A|B|||2026||ACK|1|P|2.5\rMSA|AA|1\r", []string{"warning MSH-2"}},
		{"doubled escape", "MSH|^~\\\\&|A|B|||2026||ACK|1|P|2.5\rMSA|AA|1\r", []string{"warning MSH-2"}},
		{"line feeds, mark", "\xef\xbb\xbf" + validHead + "ACK|1|P|2.5\nMSA|AA|1\n", []string{"warning", "warning MSH"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				c.want = []string{}
			}
			assert.Equal(t, c.want, findings(t, c.text))
		})
	}
}

func TestIssuesNamePlacesNotValues(t *testing.T) {
	text := validHead + "ADT^A01|1|P|2.5\rEVN|A01\rPID|1||7||X||SECRET\rPV1|1|I||||||||||||||||||||||||||||||||||||||||||SECRET\r"
	m, err := hl7.Parse([]byte(text))
	require.NoError(t, err)
	issues := hl7.Validate(m)
	require.Len(t, issues, 2)
	assert.True(t, hl7.HasErrors(issues))
	assert.Equal(t, strings.Index(text, "SECRET"), issues[0].Offset)
	assert.Equal(t, hl7.CodeDataType, issues[0].Code)
	for _, i := range issues {
		assert.NotContains(t, i.String(), "SECRET")
	}
	assert.False(t, hl7.HasErrors(nil))
}

func TestFindingsAreBounded(t *testing.T) {
	text := validHead + "ORU^R01|1|P|2.3\rOBR|1|||X\r" + strings.Repeat("OBX|1||A||5\r", 500) + "DG1|1||||SECRET\r"
	m, err := hl7.Parse([]byte(text))
	require.NoError(t, err)
	issues := hl7.Validate(m)
	assert.Len(t, issues, 201)
	assert.True(t, hl7.HasErrors(issues), "the error behind the limit counts")
}

// TestForeignInput: what is no ER7 is refused with what it is and what to do.
func TestForeignInput(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "the input is empty",
		"\r\n \t":                   "the input is empty",
		"<ADT_A01/>":                "set the sender to ER7",
		"\xef\xbb\xbf\n<?xml ?>":    "set the sender to ER7",
		`{"resourceType":"Bundle"}`: "this is JSON",
		"  MSH|^~\\&|A\r":           "blanks before MSH",
		"PID|1\r":                   "a message begins with MSH",
	} {
		_, err := hl7.Parse([]byte(text))
		require.ErrorIs(t, err, hl7.ErrNoHeader, "%q", text)
		assert.ErrorContains(t, err, want, "%q", text)
	}
	_, err := hl7.Parse([]byte("<x/>"))
	assert.ErrorIs(t, err, hl7.ErrXML)
	_, _, ok := hl7.PeekHeader([]byte("<ADT_A01><MSH/></ADT_A01>"), hl7.CharsetPolicy{})
	assert.False(t, ok, "an element is no header to answer to")
}

func TestHeaderFaultsHavePlaces(t *testing.T) {
	for text, offset := range map[string]int{
		validHead + "ADT^A01|1|P|9.9\r": len(validHead) + 12,
		validHead + "adt^A01|1|P|2.5\r": len(validHead),
		validHead + "ADT^A01||P|2.5\r":  len(validHead) + 8,
		"MSH|^~\\&|HIS|H1|EMR\rPID|1\r": 19,
	} {
		m, err := hl7.Parse([]byte(text))
		require.NoError(t, err)
		var pe *hl7.ParseError
		require.ErrorAs(t, m.Header().Check(), &pe, text)
		assert.Equal(t, offset, pe.Offset, text)
	}
}

func FuzzValidate(f *testing.F) {
	addOwnMessages(f, func(data []byte) { f.Add(data) })
	for _, s := range []string{adt, typed, validHead + "ORU^R01|1|P|2.5\rOBX|1|NM|||x~1^2\rOBX|2|TM|||25\r", "MSH|^|\rPV1\rPID"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := hl7.Parse(in)
		if err != nil {
			return
		}
		for _, i := range hl7.Validate(m) {
			if i.Offset < 0 || i.Offset > len(in) || i.Text == "" {
				t.Fatalf("an issue outside of the message: %+v", i)
			}
		}
	})
}
