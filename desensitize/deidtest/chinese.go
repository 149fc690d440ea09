package deidtest

import (
	"fmt"
	"strings"
)

// chineseScene draws a hospital stay in China.
func (s *scene) chineseScene(male bool) {
	r := s.rng
	s.noise = pickNoise(r, true)
	s.patient = r.chinesePerson(male)
	s.patient.phone = r.mobile()
	s.home, s.otherHome = r.chinesePlace(), r.chinesePlace()
	s.postcode = fmt.Sprintf("%06d", r.between(100000, 859999))
	s.hospital, s.other = r.chineseHospital(s.home), r.chineseHospital(s.otherHome)
	s.employer = r.chineseEmployer(s.home)
	s.id = r.residentID(s.birth, male, r.percent(8) && s.birth.Year() < 1990)
	s.insurance = pick(r, []string{"3" + r.digits(8), r.letters(1) + r.digits(8), r.digits(12), "YB" + r.digits(10)})
	year := s.admitted.Format("2006")
	s.inpatient = pick(r, []string{"ZY" + r.digits(8), "0" + r.digits(7), year + r.digits(6), r.digits(6), "D" + r.digits(6)})
	s.outpatient = pick(r, []string{"MZ" + r.digits(8), r.digits(10), "M" + r.digits(9)})
	s.record = pick(r, []string{"BA" + r.digits(7), r.digits(8), "B" + r.digits(6), r.digits(6) + "-" + r.digits(2)})
	s.exam = pick(r, []string{"CT" + r.digits(8), "US" + year[2:] + r.digits(6), "MR" + r.digits(7), year + r.digits(8), "P" + r.digits(8)})
	s.landline, s.fax = r.landline(), r.landline()
	s.ward = chineseNumber(r.between(1, 22)) + pick(r, []string{"病区", "病区", "病房"})
	if r.percent(50) {
		s.ward = fmt.Sprint(r.between(1, 24)) + pick(r, []string{"病区", "楼东病区", "病房"})
	}
	s.bed = pick(r, []string{fmt.Sprint(r.between(1, 68)), fmt.Sprintf("%02d", r.between(1, 60)), "加" + fmt.Sprint(r.between(1, 9)), fmt.Sprint(r.between(1, 40)) + "-" + fmt.Sprint(r.between(1, 3))})
	s.email = lower(s.patient.latin) + r.digits(r.between(2, 4)) + pick(r, []string{"@163.com", "@qq.com", "@126.com", "@example.cn", "@hospital.example.org"})
	s.dateForm = pick(r, chineseDateForms)
	for range 3 {
		s.doctors = append(s.doctors, r.chinesePerson(r.percent(55)))
	}
	for range 2 {
		s.nurses = append(s.nurses, r.chinesePerson(r.percent(8)))
	}
	s.chineseRelatives(male)
}

func (s *scene) chineseRelatives(male bool) {
	roles := []string{"儿子", "女儿", "弟弟", "妹妹", "外甥", "侄女", "妻子"}
	if !male {
		roles[len(roles)-1] = "丈夫"
	}
	if s.years < 18 {
		roles = []string{"父亲", "母亲", "爷爷", "外婆"}
	}
	for range 2 {
		role := pick(s.rng, roles)
		p := s.rng.chinesePerson(strings.ContainsAny(role, "儿弟甥丈父爷") && !strings.Contains(role, "女"))
		if strings.ContainsAny(role, "儿弟妹") && s.patient.family != "" && s.rng.percent(70) {
			given, latin := s.rng.chineseGiven(p.male)
			family, _, _ := strings.Cut(s.patient.latin, " ")
			p = person{full: s.patient.family + given, family: s.patient.family, given: given, latin: family + " " + capital(latin), male: p.male}
		}
		p.role, p.phone = role, s.rng.mobile()
		s.relatives = append(s.relatives, p)
	}
}

// chineseLeaves are the leaves that Chinese notes alone have, or write in their own way.
var chineseLeaves map[string]func(s *scene, args []int)

func init() {
	chineseLeaves = map[string]func(s *scene, args []int){
		"sex":       func(s *scene, _ []int) { s.put(s.sex("男", "女"), plain, "") },
		"ta":        func(s *scene, _ []int) { s.put(s.sex("他", "她"), plain, "") },
		"age":       func(s *scene, _ []int) { s.writeAge(s.years); s.put("岁", neutral, "") },
		"birth":     func(s *scene, _ []int) { s.put(s.rng.chineseDate(s.birth, s.dateForm), gold, Date) },
		"date":      (*scene).chineseDay,
		"loosely":   (*scene).chineseLooseDay,
		"year":      func(s *scene, _ []int) { s.put(fmt.Sprint(s.admitted.Year()-s.rng.between(1, 20))+"年", neutral, "") },
		"mobile":    func(s *scene, _ []int) { s.put(s.rng.mobileForm(s.patient.phone), gold, Phone) },
		"relphone":  func(s *scene, _ []int) { s.put(s.rng.mobileForm(s.relatives[0].phone), gold, Phone) },
		"rel2phone": func(s *scene, _ []int) { s.put(s.rng.mobileForm(s.relatives[1].phone), gold, Phone) },
		"relfamily": func(s *scene, _ []int) { s.put(s.familyName(s.relatives[0]), gold, Name) },
		"relid": func(s *scene, _ []int) {
			s.put(s.rng.residentID(s.birth.AddDate(s.rng.between(-3, 28), s.rng.between(1, 11), s.rng.between(0, 27)), s.relatives[0].male, false), gold, IDCard)
		},
		"otherno":   func(s *scene, _ []int) { s.put(s.rng.digits(s.rng.between(6, 9)), gold, InpatientNo) },
		"babyname":  func(s *scene, _ []int) { s.put(s.baby(), gold, Name) },
		"given":     func(s *scene, _ []int) { s.put(s.familiar(s.patient), gold, Name) },
		"relgiven":  func(s *scene, _ []int) { s.put(s.familiar(s.relatives[0]), gold, Name) },
		"rel2given": func(s *scene, _ []int) { s.put(s.familiar(s.relatives[1]), gold, Name) },
		"funeral":   func(s *scene, _ []int) { s.put(s.home.city+"殡仪馆", gold, Employer) },
		"street": func(s *scene, _ []int) {
			s.put(s.home.district+s.rng.street()+s.rng.word("zh_places", "estate"), gold, Address)
		},
		"ta2":      func(s *scene, _ []int) { s.put(s.sex("他", "她"), plain, "") },
		"relrole":  func(s *scene, _ []int) { s.put(s.relatives[0].role, plain, "") },
		"rel2role": func(s *scene, _ []int) { s.put(s.relatives[1].role, plain, "") },
		"call":     func(s *scene, _ []int) { s.callPatient() },
		"pinyin":   func(s *scene, _ []int) { s.put(s.pinyin(), gold, Name) },
		"doctorcall": func(s *scene, _ []int) {
			s.callStaff(s.doctors[0], pick(s.rng, []string{"主任", "医生", "大夫", "教授", "主任医师", "副主任"}))
		},
		"doctor2call": func(s *scene, _ []int) {
			s.callStaff(s.doctors[1], pick(s.rng, []string{"主任", "医生", "医师"}))
		},
		"nursecall": func(s *scene, _ []int) {
			s.callStaff(s.nurses[0], pick(s.rng, []string{"护士", "护士长", "护师"}))
		},
		"relcall": func(s *scene, _ []int) {
			s.callStaff(s.relatives[0], map[bool]string{true: "先生", false: "女士"}[s.relatives[0].male])
		},
		"city":     func(s *scene, _ []int) { s.put(s.home.city, gold, Address) },
		"district": func(s *scene, _ []int) { s.put(s.home.city+s.home.district, gold, Address) },
		"province": func(s *scene, _ []int) { s.put(s.home.province, neutral, "") },
		"ward":     func(s *scene, _ []int) { s.put(s.ward, gold, Ward) },
		"bed":      func(s *scene, _ []int) { s.put(s.bed, gold, Bed); s.put("床", neutral, "") },
		"bedno":    func(s *scene, _ []int) { s.put(s.bed, gold, Bed); s.put("床", neutral, "") },
		"wechat":   func(s *scene, _ []int) { s.put(s.wechat(), gold, WeChat) },
		"url": func(s *scene, _ []int) {
			s.put("https://www."+lower(s.doctors[0].latin)+".example.cn/report?id="+s.rng.digits(6), gold, URL)
		},
	}
}

func (s *scene) chineseDay(args []int) {
	form := s.dateForm
	if s.rng.percent(12) {
		form = pick(s.rng, chineseDateForms)
	}
	s.put(s.rng.chineseDate(s.day(args), form), gold, Date)
}

func (s *scene) chineseLooseDay(args []int) {
	s.put(s.rng.chineseDate(s.day(args), pick(s.rng, looseDateForms)), gold, Date)
}

// callPatient names the patient as staff do in passing. Those of whom only a part of the
// name is said are few, so that the full name stands elsewhere in the note.
func (s *scene) callPatient() {
	p := s.patient
	if p.family == "" || s.rng.percent(35) {
		s.put(p.full, gold, Name)
		return
	}
	switch s.rng.intn(5) {
	case 0:
		s.put(s.sex("老", "老"), neutral, "")
		s.put(p.family, gold, Name)
	case 1:
		s.put(p.family, gold, Name)
		s.put(s.sex("大爷", "阿姨"), neutral, "")
	case 2:
		s.put(p.family, gold, Name)
		s.put("某", neutral, "")
	case 3:
		s.callStaff(p, s.sex("先生", "女士"))
	default:
		s.put(p.full, gold, Name)
		s.put(s.sex("先生", "女士"), neutral, "")
	}
}

// callStaff writes a family name, or in a third of the cases the full name, with a title.
func (s *scene) callStaff(p person, title string) {
	name := p.family
	if name == "" || s.rng.percent(35) {
		name = p.full
	}
	s.put(name, gold, Name)
	s.put(title, neutral, "")
}

func (s *scene) pinyin() string {
	family, given, two := strings.Cut(s.patient.latin, " ")
	if !two {
		return family
	}
	return pick(s.rng, []string{s.patient.latin, given + " " + family, strings.ToUpper(s.patient.latin), strings.ToLower(family) + strings.ToLower(given),
		strings.ToUpper(family) + ", " + given})
}

func (s *scene) wechat() string {
	return pick(s.rng, []string{"wxid_" + strings.ToLower(s.rng.letters(6)) + s.rng.digits(4), lower(s.patient.latin) + "_" + s.rng.digits(4), s.patient.phone, lower(s.patient.latin) + s.rng.digits(3)})
}

// baby is a name that a newborn child has before it has one, or its name.
func (s *scene) baby() string {
	if s.rng.percent(50) {
		return s.patient.full + pick(s.rng, []string{"之子", "之女"})
	}
	given, _ := s.rng.chineseGiven(s.rng.percent(50))
	return s.relatives[1].family + given
}

func (s *scene) familyName(p person) string {
	if p.family == "" {
		return p.full
	}
	return p.family
}

// familiar is how those who know a person call it: the given name, if it has two characters.
func (s *scene) familiar(p person) string {
	if p.family == "" || len(p.given) < len("二字") {
		return p.full
	}
	return p.given
}
