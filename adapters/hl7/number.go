package hl7

import (
	"errors"
	"strings"
	"time"
)

// ErrNumber reports text that is not an NM value.
var ErrNumber = errors.New("hl7: not a number of the form [+|-]digits[.digits]")

// ParseNumber reads an NM value (HL7 v2 chapter 2A, NM) and returns it in its simplest
// form: no plus sign, no needless zeros in front. Digits after the point are kept, since
// they say how exact the number is. There is no rounding, whatever the length.
func ParseNumber(s string) (string, error) {
	s = strings.Trim(s, " ")
	sign := ""
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = "-"
		}
		s = s[1:]
	}
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" && fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return "", ErrNumber
	}
	whole = strings.TrimLeft(whole, "0")
	if whole == "" {
		whole = "0"
	}
	if point && fraction != "" {
		whole += "." + fraction
	}
	return sign + whole, nil
}

// clockLayouts are the time layouts of TM by number of digits.
var clockLayouts = map[int]string{2: "15", 4: "1504", 6: "150405"}

// validClock reports a TM value: HH[MM[SS[.S[S[S[S]]]]]][+/-ZZZZ].
func validClock(s string) bool {
	s, _, _, ok := cutZone("0000"+s, nil) // cutZone expects at least a year before the zone
	whole, fraction := cutFraction(s[min(4, len(s)):])
	if !ok || !allDigits(whole) || !allDigits(fraction) || len(fraction) > 9 || fraction != "" && len(whole) != 6 {
		return false
	}
	_, err := time.Parse(clockLayouts[len(whole)], whole)
	return err == nil && whole != ""
}
