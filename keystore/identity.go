package keystore

import (
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Identity is who a patient is, in one of two forms. It is patient data and prints
// as "[redacted]".
type Identity struct {
	// ResidentID is a Chinese resident identity number, 18 digits (GB 11643) or the
	// old 15. Surrounding space is ignored and x is taken for X.
	ResidentID string
	// Local is used when there is no resident ID; such a patient is found only
	// through the hospital that issued the number.
	Local LocalIdentity
}

// LocalIdentity is a number that one hospital gave.
type LocalIdentity struct {
	// MSPID is the issuing hospital; Authority and Type are PID-3.4 and PID-3.5 or their like.
	MSPID, Authority, Type string
	// Value is the number itself.
	Value string
}

// String never shows the identity.
func (Identity) String() string { return "[redacted]" }

// GoString is for %#v.
func (Identity) GoString() string { return "[redacted]" }

// Format is for every other verb.
func (Identity) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte("[redacted]")) }

// LogValue is for slog.
func (Identity) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalJSON is for encoding/json.
func (Identity) MarshalJSON() ([]byte, error) { return []byte(`"[redacted]"`), nil }

// maxIdentityField bounds every part of an identity, in bytes.
const maxIdentityField = 128

// NormalizeResidentID checks a resident identity number and returns its 18-digit
// form. A 15-digit number (issued until 1999) gets the century 19 and a check
// digit. The birth date must exist; the region code is checked for shape only,
// since old codes stay in use. Errors are ErrIdentity without the number.
func NormalizeResidentID(s string) (string, error) {
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) == 15 && digits(s) {
		s = s[:6] + "19" + s[6:]
		s += string(checkDigit(s))
	}
	if len(s) != 18 || !digits(s[:17]) {
		return "", fmt.Errorf("%w: a resident ID has 18 characters (or 15 digits)", ErrIdentity)
	}
	if s[17] != checkDigit(s[:17]) {
		return "", fmt.Errorf("%w: resident ID check digit (GB 11643)", ErrIdentity)
	}
	if s[0] == '0' {
		return "", fmt.Errorf("%w: resident ID region code", ErrIdentity)
	}
	if _, err := time.Parse("20060102", s[6:14]); err != nil {
		return "", fmt.Errorf("%w: resident ID birth date", ErrIdentity)
	}
	return s, nil
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// checkDigit is ISO 7064 MOD 11-2 over 17 digits, as GB 11643-1999 prescribes.
func checkDigit(s string) byte {
	weights := [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}
	sum := 0
	for i, w := range weights {
		sum += int(s[i]-'0') * w
	}
	return "10X98765432"[sum%11]
}
