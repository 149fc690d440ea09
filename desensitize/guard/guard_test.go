package guard_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

func people() guard.People {
	k := &desensitize.Known{}
	k.Add(desensitize.Name, "Zhang Wei")
	k.Add(desensitize.RecordNo, "A-00458")
	k.Add(desensitize.Phone, "138-1234-5678")
	return guard.PeopleOf(k)
}

func TestToken(t *testing.T) {
	p := people()
	for _, s := range []string{"M", "I21.000", "718-7", "ADT^A01"[:3], "NNCHN", "<", "mg/dL", "F", "10*9/L"} {
		require.True(t, guard.Token(p, s), s)
	}
	for _, s := range []string{"ZHANG", "zhangwei", "Zhang-Wei", "A00458", "13812345678", "张三", "two words", "20240517000123", "Administration",
		strings.Repeat("A", 25), base64.StdEncoding.EncodeToString([]byte("王小明"))} {
		require.False(t, guard.Token(p, s), s)
	}
}

func TestCode(t *testing.T) {
	p := people()
	for code, system := range map[string]string{
		"271649006": "SCT", "840539006": "2.16.840.1.113883.6.96", "10828004": "SCT", "900000000000207008": "SCT", "135811000119107": "SCT", "718-7": "LN",
		"00591346753": "NDC", "DE04.01.119.00": "2.16.156.10011.2.2.1", "M": "HL70001",
	} {
		require.True(t, guard.Code(p, guard.TerminologyOf(system), code), code)
	}
	for code, system := range map[string]string{
		"13812345678": "SCT", "110101199003070011": "SCT", "13912345678": "NDC", "7181234567": "LN", "ZHANG": "LN", "ZhangSan": "LN", "718-7": "L",
	} {
		require.False(t, guard.Code(p, guard.TerminologyOf(system), code), code)
	}
}

func TestCodeStays(t *testing.T) {
	p := people()
	for _, s := range []string{"I10.x00x002", "I21.000", "C50", "M80.0", "718-7", "11506-3", "DE04.01.119.00", "M", "AL", "CBC", "LAB-12"} {
		require.True(t, guard.CodeStays(p, guard.Unknown, s), s)
	}
	for _, s := range []string{"D337963", "00458812", "123456", "13812345678", "ZHANG", "I21-A00458"} {
		require.False(t, guard.CodeStays(p, guard.Unknown, s), s)
	}
	require.True(t, guard.CodeLike("D337963"))
	require.False(t, guard.CodeLike("two words 12345"))
	require.False(t, guard.CodeLike("张三12345"))
}

func TestOID(t *testing.T) {
	p := people()
	require.True(t, guard.OID(p, "2.16.156.10011.1.3"))
	require.False(t, guard.OID(p, "1.2.3.13812345678"))
	require.False(t, guard.OID(p, ""))
	require.True(t, guard.PublicRoot(p, "2.16.156.10011.1.12"))
	require.False(t, guard.PublicRoot(p, "1.3.6.1.4.1.99"))
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P", Key: []byte(strings.Repeat("k", 32))})
	require.NoError(t, err)
	require.Regexp(t, `^2\.25\.\d+$`, guard.UniversalID(project, "1.2.3.4"))
	require.Regexp(t, `^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, guard.UniversalID(project, "2B6F5E60-6E0B-4C0C-8A0C-000000000001"))
	require.Regexp(t, `^x[0-9a-f]{16}\.invalid$`, guard.UniversalID(project, "hospital.example"))
}

func TestLayers(t *testing.T) {
	scrub := func(s string) (string, bool) { return strings.ReplaceAll(s, "王小明", "[姓名]"), true }
	for in, want := range map[string]string{
		"患者王小明":                              "患者[姓名]",
		"头痛 3 天":                             "头痛 3 天",
		"患者&#29579;&#23567;&#26126;来诊":       "患者[姓名]来诊",
		"p=%E7%8E%8B%E5%B0%8F%E6%98%8E":      "p=[姓名]",
		"50% of %E7%8E%8B%E5%B0%8F%E6%98%8E": "50% of [姓名]",
		"<p>患者<b>王</b>小明</p>来诊":              "患者[姓名]来诊",
		"<b>头痛</b> p<0.05, a > b":            "<b>头痛</b> p<0.05, a > b",
		"data 546L5bCP5piO end":              "data  end",
		"100% of R&D; fine":                  "100% of R&D; fine",
		"Hypertension and hyperlipidaemia":   "Hypertension and hyperlipidaemia",
		"x " + strings.Repeat("QUJD", 200):   "x ",
	} {
		out, ok := guard.Layers(in, scrub)
		require.True(t, ok)
		require.Equal(t, want, out)
	}
	// What was changed once is not changed again.
	shift := func(s string) (string, bool) {
		return strings.NewReplacer("day 7", "day 8", "day 8", "day 9").Replace(s), true
	}
	out, ok := guard.Layers("<p>on day 7</p> &lt;b", shift)
	require.True(t, ok)
	require.Equal(t, "<p>on day 8</p> &lt;b", out)
	require.True(t, guard.Layered("546L5bCP5piO"))
	require.False(t, guard.Layered("患者王小明"))
}

func TestNames(t *testing.T) {
	require.Equal(t, "王小明", guard.JoinName("王", "小明", ""))
	require.Equal(t, "Anna Maria Smith", guard.JoinName("Smith", "Anna", "Maria"))
	require.Equal(t, "Dr", guard.JoinName("", "", "", "Dr"))
	family, given, ok := guard.SplitName("某甲子乙丑")
	require.True(t, ok)
	require.Equal(t, [2]string{"某", "甲子乙丑"}, [2]string{family, given})
	_, _, ok = guard.SplitName("abc")
	require.False(t, ok)
	require.Equal(t, "北京市朝阳区建国路88号", guard.Area{State: "北京市", City: "北京市", County: "朝阳区", Street: "建国路88号"}.String())
	require.Equal(t, "1 Main St Boston MA", guard.Area{State: "MA", City: "Boston", Street: "1 Main St"}.String())
}
