package v2_test

import (
	"context"
	"encoding/base64"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	v2 "github.com/emrbridge/emrbridge/desensitize/v2"
)

// under returns a walker with rules in front of those of the test policy.
func under(t *testing.T, rules ...desensitize.Rule) *v2.Walker {
	t.Helper()
	w, err := v2.New(job(t, func(p *desensitize.Policy) {
		set := p.Formats[desensitize.HL7v2]
		set.Rules = append(rules, set.Rules...)
	}))
	require.NoError(t, err)
	return w
}

func rule(selects, where string, m desensitize.Method) desensitize.Rule {
	return desensitize.Rule{Select: selects, Where: where, Method: m}
}

func get(t *testing.T, message, path string) string {
	t.Helper()
	m, err := hl7.Parse([]byte(message))
	require.NoError(t, err)
	return string(m.Get(path).Raw())
}

func TestSelectors(t *testing.T) {
	const in = header + "NK1|1|Li^Si|FTH|addr|13900001111\rZPI|a^b&c|d\rOBX|1|CE|X^Y||A^text^L\rOBX|2|NM|X2^Y||7\r"
	for _, c := range []struct {
		rule       desensitize.Rule
		path, want string
	}{
		{rule("PID-8", "", desensitize.Redact), "PID-8", ""},
		{rule("PID-8.1", "", desensitize.Redact), "PID-8", ""},
		{rule("PID-3.5", "", desensitize.Redact), "PID-3.5", ""},
		{rule("*.CX.5", "", desensitize.Redact), "PID-3[2].5", ""},
		{rule("PID.CX.5", "", desensitize.Redact), "PID-3.5", ""},
		{rule("PID-*", "", desensitize.Redact), "PID-8", ""},
		{rule("PID", "", desensitize.Redact), "PID-3", ""},
		{rule("*[coded]", "", desensitize.Redact), "NK1-3", ""},
		{rule("Z*", "", desensitize.Keep), "ZPI-1", "a^b&c"},
		{rule("ZPI-2", "", desensitize.Keep), "ZPI-2", ""}, // nobody knows the fields of a local segment: all of them or none
		{rule("*.CE", "", desensitize.Redact), "OBX[1]-5", ""},
		{rule("OBX-5", "OBX-2 = 'CE'", desensitize.Redact), "OBX[1]-5", ""},
		{rule("OBX-5", "OBX-2 = 'CE'", desensitize.Redact), "OBX[2]-5", "7"},
		{rule("OBX-5", "OBX-3.1 in ('X2', 'X3')", desensitize.Redact), "OBX[2]-5", ""},
		{rule("OBX-5", "exists(.3)", desensitize.Redact), "OBX[1]-5", ""},
		{rule("*.CX", ".5 = 'NNCHN'", desensitize.Redact), "PID-3[1].1", ""},
		{rule("NK1", "", desensitize.Redact), "NK1-2", ""},
	} {
		out, _ := deid(t, under(t, c.rule), in)
		require.Equal(t, c.want, get(t, out, c.path), "%s %s", c.rule.Select, c.rule.Where)
	}
}

func TestFaultsOfPolicies(t *testing.T) {
	for _, s := range []string{"", "pid-5", "PID-", "PID-5.1.2.3", "PID-x", "*-5", "*.QQQ", "PID[name]-5", "PID[name", "PIDX", "*.XPN.0", "PID-1000"} {
		require.Len(t, v2.Check(&desensitize.RuleSet{Rules: []desensitize.Rule{rule(s, "", desensitize.Keep)}}), 1, s)
	}
	for _, where := range []string{"x = 'y'", "PID = 'a'", ".a = 'b'", "OBX-2 == 'x'"} {
		require.Len(t, v2.Check(&desensitize.RuleSet{Rules: []desensitize.Rule{rule("PID-5", where, desensitize.Keep)}}), 1, where)
	}
	for _, name := range desensitize.Shipped() {
		p, err := desensitize.ShippedPolicy(name)
		require.NoError(t, err)
		require.Empty(t, v2.Check(p.Formats[desensitize.HL7v2]))
	}
	_, err := v2.New(job(t, func(p *desensitize.Policy) { delete(p.Formats, desensitize.HL7v2) }))
	require.ErrorIs(t, err, v2.ErrPolicy)
	_, err = v2.New(job(t, func(p *desensitize.Policy) { p.Formats[desensitize.HL7v2].Rules[0].Select = "?" }))
	require.ErrorIs(t, err, v2.ErrPolicy)
}

// Results have the charset of their message.
func TestCharsets(t *testing.T) {
	w := walker(t)
	text := strings.Replace(admission, "UNICODE UTF-8", "GB 18030-2000", 1)
	raw, err := hl7.GB18030.Encode([]byte(text))
	require.NoError(t, err)
	out, _ := deid(t, w, string(raw))
	plain, cs, err := hl7.CharsetPolicy{}.Decode([]byte(out))
	require.NoError(t, err)
	require.Equal(t, hl7.GB18030, cs)
	require.Contains(t, string(plain), "急性前壁心肌梗死")
	require.NotContains(t, string(plain), "王小明")

	// A surrogate that the charset lacks makes the result UTF-8, and the header says so.
	latin := strings.NewReplacer("\xff", "").Replace("MSH|^~\\&|HIS|H1|||20240517||ADT^A01|1|P|2.5||||||8859/1\rPID|1||A1^^^X||M\xfcller^Anna\r")
	out, _ = deid(t, w, latin)
	require.Equal(t, "UNICODE UTF-8", get(t, out, "MSH-18"))
	require.NotContains(t, out, "ller^Anna")
}

func TestAttachments(t *testing.T) {
	w := walker(t)
	data := base64.StdEncoding.EncodeToString([]byte("患者王小明，电话13812345678"))
	out, report := deid(t, w, header+"OBX|1|ED|X^Y||HIS^TEXT^plain^Base64^"+data+"\rOBX|2|ED|X^Y||HIS^Application^PDF^Base64^JVBERi0xLjQK\rOBX|3|RP|X^Y||https://h.example/王小明^HIS^Application^PDF\r")
	content, err := base64.StdEncoding.DecodeString(get(t, out, "OBX[1]-5.5"))
	require.NoError(t, err)
	require.Contains(t, string(content), "患者某")
	require.NotContains(t, string(content), "王小明")
	require.Empty(t, get(t, out, "OBX[2]-5"))
	require.Empty(t, get(t, out, "OBX[3]-5"))
	require.Positive(t, report.Types()[desensitize.Attachment])

	// So are documents that stand in a text, in which markup may break words up.
	out, _ = deid(t, w, header+"OBX|1|FT|X^Y||{\\E\\rtf1 {\\E\\b 王}小明}\rOBX|2|TX|X^Y||<html><b>王</b>小明</html>\r")
	require.Empty(t, get(t, out, "OBX[1]-5"))
	require.Empty(t, get(t, out, "OBX[2]-5"))
}

// A text that goes on over several segments is read as one.
func TestTextOverSegments(t *testing.T) {
	w := walker(t)
	out, _ := deid(t, w, header+"NTE|1||患者王小\rNTE|2||明来诊\rNTE|3||电话138\rOBX|1|TX|R^报告||所见：王小明\rOBX|2|TX|R^报告||右肺未见异常\\.br\\请复查\rOBX|3|ST|Q^q||单独\r")
	require.Equal(t, "右肺未见异常\\.br\\请复查", get(t, out, "OBX[2]-5"), "what holds nothing stays as it was")
	require.NotContains(t, out, "王小明")
	require.Equal(t, "单独", get(t, out, "OBX[3]-5"))
}

func TestBatch(t *testing.T) {
	w := walker(t)
	var report desensitize.Report
	in := "FHS|^~\\&|HIS|市第一医院|||20240517||王小明.hl7\rBHS|^~\\&|HIS\r" + admission + strings.ReplaceAll(admission, "000123", "000124") + "BTS|2|王小明\rFTS|1\rjunk 13812345678\r"
	out, err := w.Batch(context.Background(), []byte(in), nil, nil, &report)
	require.NoError(t, err)
	require.NotContains(t, string(out), "王小明")
	require.NotContains(t, string(out), "13812345678")
	require.NotContains(t, string(out), "市第一医院")
	require.Empty(t, hl7.SplitMessages(out).Problems)
	require.Len(t, hl7.SplitMessages(out).Messages(), 2)
	require.Equal(t, 2, report.Records)

	_, err = w.Batch(context.Background(), []byte("MSH|^~\\&|A\rnot a segment\r"), nil, nil, &report)
	require.ErrorIs(t, err, v2.ErrInput)
	require.NotContains(t, err.Error(), "not a segment\r")
	_, err = w.Wrapper(context.Background(), []byte("PID|1"), &report)
	require.ErrorIs(t, err, v2.ErrInput)
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := walker(t).Record(ctx, []byte(admission), nil, nil, &desensitize.Report{})
	require.ErrorIs(t, err, context.Canceled)
}

// The same number, name and day have the same surrogate in one project whatever the message.
func TestConsistency(t *testing.T) {
	w := walker(t)
	a, _ := deid(t, w, admission)
	b, _ := deid(t, w, strings.Replace(admission, "ADT^A01^ADT_A01|MSG20240517000123", "ADT^A08^ADT_A01|OTHER", 1))
	for _, path := range []string{"PID-3[1].1", "PID-3[2].1", "PID-5.2", "PV1-7.1", "EVN-2", "PV1-19.1"} {
		require.NotEmpty(t, get(t, a, path))
		require.Equal(t, get(t, a, path), get(t, b, path), path)
	}
}

// FuzzRecord: no crash, and what comes out is a message without the patient's identifiers.
func FuzzRecord(f *testing.F) {
	f.Add("OBX|1|TX|A^B||x王小明y\r")
	f.Add("ZPI|王小明^13812345678\rNTE|1||\\X31\\\\Z1\\\\.br\\\r")
	f.Add("OBX|1|ED|A||^TEXT^plain^Base64^546L5bCP5piO\rPV1|1|王&小明^~|")
	f.Add("BHS|王小明|\rFT1|1|110101199003070011\r")
	w := walker(f)
	f.Fuzz(func(t *testing.T, rest string) {
		if len(rest) > 1<<12 {
			return
		}
		var report desensitize.Report
		out, err := w.Record(context.Background(), []byte(header+rest), nil, nil, &report)
		if err != nil {
			return
		}
		m, err := hl7.Parse(out)
		require.NoError(t, err)
		for walk := m.Walk(); walk.Next(); {
			for _, p := range planted {
				require.NotContains(t, walk.Value().Text(), p)
			}
		}
	})
}

// A walker serves many goroutines; each message has the result that it has alone.
func TestConcurrentUse(t *testing.T) {
	w := walker(t)
	want, _ := deid(t, w, admission)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 5 {
				var report desensitize.Report
				out, err := w.Record(context.Background(), []byte(admission), nil, nil, &report)
				assert.NoError(t, err)
				assert.Equal(t, want, string(out))
				other, err := w.Record(context.Background(), []byte(header+"ZZ"+string(rune('A'+report.Records))+"|1\r"), nil, nil, &report)
				assert.NoError(t, err)
				assert.NotContains(t, string(other), "王小明")
			}
		})
	}
	wait.Wait()
}

// A code that a rule generalises loses its texts; one that the rule leaves alone keeps them.
func TestGeneralisedCodes(t *testing.T) {
	icd := rule("DG1-3", "", desensitize.Generalise)
	icd.To = desensitize.ToICD3
	const in = header + "DG1|1||I21.000^急性前壁心肌梗死^ICD-10^X1^心梗^L\rDG1|2||I10^高血压^ICD-10\rDG1|3||^胃癌\r"
	out, _ := deid(t, under(t, icd), in)
	require.Equal(t, "I21", get(t, out, "DG1-3.1"))
	require.Empty(t, get(t, out, "DG1-3.2"))
	require.Empty(t, get(t, out, "DG1-3.5"))
	require.Equal(t, "I10^高血压^ICD-10", get(t, out, "DG1[2]-3"))
	require.NotContains(t, out, "胃癌")
}

// Messages with delimiters of their own keep them, and results do not run into them.
func TestDelimiters(t *testing.T) {
	w := walker(t)
	for _, set := range []string{"!$*/;", "|[~]&", "@^~#%"} {
		in := strings.NewReplacer("|", set[:1], "^", set[1:2], "~", set[2:3], "\\", set[3:4], "&", set[4:5]).Replace(admission)
		out, _ := deid(t, w, in)
		m, err := hl7.Parse([]byte(out))
		require.NoError(t, err)
		require.Equal(t, set, string([]byte{m.Delimiters().Field, m.Delimiters().Component, m.Delimiters().Repetition, m.Delimiters().Escape, m.Delimiters().Subcomponent}))
		require.Equal(t, "乙丑癸亥", m.Get("PID-5.2").Text())
		require.Contains(t, m.Get("OBX-5").Text(), "[编号]")
		for _, secret := range []string{"王小明", "小明", "13812345678", "110101199003070011"} {
			require.NotContains(t, out, secret)
		}
	}
	for _, encoding := range []string{"^", "^~", "^~\\", "^~\\&#"} { // declared in part, or with a truncation character
		out, _ := deid(t, w, "MSH|"+encoding+"|HIS|H1|||20240517||ADT^A01|1|P|2.5\rPID|1||A00458812^^^X^MR||王^小明\rNTE|1||王小明 & ~ | A00458812\r")
		require.NotContains(t, out, "小明", encoding)
		require.NotContains(t, out, "A00458812", encoding)
	}
}
