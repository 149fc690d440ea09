package text

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// marked shows what is found as [type:words].
func marked(e *Engine, s string, k *Known) string {
	out, _ := e.Replace(nil, s, k, func(sp Span, w string) string { return "[" + string(sp.Type) + ":" + w + "]" })
	return string(out)
}

func TestFind(t *testing.T) {
	e := New(Options{})
	for _, want := range []string{
		"患者[name:王伟]今日复诊，[name:王伟]报告症状缓解。",
		"病人[name:赵雨辰]今日就诊；[name:赵雨辰]表示睡眠改善。",
		"姓名：[name:欧阳清]，今日接受随访；[name:欧阳清]复诊。",
		"患者[name:司马澄宁]今日复诊；[name:司马澄宁]表示无不适。",
		"现住址：[address:澄海省新川市星河区云杉街道康悦路88号]。",
		"联系地址：[address:云岭省安州市月湖县青竹街道和顺街17号]；请核对。",
		"患者[name:张伟]，男，[age:45]岁，身份证号[id-card:11010519491231002X]，电话[phone:138 0013 8000]。",
		"住院号：[inpatient-no:ZY20240015] 床号：[bed:12] 病案号：[record-no:0012345]",
		"于[date:2024年3月5日]入院，[date:2024-03-08]行手术，[date:二〇二四年三月九日]出院。",
		"白蛋白32g/L，黄疸待查，高血压病史10年，周身不适，石膏固定6周。",
		"患者于当日突发胸痛，何时发作不详。血压120/80mmHg，3天前、2周前。",
		"由其子[name:李建国]送至[hospital:杭州市第一人民医院]就诊。",
		"[name:王]主任查房，[name:张]医生记录。",
		"邮箱[email:zhang.wei@163.com]，微信号：[wechat:wx_1234567]，QQ：[qq:123456789]",
		"车牌[plate:浙A12345]，护照号：[passport:E12345678]",
	} {
		src := strings.NewReplacer("]", "").Replace(want)
		for _, x := range types[1:] {
			src = strings.ReplaceAll(src, "["+string(x)+":", "")
		}
		assert.Equal(t, want, marked(e, src, nil))
	}
}
