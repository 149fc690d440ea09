package risk

import (
	"regexp"
	"strings"
)

// Direct is a column that looks as if it named the person by itself (直接标识符); a table with
// one is of grade 1 (GB/T 42460-2023, clause 4).
type Direct struct {
	Column string `json:"column"`
	// Type is what the column looks like: name, resident-id, phone, email, address,
	// record-number, account.
	Type string `json:"type"`
	// By says what gave it away: the column's name or its values.
	By string `json:"by"`
}

// directScan looks at the header and at the first rows.
type directScan struct {
	header []string
	hits   []map[string]int // per column, per type
	filled []int            // per column: cells that say something
	rows   int
}

const scanRows = 2000

// directNames maps names of columns, in lower case and without separators, to types.
var directNames = map[string]string{}

func init() {
	for kind, names := range map[string]string{
		"name":          "姓名 患者姓名 病人姓名 联系人 联系人姓名 name patientname fullname firstname lastname surname givenname contactname",
		"resident-id":   "身份证 身份证号 身份证号码 公民身份号码 证件号 证件号码 idcard idcardno idnumber idno nationalid ssn passport 护照号",
		"phone":         "手机 手机号 手机号码 电话 电话号码 联系电话 phone mobile telephone tel phonenumber fax",
		"email":         "邮箱 电子邮箱 电子邮件 email mail emailaddress",
		"address":       "住址 家庭住址 详细地址 现住址 户籍地址 address homeaddress street",
		"record-number": "住院号 门诊号 病历号 病案号 就诊卡号 检查号 医保号 医保卡号 社保号 mrn medicalrecordnumber admissionno insuranceno",
		"account":       "微信 微信号 qq qq号 银行卡号 账号 wechat bankcard account accountnumber",
	} {
		for name := range strings.FieldsSeq(names) {
			directNames[name] = kind
		}
	}
}

var directValues = []struct {
	kind string
	is   func(string) bool
}{
	{"resident-id", residentID},
	{"phone", regexp.MustCompile(`^(?:\+?86)?1[3-9]\d{9}$`).MatchString},
	{"email", regexp.MustCompile(`^[\w.+-]+@[\w-]+(?:\.[\w-]+)+$`).MatchString},
}

func newDirectScan(header []string) *directScan {
	d := &directScan{header: header, hits: make([]map[string]int, len(header)), filled: make([]int, len(header))}
	for i := range d.hits {
		d.hits[i] = map[string]int{}
	}
	return d
}

func (d *directScan) add(row []string) {
	if d.rows >= scanRows {
		return
	}
	d.rows++
	for i, v := range row {
		v = strings.TrimSpace(v)
		if i >= len(d.hits) || v == "" || v == Suppressed || len(v) > 64 {
			continue
		}
		d.filled[i]++
		for _, t := range directValues {
			if t.is(v) {
				d.hits[i][t.kind]++
			}
		}
	}
}

// found lists the columns that look like direct identifiers: by name, if a cell says
// anything, or because at least a twentieth of the cells has the form.
func (d *directScan) found() []Direct {
	var out []Direct
	strip := strings.NewReplacer("_", "", "-", "", " ", "", ".", "")
	for i, name := range d.header {
		if d.filled[i] == 0 {
			continue
		}
		if kind, ok := directNames[strip.Replace(strings.ToLower(name))]; ok {
			out = append(out, Direct{name, kind, "name"})
			continue
		}
		for _, t := range directValues {
			if d.hits[i][t.kind]*20 >= d.filled[i] {
				out = append(out, Direct{name, t.kind, "values"})
				break
			}
		}
	}
	return out
}

// residentID checks form and check digit of GB 11643-1999.
func residentID(v string) bool {
	if len(v) != 18 {
		return false
	}
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		if v[i] < '0' || v[i] > '9' {
			return false
		}
		sum += w * int(v[i]-'0')
	}
	last := v[17]
	if last == 'x' {
		last = 'X'
	}
	return last == "10X98765432"[sum%11]
}
