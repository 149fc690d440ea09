package hl7

import (
	"errors"
	"time"

	"github.com/emrbridge/emrbridge/record"
)

// ErrTime reports text that is not an HL7 time.
var ErrTime = errors.New("hl7: not a time of the form YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]")

// ChinaStandardTime is the zone where a sender gives none and the endpoint configures no
// other: eight hours east of UTC all year.
var ChinaStandardTime = time.FixedZone("+0800", 8*3600)

// ParseTime reads a TS, DTM, DT or DTM-like value with the precision and the zone it has
// (HL7 v2 chapter 2A). Where the text gives no zone, def is used and noted as assumed. A
// value of zeros or an impossible date is refused, never corrected.
func ParseTime(s string, def *time.Location) (record.Time, error) {
	digits, zone, assumed, ok := cutZone(s, def)
	if !ok {
		return record.Time{}, ErrTime
	}
	whole, fraction := cutFraction(digits)
	precision, ok := precisionOf(len(whole))
	if !ok || !allDigits(whole) || !allDigits(fraction) || len(fraction) > 9 {
		return record.Time{}, ErrTime
	}
	if fraction != "" && precision != record.Second {
		return record.Time{}, ErrTime
	}
	const template = "00000101000000"
	t, err := time.ParseInLocation("20060102150405", whole+template[len(whole):], zone)
	if err != nil || t.Year() == 0 {
		return record.Time{}, ErrTime
	}
	if fraction != "" {
		precision = record.Millisecond
		t = t.Add(time.Duration(milliseconds(fraction)) * time.Millisecond)
	}
	return record.NewTime(t, precision, assumed), nil
}

// cutZone splits off +ZZZZ or -ZZZZ.
func cutZone(s string, def *time.Location) (digits string, zone *time.Location, assumed, ok bool) {
	if def == nil {
		def = ChinaStandardTime
	}
	for i := 4; i < len(s); i++ {
		if s[i] != '+' && s[i] != '-' {
			continue
		}
		z := s[i+1:]
		if len(z) != 4 || !allDigits(z) {
			return "", nil, false, false
		}
		hours, minutes := int(z[0]-'0')*10+int(z[1]-'0'), int(z[2]-'0')*10+int(z[3]-'0')
		offset := hours*3600 + minutes*60
		if hours > 14 || minutes > 59 {
			return "", nil, false, false
		}
		if s[i] == '-' {
			offset = -offset
		}
		return s[:i], time.FixedZone("", offset), false, true
	}
	return s, def, true, true
}

func cutFraction(s string) (whole, fraction string) {
	for i := range s {
		if s[i] == '.' && i+1 < len(s) {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func precisionOf(digits int) (record.Precision, bool) {
	switch digits {
	case 4:
		return record.Year, true
	case 6:
		return record.Month, true
	case 8:
		return record.Day, true
	case 10:
		return record.Hour, true
	case 12:
		return record.Minute, true
	case 14:
		return record.Second, true
	}
	return record.Unknown, false
}

func milliseconds(fraction string) int {
	n := 0
	for i := range 3 {
		n *= 10
		if i < len(fraction) {
			n += int(fraction[i] - '0')
		}
	}
	return n
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
