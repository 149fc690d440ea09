package risk

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBuiltinTypes(t *testing.T) {
	for _, c := range []struct {
		kind, value string
		want        []string
	}{
		{"age", "34", []string{"30-34", "30-39", "20-39", "*"}},
		{"age", "34岁", []string{"30-34", "30-39", "20-39", "*"}},
		{"age", "93", []string{"90+", "90+", "80+", "*"}},
		{"age", "unknown", []string{"*", "*", "*", "*"}},
		{"date", "2026-03-05", []string{"2026-03-05", "2026-03", "2026-Q1", "2026", "2020s", "*"}},
		{"date", "20261105083000", []string{"2026-11-05", "2026-11", "2026-Q4", "2026", "2020s", "*"}},
		{"date", "2026年3月5日", []string{"2026-03-05", "2026-03", "2026-Q1", "2026", "2020s", "*"}},
		{"date", "2026-03-05T08:30:00+08:00", []string{"2026-03-05", "2026-03", "2026-Q1", "2026", "2020s", "*"}},
		{"date", "2026-03", []string{"2026-03", "2026-03", "2026-Q1", "2026", "2020s", "*"}},
		{"date", "1949", []string{"1949", "1949", "1949", "1949", "1940s", "*"}},
		{"date", "2026-02-30", []string{"*", "*", "*", "*", "*", "*"}},
		{"postcode", "210029", []string{"2100**", "210***", "21****", "*"}},
		{"postcode", "02139", []string{"0213*", "021**", "02***", "*"}},
		{"region", "320106", []string{"320106", "320100", "320000", "*"}},
		{"region", "320106001002", []string{"320106", "320100", "320000", "*"}},
		{"region", "江苏省南京市鼓楼区汉中路300号", []string{"江苏省南京市鼓楼区", "江苏省南京市", "江苏省", "*"}},
		{"region", "北京市海淀区中关村大街1号", []string{"北京海淀区", "北京", "北京", "*"}},
		{"region", "新疆维吾尔自治区伊犁哈萨克自治州霍城县", []string{"新疆维吾尔自治区伊犁哈萨克自治州霍城县", "新疆维吾尔自治区伊犁哈萨克自治州", "新疆维吾尔自治区", "*"}},
		{"region", "somewhere", []string{"*", "*", "*", "*"}},
		{"icd10", "E11.900", []string{"E11.9", "E11", "E10-E14", "E00-E90", "*"}},
		{"icd10", "i10.x00", []string{"I10", "I10", "I10-I15", "I00-I99", "*"}},
		{"icd10", "X59", []string{"X59", "X59", "W00-X59", "V01-Y98", "*"}},
		{"icd10", "U07.1", []string{"U07.1", "U07", "U00-U49", "U00-U99", "*"}},
		{"icd10", "高血压", []string{"*", "*", "*", "*", "*"}},
		{"number:10", "-3.5", []string{"[-10,0)", "[-20,0)", "[-40,0)", "[-80,0)", "*"}},
		{"number:0.1", "0.3", []string{"[0.2,0.3)", "[0.2,0.4)", "[0,0.4)", "[0,0.8)", "*"}},
		{"prefix:2", "甲乙丙", []string{"甲乙*", "甲**", "*"}},
		{"sex", "男", []string{"*"}},
		{"age", "*", []string{"*", "*", "*", "*"}},
	} {
		t.Run(c.kind+" "+c.value, func(t *testing.T) {
			h, err := Builtin(c.kind)
			require.NoError(t, err)
			var got []string
			for level := 1; level <= h.Levels(); level++ {
				label, ok := h.Generalise(c.value, level)
				require.True(t, ok)
				got = append(got, label)
			}
			assert.Equal(t, c.want, got)
			same, _ := h.Generalise(c.value, 0)
			assert.Equal(t, c.value, same)
		})
	}
	for _, name := range []string{"", "nope", "number", "number:0", "number:x", "prefix:0", "prefix:99"} {
		_, err := Builtin(name)
		assert.ErrorIs(t, err, ErrHierarchy, name)
	}
}

func TestICDRangesAreOrderedAndNest(t *testing.T) {
	for _, list := range [][]string{icdChapters, icdBlocks} {
		for i, r := range list {
			require.Len(t, r, 7)
			assert.LessOrEqual(t, r[:3], r[4:])
			if i > 0 {
				assert.Less(t, list[i-1][4:], r[:3])
			}
		}
	}
	for _, b := range icdBlocks {
		assert.Equal(t, span(icdChapters, b[:3], ""), span(icdChapters, b[4:], ""), b)
		assert.NotEmpty(t, span(icdChapters, b[:3], ""), b)
	}
}

func TestListedHierarchies(t *testing.T) {
	for name, text := range map[string]string{
		"does not nest": "34;30-40;30-69;*\n45;40-50;30-69;*\n66;70-80;30-69;*\n70;70-80;70+;*\n",
		"ragged":        "a;b;*\nc;*\n",
		"no levels":     "a\nb\n",
		"value twice":   "a;x;*\na;y;*\n",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadListed(context.Background(), strings.NewReader(text))
			assert.Error(t, err)
			assert.NotContains(t, err.Error(), "30-69", "values stay out of errors")
		})
	}
	h := listed(t, "34;<50;*", "70;>=50;*")
	table := readTable(t, "age\n34\n66\n", Schema{Quasi: []string{"age"}})
	_, err := Propose(context.Background(), table, map[string]Hierarchy{"age": h}, Goal{Thresholds: Thresholds{K: 2}})
	assert.ErrorIs(t, err, ErrHierarchy)
	assert.NotContains(t, err.Error(), "66")
}

func TestDetect(t *testing.T) {
	table := readTable(t, "年龄,性别,入院日期,行政区划,现住址,诊断编码,邮编\n34,男,2026-03-05,320106,江苏省南京市鼓楼区,I10.x00,210029\n67,女,20260401,110105,北京市朝阳区,E11.9,100020\n",
		Schema{Quasi: []string{"年龄", "性别", "入院日期", "行政区划", "现住址", "诊断编码", "邮编"}})
	want := []string{"age", "category", "date", "region", "region", "icd10", "postcode"}
	for i, column := range table.Schema().Quasi {
		assert.Equal(t, want[i], table.Detect(column), column)
	}
	assert.Equal(t, "category", table.Detect("none"))

	var b strings.Builder
	b.WriteString("language,patientAge,cost,few\n")
	for i := range 50 {
		fmt.Fprintf(&b, "%d,%d,%d,%d\n", i%3, i, 1000*i, i%2)
	}
	table = readTable(t, b.String(), Schema{Quasi: []string{"language", "patientAge", "cost", "few"}})
	assert.Equal(t, "category", table.Detect("language"))
	assert.Equal(t, "age", table.Detect("patientAge"))
	assert.Equal(t, "number:2000", table.Detect("cost"))
	assert.Equal(t, "category", table.Detect("few"))
	_, err := Builtin(table.Detect("cost"))
	assert.NoError(t, err)
}

// FuzzBuiltinNests: whatever two values are, once a level joins them no higher one parts them.
func FuzzBuiltinNests(f *testing.F) {
	for _, s := range [][2]string{{"34", "39"}, {"2026-03-05", "2026-03"}, {"E11.9", "E11"}, {"320106", "江苏省"}, {"U55", "U60"},
		{"江苏省南京市", "江苏省"}, {"0.3", "0.29999"}, {"北京", "北京市"}, {"*", ""}, {"1e300", "-0"}, {"89", "90"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, kind := range []string{"category", "age", "date", "postcode", "region", "icd10", "number:0.1", "number:7", "prefix:3"} {
			h, err := Builtin(kind)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := compile(h, kind, []string{a, b}); err != nil {
				t.Fatalf("%s: %q %q: %v", kind, a, b, err)
			}
		}
	})
}

// FuzzReadListed: no panic; what is accepted nests.
func FuzzReadListed(f *testing.F) {
	for _, s := range []string{"34;<50;*\n45;<50;*\n", "a,b\n", "a;*\na;*\n", ";;\n", "\"a;b\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := ReadListed(context.Background(), strings.NewReader(string(data)))
		if err != nil {
			return
		}
		var values []string
		for v := range h.rows {
			values = append(values, v)
		}
		if _, err := compile(h, "x", values); err != nil {
			t.Fatal(err)
		}
	})
}
