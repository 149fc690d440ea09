package text

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Evidence is added up in points; a candidate becomes a name from these sums on.
const (
	enoughForName  = 3.6
	enoughForShort = 4.2 // names of two characters without a word that announces them
	strongName     = 5.0 // looked for in the rest of the document as well
)

// Words that announce names, and that follow them.
const (
	nameLabels = "姓名 患者姓名 病人姓名 产妇姓名 患儿姓名 签名 签字 签章 医师签名 医生签名 护士签名 患者签名 家属签名 医师签字 患者签字 家属签字 护士签字 联系人 联系人姓名 紧急联系人 监护人姓名 家属姓名 父亲姓名 母亲姓名 配偶姓名 陈述者 病史陈述者 供史者 病史提供者 记录者 记录医师 记录医生 记录人 报告医师 报告医生 报告人 审核医师 审核医生 审核者 审核人 检查医师 检查者 诊断医师 送检医师 送检医生 申请医师 申请医生 开单医生 开单医师 主管医师 主管医生 主治医师签名 住院医师签名 上级医师签名 上级医师 经治医师 经治医生 管床医师 管床医生 责任医师 责任护士 接诊医师 接诊医生 会诊医师 会诊医生 谈话医师 谈话医师签名 谈话医生 麻醉医师 麻醉医生 麻醉者 麻醉师 手术者 主刀 主刀医师 主刀医生 术者 术者签名 助手 第一助手 第二助手 一助 二助 器械护士 巡回护士 洗手护士 交班护士 接班护士 交班者 接班者 核对者 核对护士 执行者 执行护士 检验者 检验医师 采集者 采样者 送检者 接收者 操作者 随访者 随访人 接待人 接听者 来访人 投诉人 委托人 受托人 被委托人 授权委托人 代理人 法定代理人 服务对象 受访者 访视者 户主 收件人 寄件人 收货人 开户人 户名 持卡人 投保人 被保险人 受益人 申请人 经办人 负责人 填表人 填报人 报卡人 报告者 参加人员 参加者 主持人 发言人 科主任 护士长签名 曾用名 别名 英文名 姓名拼音 患者信息 主任医师签名 副主任医师签名 药师 调配药师 审方药师 发药人 核发药师 转诊医生 转诊医师 值班医师 值班医生 首诊医师 质控医师 质控护士 见证人 证明人 担保人 病员 医师 医生 护士 护师 主任医师 副主任医师 主治医师 住院医师 进修医师 规培医师 实习医师 技师 主管技师"
	nameCues   = "患者 病人 病员 患儿 产妇 孕妇 伤者 死者 逝者 家属 亲属 其子 其女 其妻 其夫 其父 其母 其弟 其妹 其兄 其姐 之子 之女 之妻 儿子 女儿 长子 次子 长女 次女 丈夫 妻子 老公 老婆 爱人 配偶 父亲 母亲 爸爸 妈妈 父 母 夫 妻 子 女 哥哥 弟弟 姐姐 妹妹 大哥 大姐 兄长 爷爷 奶奶 外公 外婆 姥姥 姥爷 祖父 祖母 外祖父 外祖母 叔叔 伯父 伯母 舅舅 姑姑 姨妈 阿姨 婶婶 侄子 侄女 外甥 外甥女 儿媳 女婿 孙子 孙女 外孙 外孙女 朋友 同事 邻居 工友 同学 室友 老乡 监护人 联系人 保姆 护工 医师 医生 大夫 主任 副主任 教授 专家 护士 护士长 护师 主管护师 技师 药师 主任医师 副主任医师 主治医师 住院医师 管床医生 主管医生 麻醉医师 麻醉医生 麻醉师 值班医生 值班医师 学员 实习生 研究生 规培医生 规培生 进修生 校长 老师 民警 司机 由 请 经 与 嘱 联系 通知 告知 汇报 委托 授权 陪同 名叫 叫 姓 署名 主诊 同住 我是 本人 夫妇 新生儿 陪护 主刀 代诉 报告人 乘客 肇事者 接诊 病友 义工 志愿者 社工 收件人 收"
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
	for _, h := range s.hits {
		if h.kinds&nameLabel != 0 {
			s.labelledName(h)
		}
	}
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
	for i := range s.v.r {
		switch {
		case s.v.r[i] == '·':
			s.dottedName(i)
		case s.v.cls[i]&surname != 0 && s.taken[i] == "":
			s.plainName(i)
		}
	}
}

// labelledName reads the name behind a label. A field that holds nothing but a few
// characters is a name even if its surname is in no list.
func (s *scan) labelledName(h hit) {
	v := s.v
	at, marked := v.connector(h.to)
	if v.is(at, alpha) {
		if marked {
			s.latinName(at)
		}
		return
	}
	if s.taken[min(at, v.len())] != "" || !v.is(at, han) {
		return
	}
	base := float32(3)
	if marked || v.gapAt(at) != noGap {
		base = 6
	}
	if end, score := s.bestName(at, base); score >= enoughForName {
		s.name(at, end, score)
		return
	}
	end := at
	for v.is(end, han) && end-at <= 5 && (end == at || v.gapAt(end) == noGap) {
		end++
	}
	if marked && end-at >= 2 && end-at <= 4 && s.wordEnd[at] == 0 && !v.is(end, alpha|digit|han) && v.at(end) != ':' {
		s.name(at, end, 4)
	}
}

// cuedName looks for a name behind a word such as 患者 or 其子.
func (s *scan) cuedName(h hit) {
	v := s.v
	at, base := h.to, float32(2.5)
	if h.to-h.from == 1 {
		base = 1.2
	}
	switch v.at(at) {
	case ':', '：', '(', '"':
		at, base = at+1, base+2
	case '、', '/':
		if h.kinds&title == 0 || h.to-h.from == 1 {
			return
		}
		at++
	}
	if v.at(h.from) == '姓' && h.to-h.from == 1 && v.is(at, surname) && !v.is(at+1, often|seldom) {
		s.claim(at, at+1, Name, 0.8)
		return
	}
	if s.reach[h.from] > int32(h.to) || !v.is(at, surname) || s.taken[at] != "" {
		return
	}
	if end, score := s.bestName(at, base); score >= enoughForName {
		s.name(at, end, score)
	}
}

// plainName looks for a name that nothing announces.
func (s *scan) plainName(i int) {
	if s.reach[i] > int32(i) {
		return
	}
	end, score := s.bestName(i, s.leftOf(i))
	limit := float32(enoughForName)
	if end == i+2 {
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
	case !v.is(i-1, han):
		return 0.5
	case v.is(i-1, function):
		return 1
	case s.reach[i] == int32(i):
		return 0.3
	}
	return -1
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
			points := base + family + s.givenScore(i+size, to) + s.rightOf(to) + s.lexical(i, i+size, to)
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
		return 0.3
	case c&frequent != 0:
		return 1
	case c&wordlike != 0:
		return -0.8
	case c&surname != 0:
		return 0
	}
	return -3.5
}

// givenScore weighs the characters of a given name.
func (s *scan) givenScore(from, to int) (sum float32) {
	for j := from; j < to; j++ {
		switch c := s.v.cls[j]; {
		case c&function != 0 && c&often == 0:
			sum -= 3
		case c&never != 0:
			sum -= 2.5
		case c&function != 0:
		case c&often != 0:
			sum++
		case c&seldom != 0:
			sum += 0.3
		case c&frequent != 0 && to-from == 1:
			sum -= 1.5
		default:
			sum -= 0.7
		}
	}
	return sum
}

// rightOf weighs what stands behind a candidate.
func (s *scan) rightOf(to int) float32 {
	v := s.v
	switch {
	case to >= v.len() || v.gapAt(to) >= lineEnd:
		return 1.2
	case v.at(to) == '(' && (v.at(to+1) == '男' || v.at(to+1) == '女' || v.at(to+1) == '签'):
		return 3
	case (v.at(to) == ',' || v.at(to) == '，') && (v.at(to+1) == '男' || v.at(to+1) == '女') && !v.is(to+2, often|seldom):
		return 3
	case !v.is(to, han) || v.gapAt(to) == blank:
		return 1.2
	case v.is(to, function) || s.wordEnd[to] > 0:
		return 1
	}
	if end, _ := s.match(v, to, title); end > to {
		return 2
	}
	return -1.5
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
	for range 20 {
		s.claim(from, to, Name, min(0.5+score/16, 0.99))
		if score >= strongName {
			n := s.v.text(from, to)
			s.names[n] = max(s.names[n], score)
		}
		base := float32(0)
		switch s.v.at(to) {
		case '、', '/':
			base = 4
		case ',', '，', '和', '与', '及', ';':
			base = 1.5
		}
		from = to + 1
		if base == 0 || !s.v.is(from, surname) || s.taken[from] != "" {
			return
		}
		if to, score = s.bestName(from, base); score < enoughForName {
			return
		}
	}
}

// titledName looks for the name, or the surname alone, before 医生, 女士 and the like.
func (s *scan) titledName(h hit) {
	v, at := s.v, h.from
	if at == 0 || !v.is(at-1, han) || s.taken[at-1] != "" || v.gapAt(at) >= lineEnd {
		return
	}
	short := h.to-h.from == 1 // 总, 工, 老 and the like carry little weight
	best, from := float32(0), at
	for size := 2; size <= 4 && at-size >= 0; size++ {
		i := at - size
		if !v.is(i, surname) {
			continue
		}
		end, score := s.bestName(i, s.leftOf(i)+1.5)
		if end == at && score > best && !short {
			best, from = score, i
		}
	}
	if best >= enoughForName+0.8 {
		s.name(from, at, best)
		return
	}
	i := at - 1
	if at >= 2 {
		if to, _ := s.match(v, at-2, surnames2); to == at {
			i = at - 2
		}
	}
	if !v.is(i, surname) && i == at-1 || s.reach[i] > int32(i) || short && !s.shortTitle(h, i) {
		return
	}
	if v.is(i, wordlike) && !v.is(i, frequent) && v.is(i-1, han) && s.reach[i] != int32(i) && !v.is(i-1, function) {
		return
	}
	s.claim(i, at, Name, 0.8)
}

// shortTitle tells whether a title of one character stands for itself.
func (s *scan) shortTitle(h hit, i int) bool {
	return s.v.is(i, frequent) && !s.v.is(i, wordlike) && !s.v.is(i-1, han) &&
		(!s.v.is(h.to, han) || s.v.is(h.to, function)) && s.v.at(h.from) != '工' && s.v.at(h.from) != '老'
}

// anonymous claims 王某, 张某某, 李** with the surname.
func (s *scan) anonymous(h hit) {
	v := s.v
	if !v.is(h.from-1, surname) || s.reach[h.from-1] >= int32(h.from) {
		return
	}
	if v.is(h.from, alpha) || v.at(h.from) == '*' {
		if v.is(h.to, alpha|digit) || v.is(h.from-1, wordlike) || !v.is(h.from-1, frequent) {
			return
		}
	}
	s.claim(h.from-1, h.to, Name, 0.8)
}

// dottedName claims names of the form 阿卜杜拉·买买提 around the dot at i.
func (s *scan) dottedName(i int) {
	v := s.v
	from, to := i, i+1
	for from > 0 && i-from < 8 && v.is(from-1, translit|often) && v.gap[from] == noGap && s.taken[from-1] == "" && int(s.reach[from-1]) <= from-1 && !s.cueEnds(from) {
		from--
	}
	for to < v.len() && to-i < 16 && (v.is(to, translit|often) && !(v.is(to, function) && s.wordEnd[to] > 0) || v.r[to] == '·') && s.wordEnd[to] == 0 {
		to++
	}
	if i-from < 2 || to-i < 3 {
		return
	}
	s.name(from, to, strongName)
}

// cueEnds tells whether a word that announces names ends at i.
func (s *scan) cueEnds(i int) bool {
	for j := max(0, i-4); j < i; j++ {
		if s.wordEnd[j] == int32(i) {
			return true
		}
	}
	return false
}

// repeat claims the names that were found with strong evidence wherever else they stand.
func (s *scan) repeat() {
	if len(s.names) == 0 {
		return
	}
	first := map[rune][]string{}
	for _, n := range slices.SortedFunc(maps.Keys(s.names), func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	}) {
		r := []rune(n)[0]
		first[r] = append(first[r], n)
	}
	v := s.v
	for i, r := range v.r {
		for _, n := range first[r] {
			to := i + len([]rune(n))
			if !v.has(i, n) || s.taken[i] != "" {
				continue
			}
			if to == i+2 && (s.wordEnd[i] >= int32(to) || s.reach[i] > int32(i)) {
				continue
			}
			s.claim(i, to, Name, 0.85)
		}
	}
}
