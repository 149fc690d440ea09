package text

import "strings"

// Nouns that end the names of institutions, and names that stand alone.
const (
	hospitalNouns = "医院 人民医院 中心医院 中医院 卫生院 中心卫生院 卫生服务中心 社区卫生服务中心 卫生服务站 社区卫生服务站 卫生所 卫生室 医务室 诊所 门诊部 保健院 妇幼保健院 妇幼保健所 保健所 医学中心 医疗中心 急救中心 疾控中心 疾病预防控制中心 体检中心 康复中心 血液中心 精神卫生中心 防治院 防治所 疗养院 养老院 敬老院 福利院 护理院 医专附院 附属医院 附院 附一院 附二院 市一院 市二院 市三院 市四院 市五院 省一院 省二院 省医院 县一院 县二院 医大附院 一附院 二附院 三附院 骨科医院 口腔医院 眼科医院 肿瘤医院 儿童医院 妇产医院"
	hospitalNames = "协和 华西 湘雅 同济 瑞金 仁济 华山 中山 齐鲁 西京 唐都 宣武 安贞 阜外 天坛 积水潭 同仁 友谊 朝阳 世纪坛 北医三院 北大三院 省人民 省人医 市一院 市二院 市中心 省立 鼓楼 长海 长征 新华 龙华 曙光 南方 珠江 武警 儿研所 市立 省中 盛京 医大一院 医大二院 肿瘤 儿童 康复 结核 胸科 老年 精神 皮肤 骨科 口腔 眼科 妇产 妇幼 中医 解放军 总医 人民 中心 附属 大学 医科 和平 平安 健康 公安 工人 铁路 职工 国际 安宁 石油 农垦 红十字 慈善 福利 传染病 糖尿病 肝病 肛肠 男科 整形 美容 中国 国家 中央 全军 空军 海军 陆军 武警 首都 交通 理工 师范 农业 财经 佛教 同德 仁爱 博爱 爱尔 和睦家 急救 疾病预防 社区 乡镇 城关 阳光 光明 康宁 广济"
	unitLabels    = "工作单位 单位 单位名称 生前单位 原单位 就职于 任职于 供职于 工作于 就读于 毕业于 就读学校 学校 工作单位及地址 所在单位 就业单位 任教于 受雇于 上学于"
	unitNouns     = "公司 有限公司 有限责任公司 股份有限公司 集团 工厂 厂 学校 大学 学院 中学 小学 幼儿园 银行 局 支行 研究所 研究院 事务所 超市 酒店 派出所 服务部 合作社 支队 大队 制衣厂 供电所 税务局 公安局 教育局 林业局 水利局 邮政局 粮站 变电站 加油站 物流园 编辑部 报社 电视台 出版社 工作室 商行 饭店 商场 煤矿 油田 电厂 纺织厂 机械厂 化工厂 钢铁厂 一中 二中 三中 委员会 火锅店 饭馆 酒楼 宾馆 殡仪馆 车队 三车队 棉纺厂 电子厂 供电局 店 馆 站 场 矿 所 社 队 行 处 院 中心 局 厂 法院 检察院 车间 部队 中心小学 职业技术学院 师范大学"
	unitVerbs     = "工作 上班 职员 任职 打工 就读 务工 退休 职工 员工 宿舍 食堂 任教 担任 实习 从事 学生 教师 工人 下岗 上学 读书 当 做 值班 任 保安 司机 会计 兼职"
)

func (t *trie) addOrganisations() {
	t.addAll(hospitalNouns, orgHospital)
	t.addAll(hospitalNames, orgName)
	t.addAll(unitLabels, unitLabel)
	t.addAll(unitNouns, orgUnit)
}

// organisations claims hospitals and places of work.
func (s *scan) organisations() {
	for _, h := range s.hits {
		if h.kinds&orgHospital != 0 {
			s.hospital(h)
		}
		if h.kinds&unitLabel != 0 {
			s.labelledUnit(h)
		}
		if h.kinds&orgUnit != 0 {
			s.unit(h)
		}
	}
}

// stopsOrg are characters that do not stand inside the name of an institution.
func stopsOrg(r rune) bool {
	return strings.ContainsRune("在于至到由从往赴送转经是的曾因被向为后前时来自予诊及我本该贵此各某外去请与患嘱拟入日月年晨午夜次示家诉经住就系", r)
}

// generic are words that make no name of an institution of themselves.
var generic = map[string]bool{}

func init() {
	for w := range strings.FieldsSeq("当地 上级 下级 综合 综合性 专科 基层 社区 县级 市级 省级 乡镇 附近 私人 私立 公立 两家 多家 大型 大 小 三甲 三级 三级甲等 二级 二级甲等 一级 定点 医联体 其他 其它 不同 原 县 市 省 区 村 乡 镇 州 相关 互联网 民营 国内 国外 上述 收治 治疗 主管 所在 乡村 个体 接收 转诊 随访 外地 就近 成员 协作 教学 市内 省内 门 急 教学 精神 康复 中医 儿童 肿瘤 口腔 骨科 人民 中心 附属 妇产 传染病 方舱 当地县 当地市 县里 家附近") {
		generic[w] = true
	}
}

// hospital claims the institution whose noun is the hit.
func (s *scan) hospital(h hit) {
	if s.taken[h.from] == Hospital {
		return
	}
	from := s.orgStart(h.from)
	if !s.named(from, h) {
		return
	}
	end := s.branch(h.to)
	s.add(from, end, Hospital, 0.92)
	for i := from; i < end; i++ {
		if s.taken[i] == "" || s.taken[i] == Address {
			s.taken[i] = Hospital
		}
	}
}

// named tells whether the characters from from on make a name together with the noun.
func (s *scan) named(from int, h hit) bool {
	v := s.v
	noun := v.text(h.from, h.to)
	if strings.HasSuffix(noun, "院") && strings.ContainsAny(noun, "一二三四五") { // 市二院
		return true
	}
	if from == h.from || generic[v.text(from, h.from)] {
		return false
	}
	return h.from-from > 1 || v.is(from, digit|alpha) || !v.is(from-1, han) || v.gapAt(from) != noGap
}

// branch reads what belongs to the name behind the noun: 东院区, (南院), 分院.
func (s *scan) branch(end int) int {
	v := s.v
	at := end
	if v.at(at) == '(' {
		at++
	}
	for to := at; to < at+7 && v.is(to, han) && s.wordEnd[to] == 0; to++ {
		for _, w := range [...]string{"院区", "分院", "校区"} {
			if v.has(to, w) {
				to += 2
				if v.at(end) == '(' && v.at(to) == ')' {
					to++
				}
				return to
			}
		}
	}
	if v.at(at) == '(' {
		return end
	}
	for _, w := range [...]string{"东院", "西院", "南院", "北院", "总院", "本部"} {
		if v.has(end, w) {
			return end + 2
		}
	}
	return end
}

// orgStart goes back from the noun of an institution to where its name begins: to a mark, to
// a character that no name holds, or to the end of an ordinary word.
func (s *scan) orgStart(i int) int {
	v := s.v
	from := i
	for from > 0 && i-from < 26 {
		if v.gapAt(from) >= lineEnd && !v.wrapped(from) || v.gapAt(from) == blank && i-from > 2 {
			break
		}
		if !s.orgChar(from-1) || s.wordBreak(from, i) {
			break
		}
		from--
	}
	for from < i && v.is(from, digit) && !s.numberName(from, i) {
		from++
	}
	return from
}

// orgChar tells whether the character at i may be part of the name of an institution.
func (s *scan) orgChar(i int) bool {
	v := s.v
	if v.cls[i]&(han|digit|alpha) == 0 || v.cls[i]&han != 0 && stopsOrg(v.r[i]) && !s.insideName(i) {
		return false
	}
	t := s.taken[i]
	return t == "" || t == Address || t == Hospital
}

// numberName tells whether the digits at from belong to the name, as in 301医院.
func (s *scan) numberName(from, i int) bool {
	to := s.v.skipDigits(from)
	return to-from <= 3 && (to == i || s.v.at(to) == '医')
}

// insideName tells whether the character at i is part of a listed name or place.
func (s *scan) insideName(i int) bool {
	for j := max(0, i-3); j <= i; j++ {
		if end, _ := s.match(s.v, j, orgName|province|city|county); end > i {
			return true
		}
	}
	return false
}

// wordBreak tells whether an ordinary word that no name of an institution holds ends at from.
func (s *scan) wordBreak(from, i int) bool {
	if int(s.reach[from]) != from || from == i && s.v.at(i) != '医' {
		return false
	}
	for j := max(0, from-6); j < from-1; j++ {
		if int(s.wordEnd[j]) != from {
			continue
		}
		if breaking[s.v.text(j, from)] {
			return true
		}
		if to, _ := s.match(s.v, j, orgName|province|city|county|placeNoun); to >= from || s.v.at(from-1) == '族' {
			return false
		}
		to, _ := s.match(s.v, from-1, placeNoun)
		return to != from
	}
	return false
}

// breaking are words behind which the name of an institution begins.
var breaking = map[string]bool{}

func init() {
	for w := range strings.FieldsSeq("患者 病人 患儿 产妇 孕妇 家属 昨日 今日 今晨 昨天 今天 前天 当日 次日 目前 近日 急诊 门诊 就诊 送至 送往 转入 转至 转往 转诊 护送 住院 出院 入院 复查 检查 治疗 手术 既往 外院 多次 曾经 随后 之后 期间 联系 通过 推荐 建议 介绍 要求 自行 立即 遂至 我院 本院 医生 医师 主任 护士 教授 先生 女士 同志 专家 老师 儿子 女儿 丈夫 妻子 父亲 母亲 同事 朋友 收治 收住 会诊 随访 救治 诊治 诊断 确诊 报告 结果 地点 机构 单位 名称 医院 夜间 上午 下午 凌晨 晚上 中午 年前 月前 天前 周前 小时前 来自 前来 前往 赶往 抵达 急送 速送 邀请 拨打 咨询 预约 检验 化验 送检 开具 出具 发现 提示 考虑") {
		breaking[w] = true
	}
}

// labelledUnit reads the place of work behind its label.
func (s *scan) labelledUnit(h hit) {
	v := s.v
	at, marked := h.to, strings.HasSuffix(v.text(h.from, h.to), "于")
	for v.oneOf(at, ":：为是(") {
		marked = true
		at++
	}
	if !marked && v.gapAt(at) != blank && h.to-h.from < 4 || s.emptyField(at) || !v.is(at, han|alpha|digit) {
		return
	}
	end := s.field(at, 40)
	if n := end - at; n < 2 || v.at(end) == ':' && n < 6 || !s.hasHan(at, end) {
		return
	}
	s.add(at, s.unitEnd(at, end), Employer, 0.93)
}

// unitEnd returns where the name of a place of work ends: with its noun where a verb follows.
func (s *scan) unitEnd(at, end int) int {
	for j := at + 2; j < end; j++ {
		if to, _ := s.match(s.v, j, orgUnit|orgHospital); to > j && to < end && s.verbAt(to) {
			return to
		}
	}
	return end
}

func (s *scan) hasHan(from, to int) bool {
	for i := from; i < to; i++ {
		if s.v.is(i, han|alpha) {
			return true
		}
	}
	return false
}

var verbsOfWork = strings.Fields(unitVerbs)

func (s *scan) verbAt(i int) bool {
	if s.v.at(i) == '的' || s.v.at(i) == '"' {
		i++
	}
	for _, w := range verbsOfWork {
		if s.v.has(i, w) {
			return true
		}
	}
	return false
}

// unit claims a company, a school or an office where somebody works or learns, and any
// company by its full form.
func (s *scan) unit(h hit) {
	v := s.v
	noun := v.text(h.from, h.to)
	full := noun == "殡仪馆" || strings.HasSuffix(noun, "有限公司") || strings.HasSuffix(noun, "责任公司")
	from := s.orgStart(h.from)
	if from >= h.from || h.from-from < 2 || !full && !s.verbAt(h.to) {
		return
	}
	if !full && (from == 0 || !s.placed(from)) && !v.before(from, "系") && !v.before(from, "为") && v.gapAt(from) < lineEnd && v.is(from-1, han) {
		return
	}
	s.add(from, h.to, Employer, 0.9)
}
