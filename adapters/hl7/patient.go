package hl7

import (
	"strings"
	"unicode"

	"github.com/emrbridge/emrbridge/record"
)

// patientNumber is one number of a patient with where it stood.
type patientNumber struct {
	record.Identifier
	path    string
	invalid bool // declared a resident id, but its form or check digit is wrong
}

// rankOf orders the types of numbers by how steady they are over a patient's messages.
var rankOf = map[record.IdentifierType]int{
	record.ResidentID: 0, record.LocalPatient: 1, record.MedicalNo: 2, record.HealthCard: 3,
	record.InsuranceNo: 4, record.Passport: 5, record.InpatientNo: 6, record.OutpatientNo: 7,
}

func (n patientNumber) rank() int {
	if r, ok := rankOf[n.Type]; ok {
		return r
	}
	return len(rankOf)
}

// maxIdentifiers bounds the numbers that are read from one message.
const maxIdentifiers = 32

// short returns text without blanks around it, "" if it is too long for a number.
func short(v Value) string {
	s := strings.TrimSpace(v.Text())
	if len(s) > maxMetadata {
		return ""
	}
	return s
}

// patient reads the numbers of the first PID: PID-3, then PID-2, PID-4 and PID-19.
func (m *Mapper) patient(msg *Message) []patientNumber {
	pid, ok := msg.Find("PID", 1)
	if !ok {
		return nil
	}
	var out []patientNumber
	add := func(n patientNumber) {
		for _, have := range out {
			if have.Value == n.Value && (have.Identifier == n.Identifier || n.path != "PID-3") {
				return
			}
		}
		if n.Value != "" && len(out) < maxIdentifiers {
			out = append(out, n)
		}
	}
	for _, f := range []struct {
		field int
		path  string
	}{{3, "PID-3"}, {2, "PID-2"}, {4, "PID-4"}} {
		for i, cx := range pid.Field(f.field).Reps() {
			if i > maxIdentifiers {
				break
			}
			add(m.number(cx, f.path))
		}
	}
	add(socialNumber(pid.Field(19)))
	return out
}

// number reads one CX: value, assigning authority, type. A number that is declared a
// resident id but is none becomes another number: a wrong identity is worse than a
// missing one.
func (m *Mapper) number(cx Value, path string) patientNumber {
	n := patientNumber{path: path}
	n.Value = short(cx.Comp(1).Sub(1))
	n.Authority = short(cx.Comp(4).Sub(1))
	if n.Authority == "" {
		n.Authority = short(cx.Comp(4).Sub(2))
	}
	code := strings.ToUpper(short(cx.Comp(5)))
	t, known := m.authorities[n.Authority]
	if !known || n.Authority == "" {
		t, known = m.types[code]
	}
	if !known || (code == "" && path != "PID-3" && t == record.LocalPatient) {
		t = record.OtherID
	}
	n.Type = t
	if t == record.ResidentID {
		if id, ok := NormalResidentID(n.Value); ok {
			n.Value = id
		} else {
			n.Type, n.invalid = record.OtherID, true
		}
	}
	return n
}

// socialNumber reads PID-19, where Chinese systems put the resident id and others a
// social security number.
func socialNumber(v Value) patientNumber {
	n := patientNumber{path: "PID-19"}
	n.Value = short(v.Comp(1))
	n.Type = record.InsuranceNo
	if id, ok := NormalResidentID(n.Value); ok {
		n.Type, n.Value = record.ResidentID, id
	}
	return n
}

// residentWeights are the weights of GB 11643-1999 for the first 17 digits, and
// residentCheck the check characters by the weighted sum modulo 11.
var residentWeights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

const residentCheck = "10X98765432"

// NormalResidentID checks a Chinese resident id (GB 11643): 18 characters with the right
// check character and a date that exists, or 15 digits of the old form, which are
// completed to 18 with the century 19. It returns the 18 characters, X in upper case.
func NormalResidentID(s string) (string, bool) {
	if len(s) == 15 && allDigits(s) {
		s = s[:6] + "19" + s[6:]
		s += string(residentCheckOf(s))
	}
	if len(s) != 18 || !allDigits(s[:17]) || s[0] == '0' {
		return "", false
	}
	s = s[:17] + strings.ToUpper(s[17:])
	if s[17] != residentCheckOf(s[:17]) {
		return "", false
	}
	if _, err := ParseTime(s[6:14], nil); err != nil {
		return "", false
	}
	return s, true
}

// residentCheckOf computes the check character of 17 digits.
func residentCheckOf(digits string) byte {
	sum := 0
	for i, w := range residentWeights {
		sum += int(digits[i]-'0') * w
	}
	return residentCheck[sum%11]
}

// personName reads an XPN field. Of several names the first with Chinese characters is
// taken, since registration and identity papers carry that one.
func personName(field Value) string {
	name := ""
	for _, xpn := range field.Reps() {
		n := joinName(xpn.Comp(1).Sub(1).Text(), xpn.Comp(2).Text(), xpn.Comp(3).Text())
		if name == "" || hasHan(n) && !hasHan(name) {
			name = n
		}
	}
	return name
}

// staffName reads an XCN, CN or NDL value: number and name, or what there is of them.
func staffName(v Value) string {
	id, family, given, middle := v.Comp(1), v.Comp(2).Sub(1), v.Comp(3), v.Comp(4)
	if !id.Sub(2).IsEmpty() { // NDL: the person is in subcomponents
		id, family, given, middle = id.Sub(1), id.Sub(2), id.Sub(3), id.Sub(4)
	}
	name := joinName(family.Text(), given.Text(), middle.Text())
	number := strings.TrimSpace(id.Sub(1).Text())
	return strings.TrimSpace(number + " " + name)
}

// joinName writes a Chinese name without blanks, family first; any other with blanks,
// family last.
func joinName(family, given, middle string) string {
	family, given, middle = strings.TrimSpace(family), strings.TrimSpace(given), strings.TrimSpace(middle)
	if hasHan(family) || hasHan(given) {
		return family + given + middle
	}
	return strings.Join(strings.Fields(given+" "+middle+" "+family), " ")
}

func hasHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// gender translates HL7 table 0001 and what Chinese systems write to GB/T 2261.1. An
// empty or unknown value stays empty rather than becoming "not known".
func gender(s string) string {
	switch strings.ToUpper(strings.TrimSpace(s)) {
	case "M", "1", "男":
		return "1"
	case "F", "2", "女":
		return "2"
	case "U", "0", "未知":
		return "0"
	case "O", "A", "N", "9":
		return "9"
	}
	return ""
}
