package text

import "strings"

// Evidence is added up in points; a candidate becomes a name from these sums on.
const (
	enoughForName  = 3.6
	enoughForShort = 4.2 // names of two characters without a word that announces them
	strongName     = 4.3 // looked for in the rest of the document as well
)

// mostNames is the number of names of one document that are looked for again.
const mostNames = 500

// Words that announce names, and that follow them.
const (
	nameLabels = "姓名 患者姓名 病人姓名 产妇姓名 患儿姓名 签名 签字 签章 医师签名 医生签名 护士签名 患者签名 家属签名 医师签字 患者签字 家属签字 护士签字 联系人 联系人姓名 紧急联系人 监护人姓名 家属姓名 父亲姓名 母亲姓名 配偶姓名 陈述者 病史陈述者 供史者 病史提供者 记录者 记录医师 记录医生 记录人 报告医师 报告医生 报告人 审核医师 审核医生 审核者 审核人 检查医师 检查者 诊断医师 送检医师 送检医生 申请医师 申请医生 开单医生 开单医师 主管医师 主管医生 主治医师签名 住院医师签名 上级医师签名 上级医师 经治医师 经治医生 管床医师 管床医生 责任医师 责任护士 接诊医师 接诊医生 会诊医师 会诊医生 谈话医师 谈话医师签名 谈话医生 麻醉医师 麻醉医生 麻醉者 麻醉师 手术者 主刀 主刀医师 主刀医生 术者 术者签名 助手 第一助手 第二助手 一助 二助 器械护士 巡回护士 洗手护士 交班护士 接班护士 交班者 接班者 核对者 核对护士 执行者 执行护士 检验者 检验医师 采集者 采样者 送检者 接收者 操作者 随访者 随访人 接待人 接听者 来访人 投诉人 委托人 受托人 被委托人 授权委托人 代理人 法定代理人 服务对象 受访者 访视者 户主 收件人 寄件人 收货人 开户人 户名 持卡人 投保人 被保险人 受益人 申请人 经办人 负责人 填表人 填报人 报卡人 报告者 参加人员 参加者 主持人 发言人 科主任 护士长签名 曾用名 别名 英文名 姓名拼音 患者信息 主任医师签名 副主任医师签名 药师 调配药师 审方药师 发药人 核发药师 转诊医生 转诊医师 值班医师 值班医生 首诊医师 质控医师 质控护士 见证人 证明人 担保人 病员 医师 医生 护士 护师 主任医师 副主任医师 主治医师 住院医师 进修医师 规培医师 实习医师 技师 主管技师"
	nameCues   = "患者 病人 病员 患儿 产妇 孕妇 伤者 死者 逝者 家属 亲属 同伴 命名 取名 病例 参保人 来访者 接电话者 密切接触者 老伴 陪同者 接生者 治疗师 调查人员 参加讨论人员 随访内容 其子 其女 其妻 其夫 其父 其母 其弟 其妹 其兄 其姐 之子 之女 之妻 儿子 女儿 长子 次子 长女 次女 丈夫 妻子 老公 老婆 爱人 配偶 父亲 母亲 爸爸 妈妈 父 母 夫 妻 子 女 哥哥 弟弟 姐姐 妹妹 大哥 大姐 兄长 爷爷 奶奶 外公 外婆 姥姥 姥爷 祖父 祖母 外祖父 外祖母 叔叔 伯父 伯母 舅舅 姑姑 姨妈 阿姨 婶婶 侄子 侄女 外甥 外甥女 儿媳 女婿 孙子 孙女 外孙 外孙女 朋友 同事 邻居 工友 同学 室友 老乡 监护人 联系人 保姆 护工 医师 医生 大夫 主任 副主任 教授 专家 护士 护士长 护师 主管护师 技师 药师 主任医师 副主任医师 主治医师 住院医师 管床医生 主管医生 麻醉医师 麻醉医生 麻醉师 值班医生 值班医师 学员 实习生 研究生 规培医生 规培生 进修生 校长 老师 民警 司机 由 请 经 与 嘱 联系 通知 告知 汇报 委托 授权 陪同 名叫 叫 姓 署名 主诊 同住 我是 本人 夫妇 新生儿 陪护 主刀 代诉 报告人 乘客 肇事者 接诊 病友 义工 志愿者 社工 收件人 收"
	titles     = "医生 医师 大夫 主任 副主任 主任医师 副主任医师 主治医师 主治 住院医师 教授 副教授 护士 护士长 护师 主管护师 老师 先生 女士 小姐 太太 夫人 同志 师傅 院长 副院长 科长 处长 博士 药师 技师 大爷 大妈 大娘 大伯 大叔 大姐 大哥 阿姨 叔叔 伯伯 爷爷 奶奶 婆婆 老太 老太太 老师傅 老先生 老人家 老伯 女士之子 律师 警官 经理 校长 书记 主席 总 工 老 氏夫妇 姐 哥 叔 伯 嫂 婶 姨 爹"
)

func (t *trie) addNames() {
	for w := range strings.FieldsSeq(nameLabels) {
		t.add(w, nameLabel, 0)
	}
	for w := range strings.FieldsSeq(nameCues) {
		t.add(w, nameCue, 0)
	}
	for w := range strings.FieldsSeq(titles) {
		t.add(w, title, 0)
	}
	for _, w := range [...]string{"某", "某某", "某某某", "xx", "xxx", "**", "*"} {
		t.add(w, someone, 0)
	}
	for _, w := range section("surnames.txt", "compound") {
		t.add(w, surnames2, 0)
	}
}

// chineseNames goes through the words that announce or follow names, then through the places
// where a surname stands.
func (s *scan) chineseNames() {
	for _, f := range s.out {
		if f.known && f.typ == Name {
			s.list(f.to)
		}
	}
	s.longNames()
	for _, h := range s.hits {
		if h.kinds&nameLabel != 0 {
			s.labelledName(h)
		}
	}
	s.announcedNames()
	for i := range s.v.r {
		switch {
		case s.taken[i] != "":
		case s.v.r[i] == '老' || s.v.r[i] == '小':
			s.oldName(i)
		case s.v.cls[i]&(surname|compoundHead) != 0:
			s.plainName(i)
		}
	}
}

// longNames claims the names of other languages.
func (s *scan) longNames() {
	for i, r := range s.v.r {
		if r == '·' {
			s.dottedName(i)
		}
	}
	for i := range s.v.r {
		if s.taken[i] == "" && s.v.cls[i]&translit != 0 {
			s.ethnicName(i)
		}
	}
}

// announcedNames claims the names before titles and behind words for persons.
func (s *scan) announcedNames() {
	for _, h := range s.hits {
		if h.kinds&title != 0 {
			s.titledName(h)
		}
		if h.kinds&someone != 0 {
			s.anonymous(h)
		}
		if h.kinds&nameCue != 0 && h.kinds&nameLabel == 0 {
			s.cuedName(h)
		}
	}
}

// labelledName reads the name behind a label. A field that holds nothing but a few
// characters is a name even if its surname is in no list.
func (s *scan) labelledName(h hit) {
	v := s.v
	at, marked := v.connector(h.to)
	switch {
	case s.speaker(h):
		return
	case v.is(at, alpha) && marked:
		s.latinName(at)
		return
	case s.taken[min(at, v.len())] != "" || !v.is(at, han):
		return
	}
	base := float32(3)
	if marked || v.gapAt(at) != noGap {
		base = 6
	}
	if end := s.fieldName(at); end > at && base == 6 {
		s.name(at, end, 6)
		return
	}
	if end, score := s.bestName(at, base); score >= enoughForName {
		s.name(at, end, score)
		return
	}
	if end := v.hanRun(at); marked && s.shortField(at, end) {
		s.name(at, end, 4)
	}
}

// shortField tells whether a range is all of a field, two to four characters long and no word.
func (s *scan) shortField(at, end int) bool {
	return end-at >= 2 && end-at <= 4 && s.wordEnd[at] == 0 && !s.v.is(end, alpha|digit|han) && s.v.at(end) != ':'
}

// speaker tells whether a title stands behind a name, as where somebody speaks: 刘涛主任：
func (s *scan) speaker(h hit) bool {
	v := s.v
	if h.kinds&title == 0 || v.gapAt(h.from) != noGap || int(s.reach[h.from]) >= h.from {
		return false
	}
	for n := 1; n <= 3; n++ {
		if v.is(h.from-n, surname|compoundHead) && s.likelyGiven(h.from-n+1, h.from) {
			return true
		}
	}
	return false
}

// hanRun returns the end of up to five Chinese characters that stand together.
func (v *view) hanRun(at int) int {
	end := at
	for v.is(end, han) && end-at < 5 && (end == at || v.gapAt(end) == noGap) {
		end++
	}
	return end
}

// fieldName returns the end of a field that holds two to four characters, a surname first, and
// is no word.
func (s *scan) fieldName(at int) int {
	v := s.v
	end := v.hanRun(at)
	if n := end - at; n < 2 || n > 4 || !v.is(at, surname|compoundHead) || v.at(end) == ':' || v.is(end, alpha|digit) && v.gapAt(end) == noGap {
		return at
	}
	for j := at; j < end; j++ {
		if s.wordEnd[j] > 0 {
			return at
		}
	}
	if two, _ := s.match(v, at, surnames2); end-at == 4 && two == at {
		return at
	}
	return end
}

// cuedName looks for a name behind a word such as 患者 or 其子.
func (s *scan) cuedName(h hit) {
	v := s.v
	at, base := h.to, float32(2.5)
	if h.to-h.from == 1 {
		base = 1.2
	}
	if v.oneOf(at, ":：(\"") {
		at, base = at+1, base+2
	}
	if v.has(h.from, "姓") && s.familyAlone(h, at) {
		s.claim(at, at+1, Name, 0.8)
		return
	}
	if s.reach[h.from] > int32(h.to) || !v.is(at, surname|compoundHead) || s.taken[at] != "" {
		return
	}
	end, score := s.bestName(at, base)
	if field := s.fieldName(at); field > at && field-at <= 3 && base >= 2 && s.likelyGiven(at+1, field) {
		end, score = field, score+1.2 // nothing but a name up to the next mark
	}
	if score >= enoughForName {
		s.name(at, end, score)
	}
}

// familyAlone tells whether nothing but a surname follows 姓.
func (s *scan) familyAlone(h hit, at int) bool {
	v := s.v
	return h.to-h.from == 1 && s.wordEnd[h.from] == 0 && v.is(at, han) && (v.is(at, surname) || !v.is(at+1, han)) && !v.is(at+1, often|seldom)
}

// likelyGiven tells whether all characters are such as given names have.
func (s *scan) likelyGiven(from, to int) bool {
	for i := from; i < to; i++ {
		if !s.v.is(i, often|seldom|uncommon) {
			return false
		}
	}
	return true
}

// plainName looks for a name that nothing announces.
func (s *scan) plainName(i int) {
	if s.reach[i] > int32(i) {
		return
	}
	if s.v.at(i-1) == ':' && s.afterColon(i) > 3 {
		if end := s.fieldName(i); end > i && s.likelyGiven(i+1, end) {
			s.name(i, end, strongName)
			return
		}
	}
	left := s.leftOf(i)
	end, score := s.bestName(i, left)
	limit := float32(enoughForName)
	if end == i+2 && left < 1 {
		limit = enoughForShort
	}
	if score >= limit {
		s.name(i, end, score)
	}
}

// leftOf weighs what stands before a candidate.
func (s *scan) leftOf(i int) float32 {
	v := s.v
	switch {
	case v.gapAt(i) >= lineEnd:
		return 1.5
	case v.gapAt(i) == blank:
		return 1
	case s.afterPlace(i):
		return 1
	case v.at(i-1) == ':':
		return s.afterColon(i)
	case v.oneOf(i-1, "(<>[]{}|【】《》\"=#*"):
		return 1.2
	case !v.is(i-1, han):
		return 0.5
	case v.oneOf(i-1, "由请找嘱经遣陪叫"):
		return 1.6
	case v.is(i-1, function):
		return 1.2
	case v.oneOf(i-1, "者员科床院"):
		return 1
	case s.reach[i] == int32(i):
		return 0.3
	}
	return -1
}

// afterPlace tells whether what stands before i was found to be a place, a bed or a date.
func (s *scan) afterPlace(i int) bool {
	switch s.taken[i-1] {
	case Hospital, Ward, Bed, Date:
		return true
	}
	return false
}

// afterColon weighs the word before a colon: those for persons end in a few characters.
func (s *scan) afterColon(i int) float32 {
	if s.v.oneOf(i-2, "者人员师士生长名签字主夫妻父母子女亲友属配审核批办") {
		return 4
	}
	return 2
}

// bestName weighs the names that may begin at i and returns the end and the sum of the best.
func (s *scan) bestName(i int, base float32) (end int, score float32) {
	v := s.v
	size := 1
	if to, _ := s.match(v, i, surnames2); to == i+2 {
		size = 2
	}
	end, score = i, -100
	for ; size >= 1; size-- {
		family := s.familyScore(i, size)
		for given := 1; given <= 2; given++ {
			to := i + size + given
			if to > v.len() || !s.together(i, to) {
				break
			}
			if v.at(to-1) == '之' && (v.at(to) == '子' || v.at(to) == '女') {
				continue
			}
			points := base + family + s.givenScore(i+size, to) + s.rightOf(to, base) + s.lexical(i, i+size, to)
			if given == 2 {
				points += 0.5
			}
			if points > score {
				end, score = to, points
			}
		}
	}
	return end, score
}

// together tells whether a range is Chinese characters, all joined or all spaced alike, or
// broken once by the end of a line.
func (s *scan) together(i, to int) bool {
	v := s.v
	blanks, breaks := 0, 0
	for j := i; j < to; j++ {
		if v.cls[j]&han == 0 || s.taken[j] != "" && s.taken[j] != Name {
			return false
		}
		if j == i {
			continue
		}
		switch v.gap[j] {
		case blank:
			blanks++
		case lineEnd:
			breaks++
		case parting:
			return false
		}
	}
	return (blanks == 0 || blanks+breaks == to-i-1) && breaks <= 1
}

func (s *scan) familyScore(i, size int) float32 {
	if size == 2 {
		return 1.5
	}
	switch c := s.v.cls[i]; {
	case c&frequent != 0 && c&wordlike != 0:
		return 0.5
	case c&wordlike != 0 && c&lexical == 0:
		return 0.5
	case c&frequent != 0:
		return 1
	case c&wordlike != 0 && c&function != 0:
		return -2
	case c&wordlike != 0:
		return -0.8
	case c&surname != 0 && c&lexical == 0:
		return 1
	case c&surname != 0:
		return 0
	}
	return -3.5
}

// givenScore weighs the characters of a given name.
func (s *scan) givenScore(from, to int) (sum float32) {
	if end, _ := s.match(s.v, from, givenPair); end == to {
		return 2
	}
	for j := from; j < to; j++ {
		switch c := s.v.cls[j]; {
		case c&uncommon != 0: // rare characters are seen in names
			sum += 1.2
		case c&function != 0 && c&(often|seldom) == 0:
			sum -= 3
		case c&function != 0:
			sum -= 0.7
		case c&never != 0:
			sum -= 2.5
		case c&often != 0:
			sum++
		case c&seldom != 0:
			sum += 0.3
		case c&frequent != 0 && to-from == 1:
			sum -= 1.5
		case c&lexical == 0:
			sum -= 0.2
		default:
			sum -= 0.7
		}
	}
	return sum
}

// rightOf weighs what stands behind a candidate.
func (s *scan) rightOf(to int, base float32) float32 {
	v := s.v
	switch {
	case to >= v.len() || v.gapAt(to) >= lineEnd:
		return 1.2
	case s.sexFollows(to):
		return 3
	case v.at(to) == '(':
		return s.bracketAfter(to)
	case v.is(to, digit) && v.gapAt(to) == noGap && s.dose(to):
		return -4
	case !v.is(to, han) || v.gapAt(to) == blank:
		return 1.2
	case v.at(to) == '之':
		return 1
	}
	return s.wordAfter(to, base)
}

// wordAfter weighs the word behind a candidate.
func (s *scan) wordAfter(to int, base float32) float32 {
	switch {
	case s.drugWord(to):
		return -3
	case s.personWord(to):
		return 1.7
	case s.v.is(to, function) || s.wordEnd[to] > 0:
		return 1
	}
	if end, _ := s.match(s.v, to, title); end > to {
		return 2
	}
	if base >= 2.5 {
		return -0.8
	}
	return -1.5
}

// bracketAfter weighs what stands in brackets behind a candidate.
func (s *scan) bracketAfter(to int) float32 {
	switch {
	case s.v.oneOf(to+1, "男女签"):
		return 3
	case s.cueAt(to + 1):
		return 2.2
	}
	return 1.2
}

// sexFollows tells whether 男 or 女 stands by itself behind a name.
func (s *scan) sexFollows(to int) bool {
	v := s.v
	at := to
	if v.oneOf(at, ",，|/;、") {
		at++
	} else if v.gapAt(at) != blank {
		return false
	}
	return (v.at(at) == '男' || v.at(at) == '女') && (v.at(at+1) == '性' || !v.is(at+1, han) || v.gapAt(at+1) != noGap)
}

// cueAt tells whether a word for a relation, or a telephone number, stands at i.
func (s *scan) cueAt(i int) bool {
	if s.v.at(i) == '1' || s.v.has(i, "电话") || s.v.has(i, "住院号") || s.v.has(i, "工号") || s.v.has(i, "身份证") || s.v.has(i, "与患者") {
		return true
	}
	end, _ := s.match(s.v, i, nameCue)
	return end > i+1
}

// personWord tells whether a word stands at i that is said of persons.
func (s *scan) personWord(i int) bool {
	for _, w := range [...]string{"诉", "说", "称", "表示", "签字", "签名", "在场", "已知晓", "知晓", "电话", "来电", "报告", "护送", "急送", "送至", "送来", "陪同", "主刀", "查房", "看过", "会诊", "汇报", "指示", "谈到", "反映", "常来", "体健", "健在", "患有", "代诉", "自述", "同住", "照顾", "陪护", "遂", "因", "自诉", "要求", "拒绝", "同意", "提供", "陈述", "签署", "转告", "告知", "来院", "就诊", "入院", "出院", "护士", "医生"} {
		if s.v.has(i, w) {
			return true
		}
	}
	return false
}

// dose tells whether a number with a unit of medicine stands at i.
func (s *scan) dose(i int) bool {
	v := s.v
	end := v.skipDigits(i)
	if v.at(end) == '.' {
		end = v.skipDigits(end + 1)
	}
	for _, w := range [...]string{"mg", "g", "ml", "ug", "μg", "u", "iu", "片", "粒", "支", "袋", "丸", "%", "×"} {
		if v.has(end, w) {
			return true
		}
	}
	return false
}

// drugWord tells whether a word stands at i that is said of medicines, not of persons.
func (s *scan) drugWord(i int) bool {
	for _, w := range [...]string{"过敏", "治疗", "口服", "静滴", "静脉滴注", "静注", "注射", "胶囊", "颗粒", "片", "丸", "散", "汤", "雾化", "泵入", "外用", "抗凝", "降压", "征", "病", "综合征", "现象", "试验", "灯", "手术", "氏", "疗法", "评分", "分级", "分型", "染色", "切口", "骨折", "昏迷", "指数", "反射", "线", "点压痛", "分期"} {
		if s.v.has(i, w) {
			return true
		}
	}
	return false
}

// lexical takes points from candidates that cut through words or are words themselves.
func (s *scan) lexical(i, given, to int) (sum float32) {
	if s.reach[i] > int32(i) {
		sum -= 3
	}
	if s.wordEnd[i] > int32(given) {
		sum -= 4
	}
	for j := i + 1; j < to; j++ {
		switch end := int(s.wordEnd[j]); {
		case end > to:
			sum -= 3
		case end > 0:
			sum--
		}
	}
	return sum
}

// name claims a name, remembers it, and goes on with those that are listed after it.
func (s *scan) name(from, to int, score float32) {
	s.list(s.oneName(from, to, score))
}

// oneName claims a name with 之子 or 之女 behind it and returns its end.
func (s *scan) oneName(from, to int, score float32) int {
	if score >= strongName && len(s.names) < mostNames {
		n := s.v.text(from, to)
		s.names[n] = max(s.names[n], score)
	}
	if s.v.at(to) == '之' && (s.v.at(to+1) == '子' || s.v.at(to+1) == '女') {
		to += 2
	}
	s.claim(from, to, Name, min(0.5+score/16, 0.99))
	return to
}

// longestList bounds the names that are read one after the other.
const longestList = 20

// list goes on behind a name that ends at to: with those listed after it, and with its Latin
// form in brackets.
func (s *scan) list(to int) {
	for range longestList {
		base := float32(0)
		switch s.v.at(to) {
		case '、', '/':
			base = 4
		case ',', '，', '和', '与', '及', ';', '或':
			base = 1.5
		case '(':
			s.romanised(to + 1)
		}
		from := to + 1
		if base == 0 || !s.v.is(from, surname|compoundHead) || s.taken[from] != "" {
			return
		}
		end, score := s.bestName(from, base)
		if score < enoughForName {
			return
		}
		to = s.oneName(from, end, score)
	}
}
