package guard

import (
	"regexp"
	"strings"
)

// Terminology is what is known of a code system: how long its numbers get.
type Terminology uint8

// Kinds of code systems.
const (
	Unknown Terminology = iota // nobody vouches for its codes
	Plain                      // a terminology whose codes have at most nine digits
	SNOMED                     // SNOMED CT: up to 18 digits with a check digit
	NDC                        // US drug codes: 11 digits
)

// terminologies are code systems by the names of HL7 table 0396 and by OID.
var terminologies = func() map[string]Terminology {
	out := map[string]Terminology{}
	for _, name := range strings.Fields(`LN I9 I9C I9CDX I9CP I10 I10C I10P I10PCS ICD10 ICD-10 ICD-10-CM ICD9 ICD-9 ICD10CM CVX MVX C4 C5 CPT HCPCS
		RXNORM RXN UCUM UMLS ATC ATCC W4 LOINC ISO ISO+ ANS+ MDC DCM 2.16.840.1.113883.6.1 2.16.840.1.113883.6.3 2.16.840.1.113883.6.12
		2.16.840.1.113883.6.59 2.16.840.1.113883.6.73 2.16.840.1.113883.6.88 2.16.840.1.113883.6.90 2.16.840.1.113883.6.103
		2.16.840.1.113883.6.104 2.16.840.1.113883.6.4 2.16.840.1.113883.12.292 2.16.840.1.113883.6.238 2.16.840.1.113883.6.101
		2.16.840.1.113883.6.259 2.16.840.1.113883.6.285 2.16.840.1.113883.4.9`) {
		out[name] = Plain
	}
	for _, name := range []string{"SCT", "SNOMED", "SNM3", "SNM", "SNOMED-CT", "SCT2", "2.16.840.1.113883.6.96"} {
		out[name] = SNOMED
	}
	for _, name := range []string{"NDC", "2.16.840.1.113883.6.69"} {
		out[name] = NDC
	}
	return out
}()

// TerminologyOf tells the kind of a code system from its name in HL7 v2 or its OID.
func TerminologyOf[T Bytes](system T) Terminology {
	if len(system) > 64 {
		return Unknown
	}
	s := strings.ToUpper(string(system))
	if t, ok := terminologies[s]; ok {
		return t
	}
	for _, begin := range []string{"ICD", "GB", "WS", "CV0"} { // national standards and their tables
		if strings.HasPrefix(s, begin) {
			return Plain
		}
	}
	if strings.HasPrefix(s, "HL7") && len(s) <= 8 || strings.HasPrefix(s, nationalRoot+"2.") || strings.HasPrefix(s, "2.16.840.1.113883.5.") {
		return Plain
	}
	return Unknown
}

// Code reports a code of a terminology: digits, capital letters and separators, in the numbers
// that the terminology has, and neither a name nor a number of somebody.
func Code[T Bytes](p People, t Terminology, code T) bool {
	if t == Unknown || len(code) == 0 || len(code) > MaxToken || !OnlyOf(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ.-/+*") || Names(p, code) {
		return false
	}
	n := Digits(code)
	switch {
	case n <= 9:
		return true
	case t == SNOMED:
		return n == len(code) && n <= 18 && conceptID(string(code))
	case t == NDC:
		return n <= 11 && (n < len(code) || code[0] == '0' || code[0] >= '2')
	}
	return false
}

// conceptID checks a SNOMED CT identifier: its partition and its check digit (SNOMED CT
// Release File Specification, §5.1 and §5.5).
func conceptID(s string) bool {
	switch s[len(s)-3 : len(s)-1] {
	case "00", "01", "02", "10", "11", "12":
		return verhoeff(s)
	}
	return false
}

// Tables of the Verhoeff check: multiplication in the dihedral group of order ten, and the
// powers of a permutation.
var (
	dihedral    [10][10]uint8
	permutation [8][10]uint8
)

func init() {
	for a := range 10 {
		for b := range 10 {
			switch {
			case a < 5 && b < 5:
				dihedral[a][b] = uint8((a + b) % 5)
			case a < 5:
				dihedral[a][b] = uint8(5 + (a+b-5)%5)
			case b < 5:
				dihedral[a][b] = uint8(5 + (a-5+5-b)%5)
			default:
				dihedral[a][b] = uint8((a - b + 5) % 5)
			}
		}
	}
	permutation[0] = [10]uint8{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	permutation[1] = [10]uint8{1, 5, 7, 6, 2, 8, 3, 0, 9, 4}
	for i := 2; i < 8; i++ {
		for j := range 10 {
			permutation[i][j] = permutation[1][permutation[i-1][j]]
		}
	}
}

func verhoeff(s string) bool {
	c := uint8(0)
	for i := range len(s) {
		d := s[len(s)-1-i]
		if d < '0' || d > '9' {
			return false
		}
		c = dihedral[c][permutation[i%8][d-'0']]
	}
	return c == 0
}

// MaxCodeDigits is the number of digits up to which a code of no known terminology stays:
// longer ones may be somebody's number in the wrong place.
const MaxCodeDigits = 4

// codeShapes are codes that tell their terminology by their form: ICD-10 with the extensions
// of the Chinese national edition (I10.x00x002), LOINC, data elements of WS 363.
var codeShapes = regexp.MustCompile(`^(?:[A-Z][0-9]{2}(?:\.[0-9xX]{1,4}[A-Z]?(?:x[0-9]{2,3})?)?[+*]?|[0-9]{1,5}-[0-9]|DE[0-9]{2}\.[0-9]{2}\.[0-9]{3}\.[0-9]{2})$`)

// CodeStays reports a code that may stay: one of the terminology t, one whose form tells its
// terminology, or a token with few digits.
func CodeStays[T Bytes](p People, t Terminology, code T) bool {
	switch {
	case Code(p, t, code), Token(p, code) && Digits(code) <= MaxCodeDigits:
		return true
	case len(code) > MaxToken || Names(p, code):
		return false
	}
	return codeShapes.MatchString(string(code))
}

// CodeLike reports a code that may not stay but that a pseudonym can stand for: what is the
// same code remains the same code.
func CodeLike[T Bytes](code T) bool {
	for i := range len(code) {
		if code[i] <= ' ' || code[i] >= 0x7f {
			return false
		}
	}
	return len(code) <= 2*MaxToken && Digits(code) > MaxCodeDigits
}
