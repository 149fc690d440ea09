package desensitize

import (
	"fmt"
	"slices"
	"strings"
)

// Surrogate returns a value that stands for another one and can belong to nobody: the same
// value of a type gives the same surrogate in a project (and copy). Numbers come from ranges
// that are not assigned, addresses of the net from those that are reserved:
//
//   - names: 某 with four of the ten heavenly stems and twelve earthly branches, or for
//     names in Latin letters the family name Anon and a made-up given name;
//   - resident identity numbers: administrative division 99…, which GB/T 2260 does not
//     assign, with a good check digit;
//   - phones: eleven digits from 100, which no numbering plan of mobiles uses, or, for ten
//     digits, the unassigned area code 555;
//   - e-mail and URL below the domain invalid (RFC 2606 §2), IP addresses from the three
//     blocks for documentation (RFC 5737 §3);
//   - all others: X and ten letters and digits, with the label's word for places.
func (p *Project) Surrogate(t Type, value string) string {
	domain := t.domain()
	number := func(n uint64, of string) uint64 {
		return p.Number(n, "surrogate", string(p.copy), domain, Normal(value), of)
	}
	switch t {
	case Name:
		return surrogateName(latin(value), number)
	case IDCard:
		return surrogateID(number)
	case Phone, Fax:
		if countDigits(value) == 10 {
			return fmt.Sprintf("555%07d", number(1e7, "phone"))
		}
		return fmt.Sprintf("100%08d", number(1e8, "phone"))
	case Email:
		return p.short("email", value, 10) + "@example.invalid"
	case URL:
		return "https://example.invalid/" + p.short("url", value, 10)
	case IP:
		return documentation[number(3, "block")] + fmt.Sprint(1+number(254, "host"))
	case Address:
		return "某地" + strings.ToUpper(p.short(domain, value, 6))
	case Hospital, Employer, Ward:
		return "某" + map[Type]string{Hospital: "院", Employer: "单位", Ward: "病区"}[t] + strings.ToUpper(p.short(domain, value, 6))
	}
	return "X" + strings.ToUpper(p.short(domain, value, 10))
}

// IsSurrogate reports a value that Surrogate can have returned for a type: no value of the
// world has this shape.
func IsSurrogate(t Type, value string) bool {
	switch t {
	case Name:
		return isSurrogateName(value)
	case IDCard:
		return len(value) == 18 && strings.HasPrefix(value, "99")
	case Phone, Fax:
		return isSurrogatePhone(value)
	case Email:
		return strings.HasSuffix(value, "@example.invalid")
	case URL:
		return strings.HasPrefix(value, "https://example.invalid/")
	case IP:
		return slices.ContainsFunc(documentation[:], func(block string) bool { return strings.HasPrefix(value, block) })
	case Address:
		return shortBehind(value, "某地", 6)
	case Hospital, Employer, Ward:
		return shortBehind(value, "某院", 6) || shortBehind(value, "某单位", 6) || shortBehind(value, "某病区", 6)
	}
	return shortBehind(value, "X", 10)
}

func (p *Project) short(domain, value string, n int) string {
	d := p.Digest("surrogate", string(p.copy), domain, Normal(value))
	return pseudonymText.EncodeToString(d[:])[:n]
}

// documentation are the blocks of addresses for documentation.
var documentation = [...]string{"192.0.2.", "198.51.100.", "203.0.113."}

func isSurrogatePhone(s string) bool {
	if countDigits(s) != len(s) {
		return false
	}
	return len(s) == 11 && strings.HasPrefix(s, "100") || len(s) == 10 && strings.HasPrefix(s, "555")
}

func shortBehind(value, prefix string, n int) bool {
	rest, ok := strings.CutPrefix(value, prefix)
	return ok && len(rest) == n && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

var (
	stems     = []rune("甲乙丙丁戊己庚辛壬癸")
	branches  = []rune("子丑寅卯辰巳午未申酉戌亥")
	syllables = strings.Fields("ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu na ne ni no nu ra re ri ro ru ta te ti to tu va ve vi vo vu za ze zi zo zu")
)

func surrogateName(latin bool, number func(uint64, string) uint64) string {
	if !latin {
		return "某" + string([]rune{
			stems[number(10, "1")], branches[number(12, "2")], stems[number(10, "3")], branches[number(12, "4")],
		})
	}
	var b strings.Builder
	for _, of := range []string{"1", "2", "3", "4"} {
		b.WriteString(syllables[number(uint64(len(syllables)), of)])
	}
	s := b.String()
	return "Anon " + strings.ToUpper(s[:1]) + s[1:]
}

func isSurrogateName(value string) bool {
	if given, ok := strings.CutPrefix(value, "Anon "); ok {
		return len(given) == 8 && latin(given)
	}
	runes := []rune(value)
	return len(runes) == 5 && runes[0] == '某' && strings.Trim(string(runes[1:]), string(stems)+string(branches)) == ""
}

// surrogateID is a resident identity number of the division 99nnnn, which is not assigned.
func surrogateID(number func(uint64, string) uint64) string {
	days := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
	month := int(number(12, "month"))
	body := fmt.Sprintf("99%04d%04d%02d%02d%03d", number(1e4, "division"), 1800+number(100, "year"), month+1,
		1+number(uint64(days[month]), "day"), number(1000, "order"))
	sum := 0
	for i, c := range []byte(body) {
		sum += int(c-'0') * idWeights[i]
	}
	return body + string("10X98765432"[sum%11]) // GB 11643-1999 §4.3, ISO 7064 MOD 11-2
}

func latin(s string) bool {
	for _, r := range s {
		if r > 0x24f {
			return false
		}
	}
	return true
}

func countDigits(s string) int {
	n := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n
}
