package text

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// marked shows what is found as [type:words].
func marked(e *Engine, s string, k *Known) string {
	out, _ := e.Replace(nil, s, k, func(sp Span, w string) string { return "[" + string(sp.Type) + ":" + w + "]" })
	return string(out)
}

func TestFind(t *testing.T) {
	e := New(Options{})
	raw, err := os.ReadFile("testdata/notes.txt")
	require.NoError(t, err)
	for want := range strings.Lines(string(raw)) {
		if want = strings.TrimSpace(want); !strings.HasPrefix(want, "#") {
			assert.Equal(t, want, marked(e, unmarked(want), nil))
		}
	}
}

// unmarked takes the marks out again.
func unmarked(s string) string {
	for _, x := range types[1:] {
		s = strings.ReplaceAll(s, "["+string(x)+":", "\x00")
	}
	for strings.Contains(s, "\x00") {
		before, after, _ := strings.Cut(s, "\x00")
		s = before + strings.Replace(after, "]", "", 1)
	}
	return s
}

func TestNamesOfTheDocumentAreFoundAgain(t *testing.T) {
	e := New(Options{})
	for _, want := range []string{
		"患者[name:王伟]今日复诊，[name:王伟]报告症状缓解。",
		"病人[name:赵雨辰]今日就诊；[name:赵雨辰]表示睡眠改善。",
		"姓名：[name:欧阳清]，今日接受随访；[name:欧阳清]复诊。",
		"患者[name:司马澄宁]今日复诊；[name:司马澄宁]表示无不适。",
		"來訪者：[name:戴笙楨]（[age:66]歲），[name:笙楨]總說沒用",
	} {
		assert.Equal(t, want, marked(e, unmarked(want), nil))
	}
}

func TestOptions(t *testing.T) {
	e := New(Options{Terms: []string{"陈伟霆方案"}, MinScore: 0.7})
	assert.Equal(t, "予陈伟霆方案，患者[name:陈伟霆]", marked(e, "予陈伟霆方案，患者陈伟霆", nil))
}

func TestLongTextIsFoundLikeAShortOne(t *testing.T) {
	e := New(Options{})
	line := "患者王建国，电话13800138000。\n"
	spans := e.Find(strings.Repeat(line, block/len(line)+1000), nil)
	assert.Len(t, spans, 2*(block/len(line)+1000))
}
