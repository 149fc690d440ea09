package v2_test

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	v2 "github.com/emrbridge/emrbridge/desensitize/v2"
)

// finder is a scrubber for tests: it finds what is known, word for word, and long numbers.
type finder struct{}

type replacer struct {
	known *desensitize.Known
	re    *regexp.Regexp
}

func (finder) ForRecord(k *desensitize.Known) desensitize.TextReplacer {
	parts := []string{`\d{7,}[0-9X]?`, `(?:王|李|张)[一-龥]{1,2}`}
	for _, list := range [][]string{k.Names, k.Relatives, k.Staff, k.IDNumbers, k.Phones, k.Addresses, k.Hospitals, k.Employers, k.RecordNumbers} {
		for _, v := range list {
			parts = append([]string{regexp.QuoteMeta(v)}, parts...)
		}
	}
	return replacer{k, regexp.MustCompile(`(?i)` + strings.Join(parts, "|"))}
}

func (r replacer) Replace(dst []byte, text string, by func(desensitize.Found) string) []byte {
	return append(dst, r.re.ReplaceAllStringFunc(text, func(s string) string {
		t := desensitize.OtherID
		if strings.Trim(s, "0123456789X") != "" {
			t = desensitize.Name
		}
		return by(desensitize.Found{Type: t, Value: s})
	})...)
}

// attachments scrubs texts and refuses the rest.
type attachments struct{}

func (attachments) Scrub(_ context.Context, mediaType string, data []byte, clean func(string) string) (desensitize.Content, error) {
	if !strings.HasPrefix(mediaType, "text/") {
		return desensitize.Content{What: "refused"}, nil
	}
	return desensitize.Content{Data: []byte(clean(string(data))), MediaType: mediaType, What: "text"}, nil
}

func job(t testing.TB, change func(*desensitize.Policy)) *desensitize.Job {
	t.Helper()
	data, err := os.ReadFile("testdata/policy.yaml")
	require.NoError(t, err)
	p, err := desensitize.ParsePolicy(data)
	require.NoError(t, err)
	if change != nil {
		change(p)
		require.NoError(t, p.Check())
	}
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P1", Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	j, err := desensitize.NewJob(desensitize.JobConfig{Policy: p, Project: project, Text: finder{}, Attachments: attachments{}})
	require.NoError(t, err)
	return j
}

func deid(t testing.TB, w *v2.Walker, message string) (string, *desensitize.Report) {
	t.Helper()
	var report desensitize.Report
	out, err := w.Record(context.Background(), []byte(message), nil, nil, &report)
	require.NoError(t, err)
	return string(out), &report
}

func walker(t testing.TB) *v2.Walker {
	t.Helper()
	w, err := v2.New(job(t, nil))
	require.NoError(t, err)
	return w
}

const admission = "MSH|^~\\&|HIS|市第一医院^1.2.3.4^ISO|EMR|省平台|20240517083000||ADT^A01^ADT_A01|MSG20240517000123|P|2.5|||AL|NE||UNICODE UTF-8\r" +
	"EVN|A01|20240517083000\r" +
	"PID|1||110101199003070011^^^MOH&2.16.156.10011.1.3&ISO^NNCHN~00458812^^^HIS^MR||王^小明^^^^^L||19900307|M|||朝阳区建国路88号^^北京市^北京市^100022^CHN^H||13812345678^PRN^PH|||M||00458812|||汉族\r" +
	"NK1|1|王大明|FTH^父亲|朝阳区建国路88号|13987654321\r" +
	"PV1|1|I|心内科^203^12^市第一医院||||0103^李医生^^^^^^^HIS|||MED|||||||||20240517000099\r" +
	"ZPI|1|王小明的补充信息|13812345678\r" +
	"DG1|1||I21.000^急性前壁心肌梗死^ICD-10||20240517|A\r" +
	"OBX|1|TX|NOTE^病程||患者王小明，联系电话13812345678。\\.br\\家属王大明在场||||||F\r" +
	"OBX|2|NM|718-7^Hemoglobin^LN||135|g/L|130-175||||F\r" +
	"NTE|1||请\\X4A4A4A\\ 联系李医生\r"

func TestAdmission(t *testing.T) {
	out, report := deid(t, walker(t), admission)
	t.Log(strings.ReplaceAll(out, "\r", "\n"))
	for _, secret := range []string{"王小明", "小明", "王大明", "110101199003070011", "00458812", "13812345678", "13987654321", "建国路", "李医生", "市第一医院", "20240517000099", "MSG2024", "19900307", "1.2.3.4", "0103"} {
		require.NotContains(t, out, secret)
	}
	for _, kept := range []string{"I21.000^急性前壁心肌梗死^ICD-10", "135|g/L|130-175", "718-7^Hemoglobin^LN", "ADT^A01^ADT_A01", "NNCHN", "UNICODE UTF-8", "2.16.156.10011.1.3"} {
		require.Contains(t, out, kept)
	}
	require.NotContains(t, out, "ZPI")
	m, err := hl7.Parse([]byte(out))
	require.NoError(t, err)
	require.NoError(t, m.Header().Check())
	require.Equal(t, 1, report.Records)
	for _, c := range report.Changes() {
		t.Log(c)
	}
}
