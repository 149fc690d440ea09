package text

import "strings"

// idLabels are the words behind which a number of a type stands. Blanks inside Chinese are
// gone in the view, letters are in lower case.
var idLabels = map[Type]string{ //nolint:gosec // G101: these are words, not secrets
	IDCard:       "身份证 身份证号 身份证号码 身份证件号 身份证件号码 证件号 证件号码 公民身份号码 身份号码 居民身份证 居民身份证号 居民身份证号码 有效证件号 证件",
	InsuranceNo:  "医保卡号 医保号 医保卡 医保编号 医保证号 医疗证号 社保号 社保卡号 社保卡 社会保障号 社会保障卡号 社会保险号 参保号 医疗保险号 医疗保险手册号 合作医疗证号 农合号 新农合证号 医保电子凭证号 insurance_no policy_no member_id",
	Phone:        "电话 电话号 电话号码 联系电话 联系方式 手机 手机号 手机号码 移动电话 固定电话 座机 家庭电话 单位电话 咨询电话 随访电话 本人电话 家属电话 预约电话 热线 tel telephone phone mobile cell 电话/手机",
	Fax:          "传真 传真号 传真号码 fax",
	BankCard:     "银行卡 银行卡号 卡号 银行账号 银行帐号 储蓄卡号 信用卡号 收款账号",
	Passport:     "护照 护照号 护照号码 passport passport_no passport_number",
	OfficerID:    "军官证 军官证号 军官证号码 士兵证 士兵证号 警官证 警官证号 军人证件号 文职干部证 士官证 士官证号 军人证 军人保障卡号 学员证",
	HMTPermit:    "港澳居民来往内地通行证 港澳居民来往内地通行证号 港澳通行证 港澳通行证号 港澳台通行证 来往大陆通行证 台湾居民来往大陆通行证 台湾居民来往大陆通行证号 台胞证 台胞证号 回乡证 回乡证号 通行证 通行证号 通行证号码 香港身份证 香港身份证号 澳门身份证 台湾身份证 身份证字号 居留证号 外国人永久居留证号",
	Plate:        "车牌 车牌号 车牌号码 号牌 车号",
	WeChat:       "微信 微信号 微信账号 微信id wechat wechat_id",
	QQ:           "qq qq号 qq号码 qq群 qq群号",
	Postcode:     "邮编 邮政编码 邮码 zip postcode",
	Bed:          "床号 床位号 病床号 bed bed_no",
	InpatientNo:  "住院号 住院号码 住院编号 住院流水号 住院登记号 入院号 住院id 住院病历号 住院病案号 admission_no 住院证号",
	OutpatientNo: "门诊号 门诊号码 门诊病历号 门诊编号 就诊号 就诊卡号 就诊卡 诊疗卡号 急诊号 挂号 挂号单号 就诊流水号 门急诊号 visit_no 健康卡号 电子健康卡号 健康码编号 磁卡号 一卡通号",
	RecordNo:     "病历号 病案号 病历号码 病案号码 病历编号 病案编号 档案号 健康档案号 健康档案编号 病例号 登记号 患者id 病人id 患者编号 病人编号 患者标识 患者主索引 唯一号 id号 mrn mr_no medical_record_number patient_id record_number 建档号 孕产妇保健手册号 研究编号 受试者编号",
	ExamNo:       "检查号 检查编号 检查单号 影像号 影像编号 放射号 放射编号 ct号 mr号 mri号 x线号 x光号 dr号 超声号 b超号 彩超号 病理号 病理编号 标本号 标本编号 标本条码 条码号 条形码 条码 样本号 样本编号 申请单号 申请号 检验号 检验单号 报告号 报告编号 报告单号 内镜号 胃镜号 心电图号 心电号 化验单号 流水号 处方号 处方编号 医嘱号 手术编号 会诊单号 血袋号 accession_number accession_no accession specimen_id",
	Account:      "账号 帐号 账户 帐户 用户名 登录名 工号 职工号 员工号 社交账号 支付宝 支付宝账号 account account_number acct",
	Licence:      "驾驶证 驾驶证号 驾照号 执业证号 执业证书编号 执业证书号 医师执业证书编号 执业医师证号 资格证号 资格证书编号 执照号 医师资格证号 护士执业证书编号 license_number licence_number driver_license driver's_license npi dea",
	Device:       "序列号 设备序列号 产品序列号 设备编号 设备号 机身号 sn s/n 序号sn serial_number serial_no 器械编号 植入物编号 唯一器械标识 udi 产品编号 imei mac地址",
	OtherID:      "编号 尾号 手机尾号 卡尾号 电话尾号 合同号 保单号 发票号 票据号 票号 出生证号 出生医学证明编号 出生证编号 死亡证明编号 残疾证号 残疾人证号 低保证号 结婚证号 户口簿号 户号 案件编号 学号 警号 订单号 快递单号 准考证号 老年证号 certificate_no certificate_number",
	Biometric:    "指纹编号 虹膜编号 人脸编号",
	IP:           "ip ip地址",
	SSN:          "ssn social_security_number social_security_no",
}

// dateLabels are words behind which a date stands, also one written loosely.
const dateLabels = "日期 时间 出生日期 生日 出生年月 出生 入院日期 出院日期 入院时间 出院时间 手术日期 检查日期 报告日期 签名日期 记录日期 就诊日期 dob"

func (t *trie) addLabels() {
	for code, typ := range types {
		for w := range strings.FieldsSeq(idLabels[typ]) {
			t.add(strings.ReplaceAll(w, "_", " "), idLabel, uint8(code))
		}
	}
	for w := range strings.FieldsSeq(dateLabels) {
		t.add(w, dateLabel, 0)
	}
}

// labelled reads the value behind a label.
func (s *scan) labelled(h hit) {
	at, marked := s.v.connector(h.to)
	if h.kinds&dateLabel != 0 {
		s.labelledDate(at)
		return
	}
	typ := types[h.arg]
	switch typ {
	case Phone, Fax:
		s.labelledPhone(at, typ)
	case Bed:
		s.labelledBed(at, marked)
	case Postcode:
		if r := s.v.read(at, 6); r.n == 6 && s.v.closed(r.end) {
			s.claim(at, r.end, Postcode, 0.96)
		}
	case IP:
	default:
		s.labelledNumber(at, typ, marked)
	}
}

// connector skips what stands between a label and its value, and tells whether a mark such as
// a colon was among it.
func (v *view) connector(i int) (at int, marked bool) {
	at = v.remark(i)
	for at < i+16 {
		switch {
		case v.oneOf(at, ":=：】]|>"):
			marked = true
			at++
		case v.oneOf(at, " #(\"'_号码为是"), v.at(at) == '/' && v.is(at+1, han):
			at++
		default:
			next := v.filler(at)
			if next == at {
				return at, marked
			}
			at = next
		}
	}
	return at, marked
}

// remark skips a remark in brackets behind a label: 电话(手机):
func (v *view) remark(i int) int {
	if v.at(i) != '(' {
		return i
	}
	for end := i + 1; end < i+10; end++ {
		if v.at(end) == ')' {
			if v.is(end-1, digit) {
				return i
			}
			return end + 1
		}
	}
	return i
}

// filler skips a word that belongs to a label.
func (v *view) filler(i int) int {
	for _, w := range [...]string{"no.", "is ", "no:", "id:", "no ", "id ", "number", "编号"} {
		if v.has(i, w) {
			return i + len([]rune(w))
		}
	}
	return i
}

// labelledNumber reads a number of letters and digits with its separators.
func (s *scan) labelledNumber(at int, typ Type, marked bool) {
	v := s.v
	if typ == OfficerID || typ == Plate {
		if end := v.sealed(at); end > at {
			s.claim(at, end, typ, 0.96)
			return
		}
	}
	end, digits := v.spacedWord(at, marked)
	if end == at || !enough(typ, end-at, digits, marked) {
		return
	}
	if v.at(end) == '(' && v.is(end+1, digit|alpha) && v.at(end+2) == ')' { // check digit of Hong Kong
		end += 3
	}
	s.claim(at, end, typ, 0.96)
	if v.at(end) == '、' || v.at(end) == '/' { // a second number of the same kind
		if to, n := v.word(end + 1); n >= 4 && n == digits {
			s.claim(end+1, to, typ, 0.9)
		}
	}
}

// spacedWord is word for a number that may be written with blanks.
func (v *view) spacedWord(at int, marked bool) (end, digits int) {
	end, digits = v.word(at)
	if end == at {
		return end, 0
	}
	lead := at
	for v.is(lead, alpha) && lead < at+3 {
		lead++
	}
	if r := v.read(lead, 20); r.end > end && (r.uniform() || marked && r.spaced()) && r.n >= 6 && v.closed(r.end) {
		end, digits = r.end, r.n
	}
	return end, digits
}

// enough tells whether a value behind a label is long enough to be the number it announces.
func enough(typ Type, n, digits int, marked bool) bool {
	switch typ {
	case WeChat:
		return n >= 5
	case Account, Device, Licence:
		return n >= 4 && digits >= 2 || marked && n >= 3 && digits >= 1
	case QQ:
		return digits >= 5
	case IDCard:
		return digits >= 6
	case SSN:
		return digits == 9
	}
	return digits >= 4 || marked && digits >= 2 && n >= 3
}

// word reads letters, digits and the marks inside a number, and counts the digits. A mark at
// the end does not belong to it.
func (v *view) word(i int) (end, digits int) {
	end = i
	for end-i < 40 {
		switch {
		case v.is(end, digit):
			digits++
		case v.is(end, alpha), v.at(end) == '*':
		case end > i && v.oneOf(end, "-_/.") && (v.is(end+1, alpha|digit) || v.at(end+1) == '*'):
		default:
			return end, digits
		}
		if end++; v.gapAt(end) != noGap && end < v.len() {
			return end, digits
		}
	}
	return end, digits
}

// sealed reads numbers of the form 南字第0123456号, and plates that begin with a province.
func (v *view) sealed(i int) int {
	at := i
	for v.is(at, han) && at < i+4 {
		at++
	}
	if v.before(at, "第") {
		at = v.skipDigits(at)
		if v.at(at) == '号' {
			at++
		}
		return at
	}
	if at == i+1 {
		if end, digits := v.word(at); digits >= 3 {
			return end
		}
	}
	return i
}

// labelledPhone reads one or more telephone numbers.
func (s *scan) labelledPhone(at int, typ Type) {
	v := s.v
	for range 4 {
		from := at
		if v.at(at) == '(' && v.at(at+1) == '+' {
			return // a number with its country code is recognised by itself
		}
		for v.oneOf(at, "+(") {
			at++
		}
		r := v.phoneRun(at)
		if r.n < 7 || !v.closed(r.end) && !v.oneOf(r.end, "xe") || r.n == 8 && v.compact(at) > at {
			return
		}
		end := v.extension(r.end, r.ng > 2)
		s.claim(from, end, typ, 0.96)
		if !v.oneOf(end, "、/,;或") {
			return
		}
		at = end + 1
	}
}

// phoneRun reads the digits of any telephone number, over the bracket of an area code.
func (v *view) phoneRun(at int) run {
	r := v.read(at, 13)
	if v.at(r.end) == ')' && r.n <= 4 {
		rest := v.read(r.end+1, 8)
		r.n, r.end = r.n+rest.n, rest.end
	}
	if x := v.landlineRun(at); x.n >= 10 && x.d[0] == 0 {
		return x
	}
	return r
}

// labelledBed reads the number of a bed: 12, 加3, 12-2, A05, 十二.
func (s *scan) labelledBed(at int, marked bool) {
	v := s.v
	end := at
	if v.oneOf(end, "加+") {
		end++
	}
	if v.is(end, numeral) {
		_, end = v.numeralAt(end)
	}
	for v.is(end, digit) || (v.is(end, alpha) || v.oneOf(end, "-+")) && v.is(end+1, digit) {
		end++
	}
	if end == at || end-at > 8 || v.at(end) == '张' || !marked && !v.is(end-1, digit|numeral) || !v.closed(end) {
		return
	}
	s.claim(at, end, Bed, 0.96)
}

// labelledDate reads a date written loosely behind its label: 62.3.5, 3-15.
func (s *scan) labelledDate(at int) {
	v := s.v
	if s.taken[min(at, v.len())] != "" || !v.is(at, digit) {
		return
	}
	if end := s.date(at); end > at {
		return
	}
	end, groups := at, 0
	for groups < 3 {
		_, width, to := v.integer(end, 4)
		if width == 0 {
			break
		}
		groups++
		end = to
		if c := v.at(end); c != '-' && c != '.' && c != '/' || !v.is(end+1, digit) || groups == 3 {
			break
		}
		end++
	}
	if groups >= 2 && v.closed(end) && v.at(end) != ':' {
		s.claim(at, end, Date, 0.85)
	}
}
