package leak

import (
	"slices"
	"strings"
)

// number is a run of digits, in groups that stand one separator apart.
type number struct {
	digits     string // with the letter x where an identity card may end in it
	groups     []int  // lengths
	from, to   int    // in the tight view
	start, end int    // in the text
}

// numberAt reads the number that begins at i of the view.
func (v *view) numberAt(i int) number {
	n := number{from: i, start: int(v.tight[i].start)}
	var b strings.Builder
	group := 0
	at := i
	for ; at < len(v.tight) && at-i < 40; at++ {
		u := v.tight[at]
		if !isDigit(u.r) && (u.r != 'x' || b.Len() != 17 || !u.joined) {
			break
		}
		if at > i && !u.joined {
			if gap := v.text[v.tight[at-1].end:u.start]; len(gap) > 3 || strings.ContainsAny(gap, "\n\r\t,;^&|") {
				break
			}
			n.groups = append(n.groups, group)
			group = 0
		}
		b.WriteByte(byte(u.r))
		group++
	}
	n.groups = append(n.groups, group)
	n.digits, n.to, n.end = b.String(), at, int(v.tight[at-1].end)
	return n
}

// sub is the part of a number made of its first groups.
func (v *view) sub(n number, groups int) number {
	length := 0
	for _, g := range n.groups[:groups] {
		length += g
	}
	n.groups, n.digits, n.to = n.groups[:groups], n.digits[:length], n.from+length
	n.end = int(v.tight[n.to-1].end)
	return n
}

// numberType says what a number looks like by its form and its check digits; "" for
// nothing.
func numberType(n number) Type {
	d := n.digits
	switch {
	case validResident(d), len(n.groups) == 1 && validOldResident(d):
		return IDCard
	case mobile(strings.TrimPrefix(strings.TrimPrefix(d, "00"), "86")) && phoneGroups(n), landline(n), american(n):
		return Phone
	case validCard(n):
		return BankCard
	}
	return ""
}

// validResident checks the 18 characters of GB 11643-1999: an assigned province, a date, the
// check character of ISO 7064 MOD 11-2.
func validResident(d string) bool {
	if len(d) != 18 || !province(d) || !(day{atoi(d[6:10]), atoi(d[10:12]), atoi(d[12:14])}).valid() {
		return false
	}
	sum, weight := 0, 1
	for i := 16; i >= 0; i-- {
		weight = weight * 2 % 11
		if d[i] < '0' || d[i] > '9' {
			return false
		}
		sum += int(d[i]-'0') * weight
	}
	return d[17] == "10x98765432"[sum%11]
}

// validOldResident checks the 15 digits in use before 1999.
func validOldResident(d string) bool {
	return len(d) == 15 && province(d) && (day{1900 + atoi(d[6:8]), atoi(d[8:10]), atoi(d[10:12])}).valid()
}

// province reports the code of a province that GB/T 2260 assigns.
func province(d string) bool {
	const assigned = "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
	return strings.Contains(assigned, d[:2])
}

func atoi(s string) int {
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}

// phoneGroups reports groups in which people write a mobile number: whole, 3-4-4, 3-8, or
// every digit apart, the country code apart as well.
func phoneGroups(n number) bool {
	groups := n.groups
	if code := len(n.digits) - 11; len(groups) > 1 && len(groups) < 11 && code > 0 && groups[0] == code {
		groups = groups[1:]
	}
	switch len(groups) {
	case 1, 11, 13:
		return true
	case 2:
		return groups[0] == 3 || groups[0] == 7
	case 3:
		return slices.Equal(groups, []int{3, 4, 4}) || slices.Equal(groups, []int{4, 4, 3}) || slices.Equal(groups, []int{4, 3, 4})
	}
	return false
}

// american checks a number of the North American plan in groups of 3-3-4. The area code 555
// is of no subscriber.
func american(n number) bool {
	g, d := n.groups, n.digits
	if len(g) == 4 && g[0] == 1 && d[0] == '1' {
		g, d = g[1:], d[1:]
	}
	return len(g) == 3 && g[0] == 3 && g[1] == 3 && g[2] == 4 && d[0] >= '2' && d[3] >= '2' && d[:3] != "555"
}

// mobile checks the segments that are assigned to public mobile networks: 13 to 19. Numbers
// that begin with 10, 11 or 12 are of no subscriber.
func mobile(d string) bool {
	return len(d) == 11 && d[0] == '1' && d[1] >= '3'
}

// landline checks an area code of China followed by a number: 010, 02x, 03xx to 09xx.
func landline(n number) bool {
	d := n.digits
	if len(d) < 10 || len(d) > 12 || d[0] != '0' || d[1] == '0' || d[1] == '1' && d[2] != '0' {
		return false
	}
	code := 4
	if d[1] == '1' || d[1] == '2' {
		code = 3
	}
	local := len(d) - code
	if local != 7 && local != 8 || d[code] == '0' || d[code] == '1' {
		return false
	}
	return len(n.groups) == 1 || n.groups[0] == code
}

// validCard checks the issuer, the length and the Luhn digit (ISO/IEC 7812-1) of a bank card.
func validCard(n number) bool {
	d := n.digits
	if !issued(d) {
		return false
	}
	sum := 0
	for i := range len(d) {
		c := int(d[len(d)-1-i] - '0')
		if i%2 == 1 {
			if c *= 2; c > 9 {
				c -= 9
			}
		}
		sum += c
	}
	return sum%10 == 0
}

// issued reports the beginning and length of cards in use.
func issued(d string) bool {
	switch len(d) {
	case 15:
		return d[:2] == "34" || d[:2] == "37"
	case 16:
		return d[:2] == "62" || d[0] == '4' || d[0] == '5' && d[1] >= '1' && d[1] <= '5' || d[:2] == "35"
	case 17, 18, 19:
		return d[:2] == "62" || d[:4] == "9558"
	}
	return false
}

// ssn checks the form of a social security number of the United States: 3-2-4, none of the
// blocks that are never issued.
func ssn(v *view, n number) bool {
	g := n.groups
	if len(g) != 3 || g[0] != 3 || g[1] != 2 || g[2] != 4 || !strings.Contains(v.text[n.start:n.end], "-") {
		return false
	}
	return n.digits[:3] != "000" && n.digits[:3] != "666" && n.digits[0] != '9' && n.digits[3:5] != "00" && n.digits[5:] != "0000"
}

// ip checks four groups with dots between, none of them a version or section number.
func ip(v *view, n number) bool {
	if len(n.groups) != 4 || strings.Count(v.text[n.start:n.end], ".") != 3 {
		return false
	}
	if n.start > 0 && v.text[n.start-1] == '.' || n.end < len(v.text) && v.text[n.end] == '.' && n.end+1 < len(v.text) && isDigit(rune(v.text[n.end+1])) {
		return false
	}
	at, large := 0, false
	for _, g := range n.groups {
		octet := atoi(n.digits[at : at+g])
		if g > 3 || octet > 255 {
			return false
		}
		large = large || octet > 31
		at += g
	}
	return large
}
