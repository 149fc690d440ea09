package deidtest

import (
	"fmt"
	"strings"
	"time"
)

// scene is what one note is about: the people, the place and the numbers. The leaves of the
// grammar write its parts.
type scene struct {
	*writer
	grammar *grammar
	chinese bool

	patient         person
	relatives       []person
	doctors, nurses []person
	home            place
	otherHome       place
	postcode        string
	hospital, other string
	ward, bed       string
	employer        string
	birth, admitted time.Time
	years           int
	dateForm        int

	id, insurance, inpatient, outpatient, record, exam string
	landline, email, fax, ssn                          string
}

// expand writes an alternative of a rule.
func (s *scene) expand(name string) {
	r, found := s.grammar.rules[name]
	if !found {
		panic("grammar: there is no rule " + name)
	}
	if r.keep {
		before := s.within
		s.within = keep
		defer func() { s.within = before }()
	}
	s.write(pick(s.rng, r.alts))
}

func (s *scene) write(parts []part) {
	for _, p := range parts {
		switch p.kind {
		case partText:
			s.put(p.text, plain, "")
		case partRule:
			s.expand(p.text)
		case partMaybe:
			if s.rng.percent(50) {
				s.expand(p.text)
			}
		case partChoice:
			s.write(pick(s.rng, p.pieces))
		case partLeaf:
			s.leaf(p)
		case partKeep, partNeutral:
			before := s.within
			s.within = map[partKind]class{partKeep: keep, partNeutral: neutral}[p.kind]
			s.write(p.pieces[0])
			s.within = before
		}
	}
}

// leaf writes an identifier or a number.
func (s *scene) leaf(p part) {
	if s.number(p) || s.identifier(p.text) {
		return
	}
	write := chineseLeaves
	if !s.chinese {
		write = englishLeaves
	}
	f, found := write[p.text]
	if !found {
		panic("grammar: there is no leaf " + p.text)
	}
	f(s, p.args)
}

// number writes the leaves that are no identifiers: {n least most} and {f least most}, a
// number with one decimal.
func (s *scene) number(p part) bool {
	switch p.text {
	case "n":
		s.put(fmt.Sprint(s.rng.between(p.args[0], p.args[1])), plain, "")
	case "f":
		s.put(fmt.Sprintf("%d.%d", s.rng.between(p.args[0], p.args[1]-1), s.rng.intn(10)), plain, "")
	case "time":
		s.put(fmt.Sprintf("%02d:%02d", s.rng.intn(24), s.rng.intn(60)), neutral, "")
	default:
		return false
	}
	return true
}

// identifier writes the leaves that are the same in both languages.
func (s *scene) identifier(name string) bool {
	r := s.rng
	values := map[string]func() (string, Type){
		"id":         func() (string, Type) { return s.id, IDCard },
		"insurance":  func() (string, Type) { return s.insurance, InsuranceNo },
		"inpatient":  func() (string, Type) { return s.inpatient, InpatientNo },
		"outpatient": func() (string, Type) { return s.outpatient, OutpatNo },
		"record":     func() (string, Type) { return s.record, RecordNo },
		"exam":       func() (string, Type) { return s.exam, ExamNo },
		"card":       func() (string, Type) { return r.bankCard(), BankCard },
		"passport":   func() (string, Type) { return r.passport(), Passport },
		"officer":    func() (string, Type) { return r.officer(), OfficerID },
		"permit":     func() (string, Type) { return r.permit(), Permit },
		"foreign":    func() (string, Type) { return r.foreignID(), OtherID },
		"plate":      func() (string, Type) { return r.plate(), Plate },
		"landline":   func() (string, Type) { return s.landline, Phone },
		"email":      func() (string, Type) { return s.email, Email },
		"ip":         func() (string, Type) { return r.ip(), IP },
		"postcode":   func() (string, Type) { return s.postcode, Postcode },
		"address":    func() (string, Type) { return s.home.full, Address },
		"address2":   func() (string, Type) { return s.otherHome.full, Address },
		"hospital":   func() (string, Type) { return s.hospital, Hospital },
		"hospital2":  func() (string, Type) { return s.other, Hospital },
		"employer":   func() (string, Type) { return s.employer, Employer },
		"patient":    func() (string, Type) { return s.patient.full, Name },
		"doctor":     func() (string, Type) { return s.doctors[0].full, Name },
		"doctor2":    func() (string, Type) { return s.doctors[1].full, Name },
		"surgeon":    func() (string, Type) { return s.doctors[2].full, Name },
		"nurse":      func() (string, Type) { return s.nurses[0].full, Name },
		"nurse2":     func() (string, Type) { return s.nurses[1].full, Name },
		"rel":        func() (string, Type) { return s.relatives[0].full, Name },
		"rel2":       func() (string, Type) { return s.relatives[1].full, Name },
		"ssn":        func() (string, Type) { return s.ssn, SSN },
		"fax":        func() (string, Type) { return s.fax, Fax },
		"qq":         func() (string, Type) { return r.digits(1) + fmt.Sprint(r.between(10000000, 999999999)), QQ },
		"device":     func() (string, Type) { return r.letters(2) + "-" + r.digits(4) + "-" + r.digits(3), Device },
		"account":    func() (string, Type) { return fmt.Sprint(r.between(100000, 999999999)), Account },
		"licence":    func() (string, Type) { return r.letters(1) + r.digits(r.between(7, 12)), Licence },
	}
	value, found := values[name]
	if !found {
		return false
	}
	text, t := value()
	s.put(text, gold, t)
	return true
}

// newScene draws everything that a note may need.
func newScene(r *rng, n *Note, g *grammar) *scene {
	s := &scene{writer: &writer{note: n, rng: r}, grammar: g, chinese: n.Language == "zh"}
	s.admitted = time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, r.intn(3200))
	s.birth = r.birthday(s.admitted)
	mother := n.Kind == "obstetrics"
	if mother {
		s.birth = s.admitted.AddDate(-r.between(20, 42), 0, -r.between(1, 360))
	}
	s.years = age(s.birth, s.admitted)
	male := r.percent(50) && !mother
	if s.chinese {
		s.chineseScene(male)
	} else {
		s.englishScene(male)
	}
	s.known()
	s.subject()
	return s
}

func (s *scene) known() {
	k := &s.note.Known
	k.Names = []string{s.patient.full}
	for _, p := range s.relatives {
		k.Relatives = append(k.Relatives, p.full)
		k.Phones = append(k.Phones, p.phone)
	}
	for _, p := range append(append([]person(nil), s.doctors...), s.nurses...) {
		k.Staff = append(k.Staff, p.full)
	}
	k.Phones = append(k.Phones, s.patient.phone, s.landline)
	for _, v := range []string{s.id, s.insurance, s.ssn} {
		if v != "" {
			k.IDNumbers = append(k.IDNumbers, v)
		}
	}
	k.Addresses = []string{s.home.full}
	k.Hospitals = []string{s.hospital}
	k.Employers = []string{s.employer}
	k.RecordNumbers = []string{s.inpatient, s.outpatient, s.record, s.exam}
	k.Dates = []string{s.birth.Format("2006-01-02"), s.admitted.Format("2006-01-02")}
}

func (s *scene) sex(male, female string) string {
	if s.patient.male {
		return male
	}
	return female
}

// writeAge writes an age: an identifier when over 89, left to the policy otherwise.
func (s *scene) writeAge(years int) {
	if years > 89 {
		s.put(fmt.Sprint(years), gold, Age)
		return
	}
	s.put(fmt.Sprint(years), neutral, "")
}

// day is a day of the visit.
func (s *scene) day(args []int) time.Time {
	if len(args) == 0 {
		return s.admitted
	}
	if len(args) == 2 {
		return s.admitted.AddDate(0, 0, s.rng.between(args[0], args[1]))
	}
	return s.admitted.AddDate(0, 0, args[0])
}

func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}
