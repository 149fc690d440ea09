package deidtest

import (
	"fmt"
	"strings"
	"time"
)

// residentID is a resident identity number with its check digit (GB 11643), of 18 digits, or
// of 15 as issued before 1999.
func (r *rng) residentID(birth time.Time, male, short bool) string {
	region := pick(r, []string{"11", "13", "21", "32", "33", "34", "35", "36", "37", "41", "42", "43", "44", "45", "50", "51", "52", "53", "61", "62", "65"}) +
		fmt.Sprintf("%02d%02d", r.between(1, 12), r.between(1, 29))
	serial := r.between(1, 499) * 2
	if male {
		serial++
	}
	if short {
		return region + birth.Format("060102") + fmt.Sprintf("%03d", serial)
	}
	body := region + birth.Format("20060102") + fmt.Sprintf("%03d", serial)
	sum := 0
	for i, c := range body {
		sum += int(c-'0') * (1 << (17 - i) % 11)
	}
	return body + string("10X98765432"[sum%11])
}

// bankCard is a number of a debit card with its Luhn digit.
func (r *rng) bankCard() string {
	body := pick(r, []string{"622202", "621700", "622848", "621661", "622588", "621098"}) + r.digits(12)
	sum := 0
	for i := range body {
		d := int(body[len(body)-1-i] - '0')
		if i%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return body + fmt.Sprint((10-sum%10)%10)
}

func (r *rng) mobile() string {
	return "1" + pick(r, []string{"30", "33", "35", "36", "37", "38", "39", "50", "52", "55", "58", "59", "73", "77", "80", "81", "85", "86", "87", "88", "89", "91", "95", "98", "99"}) + r.digits(8)
}

// mobileForm writes a mobile number as people do.
func (r *rng) mobileForm(number string) string {
	switch r.intn(10) {
	case 0:
		return number[:3] + " " + number[3:7] + " " + number[7:]
	case 1:
		return number[:3] + "-" + number[3:7] + "-" + number[7:]
	case 2:
		return "+86 " + number
	case 3:
		return "(+86)" + number
	}
	return number
}

// landline is a number with its area code, and in some cases an extension.
func (r *rng) landline() string {
	area := pick(r, []string{"010", "021", "025", "0571", "0755", "0512", "0851", "0971", "0451", "0898"})
	number := fmt.Sprint(r.between(2, 8)) + r.digits(7)
	if len(area) == 4 && r.percent(40) {
		number = number[:7]
	}
	switch r.intn(5) {
	case 0:
		return area + number
	case 1:
		return "(" + area + ")" + number
	case 2:
		return area + "-" + number + "-" + r.digits(3)
	case 3:
		return area + "-" + number + "转" + r.digits(4)
	}
	return area + "-" + number
}

func (r *rng) plate() string {
	head := pick(r, []string{"京", "沪", "苏", "浙", "鲁", "豫", "川", "湘", "鄂", "粤", "闽", "云", "贵", "陕", "甘", "黑", "辽", "冀", "皖", "赣"}) + string("ABCDEFGHJ"[r.intn(9)])
	dot := pick(r, []string{"", "", "·"})
	if r.percent(30) { // new energy
		return head + dot + string("DF"[r.intn(2)]) + r.digits(5)
	}
	return head + dot + string("ABCDEFGHJKLMNPQRSTUVWXYZ"[r.intn(24)]) + r.digits(4)
}

func (r *rng) passport() string {
	return pick(r, []string{"E", "G", "EA", "EB", "EJ"})[:1] + r.digits(8)
}

func (r *rng) permit() string {
	return pick(r, []string{"H" + r.digits(8), "M" + r.digits(8), r.digits(8), "H" + r.digits(10)})
}

func (r *rng) officer() string {
	return pick(r, []string{"军字第", "武字第", "军官证第", "南字第"}) + r.digits(r.between(6, 8)) + "号"
}

// foreignID is an identity number of Taiwan or Hong Kong with its check digit.
func (r *rng) foreignID() string {
	if r.percent(50) {
		return r.taiwanID()
	}
	letter := r.intn(26)
	body := r.digits(6)
	sum := 36*9 + (letter+10)*8
	for i, c := range body {
		sum += int(c-'0') * (7 - i)
	}
	return string(rune('A'+letter)) + body + "(" + string("0123456789A"[(11-sum%11)%11]) + ")"
}

func (r *rng) taiwanID() string {
	const letters = "ABCDEFGHJKLMNPQRSTUVXYWZIO" // in the order of their values from 10
	value := r.intn(len(letters))
	body := fmt.Sprint(r.between(1, 2)) + r.digits(7)
	sum := (value+10)/10 + (value+10)%10*9
	for i, c := range body {
		sum += int(c-'0') * (8 - i)
	}
	return string(letters[value]) + body + fmt.Sprint((10-sum%10)%10)
}

func (r *rng) ssn() string {
	return fmt.Sprintf("%03d-%02d-%04d", r.between(101, 665), r.between(1, 99), r.between(1, 9999))
}

func (r *rng) ip() string {
	return fmt.Sprintf("%s.%d.%d", pick(r, []string{"10.12", "172.16", "192.168", "203.0"}), r.intn(256), r.between(1, 254))
}

// letters is a string of n capital letters.
func (r *rng) letters(n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("ABCDEFGHJKLMNPQRSTUVWXYZ"[r.intn(24)])
	}
	return b.String()
}
