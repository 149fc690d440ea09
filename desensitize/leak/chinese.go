package leak

import (
	"strings"
	"unicode/utf8"
)

// cue is a word that announces an identifier.
type cue struct {
	word string
	typ  Type
	// least digits and characters of the value; for names, 1 means that a colon must stand
	// between.
	digits, chars int
	colon         bool
}

// cues by their first character. Longer words come before their beginnings.
var cues = func() map[rune][]cue {
	out := map[rune][]cue{}
	add := func(t Type, digits, chars int, colon bool, list string) {
		for w := range strings.FieldsSeq(list) {
			first := []rune(w)[0]
			out[first] = append(out[first], cue{w, t, digits, chars, colon})
		}
	}
	add(RecordNo, 5, 5, false, "住院号 门诊号 病案号 病历号 登记号 就诊卡号 就诊号 检查号 影像号 病理号 条码号 住院流水号 患者编号 档案号 住院编号 住院登记号")
	add(RecordNo, 5, 5, false, "mrn medicalrecordnumber medicalrecordno patientid accessionnumber accountnumber")
	add(InsuranceNo, 6, 6, false, "医保卡号 医保号 医保编号 社保号 社保卡号 社会保障号 医疗保险号 參保号 参保号")
	add(Passport, 7, 8, false, "护照号码 护照号 护照 passport")
	add(OfficerID, 5, 5, false, "字第 军官证号 军官证 士兵证 警官证")
	add(HMTPermit, 7, 7, false, "通行证号 通行证 回乡证 台胞证")
	add(IDCard, 14, 15, false, "身份证号码 身份证号 身份证 公民身份号码")
	add(Phone, 7, 7, false, "电话号码 电话 手机号 手机 联系方式 tel phone mobile")
	add(BankCard, 12, 12, false, "银行卡号 银行账号 银行卡 开户账号")
	add(WeChat, 0, 6, false, "微信号 微信 wechat")
	add(QQ, 5, 5, false, "qq号 qq")
	add(Name, 0, 0, true, "姓名 患者 病人 患儿 家属 联系人 父亲 母亲 配偶 丈夫 妻子 儿子 女儿 签名 签字 医师 医生 护士 记录者 记录人 报告者 审核者 审核人 术者 助手 主任 责任人 陈述者 供史者 手术者 麻醉者")
	add(Name, 0, 0, false, "患者姓名 病人姓名 联系人姓名 患者 病人 患儿 产妇 家属 其子 其女 其妻 其夫 其父 其母 配偶 丈夫 妻子 父亲 母亲 儿子 女儿 主治医师 住院医师 主任医师 管床医生 医师 医生 护士")
	return out
}()

// beginnings are the characters that any of the detectors of cued starts at.
var beginnings = func() (out [1 << 10]uint64) {
	mark := func(r rune) { out[uint16(r)>>6] |= 1 << (r & 63) }
	for r := range cues {
		mark(r)
	}
	for _, r := range plateProvinces + "医保卫" {
		mark(r)
	}
	return out
}()

// cued looks for values behind a word that announces them, number plates and hospitals.
func (v *view) cued(note func(Type, int, int)) {
	for i := range v.tight {
		r := v.tight[i].r
		if beginnings[uint16(r)>>6]&(1<<(r&63)) == 0 {
			continue
		}
		for _, c := range cues[r] {
			if !v.has(i, c.word) || isLatin(r) && i > 0 && v.tight[i].joined && isLatin(v.tight[i-1].r) {
				continue
			}
			at, colon := v.value(i + utf8.RuneCountInString(c.word))
			if c.typ != Name {
				v.announced(c, at, note)
			} else if colon || !c.colon {
				v.named(at, colon, note)
			}
		}
		v.plate(i, note)
		v.hospital(i, note)
	}
}

// value passes what stands between a cue and its value.
func (v *view) value(i int) (at int, colon bool) {
	for ; i < len(v.tight) && strings.ContainsRune(":是为：", v.tight[i].r); i++ {
		colon = colon || v.tight[i].r == ':'
	}
	return i, colon
}

// announced notes a value of letters and digits. Pseudonyms have few digits among their
// letters, numbers of hospitals mostly digits.
func (v *view) announced(c cue, at int, note func(Type, int, int)) {
	if at >= len(v.tight) || strings.ContainsAny(v.text[v.tight[max(0, at-1)].end:v.tight[at].start], "[]\n") {
		return // a label stands there instead of a value
	}
	digits, end := v.alnumRun(at, c.typ != WeChat)
	n := end - at
	if n < c.chars || digits < c.digits || c.digits > 0 && digits*2 < n || n < 2 {
		return
	}
	if !nobodys(c.typ, v.tight[at].r, v.tight[at+1].r, n) {
		note(c.typ, int(v.tight[at].start), int(v.tight[end-1].end))
	}
}

// nobodys reports a value of n characters that nobody can have, by its first two: phones of
// no subscriber and identity cards of no province, which are surrogates; WeChat names begin
// with a letter.
func nobodys(t Type, first, second rune, n int) bool {
	switch t {
	case Phone:
		return n == 11 && first == '1' && second < '3'
	case IDCard:
		return n >= 15 && !province(string([]rune{first, second}))
	case WeChat:
		return !isLatin(first)
	}
	return false
}

// alnumRun passes letters and digits with at most one hyphen, or blank if they are allowed,
// between, and counts the digits.
func (v *view) alnumRun(at int, blanks bool) (digits, end int) {
	for end = at; end < len(v.tight) && end-at < 40 && isAlnum(v.tight[end].r); end++ {
		if end > at && !v.tight[end].joined {
			if gap := v.text[v.tight[end-1].end:v.tight[end].start]; gap != "-" && gap != "_" && (gap != " " || !blanks) {
				break
			}
		}
		if isDigit(v.tight[end].r) {
			digits++
		}
	}
	return digits, end
}

// notNames are words that begin like a name and follow a cue.
var notNames = words(`陈述 高热 高烧 安静 黄疸 黄染 方便 常规 温和 和谐 平卧 平车 全身 全麻 何时 何处 何种 应用 应予 应该 严重 严密 文化 文盲 明显 明确 时有 时常 常有
向家 左侧 左上 左下 右侧 车祸 车入 易怒 易激 单侧 解小 解大 解便 强烈 强迫 连续 连日 成年 万一 于今 于昨 于前 于入 于当 任何 任意 曾有 曾行 曾于 曾因 曾在 计划 居住
周身 周围 周期 白天 白班 胡言 胡说 毛发 毛巾 金属 米粥 丰富 支气 支持 经济 经过 江南 江北 石膏 石头 牛奶 牛肉 马上 龙胆 花粉 花生 雷同 雷贝 钱包 汤药 水肿 水平 水样
沈默 阳性 阴性 阴道 华法 许可 许多 古典 宁静 司机 司法 项目 祝愿 双侧 双下 后侧 宫缩 宫口 宫颈 乐观 施行 施术 余无 余未 余正 容易 游走 包括 包块 别名 关系 关节 关注 关心 路途 路人
童年 童话 顾虑 顾客 荣誉 农民 农村 冷淡 冷漠 孔径 干咳 干燥 干部 柏油 査房 查房 查体 查看 查血 鱼刺 符合 景象 卓越 能够 甘油 仇视 危重 危急 都有 都无 暴躁 暴怒 万分
平素 平时 戴眼 戴口 洪亮 房颤 房事 封闭 贝壳 计算 伏案 柴油 管道 管床 闻及 闻之 习惯 钟情 安置 安慰 安排 安全 项部 明日 明晨 季节 温度 温水 谢绝 谢谢 章程 申请 申诉 苗条 武术 常年`)

// named notes a Chinese name at i: a family name, one or two characters more, and then
// something that is not part of a name. Without a colon before it the family name must not
// begin ordinary words.
func (v *view) named(i int, colon bool, note func(Type, int, int)) {
	run := v.hanRun(i)
	family := v.familyAt(i, run, colon)
	if family == 0 {
		return
	}
	for _, given := range []int{2, 1} {
		n := family + given
		if n > run || n < run && !ends[v.tight[i+n].r] {
			continue
		}
		last := v.tight[i+n-1].r
		if last == '某' || v.tight[i+family].r == '某' || given == 1 && ends[last] {
			continue
		}
		note(Name, int(v.tight[i].start), int(v.tight[i+n-1].end))
		return
	}
}

// hanRun counts the characters from i on that stand together, six at most.
func (v *view) hanRun(i int) int {
	run := 0
	for i+run < len(v.tight) && run < 6 && isHanR(v.tight[i+run].r) && (run == 0 || v.tight[i+run].joined) {
		run++
	}
	return run
}

// familyAt returns how long the family name at i is, 0 if there is none.
func (v *view) familyAt(i, run int, colon bool) int {
	if run < 2 {
		return 0
	}
	first, pair := v.tight[i].r, string([]rune{v.tight[i].r, v.tight[i+1].r})
	switch {
	case notNames[pair]:
		return 0
	case run >= 3 && compound[pair]:
		return 2
	case families[first] && (colon || !doubtful[first]):
		return 1
	}
	return 0
}

// ends are characters that follow a name without a separator.
var ends = letters(`男女性年因于系护医先诉述称已在的与和及之为是签电联入出住今昨前现`)

const plateProvinces = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"

// plate notes a number plate: province, letter, five or six letters and digits.
func (v *view) plate(i int, note func(Type, int, int)) {
	if !strings.ContainsRune(plateProvinces, v.tight[i].r) || i+6 >= len(v.tight) || !isLatin(v.tight[i+1].r) {
		return
	}
	digits, end := 0, i+2
	for ; end < len(v.tight) && end-i < 9 && isAlnum(v.tight[end].r) && (end == i+2 || v.tight[end].joined); end++ {
		if isDigit(v.tight[end].r) {
			digits++
		}
	}
	if n := end - i - 2; (n == 5 || n == 6) && digits >= 2 {
		note(Plate, int(v.tight[i].start), int(v.tight[end-1].end))
	}
}

// vague are words before 医院 that name none.
var vague = []string{"当地", "外地", "上级", "本地", "附近", "某", "该", "我", "本", "外", "多家", "一家", "其他", "各", "定点", "综合", "专科", "社区", "三甲", "省级", "市级", "县级", "区级", "基层", "地方", "私立", "公立", "甲等", "级", "大", "就近", "原", "此", "另", "私人", "转", "至", "到", "于", "在", "往", "来"}

// hospital notes the name of one hospital: a place or a saint before what kind it is.
func (v *view) hospital(i int, note func(Type, int, int)) {
	end := 0
	for _, kind := range []string{"医院", "保健院", "卫生院"} {
		if v.has(i, kind) {
			end = i + utf8.RuneCountInString(kind)
		}
	}
	if end == 0 {
		return
	}
	start := i
	for start > 0 && i-start < 16 && (isHan(v.tight[start-1].r) || isDigit(v.tight[start-1].r)) && v.tight[start].joined {
		start--
	}
	head := make([]rune, 0, 16)
	for _, u := range v.tight[start:i] {
		head = append(head, u.r)
	}
	if namesHospital(string(head)) {
		note(Hospital, int(v.tight[start].start), int(v.tight[end-1].end))
	}
}

// hospitalKinds say what kind of hospital it is.
var hospitalKinds = strings.Fields("人民 中医 中心 中西医结合 附属 妇幼 妇幼保健 妇产 儿童 肿瘤 口腔 胸科 眼科 精神 第一 第二 第三 第四 第五 第六 第七 第八 第九 职工 康复")

// namesHospital reports that the characters before 医院 name one.
func namesHospital(head string) bool {
	name := head
	for _, kind := range hospitalKinds {
		name = strings.TrimSuffix(name, kind)
	}
	if utf8.RuneCountInString(name) < 2 || name == head && !strings.ContainsAny(name, "市省县区州") && !strings.HasSuffix(name, "大学") {
		return false
	}
	for _, w := range vague {
		if strings.HasSuffix(name, w) {
			return false
		}
	}
	return true
}

var streets = letters("路街巷弄道村组幢栋元")

// addresses looks for a street or village with a house number, and for a building with a
// room.
func (v *view) addresses(note func(Type, int, int)) {
	for i := 1; i < len(v.tight); i++ {
		r, before := v.tight[i].r, v.tight[i-1].r
		if !isHan(r) || !streets[r] || !isHan(before) && !isDigit(before) {
			continue
		}
		at := v.houseNumber(i + 1)
		if at == i+1 || at >= len(v.tight) || !addressEnd(v, i, at) {
			continue
		}
		start := i
		for start > 0 && i-start < 4 && isHan(v.tight[start-1].r) && v.tight[start].joined {
			start--
		}
		note(Address, int(v.tight[start].start), int(v.tight[at].end))
	}
}

// houseNumber passes digits and Chinese numerals.
func (v *view) houseNumber(i int) int {
	at := i
	for at < len(v.tight) && at-i <= 5 && (isDigit(v.tight[at].r) || isNumeral(v.tight[at].r)) {
		at++
	}
	return at
}

func isNumeral(r rune) bool {
	_, ok := numeral(r)
	return ok || r == '十' || r == '百'
}

// addressEnd decides by the word before the number and the one after it.
func addressEnd(v *view, i, at int) bool {
	after := v.tight[at].r
	switch v.tight[i].r {
	case '路', '街', '巷', '弄':
		return strings.ContainsRune("号弄巷幢栋", after)
	case '道':
		return v.tight[i-1].r == '大' && after == '号'
	case '村':
		return strings.ContainsRune("组号队社", after)
	case '幢', '栋', '元', '组':
		return (after == '室' || after == '号' || v.has(at, "单元")) && (v.tight[i].r != '元' || v.tight[i-1].r == '单')
	}
	return false
}
