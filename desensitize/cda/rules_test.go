package cda_test

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/cda"
)

// under returns a walker with rules in front of those of the test policy.
func under(t testing.TB, rules ...desensitize.Rule) *cda.Walker {
	t.Helper()
	data, err := os.ReadFile("testdata/policy.yaml")
	require.NoError(t, err)
	p, err := desensitize.ParsePolicy(data)
	require.NoError(t, err)
	set := p.Formats[desensitize.CDA]
	set.Rules = append(rules, set.Rules...)
	require.NoError(t, p.Check())
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P1", Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	j, err := desensitize.NewJob(desensitize.JobConfig{Policy: p, Project: project, Text: finder{}, Attachments: attachments{},
		AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	w, err := cda.New(j)
	require.NoError(t, err)
	return w
}

func rule(selects, where string, m desensitize.Method) desensitize.Rule {
	return desensitize.Rule{Select: selects, Where: where, Method: m}
}

func TestSelectors(t *testing.T) {
	for _, c := range []struct {
		rule        desensitize.Rule
		gone, stays string
	}{
		{rule("recordTarget/patientRole/patient/raceCode", "", desensitize.Redact), `"2028-9"`, `<raceCode nullFlavor="MSK"`},
		{rule("raceCode", "", desensitize.Redact), `"2034-7"`, `"WIFE"`},
		{rule("//associatedEntity/code", "", desensitize.Redact), `"WIFE"`, `"FTH"`},
		{rule("//*/code", "", desensitize.Redact), `"FTH"`, `"194828000"`},
		{rule("recordTarget.CD", "", desensitize.Redact), `"FTH"`, `"WIFE"`},
		{rule("*.PQ", "", desensitize.Redact), `"177"`, `"194828000"`},
		{rule("value.PQ", "", desensitize.Redact), `"177"`, `<period value="6"`},
		{rule("*[coded]", "", desensitize.Redact), `"194828000"`, `"177"`},
		{rule("entry", "", desensitize.Redact), `"177"`, "Angina<"},
		{rule("*", "", desensitize.Redact), "Angina", "ClinicalDocument"},
		{rule("code", "@code = 'WIFE'", desensitize.Redact), `"WIFE"`, `"FTH"`},
		{rule("code", "../@classCode = 'NOK'", desensitize.Redact), `"WIFE"`, `"FTH"`},
		{rule("recordTarget/patientRole/addr/country", "", desensitize.Keep), "Jianguo", ">CN<"},
		{rule("recordTarget/patientRole/patient/name", "", desensitize.Keep), "Daming", "<family>Zhang</family>"},
	} {
		out, _ := deid(t, under(t, c.rule), []byte(sample(t)), known())
		require.NotContains(t, out, c.gone, c.rule.Select)
		require.Contains(t, out, c.stays, c.rule.Select)
	}
}

func TestFaultsOfPolicies(t *testing.T) {
	for _, s := range []string{"", "a//b", "/a", "*.QQ", "a[b", "[name]", "a-b", "//"} {
		require.Len(t, cda.Check(&desensitize.RuleSet{Rules: []desensitize.Rule{rule(s, "", desensitize.Keep)}}), 1, s)
	}
	for _, where := range []string{"root = 'x'", "@a", "../x = 'y'"} {
		require.Len(t, cda.Check(&desensitize.RuleSet{Rules: []desensitize.Rule{rule("id", where, desensitize.Keep)}}), 1, where)
	}
	for _, name := range desensitize.Shipped() {
		p, err := desensitize.ShippedPolicy(name)
		require.NoError(t, err)
		require.Empty(t, cda.Check(p.Formats[desensitize.CDA]))
	}
}

func TestInput(t *testing.T) {
	w := walker(t)
	for _, in := range []string{"", "<a/>", "<!DOCTYPE x><ClinicalDocument/>", `<ClinicalDocument xmlns="urn:x"/>`, "<ClinicalDocument><王小明></ClinicalDocument>"} {
		_, err := w.Record(context.Background(), []byte(in), nil, nil, &desensitize.Report{})
		require.ErrorIs(t, err, cda.ErrInput, in)
		require.NotContains(t, err.Error(), "王小明")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.Record(ctx, []byte(sample(t)), nil, nil, &desensitize.Report{})
	require.ErrorIs(t, err, context.Canceled)
}

// A document in GBK comes out in UTF-8 and says so.
func TestCharset(t *testing.T) {
	in := `<?xml version="1.0" encoding="GBK"?><ClinicalDocument xmlns="urn:hl7-org:v3"><title>王小明的病历</title><component><structuredBody><component><section><text>患者王小明，头痛</text></section></component></structuredBody></component></ClinicalDocument>`
	raw, err := hl7.GB18030.Encode([]byte(in))
	require.NoError(t, err)
	out, _ := deid(t, walker(t), raw, known())
	require.Contains(t, out, `encoding="UTF-8"`)
	require.Contains(t, out, "头痛")
	require.NotContains(t, out, "王小明")
}

func TestAttachments(t *testing.T) {
	body := func(text string) []byte {
		return []byte(`<ClinicalDocument xmlns="urn:hl7-org:v3"><component><nonXMLBody>` + text + `</nonXMLBody></component></ClinicalDocument>`)
	}
	w := walker(t)
	out, _ := deid(t, w, body(`<text mediaType="text/plain" representation="B64">5oKj6ICF546L5bCP5piO</text>`), known())
	require.Contains(t, out, `mediaType="text/plain" representation="B64"`)
	clean(t, out, "text")
	for _, text := range []string{`<text mediaType="application/pdf" representation="B64">JVBERi0xLjQK</text>`, `<text mediaType="text/plain" representation="B64" compression="DF">eJw=</text>`,
		`<text mediaType="image/png" representation="B64">***</text>`} {
		out, _ = deid(t, w, body(text), known())
		require.Contains(t, out, `nullFlavor="MSK"`, text)
		require.NotContains(t, out, "JVBER")
	}
	out, _ = deid(t, w, body(`<text mediaType="application/pdf"><reference value="王小明.pdf"/></text>`), known())
	clean(t, out, "reference")
	out, _ = deid(t, w, body(`<text>王小明 was seen</text>`), known())
	require.Contains(t, out, "was seen")
	clean(t, out, "plain")
}

// FuzzRecord: no crash, and what comes out is well-formed and without the known identifiers.
func FuzzRecord(f *testing.F) {
	f.Add("<title>王小明</title>")
	f.Add(`<component><structuredBody><component><section ID="王小明"><text>a<br/>王<content>小明</content></text></section></component></structuredBody></component>`)
	f.Add(`<recordTarget><patientRole><id root="1.2" extension="13812345678"/><patient><name>ZhangWei</name><age value="92" unit="岁"/></patient></patientRole></recordTarget>`)
	f.Add(`<effectiveTime xsi:type="IVL_TS"><low value="20240101"/><width value="3" unit="d"/></effectiveTime><!--ZhangWei-->`)
	w := walker(f)
	f.Fuzz(func(t *testing.T, inner string) {
		if len(inner) > 1<<12 {
			return
		}
		in := `<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">` + inner + `</ClinicalDocument>`
		out, err := w.Record(context.Background(), []byte(in), nil, known(), &desensitize.Report{})
		if err != nil {
			return
		}
		d, err := safexml.Parse(out, safexml.Encoding{}, safexml.Limits{})
		require.NoError(t, err)
		var walk func(n *safexml.Node)
		walk = func(n *safexml.Node) {
			for _, a := range n.Attrs {
				hasNone(t, a.Value)
			}
			for _, c := range n.Children {
				hasNone(t, c.Text)
				walk(c)
			}
		}
		walk(d.Root)
	})
}

func hasNone(t *testing.T, s string) {
	for _, p := range planted {
		require.False(t, strings.Contains(s, p))
	}
}
