package deidtest

import (
	"fmt"
	"slices"
	"strings"
)

// englishScene draws a hospital stay in an English-speaking country.
func (s *scene) englishScene(male bool) {
	r := s.rng
	s.noise = pickNoise(r, false)
	s.patient = r.englishPerson(male)
	s.home, s.postcode = r.englishPlace()
	s.otherHome, _ = r.englishPlace()
	s.hospital, s.other = r.englishHospital(s.home.city), r.englishHospital(s.otherHome.city)
	s.employer = r.word("en_places", "employer")
	s.ssn = r.ssn()
	s.insurance = pick(r, []string{r.letters(3) + r.digits(9), r.digits(10), "W" + r.digits(9), fmt.Sprintf("%d%s%d-%s-%s", r.between(1, 9), r.letters(2), r.intn(10), r.letters(2)+r.digits(1), r.letters(2)+r.digits(2))})
	s.record = pick(r, []string{r.digits(7), r.digits(8), "MRN-" + r.digits(7), r.digits(3) + "-" + r.digits(2) + "-" + r.digits(3), r.letters(1) + r.digits(7)})
	s.inpatient = r.digits(9)
	s.outpatient = "V" + r.digits(8)
	s.exam = pick(r, []string{"RAD-" + r.digits(7), r.digits(8), "S" + r.digits(2) + "-" + r.digits(5), "CT" + r.digits(6)})
	s.patient.phone, s.landline, s.fax = r.usPhone(), r.usPhone(), r.usPhone()
	s.email = lower(s.patient.given) + "." + lower(s.patient.family) + pick(r, []string{"@gmail.com", "@example.org", "@mail.example.com", "99@yahoo.com"})
	s.ward = pick(r, []string{"4 West", "Ward 7B", "6 North", "3 East", "Ward 12"})
	s.bed = fmt.Sprintf("%d%s", r.between(1, 40), pick(r, []string{"", "A", "B"}))
	s.dateForm = pick(r, englishDateForms)
	for range 3 {
		s.doctors = append(s.doctors, r.englishPerson(r.percent(50)))
	}
	for range 2 {
		s.nurses = append(s.nurses, r.englishPerson(r.percent(20)))
	}
	for range 2 {
		role := pick(r, []string{"son", "brother", "father", "nephew", "daughter", "sister", "mother", "niece"})
		p := r.englishPerson(slices.Contains([]string{"son", "brother", "father", "nephew"}, role))
		if r.percent(60) {
			p.family = s.patient.family
			p.full = p.given + " " + p.family
		}
		p.role, p.phone = role, r.usPhone()
		s.relatives = append(s.relatives, p)
	}
}

// usPhone is a number of North America in one of the usual forms.
func (r *rng) usPhone() string {
	area, exchange, line := r.between(201, 989), r.between(200, 999), r.digits(4)
	form := pick(r, []string{"(%d) %d-%s", "%d-%d-%s", "%d.%d.%s", "+1 %d %d %s", "1-%d-%d-%s", "(%d)%d-%s"})
	s := fmt.Sprintf(form, area, exchange, line)
	if r.percent(10) {
		s += pick(r, []string{" x", " ext. ", " ext "}) + r.digits(3)
	}
	return s
}

// englishLeaves are the leaves that English notes alone have, or write in their own way.
var englishLeaves map[string]func(s *scene, args []int)

func init() {
	englishLeaves = map[string]func(s *scene, args []int){
		"sex":               func(s *scene, _ []int) { s.put(s.sex("male", "female"), plain, "") },
		"gender":            func(s *scene, _ []int) { s.put(s.sex("M", "F"), plain, "") },
		"he":                func(s *scene, _ []int) { s.put(s.sex("he", "she"), plain, "") },
		"He":                func(s *scene, _ []int) { s.put(s.sex("He", "She"), plain, "") },
		"his":               func(s *scene, _ []int) { s.put(s.sex("his", "her"), plain, "") },
		"His":               func(s *scene, _ []int) { s.put(s.sex("His", "Her"), plain, "") },
		"city2":             func(s *scene, _ []int) { s.put(s.otherHome.city, gold, Address) },
		"street":            func(s *scene, _ []int) { s.put(s.rng.englishStreet(), gold, Address) },
		"rel2phone":         func(s *scene, _ []int) { s.put(s.relatives[1].phone, gold, Phone) },
		"surgeonfamily":     func(s *scene, _ []int) { s.put(s.doctors[2].family, gold, Name) },
		"surgeonfamilycall": func(s *scene, _ []int) { s.title(s.doctors[2], "Dr.") },
		"age":               func(s *scene, _ []int) { s.writeAge(s.years) },
		"birth":             func(s *scene, _ []int) { s.put(s.rng.englishDate(s.birth, s.dateForm), gold, Date) },
		"date":              func(s *scene, args []int) { s.put(s.rng.englishDate(s.day(args), s.dateForm), gold, Date) },
		"loosely": func(s *scene, args []int) {
			s.put(s.rng.englishDate(s.day(args), pick(s.rng, looseEnglish)), gold, Date)
		},
		"year":     func(s *scene, _ []int) { s.put(fmt.Sprint(s.admitted.Year()-s.rng.between(1, 20)), neutral, "") },
		"phone":    func(s *scene, _ []int) { s.put(s.patient.phone, gold, Phone) },
		"relphone": func(s *scene, _ []int) { s.put(s.relatives[0].phone, gold, Phone) },
		"relrole":  func(s *scene, _ []int) { s.put(s.relatives[0].role, plain, "") },
		"rel2role": func(s *scene, _ []int) { s.put(s.relatives[1].role, plain, "") },
		"call": func(s *scene, _ []int) {
			s.title(s.patient, s.sex("Mr.", pick(s.rng, []string{"Mrs.", "Ms.", "Miss"})))
		},
		"given":      func(s *scene, _ []int) { s.put(s.patient.given, gold, Name) },
		"family":     func(s *scene, _ []int) { s.put(s.patient.family, gold, Name) },
		"relgiven":   func(s *scene, _ []int) { s.put(s.relatives[0].given, gold, Name) },
		"listed":     func(s *scene, _ []int) { s.put(s.listed(s.patient), gold, Name) },
		"doctorcall": func(s *scene, _ []int) { s.title(s.doctors[0], "Dr.") },
		"doctor2call": func(s *scene, _ []int) {
			s.title(s.doctors[1], pick(s.rng, []string{"Dr.", "Dr", "Doctor", "Prof."}))
		},
		"initialled":   func(s *scene, _ []int) { s.put(s.doctors[0].initial()+" "+s.doctors[0].family, gold, Name) },
		"city":         func(s *scene, _ []int) { s.put(s.home.city, gold, Address) },
		"state":        func(s *scene, _ []int) { s.put(s.home.province, neutral, "") },
		"ward":         func(s *scene, _ []int) { s.put(s.ward, gold, Ward) },
		"bed":          func(s *scene, _ []int) { s.put(s.bed, gold, Bed) },
		"doctorfamily": func(s *scene, _ []int) { s.put(s.doctors[0].family, gold, Name) },
		"zip":          func(s *scene, _ []int) { s.put(s.postcode, gold, Postcode) },
		"url": func(s *scene, _ []int) {
			s.put(pick(s.rng, []string{"https://", "http://www.", "www."})+lower(s.hospital)+".example.org/p/"+s.rng.digits(5), gold, URL)
		},
		"vin": func(s *scene, _ []int) {
			s.put(pick(s.rng, []string{s.rng.digits(1) + s.rng.letters(3) + s.rng.digits(4), s.rng.letters(3) + "-" + s.rng.digits(4)}), gold, Plate)
		},
	}
}

// title writes a title, which is not judged, and a family name, in some cases the full name.
func (s *scene) title(p person, title string) {
	s.put(title, neutral, "")
	s.put(" ", neutral, "")
	if s.rng.percent(30) {
		s.put(p.full, gold, Name)
		return
	}
	s.put(p.family, gold, Name)
}

// listed is a name as on a list: family name first.
func (s *scene) listed(p person) string {
	return pick(s.rng, []string{p.family + ", " + p.given, strings.ToUpper(p.family) + ", " + strings.ToUpper(p.given), p.full, p.family + ", " + p.given + " " + s.rng.letters(1) + "."})
}
