package hl7

import "strings"

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
