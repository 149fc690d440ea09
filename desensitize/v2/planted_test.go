package v2_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	v2 "github.com/emrbridge/emrbridge/desensitize/v2"
)

// planted are identifiers of the patient whom header declares.
var planted = []string{"王小明", "110101199003070011", "13812345678", "ZhangWei", "A00458812"}

const header = "MSH|^~\\&|HIS|H1|EMR|P|20240517083000||ADT^A01|1|P|2.5\r" +
	"PID|1||110101199003070011^^^MOH^NNCHN~A00458812^^^HIS^MR||王^小明~ZhangWei||19900307|M||||^PRN^CP^^^^^^^^^13812345678\r"

// clean requires that nothing planted is in a result, whatever escapes it would be in.
func clean(t *testing.T, out, what string) {
	t.Helper()
	m, err := hl7.Parse([]byte(out))
	require.NoError(t, err, what)
	var texts []string
	for w := m.Walk(); w.Next(); {
		texts = append(texts, w.Value().Text())
	}
	for _, text := range append(strings.Split(out, "\r"), texts...) {
		for _, form := range []string{text, decoded(text)} {
			for _, p := range planted {
				require.NotContains(t, strings.ToLower(form), strings.ToLower(p), what)
			}
		}
	}
}

func decoded(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// An identifier in any field, component or subcomponent of any segment of the standard, and
// of others, does not come out.
func TestPlantedEverywhere(t *testing.T) {
	w := walker(t)
	names := append(v2.Segments(), "ZPI", "XYZ")
	forms := map[string]func(string) string{
		"field":        func(p string) string { return p },
		"components":   func(p string) string { return strings.TrimSuffix(strings.Repeat(p+"^", 26), "^") },
		"parts":        func(p string) string { return strings.TrimSuffix(strings.Repeat(strings.Repeat(p+"&", 3)+"^", 8), "^") },
		"repetitions":  func(p string) string { return "x~" + p + "~" + p + "^" + p },
		"hexadecimal":  func(p string) string { return fmt.Sprintf("\\X%X\\", p) },
		"local escape": func(p string) string { return "a\\Z" + p + "\\b" },
		"highlighted":  func(p string) string { return p[:len("王")] + "\\H\\" + p[len("王"):] },
	}
	for form, write := range forms {
		for i, p := range planted {
			if (form == "components" || form == "parts") && i > 0 { // large ones
				continue
			}
			var message strings.Builder
			message.WriteString(header)
			for _, name := range names {
				if name != "MSH" {
					message.WriteString(name + strings.Repeat("|"+write(p), 60) + "\r")
				}
			}
			out, _ := deid(t, w, message.String())
			clean(t, out, form)
		}
	}
}

// The header of a message carries tokens alone.
func TestPlantedInHeader(t *testing.T) {
	w := walker(t)
	for i := 3; i < 30; i++ {
		for _, p := range planted {
			fields := strings.Split("MSH|^~\\&|HIS|H1|EMR|P|20240517083000||ADT^A01|1|P|2.5"+strings.Repeat("|", 20), "|")
			fields[i-1] = p
			if i == 18 { // a charset that nobody knows is refused
				continue
			}
			_, rest, _ := strings.Cut(header, "\r")
			out, _ := deid(t, w, strings.Join(fields, "|")+"\r"+rest)
			clean(t, out, fmt.Sprintf("MSH-%d", i))
		}
	}
}

// Observed values of every type are judged by their type, and by what they hold.
func TestPlantedInObservations(t *testing.T) {
	w := walker(t)
	types := strings.Fields("AD CE CF CK CN CNE CP CQ CWE CX DLN DR DT DTM ED EI ERL FC FN FT HD ID IS JCC MA MO NA NDL NM NR PL PN PPN PT RI RP SAD SI SN SNM SPS ST TM TN TQ TS TX VH VID XAD XCN XON XPN XTN ZZ XX")
	for _, p := range planted {
		var message strings.Builder
		message.WriteString(header)
		for _, typ := range types {
			for i, value := range []string{p, p + "^" + p, "^^^" + p + "&" + p, "^^^^" + p, "^TEXT^plain^Base64^" + base64.StdEncoding.EncodeToString([]byte(p))} {
				fmt.Fprintf(&message, "OBX|1|%s|%d^note^L||%s||||||F\r", typ, i, value)
			}
		}
		out, _ := deid(t, w, message.String())
		clean(t, out, p)
	}
}
