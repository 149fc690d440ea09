package text

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// sound checks what is promised of spans: sorted, disjoint, inside the text, on the edges of
// characters.
func sound(t *testing.T, text string, spans []Span) {
	t.Helper()
	at := 0
	for _, s := range spans {
		require.GreaterOrEqual(t, s.Start, at)
		require.Greater(t, s.End, s.Start)
		require.LessOrEqual(t, s.End, len(text))
		if utf8.ValidString(text) {
			require.True(t, utf8.RuneStart(text[s.Start]))
			require.True(t, s.End == len(text) || utf8.RuneStart(text[s.End]))
		}
		require.NotEmpty(t, s.Type)
		at = s.End
	}
}

var seeds = []string{
	"患者王伟今日复诊，王伟报告症状缓解。", "姓名：张 三 性别：男\n住院号：ZY0012345", "家住湖南省长沙市岳麓区麓谷街道谷苑路186号5栋2单元1803房",
	"身份证１１０１０５１９４９１２３１００２Ｘ", "+86 138 0013 8000转12", "(0571)87654321-801", "二〇二四年三月九日至十一日", "阿卜杜拉·买买提", "Dr. Jane Q. Smith, MRN: 12345",
	"mail: a.b@c.de, http://x.cn/a?b=c 2001:db8::1 192.168.1.1", "\xff\xfe王\x00伟", "·····", "０１２３４５６７８９", "于于于于于于", "王某某 老王 王医生", "A123456(7) H12345678 京A12345 军字第1234567号",
}

func FuzzFind(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	e := New(Options{})
	k := e.Prepare(person)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1<<14 {
			return
		}
		sound(t, s, e.Find(s, nil))
		out, spans := e.Replace(nil, s, k, func(sp Span, _ string) string { return "[" + string(sp.Type) + "]" })
		sound(t, s, spans)
		for _, x := range e.Find(string(out), k) {
			require.False(t, x.Known, "a known value is still in the output")
		}
	})
}

// Hostile texts take no more time per byte than others.
func TestLongTexts(t *testing.T) {
	e := New(Options{})
	k := e.Prepare(person)
	for _, s := range append(seeds, "一", "1", "1 ", "1-", "王", "省", "医院", "a", "a.", "@", "住", "患者", "年", "第", "：", "路", "\n", " ", "王王", "老", "x@x.", "1年", "1月1日至", "楼") {
		long := strings.Repeat(s, 1+12000/len(s))
		sound(t, long, e.Find(long, k))
	}
}
