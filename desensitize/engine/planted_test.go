package engine_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
)

// The identifiers that are planted: all are in the header of each record, under other ways
// of writing.
var identifiers = []string{"王晓明", "320106198503051237", "13851234567", "ZY0012345", "欧阳丽华", "中山路321号"}

// planted are the ways in which an identifier is put into a place.
func planted(id string) map[string]string {
	return map[string]string{
		"plain":   id,
		"text":    "患者" + id + "，复诊",
		"spaced":  strings.Join(strings.Split(id, ""), " "),
		"base64":  base64.StdEncoding.EncodeToString([]byte("病史：" + id + "，随访")),
		"percent": url.QueryEscape(id),
		"html":    "<p>" + html.EscapeString(id) + "</p>",
		"hex":     hex.EncodeToString([]byte("id: " + id)),
	}
}

// leaks looks for identifiers in an output by means that are neither the gate's nor the
// engine's: it undoes encodings blindly and compares.
func leaks(out []byte) string {
	seen := map[string]bool{}
	queue := []string{string(out)}
	for depth := 0; depth < 4 && len(queue) > 0; depth++ {
		var next []string
		for _, text := range queue {
			for _, form := range []string{text, html.UnescapeString(text), unquote(text), unpercent(text), unescapeX(text), tags.ReplaceAllString(text, "")} {
				if seen[form] {
					continue
				}
				seen[form] = true
				plain := blanks.ReplaceAllString(form, "")
				for _, id := range identifiers {
					if strings.Contains(form, id) || strings.Contains(plain, id) {
						return id
					}
				}
				for _, word := range packs.FindAllString(form, -1) {
					for _, pad := range []string{word, word + "=", word + "=="} {
						if b, err := base64.StdEncoding.DecodeString(pad); err == nil {
							next = append(next, string(b))
						}
					}
					if b, err := hex.DecodeString(word); err == nil {
						next = append(next, string(b))
					}
				}
			}
		}
		queue = next
	}
	return ""
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	blanks = regexp.MustCompile(`[ \t\r\n^&]`)
	packs  = regexp.MustCompile(`[A-Za-z0-9+/]{12,}=*`)
	hexX   = regexp.MustCompile(`\\X([0-9A-Fa-f]+)\\`)
	codes  = regexp.MustCompile(`\\u[0-9a-fA-F]{4}`)
)

func unquote(s string) string {
	return codes.ReplaceAllStringFunc(s, func(c string) string {
		var out string
		_ = json.Unmarshal([]byte(`"`+c+`"`), &out)
		return out
	})
}

func unpercent(s string) string {
	out, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return out
}

func unescapeX(s string) string {
	return hexX.ReplaceAllStringFunc(s, func(c string) string {
		b, _ := hex.DecodeString(c[2 : len(c)-1])
		return string(b)
	})
}

// plant runs every variant through the engine. Nothing may come out; a refusal is no leak,
// but few records may be refused.
func plant(t *testing.T, f desensitize.Format, variants map[string]string) {
	t.Helper()
	e := newEngine(t, "gbt39725-agreement")
	refused := map[string]int{}
	for name, record := range sample(variants) {
		out, _, err := e.Record(context.Background(), f, []byte(record), engine.Input{})
		if err != nil {
			require.Empty(t, leaks([]byte(err.Error())), "%s: the error tells", name)
			refused[err.Error()]++
			continue
		}
		require.Empty(t, leaks(out), "%s leaks: %s", name, out)
	}
	total := 0
	for why, n := range refused {
		total += n
		t.Logf("%d refused: %s", n, why)
	}
	t.Logf("%d of %d records refused", total, len(variants))
	require.LessOrEqual(t, total*20, len(variants), "too many records refused")
}

// sample keeps all places with an identifier as it is, and of the other ways of writing one
// in six, so that the test takes seconds.
func sample(variants map[string]string) map[string]string {
	out := map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(variants)) {
		if i%6 == 0 || strings.Contains(name, " plain ") || strings.Contains(name, "escape") {
			out[name] = variants[name]
		}
	}
	return out
}

const plantedBundle = `{"resourceType":"Bundle","id":"b1","type":"collection","entry":[
{"fullUrl":"urn:uuid:1","resource":{"resourceType":"Patient","id":"p1","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">王晓明</div>"},
"extension":[{"url":"http://example.org/x","valueString":"note"},{"url":"http://example.org/y","extension":[{"url":"z","valueString":"deep"}]}],
"identifier":[{"system":"http://example.org/id","value":"320106198503051237"},{"type":{"text":"住院号"},"value":"ZY0012345"}],"active":true,
"name":[{"use":"official","text":"王晓明","family":"王","given":["晓明"]}],"telecom":[{"system":"phone","value":"13851234567"}],"gender":"male","birthDate":"1985-03-05",
"address":[{"text":"江苏省南京市鼓楼区中山路321号","line":["中山路321号"],"city":"南京市","district":"鼓楼区","state":"江苏省","postalCode":"210008"}],
"contact":[{"name":{"text":"欧阳丽华"},"relationship":[{"text":"妻"}]}],"generalPractitioner":[{"reference":"Practitioner/d1","display":"钱学文"}]}},
{"fullUrl":"urn:uuid:2","resource":{"resourceType":"Observation","id":"o1","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin"}],"text":"血红蛋白"},
"subject":{"reference":"urn:uuid:1","display":"王晓明"},"effectiveDateTime":"2026-01-02T08:00:00+08:00","valueString":"正常","note":[{"text":"患者王晓明复查"}],"performer":[{"display":"钱学文"}],
"contained":[{"resourceType":"Organization","id":"c1","name":"检验科"}],"component":[{"code":{"text":"a"},"valueQuantity":{"value":12.5,"unit":"g/L"}}]}},
{"fullUrl":"urn:uuid:3","resource":{"resourceType":"DocumentReference","id":"d1","status":"current","description":"出院小结","content":[{"attachment":{"contentType":"text/plain","data":"5oKj6ICF546L5pmT5piO","title":"小结","url":"http://example.org/doc/1"}}]}},
{"fullUrl":"urn:uuid:4","resource":{"resourceType":"Condition","id":"c1","subject":{"reference":"urn:uuid:1"},"code":{"coding":[{"system":"http://hl7.org/fhir/sid/icd-10","code":"I21.0"}],"text":"心肌梗死"},"note":[{"text":"x","authorString":"钱学文"}]}}]}`

// plantJSON calls put for every place of a JSON document that a string can stand in.
func plantJSON(t *testing.T, document string, put func(path string, set func(string) string)) {
	var root any
	require.NoError(t, json.Unmarshal([]byte(document), &root))
	marshal := func() string {
		out, err := json.Marshal(root)
		require.NoError(t, err)
		return string(out)
	}
	var walk func(path string, v any, set func(any))
	walk = func(path string, v any, set func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(path+"."+k, e, func(x any) { v[k] = x })
			}
			put(path+".(unknown member)", func(s string) string {
				v["planted"] = s
				defer delete(v, "planted")
				return marshal()
			})
			put(path+".(extension)", func(s string) string {
				kept, had := v["extension"]
				v["extension"] = []any{map[string]any{"url": "http://example.org/planted", "valueString": s}}
				defer func() {
					if delete(v, "extension"); had {
						v["extension"] = kept
					}
				}()
				return marshal()
			})
		case []any:
			for i, e := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), e, func(x any) { v[i] = x })
			}
		case string:
			if strings.HasSuffix(path, ".resourceType") {
				return
			}
			put(path, func(s string) string {
				set(s)
				defer set(v)
				return marshal()
			})
		}
	}
	walk("", root, nil)
}

func TestPlantedInFHIR(t *testing.T) {
	variants := map[string]string{}
	n := 0
	plantJSON(t, plantedBundle, func(path string, set func(string) string) {
		id := identifiers[n%len(identifiers)]
		n++
		for how, value := range planted(id) {
			variants[path+" "+how+" "+fmt.Sprint(n)] = set(value)
		}
	})
	plant(t, desensitize.FHIR, variants)
}

const plantedMessage = "MSH|^~\\&|HIS|H1|LAB|H2|20260102080000||ORU^R01^ORU_R01|M0001|P|2.5|||AL|NE|CHN|UNICODE UTF-8\r" +
	"PID|1|320106198503051237|ZY0012345^^^H1^PI~320106198503051237^^^^NI||王^晓明^^^^^L||19850305|M|||中山路321号^^南京市^江苏省^210008^CHN||13851234567^PRN^PH|025-83262626\r" +
	"NK1|1|欧阳^丽华|SPO^妻|中山路321号|13851234567\r" +
	"PV1|1|I|W1^301^12^H1|R|||D1001^钱^学文|||MED||||1|||D1002^孙^大伟|I|ZY0012345\r" +
	"OBR|1|O100001|F100002|58410-2^CBC^LN|||20260102070000|||D1001^钱^学文||||||||||||20260102075900||HM|F\r" +
	"OBX|1|NM|718-7^Hgb^LN||125|g/L|120-160|N|||F\r" +
	"OBX|2|TX|8251-1^COMMENT^LN||一般情况可||||||F\r" +
	"OBX|3|ED|18842-5^小结^LN||^TEXT^PLAIN^Base64^5oKj6ICF546L5pmT5piO||||||F\r" +
	"NTE|1|L|随诊\r" +
	"ZXX|1|local\r"

func TestPlantedInHL7(t *testing.T) {
	escape := strings.NewReplacer("\\", "\\E\\", "|", "\\F\\", "^", "\\S\\", "&", "\\T\\", "~", "\\R\\")
	variants := map[string]string{}
	segments := strings.Split(strings.TrimSuffix(plantedMessage, "\r"), "\r")
	n := 0
	add := func(name string, line int, fields []string, field int, put func(string) string) {
		id := identifiers[n%len(identifiers)]
		n++
		ways := planted(id)
		for how, value := range ways {
			ways[how] = escape.Replace(value)
		}
		ways["escape"] = "\\X" + strings.ToUpper(hex.EncodeToString([]byte(id))) + "\\"
		ways["local escape"] = "\\Z" + id + "\\"
		ways["highlight"] = "\\H\\" + id + "\\N\\"
		ways["component"] = strings.Join(strings.Split(id, ""), "^")
		ways["subcomponent"] = "a^b&" + id
		ways["repetition"] = "x~" + id
		for how, value := range ways {
			changed := append([]string(nil), fields...)
			for len(changed) <= field {
				changed = append(changed, "")
			}
			changed[field] = put(value)
			lines := append([]string(nil), segments...)
			lines[line] = strings.Join(changed, "|")
			variants[fmt.Sprintf("%s-%d %s %d", name, field, how, n)] = strings.Join(lines, "\r") + "\r"
		}
	}
	for i, s := range segments {
		fields := strings.Split(s, "|")
		for field := 1; field < 45; field++ {
			if fields[0] == "MSH" && (field == 1 || field == 8 || field == 11 || field == 17) { // what parsing needs
				continue
			}
			if fields[0] == "OBX" && field == 2 {
				continue
			}
			add(fields[0], i, fields, field, func(v string) string { return v })
			if field < len(fields) {
				add(fields[0]+" behind", i, fields, field, func(v string) string { return fields[field] + "^" + v })
			}
		}
	}
	for how, value := range planted(identifiers[0]) {
		variants["unknown segment "+how] = plantedMessage + "QQQ|1|" + escape.Replace(value) + "\r"
	}
	plant(t, desensitize.HL7v2, variants)
}

const plantedDocument = `<?xml version="1.0" encoding="UTF-8"?>
<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:mif="urn:hl7-org:v3/mif" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><realmCode code="CN"/><typeId root="2.16.840.1.113883.1.3" extension="POCD_MT000040"/>
<templateId root="2.16.156.10011.2.1.1.21"/><id root="2.16.156.10011.1.1" extension="DOC0001"/><code code="C0001" codeSystem="2.16.156.10011.2.4" codeSystemName="卫生信息共享文档规范编码体系"/><title>病历概要</title>
<effectiveTime value="20260102080000"/><confidentialityCode code="N" codeSystem="2.16.840.1.113883.5.25"/><languageCode code="zh-CN"/>
<recordTarget typeCode="RCT" contextControlCode="OP"><patientRole classCode="PAT"><id root="2.16.156.10011.1.12" extension="ZY0012345"/><addr use="H"><houseNumber>中山路321号</houseNumber><county>鼓楼区</county><city>南京市</city><state>江苏省</state></addr>
<telecom value="13851234567"/><patient classCode="PSN" determinerCode="INSTANCE"><id root="2.16.156.10011.1.3" extension="320106198503051237"/><name>王晓明</name><administrativeGenderCode code="1" codeSystem="2.16.156.10011.2.3.3.4"/><birthTime value="19850305"/></patient></patientRole></recordTarget>
<author typeCode="AUT"><time value="20260102"/><assignedAuthor classCode="ASSIGNED"><id root="2.16.156.10011.1.7" extension="D1001"/><assignedPerson><name>钱学文</name></assignedPerson></assignedAuthor></author>
<custodian typeCode="CST"><assignedCustodian classCode="ASSIGNED"><representedCustodianOrganization classCode="ORG"><id root="2.16.156.10011.1.5" extension="H1"/><name>南京市第九人民医院</name></representedCustodianOrganization></assignedCustodian></custodian>
<participant typeCode="NOT"><associatedEntity classCode="ECON"><telecom value="13851234567"/><associatedPerson><name>欧阳丽华</name></associatedPerson></associatedEntity></participant>
<component><structuredBody><component><section><code code="10154-3" codeSystem="2.16.840.1.113883.6.1" displayName="CHIEF COMPLAINT"/><title>主诉</title><text>胸痛3天</text>
<entry><observation classCode="OBS" moodCode="EVN"><code code="DE04.01.119.00" codeSystem="2.16.156.10011.2.2.1" displayName="主诉"/><value xsi:type="ST">胸痛3天</value></observation></entry></section></component></structuredBody></component></ClinicalDocument>`

var (
	xmlValue   = regexp.MustCompile(`(\w+)="[^"]*"`)
	xmlContent = regexp.MustCompile(`>[^<>]+<`)
	xmlTagEnd  = regexp.MustCompile(`></`)
)

func TestPlantedInCDA(t *testing.T) {
	variants := map[string]string{}
	n := 0
	put := func(name string, from, to int, make func(string) string) {
		id := identifiers[n%len(identifiers)]
		n++
		for how, value := range planted(id) {
			variants[fmt.Sprintf("%s %s %d", name, how, n)] = plantedDocument[:from] + make(html.EscapeString(value)) + plantedDocument[to:]
		}
	}
	for _, m := range xmlValue.FindAllStringSubmatchIndex(plantedDocument, -1) {
		name := plantedDocument[m[2]:m[3]]
		if strings.HasPrefix(name, "xmlns") || name == "version" || name == "encoding" || name == "mif" || name == "xsi" || name == "type" || name == "root" && m[0] < 700 {
			continue
		}
		put("@"+name, m[0], m[1], func(v string) string { return name + `="` + v + `"` })
		put("attribute beside "+name, m[1], m[1], func(v string) string { return ` planted="` + v + `"` })
	}
	for _, m := range xmlContent.FindAllStringIndex(plantedDocument, -1) {
		put("text", m[0]+1, m[1]-1, func(v string) string { return v })
		put("comment", m[0]+1, m[0]+1, func(v string) string { return "<!-- " + v + " -->" })
		put("instruction", m[0]+1, m[0]+1, func(v string) string { return "<?planted " + strings.ReplaceAll(v, "?>", "") + "?>" })
		put("cdata", m[0]+1, m[0]+1, func(v string) string { return "<![CDATA[" + html.UnescapeString(v) + "]]>" })
	}
	for _, m := range xmlTagEnd.FindAllStringIndex(plantedDocument, -1) {
		put("element", m[0]+1, m[0]+1, func(v string) string { return "<planted a=\"" + v + "\">" + v + "</planted>" })
		put("foreign element", m[0]+1, m[0]+1, func(v string) string { return "<mif:planted>" + v + "</mif:planted>" })
	}
	plant(t, desensitize.CDA, variants)
}

// Attachments of all kinds, in all three formats.
func TestPlantedInAttachments(t *testing.T) {
	e := newEngine(t, "gbt39725-agreement")
	for _, id := range identifiers {
		gbk := "{\\rtf1\\ansi " + rtfEscape("患者"+id) + "}"
		for name, data := range map[string]string{
			"text": "患者" + id, "rtf": gbk, "html": "<html><p>" + id + "</p></html>", "xml": "<a b='" + id + "'>" + id + "</a>", "json": `{"a":"` + id + `"}`,
			"png": "\x89PNG\r\n\x1a\n" + id, "zip": "PK\x03\x04" + id, "fhir": `{"resourceType":"Patient","name":[{"text":"` + id + `"}]}`,
			"nested": `{"resourceType":"Binary","contentType":"text/plain","data":"` + base64.StdEncoding.EncodeToString([]byte("患者"+id)) + `"}`,
			"hl7":    strings.Replace(plantedMessage, "一般情况可", id, 1), "cda": strings.Replace(plantedDocument, "病历概要", id, 1),
		} {
			packed := base64.StdEncoding.EncodeToString([]byte(data))
			for f, record := range map[desensitize.Format]string{
				desensitize.FHIR:  strings.Replace(plantedBundle, "5oKj6ICF546L5pmT5piO", packed, 1),
				desensitize.HL7v2: strings.Replace(plantedMessage, "5oKj6ICF546L5pmT5piO", packed, 1),
				desensitize.CDA: regexp.MustCompile(`(?s)<structuredBody>.*</structuredBody>`).ReplaceAllString(plantedDocument,
					`<nonXMLBody><text mediaType="application/octet-stream" representation="B64">`+packed+`</text></nonXMLBody>`),
			} {
				out, _, err := e.Record(context.Background(), f, []byte(record), engine.Input{})
				if err == nil {
					require.Empty(t, leaks(out), "%s in %s", name, f)
				}
				require.False(t, err != nil && bytes.Contains([]byte(err.Error()), []byte(id)))
			}
		}
	}
}

func rtfEscape(s string) string {
	var b strings.Builder
	for _, r := range s {
		fmt.Fprintf(&b, `\u%d?`, int16(r))
	}
	return b.String()
}
