package engine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
)

func newEngine(t testing.TB, policy string) *engine.Engine {
	t.Helper()
	p, err := desensitize.ShippedPolicy(policy)
	require.NoError(t, err)
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "test", Key: bytes.Repeat([]byte{7}, desensitize.KeySize)})
	require.NoError(t, err)
	e, err := engine.New(engine.Config{Policy: p, Project: project, AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	return e
}

var known = &desensitize.Known{
	Names: []string{"王晓明"}, Relatives: []string{"欧阳丽华"}, Staff: []string{"钱学文"}, IDNumbers: []string{"320106198503051237"},
	Phones: []string{"13851234567", "025-83262626"}, Addresses: []string{"江苏省南京市鼓楼区中山路321号2幢301室"},
	Hospitals: []string{"南京市第九人民医院"}, RecordNumbers: []string{"ZY0012345"}, Dates: []string{"1985-03-05"},
}

const note = `南京市第九人民医院 出院小结
姓名：王晓明  性别：男  年龄：41岁  住院号：ZY0012345
患者王某因“胸痛3天”于2026年1月2日入院，其妻欧阳丽华（电话：13851234567）陪同，住中山路321号2幢301室。
查体：T 36.5℃，P 78次/分，BP 135/85mmHg，皮肤无黄染。予阿司匹林100mg qd，白蛋白38g/L。
主治医师：钱学文  wang xiaoming 320106 19850305 1237
`

func TestText(t *testing.T) {
	for _, policy := range desensitize.Shipped() {
		e := newEngine(t, policy)
		out, report, err := e.Record(context.Background(), desensitize.FreeText, []byte(note), engine.Input{Known: known})
		require.NoError(t, err, policy)
		require.Equal(t, 1, report.Records)
		for _, value := range []string{"王晓明", "王某因", "欧阳", "13851234567", "中山路", "钱学文", "ZY0012345", "xiaoming", "320106"} {
			require.NotContains(t, string(out), value, policy)
		}
		for _, value := range []string{"胸痛3天", "T 36.5℃", "135/85mmHg", "阿司匹林100mg", "白蛋白38g/L", "皮肤无黄染"} {
			require.Contains(t, string(out), value, policy)
		}
		again, _, err := e.Record(context.Background(), desensitize.FreeText, []byte(note), engine.Input{Known: known})
		require.NoError(t, err)
		require.Equal(t, out, again)
	}
}

func TestRefusals(t *testing.T) {
	e := newEngine(t, "gbt39725-agreement")
	_, _, err := e.Record(context.Background(), "dicom", []byte("x"), engine.Input{})
	require.ErrorIs(t, err, engine.ErrFormat)
	_, _, err = e.Record(context.Background(), desensitize.FreeText, []byte("\xff\x00\x80abc"), engine.Input{})
	require.ErrorIs(t, err, engine.ErrEncoding)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _, err = e.Record(ctx, desensitize.FreeText, []byte("x"), engine.Input{})
	require.ErrorIs(t, err, context.Canceled)
	_, err = e.Run(context.Background(), desensitize.FHIR, strings.NewReader("\n \n"), &bytes.Buffer{}, engine.Input{})
	require.ErrorIs(t, err, engine.ErrEmpty)
	var failure *engine.Failure
	_, err = e.Run(context.Background(), desensitize.FHIR, strings.NewReader(`{"resourceType":"Patient"}`+"\n{\"resourceType\":7}\n"), &bytes.Buffer{}, engine.Input{})
	require.ErrorAs(t, err, &failure)
	require.Equal(t, 2, failure.Item)
}

func TestStreamOfResources(t *testing.T) {
	e := newEngine(t, "gbt39725-agreement")
	line := `{"resourceType":"Patient","id":"p1","name":[{"text":"王晓明"}],"gender":"male","birthDate":"1985-03-05"}`
	var out bytes.Buffer
	report, err := e.Run(context.Background(), desensitize.FHIR, strings.NewReader(line+"\n\n"+line+"\r\n"+line), &out, engine.Input{})
	require.NoError(t, err)
	require.Equal(t, 3, report.Records)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 3)
	require.Equal(t, lines[0], lines[1])
	for _, l := range lines {
		require.True(t, json.Valid([]byte(l)))
		require.NotContains(t, l, "王晓明")
	}
}

func TestAttachments(t *testing.T) {
	e := newEngine(t, "gbt39725-agreement")
	resource := func(mediaType, data string) string {
		return `{"resourceType":"DocumentReference","status":"current","subject":{"display":"王晓明"},"content":[{"attachment":{"contentType":"` + mediaType +
			`","data":"` + base64.StdEncoding.EncodeToString([]byte(data)) + `"}}]}`
	}
	for name, c := range map[string]struct{ mediaType, data, want string }{
		"text":  {"text/plain", "患者王晓明，电话13851234567，予阿司匹林100mg", "阿司匹林100mg"},
		"rtf":   {"application/rtf", `{\rtf1\ansi\ansicpg936 \'cd\'f5\'cf\'fe\'c3\'f7 aspirin 100mg}`, "aspirin 100mg"},
		"html":  {"text/html", "<html><p>患者<b>王</b>晓明 aspirin 100mg</p></html>", "aspirin 100mg"},
		"png":   {"image/png", "\x89PNG\r\n\x1a\n\x00\x00王晓明", ""},
		"fasta": {"text/plain", ">王晓明\n" + strings.Repeat("GATTACA", 30), ""},
		"fhir":  {"application/fhir+json", `{"resourceType":"Patient","name":[{"text":"王晓明"}],"gender":"male"}`, "male"},
	} {
		out, _, err := e.Record(context.Background(), desensitize.FHIR, []byte(resource(c.mediaType, c.data)), engine.Input{})
		require.NoError(t, err, name)
		var doc struct {
			Content []struct {
				Attachment struct {
					Data []byte `json:"data"`
				} `json:"attachment"`
			} `json:"content"`
		}
		require.NoError(t, json.Unmarshal(out, &doc), "%s: %s", name, out)
		got := ""
		if len(doc.Content) > 0 {
			got = string(doc.Content[0].Attachment.Data)
		}
		require.NotContains(t, got, "王晓明", name)
		if c.want == "" {
			require.Empty(t, got, name)
		} else {
			require.Contains(t, got, c.want, name)
		}
	}
}

func TestNameWithinAnAddress(t *testing.T) {
	e := newEngine(t, "gbt39725-agreement")
	known := &desensitize.Known{Names: []string{"John Smith"}}
	out, _, err := e.Record(context.Background(), desensitize.FreeText,
		[]byte("Write to John.Smith@example.org, smith.j@mail.example.com or 李a@b.cn; call John Smith."), engine.Input{Known: known})
	require.NoError(t, err)
	for _, part := range []string{"Smith", "smith", "example", "@"} {
		require.NotContains(t, string(out), part)
	}
}

func TestBatch(t *testing.T) {
	e := newEngine(t, "gbt39725-agreement")
	message := strings.ReplaceAll(plantedMessage, "\r", "\r\n")
	in := "FHS|^~\\&|HIS|H1\r\nBHS|^~\\&|HIS|H1|||||王晓明\r\n" + message + "\r\n" + strings.Replace(message, "M0001", "M0002", 1) + "BTS|2|王晓明 13851234567\r\nFTS|1\r\n"
	var out bytes.Buffer
	report, err := e.Run(context.Background(), desensitize.HL7v2, strings.NewReader(in), &out, engine.Input{})
	require.NoError(t, err)
	require.Equal(t, 2, report.Records)
	require.Empty(t, leaks(out.Bytes()))
	var names []string
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\r\n") {
		if name, _, _ := strings.Cut(line, "|"); name == "MSH" || strings.HasSuffix(name, "HS") || strings.HasSuffix(name, "TS") {
			names = append(names, name)
		}
	}
	require.Equal(t, []string{"FHS", "BHS", "MSH", "MSH", "BTS", "FTS"}, names)
	require.Contains(t, out.String(), "BTS|2")

	framed := "\x0b" + plantedMessage + "\x1c\r\x0b" + plantedMessage + "\x1c\r"
	out.Reset()
	report, err = e.Run(context.Background(), desensitize.HL7v2, strings.NewReader(framed), &out, engine.Input{})
	require.NoError(t, err)
	require.Equal(t, 2, report.Records)
	require.Equal(t, 2, strings.Count(out.String(), "MSH|"))
}
