package desensitize

import "strings"

//nolint:gosec // labels for credentials, not credentials
var labels = map[string]map[Type]string{
	"zh": {
		Name: "姓名", IDCard: "证件号", InsuranceNo: "医保号", Phone: "电话", Fax: "传真", BankCard: "银行卡号", Passport: "护照号",
		OfficerID: "军官证号", HMTPermit: "通行证号", Plate: "车牌号", WeChat: "微信号", QQ: "QQ号", Email: "电子邮箱", URL: "网址", IP: "IP地址",
		Address: "地址", Postcode: "邮编", Hospital: "医院", Ward: "病区", Bed: "床号", InpatientNo: "住院号", OutpatientNo: "门诊号",
		RecordNo: "病历号", ExamNo: "检查号", Date: "日期", Age: "年龄", Employer: "单位", Account: "账号", Licence: "证照号",
		Device: "器械号", Biometric: "生物特征", SSN: "社保号", OtherID: "编号",
	},
	"en": {
		Name: "NAME", IDCard: "ID", InsuranceNo: "INSURANCE NO", Phone: "PHONE", Fax: "FAX", BankCard: "BANK CARD", Passport: "PASSPORT",
		OfficerID: "OFFICER ID", HMTPermit: "PERMIT", Plate: "PLATE", WeChat: "WECHAT", QQ: "QQ", Email: "EMAIL", URL: "URL", IP: "IP",
		Address: "ADDRESS", Postcode: "POSTCODE", Hospital: "HOSPITAL", Ward: "WARD", Bed: "BED", InpatientNo: "ADMISSION NO",
		OutpatientNo: "OUTPATIENT NO", RecordNo: "RECORD NO", ExamNo: "EXAM NO", Date: "DATE", Age: "AGE", Employer: "EMPLOYER",
		Account: "ACCOUNT", Licence: "LICENCE", Device: "DEVICE", Biometric: "BIOMETRIC", SSN: "SSN", OtherID: "NUMBER",
	},
}

// Label returns what takes the place of a redacted identifier in a text: [姓名] or [NAME].
func (j *Job) Label(t Type) string {
	if l := labels[j.cfg.Policy.Labels][t]; l != "" {
		return "[" + l + "]"
	}
	return "[" + strings.ToUpper(string(t)) + "]"
}

// IsLabel reports a text that Label can have returned.
func IsLabel(s string) bool {
	if len(s) < 3 || s[0] != '[' || s[len(s)-1] != ']' {
		return false
	}
	for _, of := range labels {
		for _, l := range of {
			if s[1:len(s)-1] == l {
				return true
			}
		}
	}
	return false
}

// attachmentRule returns the first rule whose selector fits a media type: the type itself,
// a whole family such as image/*, or *.
func attachmentRule(set *RuleSet, mediaType string) *Rule {
	mediaType, _, _ = strings.Cut(strings.ToLower(mediaType), ";")
	mediaType = strings.TrimSpace(mediaType)
	for i := range set.Rules {
		r := &set.Rules[i]
		family, whole := strings.CutSuffix(r.Select, "/*")
		if r.Select == "*" || r.Select == mediaType || whole && strings.HasPrefix(mediaType, family+"/") {
			return r
		}
	}
	return nil
}
