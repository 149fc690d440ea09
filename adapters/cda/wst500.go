package cda

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// genderNames is GB/T 2261.1.
var genderNames = map[string]string{"0": "未知的性别", "1": "男性", "2": "女性", "9": "未说明的性别"}

// maritalNames is GB/T 2261.2.
var maritalNames = map[string]string{"10": "未婚", "20": "已婚", "21": "初婚", "22": "再婚", "23": "复婚",
	"30": "丧偶", "40": "离婚", "90": "未说明的婚姻状况"}

// ethnicNames is GB 3304-1991, by number from 1.
var ethnicNames = strings.Fields(`汉族 蒙古族 回族 藏族 维吾尔族 苗族 彝族 壮族 布依族 朝鲜族 满族 侗族 瑶族 白族 土家族 哈尼族
 哈萨克族 傣族 黎族 傈僳族 佤族 畲族 高山族 拉祜族 水族 东乡族 纳西族 景颇族 柯尔克孜族 土族 达斡尔族 仫佬族 羌族 布朗族 撒拉族 毛南族
 仡佬族 锡伯族 阿昌族 普米族 塔吉克族 怒族 乌孜别克族 俄罗斯族 鄂温克族 德昂族 保安族 裕固族 京族 塔塔尔族 独龙族 鄂伦春族 赫哲族 门巴族
 珞巴族 基诺族`)

// occupationNames is the part of GB/T 2261.4 that WS/T 500 uses.
var occupationNames = map[string]string{"11": "国家公务员", "13": "专业技术人员", "17": "职员", "21": "企业管理人员", "24": "工人",
	"27": "农民", "31": "学生", "37": "现役军人", "51": "自由职业者", "54": "个体经营者", "70": "无业人员", "80": "退(离)休人员", "90": "其他"}

// Code systems of the tables on patient.
const (
	genderSystem     = "2.16.156.10011.2.3.3.4"
	maritalSystem    = "2.16.156.10011.2.3.3.5"
	ethnicSystem     = "2.16.156.10011.2.3.3.3"
	occupationSystem = "2.16.156.10011.2.3.3.13"
	ageUnits         = "岁 月 周 天 日 小时 时"
)

// wst500 holds a document against the part of WS/T 500 that its type names.
func (v *validation) wst500() {
	v.typeOfDocument()
	v.formOfHeader()
	v.patientOfType()
	v.tables()
	v.signers()
	v.partsOfType()
	v.sectionsOfType()
}

// typeOfDocument: template, code and title say the same.
func (v *validation) typeOfDocument() {
	d := v.d
	var byTemplate *Type
	for _, id := range d.Templates {
		if t, ok := TypeByTemplate(id.Root); ok {
			byTemplate = t
		}
	}
	byCode, codeKnown := TypeByCode(d.Code.Code)
	switch {
	case byTemplate == nil:
		v.add("template", "templateId", "no template id of WS/T 500; %s has %s", d.Type.Code, d.Type.Template())
	case !codeKnown:
		v.add("template-code", "code", "the template is that of %s, the code is not of WS/T 500", byTemplate.Code)
	case byCode != byTemplate:
		v.add("template-code", "code", "the template is that of %s, the code that of %s", byTemplate.Code, byCode.Code)
	}
	v.need(d.Code.System == CodeSystem || v.p.Roots.Standard(d.Code.System) == CodeSystem, "code-system", "code", "the code system is not %s", CodeSystem)
	titles := append([]string{d.Type.Title}, otherTitles[d.Type.Code]...)
	v.need(d.Title == "" || slices.ContainsFunc(titles, func(t string) bool { return SameTitle(d.Title, t) }), "title", "title", "the title is not that of %s: %s", d.Type.Code, d.Type.Title)
}

// SameTitle compares titles without regard to spaces and the width of brackets.
func SameTitle(a, b string) bool {
	fold := strings.NewReplacer("（", "(", "）", ")", " ", "", "\u3000", "").Replace
	return fold(a) == fold(b)
}

// formOfHeader: what all documents of WS/T 500 have at their head.
func (v *validation) formOfHeader() {
	d := v.d
	v.need(d.Realm == "CN", "realm", "realmCode", "realmCode is not CN")
	v.need(d.Language != "", "language", "languageCode", "no languageCode; expected zh-CN")
	v.need(v.d.nodes["setId"] != nil || !d.SetID.IsZero(), "set-id", "setId", "no setId")
	v.need(v.d.nodes["versionNumber"] != nil || d.Version != "", "version", "versionNumber", "no versionNumber")
	v.need(d.ID.Extension != "", "id", "id", "the document has no number (id/@extension)")
	n := utf8.RuneCountInString(d.ID.Extension)
	v.need(n == 0 || n >= 32 && n <= 36 || d.Type.Form("code20") && n <= 20, "id-length", "id", "the number of the document has %d characters; WS/T 500 asks for 32 to 36", n)
	v.need(d.Time == "" || len(d.Time) >= 14, "time-precision", "effectiveTime", "the time has less than seconds; expected YYYYMMDDHHMMSS")
}

// patientOfType: numbers under the roots of the type.
func (v *validation) patientOfType() {
	p := v.d.Patient
	if v.d.Patients == 0 {
		return
	}
	for _, id := range p.IDs {
		root := v.p.Roots.Standard(id.Root)
		_, known := v.p.Roots.Type(id.Root)
		v.need(slices.Contains(v.d.Type.PatientRoots, root) || known || documentRoots[root], "patient-root", "patientRole/id",
			"the root of a patient's number is not of WS/T 500; expected one of %s", strings.Join(v.d.Type.PatientRoots, ", "))
		v.need(id.Extension == "" || len(id.Extension) <= 128, "patient-id", "patientRole/id", "a patient's number is longer than 128 bytes")
	}
	var residents []string
	for _, id := range append(slices.Clone(p.PersonIDs), p.IDs...) {
		if t, _ := v.p.Roots.Type(id.Root); t != record.ResidentID || id.Extension == "" {
			continue
		}
		number, ok := hl7.NormalResidentID(id.Extension)
		if !ok {
			v.add("resident-id", "patient/id", "not a resident id of GB 11643 (18 characters with the check character)")
			continue
		}
		residents = append(residents, number)
	}
	slices.Sort(residents)
	v.need(len(slices.Compact(residents)) < 2, "patient-conflict", "patient/id", "two different resident ids for one patient")
}

// tables checks codes of patient against their tables.
func (v *validation) tables() {
	p := v.d.Patient
	v.table("maritalStatusCode", p.Marital, maritalSystem, maritalNames, "GB/T 2261.2")
	v.table("occupationCode", p.Occupation, occupationSystem, occupationNames, "GB/T 2261.4")
	if c := p.Ethnic; c.Code != "" && (c.System == ethnicSystem || c.System == "") {
		n, err := strconv.Atoi(c.Code)
		v.need(err == nil && (n >= 1 && n <= len(ethnicNames) || n == 97 || n == 98), "code-table", "patient/ethnicGroupCode", "the code is not in GB 3304")
	}
	if p.AgeValue != "" || p.AgeUnit != "" {
		n, err := strconv.Atoi(p.AgeValue)
		v.need(err == nil && n >= 0 && n <= 150, "age", "age", "the age is not a number from 0 to 150")
		v.need(slices.Contains(strings.Fields(ageUnits), p.AgeUnit), "age", "age", "the unit of the age is none of %s", ageUnits)
	}
}

func (v *validation) table(place string, c Code, system string, names map[string]string, source string) {
	if c.Code == "" || c.System != system && c.System != "" {
		return
	}
	_, ok := names[c.Code]
	v.need(ok, "code-table", "patient/"+place, "the code is not in %s", source)
}

func (v *validation) signers() {
	d := v.d
	for _, a := range d.Authors {
		v.need(a.Name != "" || !a.ID.IsZero(), "author", "author", "an author has neither number nor name")
	}
	v.need(d.Custodian.ID.Extension != "", "custodian-id", "custodian", "the custodian has no code")
	n := utf8.RuneCountInString(d.Custodian.ID.Extension)
	v.need(n == 0 || n == 18, "custodian-id", "custodian/id", "the custodian's code has not the 18 characters of GB 32100")
	for _, s := range append(slices.Clone(d.Legal), d.Authenticator...) {
		v.need(s.Name != "" || !s.ID.IsZero(), "signer", "authenticator", "a signer has neither number nor name")
	}
}

// partsOfType: the parts of the header that the type has, and those that it has not.
func (v *validation) partsOfType() {
	d, p := v.d, v.d.Patient
	e := d.Encounter
	for _, part := range []struct {
		name  string
		there bool
	}{
		{HeaderGender, !p.Gender.IsZero()}, {HeaderBirth, p.Birth != ""}, {HeaderAge, p.AgeValue != ""},
		{HeaderMarital, !p.Marital.IsZero()}, {HeaderEthnic, !p.Ethnic.IsZero()}, {HeaderOccupation, !p.Occupation.IsZero()},
		{HeaderLegal, len(d.Legal) > 0}, {HeaderAuthenticator, len(d.Authenticator) > 0},
		{HeaderEncounter, e != nil}, {HeaderLocation, e != nil && len(e.Location) > 0},
	} {
		if d.Type.Has(part.name) {
			v.need(part.there, "header-part", partPath(part.name), "%s expects %s", d.Type.Code, part.name)
		} else if v.p.Strict {
			v.need(!part.there, "header-extra", part.name, "%s has no %s", d.Type.Code, part.name)
		}
	}
}

// partPath says where a part of the header would stand.
func partPath(part string) string {
	switch part {
	case HeaderGender, HeaderBirth, HeaderAge, HeaderMarital, HeaderEthnic, HeaderOccupation:
		return "recordTarget/patientRole/patient/" + part
	case HeaderLocation:
		return "componentOf/encompassingEncounter/location"
	}
	return part
}

// sectionsOfType: chapters that the standard does not describe for the type.
func (v *validation) sectionsOfType() {
	expected := v.d.Type.Sections()
	for i, s := range v.d.Sections {
		place := "component/structuredBody/component[" + strconv.Itoa(i+1) + "]/section/code"
		known := slices.ContainsFunc(expected, func(t SectionType) bool {
			return t.Code != "" && t.Code == s.Code.Code || t.Code == "" && s.Code.Code == "" && sameSection(t.Name, s.Code.Display+s.Title)
		})
		v.need(known || s.Code.IsZero(), "section", place, "%s describes no such section", v.d.Type.Code)
	}
}

func sameSection(name, display string) bool {
	return strings.Contains(display, strings.TrimSuffix(name, "章节"))
}

// headerOrder is the order of the children of ClinicalDocument (CDA R2, POCD_RM000040).
var headerOrder = strings.Fields(`realmCode typeId templateId id code title effectiveTime confidentialityCode languageCode setId
 versionNumber copyTime recordTarget author dataEnterer informant custodian informationRecipient legalAuthenticator authenticator
 participant inFulfillmentOf documentationOf relatedDocument authorization componentOf component`)

// order notes header elements that do not stand in the order of the schema.
func (v *validation) order() {
	if v.d.source == nil {
		return
	}
	last := 0
	for _, n := range v.d.source.Root.Elements() {
		if n.Name.Space != v.d.source.Root.Name.Space {
			continue
		}
		at := slices.Index(headerOrder, n.Name.Local)
		if at < 0 {
			continue
		}
		if at < last {
			v.d.mark("out of order", n)
			v.add("order", "out of order", "%s stands after %s; the schema has it before", headerOrder[at], headerOrder[last])
			return
		}
		last = at
	}
}
