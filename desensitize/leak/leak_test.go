package leak_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/emrbridge/emrbridge/desensitize/leak"
)

var known = leak.Known{
	Names: []string{"王晓明", "Jonathan Applewhite"}, Relatives: []string{"欧阳丽华", "阿不都·热依木"}, Staff: []string{"Dr. Maria Gonzalez"},
	IDNumbers: []string{"320106198503051237"}, Phones: []string{"13851234567", "025-83262626"},
	Addresses: []string{"江苏省南京市鼓楼区中山路321号2幢301室"}, Hospitals: []string{"南京市第九人民医院"}, Employers: []string{"江苏恒通机械厂"},
	RecordNumbers: []string{"ZY0012345"}, Others: []string{"xm.wang@corp.cn"}, Dates: []string{"1985-03-05"},
}

func check(t *testing.T, g *leak.Gate, f leak.Format, text string) []leak.Finding {
	t.Helper()
	out, err := g.Check(context.Background(), f, []byte(text), leak.Compile(known))
	require.NoError(t, err)
	return out
}

// Every way of writing a known value that the gate must see.
var written = []struct {
	typ   leak.Type
	forms []string
}{
	{leak.Name, []string{"王晓明", "王 晓 明", "王\u3000晓明", "王曉明", "王.晓.明", "明晓王", "晓明王", "王某", "王某某", "王某明", "王先生", "王女士", "老王", "晓明女士",
		"wang xiaoming", "Xiaoming Wang", "WANG XIAO MING", "wangxiaoming", "Wáng Xiǎomíng", "王\u200b晓\u200b明", "ｗａｎｇ　ｘｉａｏｍｉｎｇ",
		"欧阳丽华", "歐陽麗華", "欧阳女士", "阿不都热依木", "阿不都·热依木", "Jonathan Applewhite", "APPLEWHITE, JONATHAN", "Applewhite", "Mr. Applewhite", "Maria Gonzalez", "王\n晓明", "王-晓-明", "王**晓**明"}},
	{leak.IDCard, []string{"320106198503051237", "3201 0619 8503 0512 37", "３２０１０６１９８５０３０５１２３７", "320106-19850305-1237", "320106850305123", "732150305891601023", "三二零一零六一九八五零三零五一二三七"}},
	{leak.Phone, []string{"13851234567", "138 5123 4567", "138-5123-4567", "+86 13851234567", "8613851234567", "025-83262626", "02583262626", "83262626", "一三八五一二三四五六七", "76543215831", "①③⑧51234567"}},
	{leak.Address, []string{"江苏省南京市鼓楼区中山路321号2幢301室", "中山路321号2幢301室", "中山路 321 号", "中山路３２１号"}},
	{leak.Hospital, []string{"南京市第九人民医院", "南京市 第九人民医院"}},
	{leak.Employer, []string{"江苏恒通机械厂"}},
	{leak.RecordNo, []string{"ZY0012345", "zy0012345", "ZY-0012345", "ＺＹ００１２３４５"}},
	{leak.Email, []string{"xm.wang@corp.cn"}},
	{leak.Date, []string{"1985-03-05", "1985/3/5", "19850305", "1985年3月5日", "一九八五年三月五日", "1985年03月05日", "March 5, 1985", "5 Mar 1985", "03/05/1985", "05.03.1985", "85年3月5日", "198503051200"}},
}

func TestKnownInAllForms(t *testing.T) {
	g := leak.New(leak.Config{})
	for _, w := range written {
		for _, form := range w.forms {
			for _, around := range []string{"%s", "其%s，复查。", "Seen: %s today", "前文（%s）后文"} {
				text := fmt.Sprintf(around, form)
				found := false
				for _, f := range check(t, g, leak.Text, text) {
					found = found || f.Known && f.Type == w.typ
				}
				require.True(t, found, "%s in %q", w.typ, text)
			}
		}
	}
}

// Every wrapping in which a value must be found.
func wrappings(v string) map[string]string {
	gbk, _ := simplifiedchinese.GBK.NewEncoder().String(v)
	var zip bytes.Buffer
	z := gzip.NewWriter(&zip)
	z.Write([]byte("text: " + v))
	z.Close()
	b64 := base64.StdEncoding.EncodeToString([]byte("病史：" + v + "，随访"))
	var entities, unicode strings.Builder
	for _, r := range v {
		fmt.Fprintf(&entities, "&#x%X;", r)
		fmt.Fprintf(&unicode, `\u%04x`, r)
	}
	rtf := `{\rtf1\ansi\ansicpg936 ` + hexRTF(gbk) + `}`
	return map[string]string{
		"plain": v, "base64": b64, "base64 twice": base64.StdEncoding.EncodeToString([]byte("x " + b64)), "base64 in lines": wrap(b64, 8),
		"base64 url": base64.RawURLEncoding.EncodeToString([]byte("病史：" + v + "，随访")), "gbk in base64": base64.StdEncoding.EncodeToString([]byte(gbk + gbk)),
		"percent": url.QueryEscape(v), "hex": hex.EncodeToString([]byte("xx: " + v)), "entities": entities.String(), "html": "<p>" + html.EscapeString(v) + "</p>",
		"\\u": unicode.String(), "rtf": base64.StdEncoding.EncodeToString([]byte(rtf)), "gzip": base64.StdEncoding.EncodeToString(zip.Bytes()),
		"comment": "<!-- " + v + " -->", "attribute": `<img alt="` + html.EscapeString(v) + `"/>`, "nested json": fmt.Sprintf(`{"a":%q}`, v),
	}
}

func hexRTF(gbk string) string {
	var b strings.Builder
	for _, c := range []byte(gbk) {
		fmt.Fprintf(&b, `\'%02x`, c)
	}
	return b.String()
}

func wrap(s string, n int) string {
	var b strings.Builder
	for len(s) > n {
		b.WriteString(s[:n] + "\r\n")
		s = s[n:]
	}
	return b.String() + s
}

func TestKnownInEveryLayerOfEveryFormat(t *testing.T) {
	g := leak.New(leak.Config{})
	for _, value := range []string{"王晓明", "320106198503051237", "13851234567", "Jonathan Applewhite", "ZY0012345"} {
		for name, w := range wrappings(value) {
			quoted, _ := json.Marshal(w)
			for format, text := range map[leak.Format]string{
				leak.Text:  "第一行\n" + w + "\n",
				leak.FHIR:  `{"resourceType":"Observation","note":[{"text":` + string(quoted) + `}]}`,
				leak.CDA:   `<ClinicalDocument><component><section><text>` + html.EscapeString(w) + `</text></section></component></ClinicalDocument>`,
				leak.HL7v2: "MSH|^~\\&|A|B|C|D|2024||ORU^R01|1|P|2.5\rOBX|1|TX|X||" + strings.NewReplacer("\\", "\\E\\", "&", "\\T\\", "\r\n", "\\.br\\").Replace(w) + "\r",
			} {
				if format == leak.HL7v2 && name == "base64 in lines" {
					continue // line breaks would end the segment
				}
				require.NotEmpty(t, check(t, g, format, text), "%s, %s, %s", value, name, format)
			}
		}
	}
}

func TestValuesSpreadOverParts(t *testing.T) {
	g := leak.New(leak.Config{})
	for format, text := range map[leak.Format]string{
		leak.HL7v2: "MSH|^~\\&|A|B\rOBX|1|TX|||患者王晓\rOBX|2|TX|||明入院\r",
		leak.CDA:   `<ClinicalDocument><text>患者<content styleCode="Bold">王</content>晓<br/>明入院</text></ClinicalDocument>`,
		leak.FHIR:  `{"a":["王","晓明"]}`,
	} {
		require.NotEmpty(t, check(t, g, format, text), format)
	}
}

func TestUnknownIdentifiers(t *testing.T) {
	g := leak.New(leak.Config{Dates: true})
	for typ, texts := range map[leak.Type][]string{
		leak.IDCard:      {"证件 110101199003078515", "1101 0119 9003 0785 15", "110101900307851"},
		leak.Phone:       {"请拨13912345678复诊", "139-1234-5678", "电话：010-62345678", "021 62345678"},
		leak.BankCard:    {"卡号 6222 0212 3456 7890 128", "4111111111111111"},
		leak.Email:       {"a.b@hospital.org.cn", "写信到li@163.com。"},
		leak.URL:         {"见 https://blog.example.cn/li", "www.li-ming.cn"},
		leak.IP:          {"自 192.168.1.20 登录"},
		leak.Plate:       {"驾驶苏A12B34送医", "京A·88888"},
		leak.Passport:    {"护照号：E12345678", "passport EB1234567"},
		leak.OfficerID:   {"军官证：南字第12345678号"},
		leak.HMTPermit:   {"回乡证 H1234567801"},
		leak.WeChat:      {"微信号：lihua_1988"},
		leak.QQ:          {"QQ：12345678"},
		leak.InsuranceNo: {"医保卡号：3201000123456"},
		leak.RecordNo:    {"住院号：00123456", "住院号ZY20240012", "MRN: 8837261"},
		leak.Name:        {"患者姓名：李建国，男", "姓名：赵丽 女", "主治医师：钱学文", "Mr. Thompson was seen", "Patient Name: Robert Miller", "家属签名：孙大伟"},
		leak.Address:     {"住解放路12号", "现住北京市朝阳区建国路88号", "3幢402室", "王家村3组"},
		leak.Hospital:    {"转南京市第一人民医院", "就诊于北京大学附属医院"},
		leak.SSN:         {"SSN 536-22-1234"},
		leak.Date:        {"2023-05-06入院", "二〇二三年五月六日", "May 6, 2023"},
		leak.Genomic:     nil,
	} {
		for _, text := range texts {
			found := false
			for _, f := range check(t, g, leak.Text, text) {
				found = found || !f.Known && f.Type == typ
			}
			require.True(t, found, "%s in %q", typ, text)
		}
	}
}

// Clinical text, labels and surrogates are no findings.
func TestCleanText(t *testing.T) {
	g := leak.New(leak.Config{})
	for _, text := range []string{
		"患者[姓名]，男，45岁，因“反复胸痛3天”入院。查体：T 36.5℃，P 78次/分，BP 135/85mmHg。",
		"患者高热3天，黄疸进行性加深，白细胞 12.5×10^9/L，血小板 235×10^9/L，予头孢曲松2.0g ivgtt qd。",
		"家属陈述病史，患者安静，于当日行CT检查。周身皮肤无黄染，严密观察。患者方便后出现晕厥。",
		"建议上级医院就诊，曾在当地医院治疗，转入我院。", "1. 阿司匹林 100mg qd 2. 氯吡格雷 75mg qd 疗程 12345 次",
		"LOINC 718-7, ICD-10 I21.001, SNOMED 22298006, 2.16.840.1.113883.6.96, RR 12.3.4.5",
		"Patient: denies chest pain. Name: [NAME]. Seen by Dr. [NAME] at [HOSPITAL].", "Babinski sign negative; Murphy's sign positive; Glasgow 15.",
		"http://hl7.org/fhir/StructureDefinition/Patient http://loinc.org", "住院号：[住院号]，电话：[电话]，身份证号：[证件号]", "住院号：k3jq7xm2acvbnhtyuoplrewsdf", "透析号：[病历号]　2023-1-16　上机护士：[姓名]",
		"于第3颈椎水平，腰5骶1，2村路通畅，第2组患者", "心率80次/分，律齐，2023年复查", "HGVS NM_000546.6:c.215C>G p.(Pro72Arg)",
	} {
		require.Empty(t, check(t, g, leak.Text, text), text)
	}
}

func TestFindingsHoldNoValue(t *testing.T) {
	g := leak.New(leak.Config{})
	for _, f := range check(t, g, leak.Text, "一行\n姓名：王晓明 13851234567\n") {
		text, err := json.Marshal(f)
		require.NoError(t, err)
		require.NotContains(t, string(text), "王晓明")
		require.NotContains(t, string(text), "13851234567")
		require.Equal(t, "line 2", f.Path)
	}
	require.Empty(t, check(t, leak.New(leak.Config{Dates: true}), leak.Text, "批号20220614的血制品已输注，lot 20230612，透析号：[病历号] 2023-1"))
	require.NotContains(t, (&leak.Found{Findings: []leak.Finding{{Type: leak.Name}}}).Error(), "王")
	require.NotContains(t, fmt.Sprint(leak.Compile(known).LogValue()), "王")
}

func TestPlainDigests(t *testing.T) {
	g := leak.New(leak.Config{})
	// MD5 of the mobile number, SHA-256 of the identity number.
	for _, text := range []string{"key=" + md5Hex("13851234567"), sha256Hex("320106198503051237")} {
		found := check(t, g, leak.Text, text)
		require.NotEmpty(t, found)
		require.Equal(t, leak.Digest, found[0].Type)
	}
}

func TestUnreadableParts(t *testing.T) {
	g := leak.New(leak.Config{})
	png := base64.StdEncoding.EncodeToString([]byte("\x89PNG\r\n\x1a\n" + strings.Repeat("\x00\x01\x02", 20)))
	found := check(t, g, leak.FHIR, `{"data":"`+png+`"}`)
	require.Len(t, found, 1)
	require.Equal(t, leak.Unreadable, found[0].Type)
	require.Empty(t, check(t, leak.New(leak.Config{Images: true}), leak.FHIR, `{"data":"`+png+`"}`))
	deep := "王晓明 x"
	for range 9 {
		deep = base64.StdEncoding.EncodeToString([]byte("data: " + deep))
	}
	require.NotEmpty(t, check(t, g, leak.Text, deep))
	fastq := "@SEQ\n" + strings.Repeat("GATTACA", 20) + "\n+\n" + strings.Repeat("I", 140) + "\n"
	found = check(t, g, leak.FHIR, `{"data":"`+base64.StdEncoding.EncodeToString([]byte(fastq))+`"}`)
	require.Equal(t, leak.Genomic, found[0].Type)
}

func TestIgnoreAndAllow(t *testing.T) {
	g := leak.New(leak.Config{Ignore: []leak.Type{leak.Date, leak.Hospital}, Allow: func(_ leak.Type, v string) bool { return v == "王晓明" }})
	require.Empty(t, check(t, g, leak.Text, "王晓明 1985-03-05 南京市第九人民医院"))
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := leak.New(leak.Config{}).Check(ctx, leak.Text, []byte("x"), nil)
	require.ErrorIs(t, err, context.Canceled)
}
