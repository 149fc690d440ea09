// Package cdaexample makes a synthetic document of every type of WS/T 500: for tests, for
// partners who want to see one, and for measurements. All persons are invented.
package cdaexample

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/adapters/cda"
)

// Roots under 2.16.156.10011.1 of what is not a patient.
const (
	root       = "2.16.156.10011.1."
	staff      = root + "4"
	authorRoot = root + "7"
	hospital   = root + "5"
	bed        = root + "22"
	room       = root + "21"
	department = root + "26"
	ward       = root + "27"
)

var (
	families = []string{"赵", "钱", "孙", "李", "周", "吴", "郑", "王", "欧阳", "司马"}
	givens   = []string{"小明", "晓燕", "建国", "丽华", "志强", "雨桐", "子涵", "翊", "慧敏", "家豪"}
	depts    = []string{"心血管内科", "普通外科", "呼吸内科", "妇产科", "神经内科", "骨科"}
	diseases = []cda.Code{
		{Code: "I10.x00", Display: "特发性（原发性）高血压"}, {Code: "E11.900", Display: "2型糖尿病不伴有并发症"},
		{Code: "J18.900", Display: "肺炎"}, {Code: "K35.900", Display: "急性阑尾炎"}, {Code: "I25.103", Display: "冠状动脉粥样硬化性心脏病"},
	}
)

// Document makes a document of a type. The same seed gives the same document.
func Document(t *cda.Type, seed uint64) *cda.Document {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, uint64(t.Number))), t: t} //nolint:gosec // examples need no secrecy
	g.at = time.Date(2023, 1, 1, 8, 0, 0, 0, time.UTC).Add(time.Duration(g.IntN(2*365*24)) * time.Hour).Add(time.Duration(g.IntN(3600)) * time.Second)
	d := &cda.Document{
		Type: t, Realm: "CN", TypeID: cda.ID{Root: "2.16.840.1.113883.1.3", Extension: "POCD_HD000040"},
		Templates: []cda.ID{{Root: t.Template()}}, ID: cda.ID{Root: cda.DocumentRoot, Extension: g.hex(32)},
		Code:  cda.Code{Code: t.Code, System: cda.CodeSystem, SystemName: "卫生信息共享文档规范编码体系"},
		Title: t.Title, Time: g.stamp(0),
		Confidential: cda.Code{Code: "N", System: "2.16.840.1.113883.5.25", SystemName: "Confidentiality", Display: "正常访问保密级别"},
		Language:     "zh-CN", SetID: cda.ID{Extension: g.hex(32)}, Version: "1", Patients: 1,
	}
	if t.Form("code20") {
		d.ID.Extension = d.ID.Extension[:20]
	}
	g.d = d
	g.patient()
	g.people()
	g.encounter()
	g.body()
	return d
}

type generator struct {
	*rand.Rand
	t      *cda.Type
	d      *cda.Document
	at     time.Time
	female bool
}

// stamp returns the time of the document and some hours.
func (g *generator) stamp(hours int) string {
	return g.at.Add(time.Duration(hours) * time.Hour).Format("20060102150405")
}

func (g *generator) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[g.IntN(16)]
	}
	return string(b)
}

func (g *generator) digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + g.IntN(10))
	}
	return string(b)
}

func (g *generator) name() string { return pick(g, families) + pick(g, givens) }

func pick[T any](g *generator, list []T) T { return list[g.IntN(len(list))] }

func (g *generator) patient() {
	p := &g.d.Patient
	birth := time.Date(1940+g.IntN(60), time.Month(1+g.IntN(12)), 1+g.IntN(28), 0, 0, 0, 0, time.UTC)
	g.female = g.IntN(2) == 0 || g.t.Number >= 14 && g.t.Number <= 16
	number := g.residentID(birth)
	for _, r := range g.t.PatientRoots {
		value := g.digits(10)
		if r == root+"3" {
			value = number
		}
		p.IDs = append(p.IDs, cda.ID{Root: r, Extension: value})
	}
	p.PersonIDs = []cda.ID{{Root: root + "3", Extension: number}}
	p.Name = g.name()
	if g.t.Has(cda.HeaderGender) {
		p.Gender = cda.Code{Code: "1", System: "2.16.156.10011.2.3.3.4", SystemName: "生理性别代码表(GB/T 2261.1)", Display: "男性"}
		if g.female {
			p.Gender.Code, p.Gender.Display = "2", "女性"
		}
	}
	if g.t.Has(cda.HeaderBirth) {
		p.Birth = birth.Format("20060102")
	}
	if g.t.Has(cda.HeaderAge) {
		p.AgeValue, p.AgeUnit = strconv.Itoa(g.at.Year()-birth.Year()), "岁"
	}
	g.social()
	if g.t.Has(cda.HeaderProvider) {
		p.Provider = g.provider()
	}
}

// residentID makes a number of GB 11643 under a region code that was never assigned.
func (g *generator) residentID(birth time.Time) string {
	sequence := 2 * g.IntN(500)
	if !g.female {
		sequence++
	}
	s := fmt.Sprintf("990000%s%03d", birth.Format("20060102"), sequence)
	sum := 0
	for i, w := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(s[i]-'0') * w
	}
	return s + string("10X98765432"[sum%11])
}

func (g *generator) address() cda.Address {
	return cda.Address{Use: "H", HouseNumber: strconv.Itoa(1+g.IntN(300)) + "号", Street: "示例路", Township: "示例街道",
		County: "示例区", City: "示例市", State: "示例省", PostalCode: "990" + g.digits(3)}
}

func (g *generator) social() {
	p := &g.d.Patient
	if g.t.Has(cda.HeaderAddress) {
		p.Address = g.address()
		if g.t.Form("nopost") {
			p.Address.PostalCode = ""
		}
	}
	if g.t.Has(cda.HeaderTelecom) {
		p.Telecom = []cda.Telecom{{Value: "199" + g.digits(8)}}
		if g.t.Form("use") {
			p.Telecom[0].Use = "MC"
		}
	}
	if g.t.Has(cda.HeaderMarital) {
		p.Marital = cda.Code{Code: "20", System: "2.16.156.10011.2.3.3.5", SystemName: "婚姻状况代码表(GB/T 2261.2)", Display: "已婚"}
	}
	if g.t.Has(cda.HeaderEthnic) {
		p.Ethnic = cda.Code{Code: "01", System: "2.16.156.10011.2.3.3.3", SystemName: "民族类别代码表(GB 3304)", Display: "汉族"}
	}
	if g.t.Has(cda.HeaderNationality) {
		p.Nationality = cda.Code{Code: "156", System: "2.16.156.10011.2.3.3.1", SystemName: "世界各国和地区名称代码(GB/T 2659)", Display: "中国"}
	}
	if g.t.Has(cda.HeaderEducation) {
		p.Education = cda.Code{Code: "20", System: "2.16.156.10011.2.3.3.6", SystemName: "学历代码表(GB/T 4658)", Display: "大学本科教育"}
	}
	if g.t.Has(cda.HeaderOccupation) {
		p.Occupation = cda.Code{Code: "17", System: "2.16.156.10011.2.3.3.13", SystemName: "从业状况(个人身体)代码表(GB/T 2261.4)", Display: "职员"}
	}
	if g.t.Has(cda.HeaderBirthplace) {
		a := g.address()
		p.Birthplace = cda.Address{County: a.County, City: a.City, State: a.State, PostalCode: a.PostalCode}
	}
	if g.t.Has(cda.HeaderEmployer) {
		p.Employer = cda.Organization{Name: "示例机械厂", Telecom: cda.Telecom{Value: "010-" + g.digits(8)}}
		p.EmployerAddr = g.address()
		p.EmployerAddr.Use = "WP"
	}
	if g.t.Has(cda.HeaderHousehold) {
		p.Household = g.address()
		p.Household.Use = ""
	}
	if g.t.Has(cda.HeaderNativePlace) {
		p.NativePlace = cda.Address{City: "示例市", State: "示例省"}
	}
}

const hospitalCode = "12990000MB00000001" // 18 characters, GB 32100, not assigned

func (g *generator) hospital() cda.Place {
	return cda.Place{ID: cda.ID{Root: hospital, Extension: hospitalCode}, Name: "示例市第一人民医院"}
}

func (g *generator) department() cda.Place {
	return cda.Place{ID: cda.ID{Root: department, Extension: g.digits(4)}, Name: pick(g, depts)}
}

// provider makes the providing organization in the shape that the part of the standard
// gives it: a department in a hospital, the hospital alone, or a bed and all around it.
func (g *generator) provider() *cda.Organization {
	h := g.hospital()
	switch g.t.Number {
	case 2, 3, 4, 5:
		d := g.department()
		return &cda.Organization{ID: cda.ID{Root: d.ID.Root}, Name: d.Name, Within: []cda.Place{h}}
	case 22:
		d := g.department()
		return &cda.Organization{ID: cda.ID{Root: d.ID.Root, Extension: strconv.Itoa(10 + g.IntN(90))}, Name: d.Name}
	case 25:
		return &cda.Organization{Within: g.location()}
	}
	return &cda.Organization{ID: h.ID, Name: h.Name}
}

func (g *generator) location() []cda.Place {
	return []cda.Place{
		{ID: cda.ID{Root: bed, Extension: strconv.Itoa(1 + g.IntN(60))}, Name: "床位"},
		{ID: cda.ID{Root: room, Extension: g.digits(3)}, Name: "病房"},
		g.department(),
		{ID: cda.ID{Root: ward, Extension: g.digits(3)}, Name: "第一病区"},
		g.hospital(),
	}
}

func (g *generator) person(role string) cda.Person {
	return cda.Person{ID: cda.ID{Root: staff, Extension: g.digits(6)}, Role: cda.Code{Display: role}, Name: g.name(), Time: g.stamp(1)}
}

var relation = cda.Code{Code: "1", System: "2.16.156.10011.2.3.3.8", SystemName: "家庭关系代码表(GB/T 4761)", Display: "配偶"}

func (g *generator) people() {
	d := g.d
	author := g.person("")
	author.ID.Root, author.Time = authorRoot, g.stamp(0)
	if g.t.Form("date") {
		author.Time = author.Time[:8]
	}
	if g.t.Form("authorcode") {
		author.Role = cda.Code{Display: "文档创作者"}
	}
	d.Authors = []cda.Person{author}
	h := g.hospital()
	d.Custodian = cda.Organization{ID: h.ID, Name: h.Name}
	if g.t.Form("reach") {
		d.Custodian.Telecom, d.Custodian.Address = cda.Telecom{Value: "010-" + g.digits(8)}, "示例省示例市示例路1号"
	}
	g.signers()
	if g.t.Has(cda.HeaderInformant) {
		d.Informants = []cda.Person{{Role: relation, Name: g.name()}}
	}
	if g.t.Has(cda.HeaderParticipant) {
		d.Participants = []cda.Person{g.contact()}
	}
	if g.t.Has(cda.HeaderService) {
		d.Services = []cda.ServiceEvent{{Code: cda.Code{Display: "小结日期时间"}, Time: cda.Interval{Value: g.stamp(-24)}}}
	}
}

func (g *generator) signers() {
	d := g.d
	if g.t.Has(cda.HeaderLegal) {
		s := g.person("主任医师")
		if g.t.Form("legalbare") {
			s.Role = cda.Code{}
		}
		if g.t.Form("signed") {
			s.Sign = "s"
		}
		d.Legal = []cda.Person{s}
	}
	if !g.t.Has(cda.HeaderAuthenticator) {
		return
	}
	d.Authenticator = []cda.Person{g.person("主治医师")}
	if !g.t.Form("typedlegal") {
		d.Authenticator = append(d.Authenticator, g.person("住院医师"))
	}
	for i := range d.Authenticator {
		s := &d.Authenticator[i]
		switch {
		case g.t.Form("relative"):
			s.Role = relation
		case g.t.Form("typed"):
			s.Role = cda.Code{}
		case g.t.Form("numbers"):
			s.Role = cda.Code{Code: "主治医师"}
		}
		if g.t.Form("position") {
			s.Position = cda.Code{Code: "3", System: "2.16.156.10011.2.3.1.209", SystemName: "专业技术职务类别代码表", Display: "中级"}
		}
	}
}

// contact makes a person to be told, with as much as the type says of one.
func (g *generator) contact() cda.Person {
	p := cda.Person{Name: g.name()}
	if g.t.Form("person") {
		p.TypeCode, p.ClassCode = "PRF", "PROV"
		return p
	}
	p.Telecom = cda.Telecom{Value: "198" + g.digits(8)}
	if g.t.Form("phone") {
		return p
	}
	p.Role = relation
	if g.t.Form("full") {
		p.Address = g.address()
		p.Telecom.Use = "H"
	}
	return p
}

func (g *generator) encounter() {
	if !g.t.Has(cda.HeaderEncounter) {
		return
	}
	e := &cda.Encounter{Time: cda.Interval{Value: g.stamp(-72)}}
	switch {
	case g.t.Form("interval"):
		e.Time = cda.Interval{Low: g.stamp(-240), High: g.stamp(-2)}
	case g.t.Form("low"):
		e.Time = cda.Interval{Low: g.stamp(-20)}
	}
	switch {
	case !g.t.Has(cda.HeaderEncounterCode):
	case g.t.Form("plaincode"):
		e.Code = cda.Code{Display: "记录日期时间"}
	case g.t.Form("codename"), g.t.Form("codetext"):
		e.Code = cda.Code{Display: "住院"}
	default:
		e.Code = cda.Code{Code: "3", System: "2.16.156.10011.2.3.1.271", SystemName: "患者类型代码表", Display: "住院"}
	}
	if g.t.Has(cda.HeaderLocation) {
		e.Location = g.location()
	}
	g.d.Encounter = e
}

func (g *generator) body() {
	for _, s := range g.t.Sections() {
		if s.Code == "" && g.t.Form("coded") {
			continue
		}
		g.d.Sections = append(g.d.Sections, g.section(s))
	}
}

func (g *generator) section(s cda.SectionType) cda.Section {
	disease := pick(g, diseases)
	text := fmt.Sprintf("%s：示例内容，%s。", s.ElementName, disease.Display)
	out := cda.Section{Code: cda.Code{Code: s.Code, System: cda.LOINC, SystemName: "LOINC", Display: s.Display}, Text: text}
	if s.Code == "" {
		out.Code = cda.Code{Display: s.Name}
	}
	e := cda.Entry{Statement: "observation", ClassCode: "OBS", Mood: "EVN", Code: cda.Code{Code: s.Element, System: cda.ElementSystem,
		SystemName: "卫生信息数据元目录", Display: s.ElementName}, Values: []cda.Value{{Type: "ST", Text: text}}}
	if s.Element == "DE05.01.024.00" {
		disease.System, disease.SystemName = "2.16.156.10011.2.3.3.11", "ICD-10"
		e.Values = []cda.Value{{Type: "CD", Code: disease}}
		if g.t.Form("strings") {
			e.Values = []cda.Value{{Type: "ST", Text: disease.Display}}
		}
	}
	if g.t.Form("nested") {
		inner := e
		inner.Relation, e.Values = "COMP", []cda.Value{{Type: "ST", Text: text}}
		e.Entries = []cda.Entry{inner}
	}
	out.Entries = []cda.Entry{e}
	return out
}
