package text

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// person is a made-up patient with everything a header may tell.
var person = Known{
	Names:         []string{"慕容雪晴"},
	Relatives:     []string{"周建国"},
	Staff:         []string{"陈静怡"},
	IDNumbers:     []string{"11010519491231002X"},
	Phones:        []string{"13800138000", "0571-87654321"},
	Addresses:     []string{"浙江省杭州市西湖区文三路88号3幢501室"},
	Hospitals:     []string{"杭州市第一人民医院"},
	Employers:     []string{"杭州蓝鲸网络科技有限公司"},
	RecordNumbers: []string{"ZY0012345"},
	Dates:         []string{"1962-03-05"},
}

func TestKnownValuesInAllForms(t *testing.T) {
	e := New(Options{})
	k := e.Prepare(person)
	for _, s := range []string{
		"慕容雪晴", "慕 容 雪 晴", "慕容\n雪晴", "慕容雪睛的妹妹叫周建国", "雪晴", "慕容某", "慕容某某",
		"Murong Xueqing", "MURONG XUE QING", "Xueqing Murong", "murongxueqing", "Mùróng Xuěqíng", "mu4 rong2 xue3 qing2", "Murong, Xueqing",
		"周建國", "周 建 国", "Zhou Jianguo", "ZHOU JIAN GUO", "jianguo zhou", "建国", "老周", "小周",
		"陳靜怡", "陈静怡",
		"11010519491231002X", "11010519491231002x", "１１０１０５１９４９１２３１００２Ｘ", "110105 19491231 002X", "110105-19491231-002X", "1101051949l231002X", "110105********002X",
		"13800138000", "138-0013-8000", "138 0013 8000", "+86 138 0013 8000", "（86）13800138000", "１３８００１３８０００", "138****8000",
		"0571-87654321", "(0571)87654321", "87654321", "057187654321",
		"浙江省杭州市西湖区文三路88号3幢501室", "西湖区文三路", "文三路", "杭州市第一人民医院", "第一人民医院",
		"杭州蓝鲸网络科技有限公司", "蓝鲸网络科技", "ZY0012345", "ZY-001-2345", "zy 0012345",
		"1962-03-05", "1962年3月5日", "19620305", "620305", "一九六二年三月五日",
	} {
		for _, around := range [][2]string{{"经核对", "无误。"}, {"（", "）"}, {"", ""}} {
			if around[0] == "经核对" && s[0] < 0x80 && s[0] > '9' {
				continue
			}
			text := around[0] + s + around[1]
			out, spans := e.Replace(nil, text, k, func(Span, string) string { return "" })
			assert.NotEmpty(t, spans, text)
			for _, part := range []string{"雪晴", "建国", "静怡", "1949", "0013", "0571", "8765", "文三", "蓝鲸", "2345", "1962", "0305", "ueq", "ian"} {
				assert.NotContains(t, string(out), part, text)
			}
		}
	}
}

func TestKnownPartsLeaveWords(t *testing.T) {
	e := New(Options{})
	k := e.Prepare(Known{Names: []string{"Mary White", "James Brown"}, Staff: []string{"高明", "白洁"}})
	for _, s := range []string{
		"tan-white fragment, brown sputum", "高血压，白细胞，明显好转，清洁伤口", "a long-standing cough",
	} {
		assert.Empty(t, e.Find(s, k), s)
	}
	assert.Equal(t, "[name:Mary] and Mr. [name:Brown]", marked(e, "Mary and Mr. Brown", k))
}

func TestKnownValueInsideAnAddressOfTheInternet(t *testing.T) {
	e := New(Options{})
	k := e.Prepare(Known{Names: []string{"Mark Hernandez"}})
	assert.Equal(t, "write to [email:mark.hernandez@example.org]", marked(e, "write to mark.hernandez@example.org", k))
}

func TestPreparedAndPlainAreTheSame(t *testing.T) {
	e := New(Options{})
	text := "患者慕容雪晴，电话138 0013 8000，住文三路88号。"
	assert.Equal(t, e.Find(text, &person), e.Find(text, e.Prepare(person)))
}

func TestKnownLogsNoValue(t *testing.T) {
	assert.NotContains(t, person.LogValue().String(), "慕容")
	assert.Equal(t, "none", (*Known)(nil).LogValue().String())
}
