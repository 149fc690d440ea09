package text

import "strings"

// longestAddress bounds an address, in characters.
const longestAddress = 70

// Words that announce an address, and those that a place may follow.
const (
	addrLabels = "住址 地址 现住址 现住地址 家庭住址 家庭地址 联系地址 通讯地址 通信地址 户口地址 户籍地址 户籍所在地 户籍 户口所在地 居住地 居住地址 常住地址 出生地 籍贯 原籍 工作地址 单位地址 邮寄地址 收件地址 寄送地址 暂住地址 现居住地 现居地 现居 住 家住 现住 住在 居住在 居住于 住于 暂住 租住 租住于 租住在 家在 户口 发病地点 事发地点 案发地点 地点 寄至 寄往 送货地址"
	addrCues   = "来自 生于 出生于 出生在 长于 久居 定居 定居于 移居 从 在 到 去 回 赴 于 至 往 由 返回 返 前往 途经 来 抵达 老家 途径 自 经 离开 居 居于 居住 为 是 系"
	// parts of an address; those of the second list need a number before them.
	placeParts    = "省 市 自治区 自治州 自治县 自治旗 特别行政区 地区 州 盟 区 县 旗 镇 乡 街道 街道办 街道办事处 开发区 新区 经济开发区 高新区 村 村委会 庄 屯 寨 社区 居委会 小区 花园 家园 花苑 苑 新苑 公寓 大厦 广场 大院 大道 大街 路 街 巷 弄 胡同 里 坊 新村 新城 城 府 庭 嘉园 雅苑 华庭 名苑 农场 林场 牧场 矿区 工业园 科技园 园区 苏木 嘎查 家属院 家属区 宿舍 中路 东路 西路 南路 北路 东街 西街 南街 北街 一路 二路 三路 四路 五路 环路 支路 国道 省道 乡道 高速 学院路 桥头 公馆 小筑 教工楼 名门 星城 家园 豪庭 花城 名城 雅居 佳苑 华府 馆 阁 轩 塆 湾 沟 坪 岭 坡 山庄 别墅"
	numberedParts = "号 号院 号楼 号房 栋 幢 座 单元 室 楼 层 组 队 户 弄 巷 里 排 社 村民小组 期 区 大队 生产队 街坊 支弄 门 号门 棟 房 铺 路 街 苑 自然村 行政村"
)

func (t *trie) addPlaces() {
	t.addAll(addrLabels, addrLabel)
	t.addAll(addrCues, addrCue)
	t.addAll(placeParts, placeNoun)
}

var numbered = strings.Fields(numberedParts)

// stopsPlace are characters that do not stand inside the name of a place.
func stopsPlace(r rune) bool {
	return strings.ContainsRune("在于因的是了被并及与患诉住男女至到从我你他她您们为将由入往赴离把给让说做行已去自找独返", r)
}

// places claims addresses: behind their labels, from known divisions on, and streets with a
// number.
func (s *scan) places() {
	for i, r := range s.v.r {
		if r == ':' && (s.v.at(i-1) == '址' || s.v.at(i-1) == '地') {
			s.labelledAddress(hit{from: i - 1, to: i})
		}
	}
	for _, h := range s.hits {
		switch {
		case h.kinds&addrLabel != 0:
			s.labelledAddress(h)
		case h.kinds&(province|city|county) != 0:
			s.division(h)
		case h.kinds&placeNoun != 0:
			s.street(h)
		}
	}
}

// labelledAddress reads the address behind a label.
func (s *scan) labelledAddress(h hit) {
	v := s.v
	at, marked := h.to, false
	if s.insideWord(h) {
		return
	}
	for v.oneOf(at, ":：(为是于在 ") {
		marked = marked || v.at(at) == ':'
		at++
	}
	marked = marked || v.gapAt(at) == blank
	if !marked && s.numberedPart(at) > at {
		return // 入住3楼
	}
	end, parts := s.address(at)
	if marked && v.is(at, wide|digit) && !s.emptyField(at) {
		if field := s.field(at, longestAddress); field-at >= 2 && field >= end && v.at(field) != ':' {
			end, parts = field, max(parts, 1)
		}
	}
	if parts > 0 && end-at >= 2 {
		s.claimAddress(at, end, 0.93)
	}
}

// insideWord tells whether a label of one character, 住, is part of a longer word.
func (s *scan) insideWord(h hit) bool {
	return int(s.reach[h.from]) > h.from && h.to-h.from == 1 && s.v.at(h.to) != ':'
}

// claimAddress claims an address and the postal code behind it.
func (s *scan) claimAddress(from, to int, score float32) {
	if s.taken[from] == Address {
		return
	}
	s.add(from, to, Address, score)
	for i := from; i < to; i++ {
		if s.taken[i] == "" {
			s.taken[i] = Address
		}
	}
	at := to
	for s.v.at(at) == ' ' || s.v.at(at) == ',' || s.v.at(at) == '(' {
		at++
	}
	if r := s.v.read(at, 6); r.n == 6 && r.ng == 1 && s.v.closed(r.end) && r.d[0] < 9 {
		s.claim(at, r.end, Postcode, 0.85)
	} else if r.n == 6 && at == to && s.v.gapAt(at) != noGap && s.v.closed(r.end) {
		s.claim(at, r.end, Postcode, 0.8)
	}
}

// emptyField tells whether the next label stands at i, so that the one before has no value.
func (s *scan) emptyField(i int) bool {
	end := int(s.wordEnd[i])
	return end > i && (s.v.at(end) == ':' || s.v.at(end) == '：')
}

// field returns the end of the value of a field: up to a mark, a gap before another label,
// or the end of the line.
func (s *scan) field(at, limit int) int {
	v := s.v
	end := at
	for end < v.len() && end-at < limit {
		switch v.r[end] {
		case ',', ';', '，', '。', '；', ':', '：', '|', '(', ')', '、', '"', '\n', '”', '“':
			return end
		}
		if end > at && v.gap[end] >= lineEnd && (v.gap[end] == parting || s.wordEnd[end] > 0 || !v.continues(end) && !v.wrapped(end)) {
			return end
		}
		if end > at && v.gap[end] == blank && (s.wordEnd[end] > 0 || end-at >= 6 && !v.is(end, digit|numeral)) {
			return end
		}
		end++
	}
	return end
}

// continues tells whether a line goes on over its end: a number or the part of an address.
func (v *view) continues(i int) bool {
	for j := i; j < i+8; j++ {
		if strings.ContainsRune("号栋幢室路街村镇乡区县市楼组", v.at(j)) {
			return true
		}
		if !v.is(j, han|digit) {
			return false
		}
	}
	return false
}

// address reads the parts of an address from i on and returns its end and how many there are.
func (s *scan) address(i int) (end, parts int) {
	end = i
	for end-i < longestAddress {
		to := s.part(end, end == i)
		if to == end && parts >= 2 {
			to = s.estate(end)
		}
		if to == end {
			break
		}
		end = to
		parts++
	}
	if parts > 0 {
		end = s.v.tail(end)
	}
	return end, parts
}

// estate reads a name without a noun of place, two to six characters long, between a number
// or a street and the number of a building, or at the end of the field.
func (s *scan) estate(i int) int {
	v := s.v
	if !strings.ContainsRune("号弄巷路街道村同幢栋", v.at(i-1)) || v.gapAt(i) >= lineEnd && !v.continues(i) {
		return i
	}
	to := i
	for to-i < 7 && s.estateChar(to) && (to == i || v.gap[to] == noGap) {
		to++
	}
	if s.estateEnds(i, to) {
		return to
	}
	return i
}

// estateEnds tells whether a range is the name of an estate by what stands behind it.
func (s *scan) estateEnds(i, to int) bool {
	v, n := s.v, to-i
	switch {
	case s.wordEnd[to] > 0 && v.is(to, han):
		return n >= 3 && !v.oneOf(i-1, "号幢栋")
	case n < 2:
		return false
	case s.numberedPart(to) > to:
		return true
	}
	return n <= 6 && !v.is(to, han|alpha) && v.at(i-1) == '号'
}

// estateChar tells whether the character at i may be part of the name of an estate.
func (s *scan) estateChar(i int) bool {
	v := s.v
	return v.is(i, han) && !v.is(i, numeral) && !stopsPlace(v.r[i]) && s.wordEnd[i] == 0
}

// tail reads the numbers of house and room that close an address: 3-2-501.
func (v *view) tail(end int) int {
	at := end
	if v.at(at) == '-' && v.is(at+1, digit) {
		at++
	}
	to := at
	for v.is(to, digit) || (v.at(to) == '-' || v.is(to, alpha)) && v.is(to+1, digit) {
		to++
	}
	if to == at || to-at > 9 || v.oneOf(to, "年.") || v.gapAt(at) != noGap || at == end && !v.roomNumber(at, to) {
		return end
	}
	if v.oneOf(to, "室房号户") {
		to++
	}
	return to
}

// roomNumber tells whether the digits of a range may belong to the part of an address before
// them. Six digits are a postal code.
func (v *view) roomNumber(at, to int) bool {
	if to-at == 6 && !strings.ContainsRune(v.text(at, to), '-') {
		return false
	}
	return v.oneOf(at-1, "元栋幢座号楼区苑园村室府庭城厦寓门馆筑院")
}

// part reads one part of an address.
func (s *scan) part(i int, first bool) int {
	v := s.v
	if i > 0 && !first && v.gapAt(i) >= lineEnd && !v.continues(i) && !v.wrapped(i) {
		return i
	}
	if to, _ := s.match(v, i, province|city|county); to > i {
		if end := s.nouns(to); end > to {
			return end
		}
		if !first || s.partAhead(to) {
			return to
		}
	}
	if end := s.numberedPart(i); end > i {
		return end
	}
	return s.namedPart(i)
}

// partAhead tells whether another part follows.
func (s *scan) partAhead(i int) bool {
	if to, _ := s.match(s.v, i, province|city|county); to > i {
		return true
	}
	return s.namedPart(i) > i
}

// numberedPart reads 88号, 3栋, 二单元, N座.
func (s *scan) numberedPart(i int) int {
	v := s.v
	at := i
	if v.at(at) == '第' {
		at++
	}
	to := at
	for to-at < 8 && v.numbering(to, to-at) {
		to++
	}
	if to == at {
		return i
	}
	best := i
	for _, w := range numbered {
		if v.has(to, w) {
			best = max(best, to+len([]rune(w)))
		}
	}
	if best == i && v.at(at) == '附' && v.at(to) == '号' {
		return to + 1
	}
	return best
}

// numbering tells whether the character at i, the n-th of it, belongs to the number of a house.
func (v *view) numbering(i, n int) bool {
	return v.is(i, digit|numeral) || v.is(i, alpha) && n < 2 || v.at(i) == '-' && v.is(i+1, digit) || n < 6 && v.oneOf(i, "甲乙丙丁附东西南北")
}

// namedPart reads a name of up to ten characters with a noun of place behind it.
func (s *scan) namedPart(i int) int {
	v := s.v
	for j := i; j < i+10 && j < v.len(); j++ {
		if j > i {
			if end, _ := s.match(v, j, placeNoun); end > j && !s.cutsWord(j, end) {
				return s.nouns(end)
			}
		}
		if !v.placeChar(j) || j > i && v.gap[j] >= lineEnd && !v.wrapped(j) {
			return i
		}
		if end := int(s.wordEnd[j]); end > j+1 && !s.placeWord(j, end) {
			return i
		}
	}
	return i
}

// placeChar tells whether the character at i may be part of the name of a place.
func (v *view) placeChar(i int) bool {
	if v.cls[i]&(han|digit|alpha) == 0 {
		return v.r[i] == '·'
	}
	return v.cls[i]&han == 0 || !stopsPlace(v.r[i]) || v.has(i, "自然村") || v.has(i, "行政村")
}

// nouns reads nouns of place that follow each other: 白沙|湾|市.
func (s *scan) nouns(end int) int {
	for range 5 {
		to, _ := s.match(s.v, end, placeNoun)
		if to == end || s.cutsWord(end, to) || to == end+1 && strings.ContainsRune("弄里坊府庭馆阁轩", s.v.at(end)) && s.v.is(to, han) && !s.v.is(to, numeral) {
			break
		}
		end = to
	}
	return end
}

// cutsWord tells whether the noun at j is the beginning of a longer word, as in 区别.
func (s *scan) cutsWord(j, end int) bool {
	return int(s.wordEnd[j]) > end
}

// placeWord tells whether an ordinary word may be part of the name of a place.
func (s *scan) placeWord(j, end int) bool {
	if to, _ := s.match(s.v, end-1, placeNoun); to >= end {
		return true
	}
	if to, _ := s.match(s.v, j, placeNoun|province|city|county|orgName); to > j {
		return true
	}
	if to, _ := s.match(s.v, end, placeNoun); to > end && end-j <= 3 {
		return true
	}
	if s.v.at(end-1) == '族' {
		return true
	}
	switch s.v.text(j, end) {
	case "和平", "光明", "阳光", "平安", "安宁", "安康", "海洋", "红花", "文化", "高新", "教师", "铁路", "公园", "解放军", "解放", "健康", "康复", "新生", "成都", "石油", "石棉":
		return true
	}
	return false
}

// division claims an address that begins with a known division, or the division alone where
// it stands as the place of something.
func (s *scan) division(h hit) {
	v := s.v
	if s.taken[h.from] == Address || s.reach[h.from] > int32(h.to) || int(s.wordEnd[h.from]) > h.to {
		return
	}
	end, parts := s.address(h.from)
	suffixed := end > h.to
	if parts == 0 {
		end = h.to
	}
	switch {
	case parts >= 2:
		s.claimAddress(h.from, end, 0.9)
	case parts == 1 && suffixed && h.kinds&(city|county) != 0:
		s.claimAddress(h.from, end, 0.75)
	case h.kinds&(city|county) != 0 && s.placed(h.from) && !v.is(end, never):
		s.claimAddress(h.from, end, 0.65)
	}
}

// placed tells whether the words before i say that a place follows.
func (s *scan) placed(i int) bool {
	for j := max(0, i-4); j < i; j++ {
		if end, e := s.match(s.v, j, addrCue|addrLabel); end == i && e.kinds != 0 {
			return true
		}
	}
	return false
}

// street claims a street, a village or an estate that no division announces, if a number of
// the house follows, and what names the place before it.
func (s *scan) street(h hit) {
	v := s.v
	if s.taken[h.from] == Address || !v.is(h.from-1, han) || int(s.wordEnd[h.from]) > h.to || int(s.reach[h.from]) > h.from {
		return
	}
	end, parts := s.address(h.to)
	from := s.placeStart(h.from)
	n := h.from - from
	admin := n >= 2 && v.oneOf(h.to-1, "省市县镇乡村")
	switch {
	case n == 0:
	case parts >= 2, parts == 1 && (admin || s.numberedPart(h.to) > h.to):
		s.claimAddress(from, end, 0.8)
	case admin && n <= 3 && s.placed(from):
		s.claimAddress(from, h.to, 0.6)
	}
}

// placeStart goes back over the name before a noun of place.
func (s *scan) placeStart(i int) int {
	v := s.v
	from := i
	for from > 0 && i-from < 6 && v.is(from-1, han) && !stopsPlace(v.r[from-1]) && s.taken[from-1] == "" && v.gap[from] == noGap {
		if s.reach[from] == int32(from) && s.cueEnds(from) && from < i-1 {
			break
		}
		from--
	}
	if int(s.reach[from]) > from {
		from = min(int(s.reach[from]), i)
	}
	return from
}
