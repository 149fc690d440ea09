package desensitize

import (
	"fmt"
	"slices"
	"strings"
)

// Method is what a rule does to the values that it selects.
type Method string

// Methods of the policy language.
const (
	// Keep leaves the value as it is, with all below it.
	Keep Method = "keep"
	// Redact removes the value; in free text a label of its type takes its place.
	Redact Method = "redact"
	// Mask replaces characters by an asterisk, apart from some at the ends (GB/T 37964-2019
	// Annex B, masking).
	Mask Method = "mask"
	// Pseudonymise replaces the value by a keyed pseudonym: the same value, type and project
	// give the same pseudonym, another project an unlinkable one.
	Pseudonymise Method = "pseudonymise"
	// DateShift moves dates by the days of the patient in the project; intervals are kept.
	DateShift Method = "dateShift"
	// Generalise makes the value coarser; Params.To names how.
	Generalise Method = "generalise"
	// Perturb adds keyed noise to a number.
	Perturb Method = "perturb"
	// Substitute puts a fixed value or a consistent surrogate in the value's place.
	Substitute Method = "substitute"
	// Encrypt replaces the value by its ciphertext under the project's SM4 key.
	Encrypt Method = "encrypt"
	// CryptoHash replaces the value by its HMAC-SM3 in hexadecimal digits.
	CryptoHash Method = "cryptoHash"
	// Scrub removes identifiers from free text, by the policy's rules for text, and sends
	// attachments through the rules for attachments.
	Scrub Method = "scrub"
)

var methods = []Method{Keep, Redact, Mask, Pseudonymise, DateShift, Generalise, Perturb, Substitute, Encrypt, CryptoHash, Scrub}

// Methods returns all methods.
func Methods() []Method { return slices.Clone(methods) }

// Generalisations: the values of Params.To.
const (
	ToYear      = "year"       // of a date
	ToQuarter   = "quarter"    // of a date: its first month, 2024-05-17 → 2024-04
	ToMonth     = "month"      // of a date
	ToDay       = "day"        // of a time: the date
	ToDecade    = "decade"     // of a date: its first year
	ToAge89     = "age-89"     // ages above 89 become 90; birth dates their year, those of people above 89 nothing
	ToAge5      = "age-5"      // ages in steps of five, above 89 become 90
	ToAge10     = "age-10"     // ages in steps of ten, above 89 become 90
	ToProvince  = "province"   // of an address: 省/自治区/直辖市, or the state
	ToCity      = "city"       // of an address: to the 市 (地级), with the province
	ToCounty    = "county"     // of an address: to the 县/区/县级市
	ToPostcode3 = "postcode-3" // the first three digits
	ToPostcode2 = "postcode-2" // the first two digits
	ToIndustry  = "industry"   // of an employer: what kind it is (school, hospital, factory …)
	ToICD3      = "icd-3"      // an ICD-10 code to its category of three characters
	ToICDBlock  = "icd-block"  // an ICD-10 code to its block, I21.0 → I20-I25
	ToChapter   = "icd-chapter"
)

var generalisations = []string{
	ToYear, ToQuarter, ToMonth, ToDay, ToDecade, ToAge89, ToAge5, ToAge10, ToProvince, ToCity, ToCounty,
	ToPostcode3, ToPostcode2, ToIndustry, ToICD3, ToICDBlock, ToChapter,
}

// Params are what a method needs beside the value. Each is allowed for the methods that its
// comment names and an error for all others.
type Params struct {
	// First and Last are the numbers of characters that mask leaves at the ends; default 0.
	First int `yaml:"first,omitempty" json:"first,omitempty"`
	Last  int `yaml:"last,omitempty" json:"last,omitempty"`
	// Of says of what pseudonymise makes its pseudonym: value (default), or subject, which
	// gives all identifiers of the patient the one pseudonym of the patient.
	Of string `yaml:"of,omitempty" json:"of,omitempty"`
	// Prefix stands before a pseudonym.
	Prefix string `yaml:"prefix,omitempty" json:"prefix,omitempty"`
	// Length is how many characters of a pseudonym or hash are kept: 8 to 64, default all.
	// Short ones collide: of n values about n²/2^(5·length+1) pairs of pseudonyms do, and
	// n²/2^(4·length+1) pairs of hashes.
	Length int `yaml:"length,omitempty" json:"length,omitempty"`
	// Type sets the type of the value where the structure does not tell it.
	Type Type `yaml:"type,omitempty" json:"type,omitempty"`
	// Days bounds dateShift: up to so many days back or forth; default that of the policy.
	Days int `yaml:"days,omitempty" json:"days,omitempty"`
	// To is the generalisation of generalise.
	To string `yaml:"to,omitempty" json:"to,omitempty"`
	// Codes bounds generalise to ICD-10 codes that begin with one of these; all others are
	// kept. The word rare stands for the codes that the job calls rare.
	Codes []string `yaml:"codes,omitempty" json:"codes,omitempty"`
	// Span is how far perturb moves a number: it comes from an interval of this length
	// around the number, or of this part of the number if Range is proportional.
	Span  float64 `yaml:"span,omitempty" json:"span,omitempty"`
	Range string  `yaml:"range,omitempty" json:"range,omitempty"` // fixed (default) or proportional
	// Round is the number of decimal places of perturb, 0 to 28; absent: as many as the value has.
	Round *int `yaml:"round,omitempty" json:"round,omitempty"`
	// With is the fixed value of substitute. Without it a surrogate of the value's type is used.
	With *string `yaml:"with,omitempty" json:"with,omitempty"`
}

type paramUse struct {
	name string
	set  bool
	uses []Method
}

func (p *Params) uses() []paramUse {
	return []paramUse{
		{"first", p.First != 0, []Method{Mask}},
		{"last", p.Last != 0, []Method{Mask}},
		{"of", p.Of != "", []Method{Pseudonymise}},
		{"prefix", p.Prefix != "", []Method{Pseudonymise}},
		{"length", p.Length != 0, []Method{Pseudonymise, CryptoHash}},
		{"days", p.Days != 0, []Method{DateShift}},
		{"to", p.To != "", []Method{Generalise}},
		{"codes", p.Codes != nil, []Method{Generalise}},
		{"span", p.Span != 0, []Method{Perturb}},
		{"range", p.Range != "", []Method{Perturb}},
		{"round", p.Round != nil, []Method{Perturb}},
		{"with", p.With != nil, []Method{Substitute}},
	}
}

// faults returns what is wrong with a method and its parameters.
func (p *Params) faults(m Method) []string {
	var out []string
	if !slices.Contains(methods, m) {
		return []string{fmt.Sprintf("method %q is unknown; known are %s", m, join(methods))}
	}
	for _, u := range p.uses() {
		if u.set && !slices.Contains(u.uses, m) {
			out = append(out, fmt.Sprintf("%s has no meaning for method %s, only for %s", u.name, m, join(u.uses)))
		}
	}
	for _, c := range p.checks(m) {
		if c.bad {
			out = append(out, c.fault)
		}
	}
	return out
}

// check is one thing that can be wrong with parameters.
type check struct {
	bad   bool
	fault string
}

func (p *Params) checks(m Method) []check {
	return []check{
		{p.First < 0 || p.Last < 0, "first and last count characters and are not negative"},
		{!slices.Contains([]string{"", OfValue, OfSubject}, p.Of), "of must be value or subject"},
		{!within8to64(p.Length), "length must be 8 to 64 characters"},
		{m == Pseudonymise && p.Length > pseudonymChars, fmt.Sprintf("a pseudonym has %d characters, length cannot be more", pseudonymChars)},
		{!plainPrefix(p.Prefix), "prefix may have up to 16 letters, digits, - and ."},
		{p.Days < 0 || p.Days > maxShiftDays, fmt.Sprintf("days must be 1 to %d", maxShiftDays)},
		{m == Generalise && !slices.Contains(generalisations, p.To), "to must be one of " + strings.Join(generalisations, ", ")},
		{len(p.Codes) > 0 && !strings.HasPrefix(p.To, "icd-"), "codes go with to: icd-3, icd-block or icd-chapter"},
		{m == Perturb && !(p.Span > 0 && p.Span <= 1e12), "span must be above zero, and at most 1e12"},
		{!slices.Contains([]string{"", RangeFixed, RangeProportional}, p.Range), "range must be fixed or proportional"},
		{p.Round != nil && (*p.Round < 0 || *p.Round > 28), "round must be 0 to 28 decimal places"},
		{p.Type != "" && !slices.Contains(identifierTypes, p.Type) && !slices.Contains(structureTypes, p.Type), fmt.Sprintf("type %q is unknown", p.Type)},
	}
}

func within8to64(n int) bool { return n == 0 || n >= 8 && n <= 64 }

// Values of Params.Of and Params.Range.
const (
	OfValue           = "value"
	OfSubject         = "subject"
	RangeFixed        = "fixed"
	RangeProportional = "proportional"
)

var structureTypes = []Type{Text, Attachment, Diagnosis, Quantity, BirthDate, Coded, Reference, Other}

func plainPrefix(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return len(s) <= 16
}

func join[T ~string](list []T) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return strings.Join(out, ", ")
}
