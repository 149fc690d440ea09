package fhir

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxText is the longest string, in bytes (FHIR R4 §2.24.0.1: 1 MB).
const maxText = 1 << 20

// checkPrimitive reports what keeps a JSON value from being of a primitive type, "" if
// nothing does. Formats are those of FHIR R4 §2.24.0.1.
func checkPrimitive(kind string, n *Node) string {
	switch kind {
	case "boolean":
		return wantKind(n, Bool)
	case "integer", "positiveInt", "unsignedInt":
		return checkInteger(kind, n)
	case "decimal":
		return wantKind(n, Number)
	}
	if problem := wantKind(n, String); problem != "" {
		return problem
	}
	if n.Text == "" {
		return "text may not be empty"
	}
	if n.Elided > 0 && kind != "base64Binary" {
		return "longer than a value of its type is read"
	}
	if check, ok := textFormats[kind]; ok && !check(n.Text) {
		return "not a valid " + kind + formatHints[kind]
	}
	if kind == "base64Binary" || kind == "xhtml" {
		return ""
	}
	if len(n.Text) > maxText {
		return "text longer than 1 MB"
	}
	if !utf8.ValidString(n.Text) || strings.ContainsFunc(n.Text, isForbidden) {
		return "text with a control character"
	}
	return ""
}

func wantKind(n *Node, want NodeKind) string {
	if n.Kind != want {
		return "must be " + want.String() + ", not " + n.Kind.String()
	}
	return ""
}

func isForbidden(r rune) bool { return r < ' ' && r != '\t' && r != '\n' && r != '\r' }

func checkInteger(kind string, n *Node) string {
	if problem := wantKind(n, Number); problem != "" {
		return problem
	}
	low := map[string]int64{"integer": math.MinInt32, "positiveInt": 1, "unsignedInt": 0}[kind]
	v, err := strconv.ParseInt(n.Text, 10, 64)
	if err != nil || v < low || v > math.MaxInt32 || n.Text == "-0" {
		return "not a valid " + kind + ": a whole number from " + strconv.FormatInt(low, 10) + " to 2147483647 is wanted"
	}
	return ""
}

var textFormats = map[string]func(string) bool{
	"id": isID, "code": isCode, "uri": isURI, "url": isURI, "canonical": isURI, "oid": isOID, "uuid": isUUID,
	"date": isDate, "dateTime": isDateTime, "instant": isInstant, "time": isTime, "base64Binary": isBase64,
}

var formatHints = map[string]string{
	"id":           ": 1 to 64 letters, digits, hyphens and dots are wanted",
	"code":         ": no white space before or behind, and no two in a row",
	"uri":          ": no white space",
	"url":          ": no white space",
	"canonical":    ": no white space",
	"oid":          ": urn:oid:… is wanted",
	"uuid":         ": urn:uuid:… in lower case is wanted",
	"date":         ": YYYY, YYYY-MM or YYYY-MM-DD is wanted",
	"dateTime":     ": YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss+zz:zz is wanted; a time of day needs a time zone",
	"instant":      ": YYYY-MM-DDThh:mm:ss+zz:zz is wanted",
	"time":         ": hh:mm:ss is wanted",
	"base64Binary": "",
}

func isID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}

func isCode(s string) bool {
	was := true // a space before the first character counts as one
	for _, r := range s {
		space := r == ' ' || r == '\t' || r == '\n' || r == '\r'
		if space && was {
			return false
		}
		was = space
	}
	return !was
}

func isURI(s string) bool { return !strings.ContainsAny(s, " \t\n\r\v\f") }

func isOID(s string) bool {
	rest, ok := strings.CutPrefix(s, "urn:oid:")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) < 2 || len(parts[0]) != 1 || parts[0] > "2" {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 1 && p[0] == '0' || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

func isUUID(s string) bool {
	rest, ok := strings.CutPrefix(s, "urn:uuid:")
	if !ok || len(rest) != 36 {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// digits reports whether s has n digits, and their value.
func digits(s string, n int) (int, bool) {
	if len(s) != n || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.Atoi(s)
	return v, err == nil
}

func isDate(s string) bool {
	year, ok := digits(s[:min(4, len(s))], 4)
	if !ok || year == 0 || len(s) == 4 {
		return ok && year > 0
	}
	if len(s) != 7 && len(s) != 10 || s[4] != '-' {
		return false
	}
	month, ok := digits(s[5:7], 2)
	if !ok || month < 1 || month > 12 {
		return false
	}
	if len(s) == 7 {
		return true
	}
	day, ok := digits(s[8:], 2)
	return ok && s[7] == '-' && day >= 1 && day <= time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

func isDateTime(s string) bool {
	if len(s) <= 10 {
		return isDate(s)
	}
	return isInstant(s)
}

func isInstant(s string) bool {
	if len(s) < 20 || s[10] != 'T' || !isDate(s[:10]) {
		return false
	}
	rest := s[11:]
	if clock, ok := strings.CutSuffix(rest, "Z"); ok {
		return isTime(clock)
	}
	if len(rest) < 14 {
		return false
	}
	clock, zone := rest[:len(rest)-6], rest[len(rest)-6:]
	hours, ok1 := digits(zone[1:3], 2)
	minutes, ok2 := digits(zone[4:], 2)
	return isTime(clock) && (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && ok1 && ok2 &&
		(hours < 14 && minutes < 60 || hours == 14 && minutes == 0)
}

func isTime(s string) bool {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return false
	}
	h, ok1 := digits(s[:2], 2)
	m, ok2 := digits(s[3:5], 2)
	sec, ok3 := digits(s[6:8], 2)
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || sec > 60 {
		return false
	}
	return len(s) == 8 || len(s) > 9 && s[8] == '.' && strings.Trim(s[9:], "0123456789") == ""
}

// base64Alphabet marks the characters of base64: 1 for those that carry bits, 2 for space.
var base64Alphabet = func() (t [256]byte) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = 1
	}
	for _, c := range []byte(" \t\r\n") {
		t[c] = 2
	}
	return t
}()

// base64Size returns the number of bytes that base64 text stands for.
func base64Size(s string) (int, bool) {
	n, pad := 0, 0
	for i := range len(s) {
		switch kind := base64Alphabet[s[i]]; {
		case kind == 2:
		case s[i] == '=':
			pad++
		case kind == 0 || pad > 0:
			return 0, false
		default:
			n++
		}
	}
	if (n+pad)%4 != 0 || pad > 2 || n == 0 {
		return 0, false
	}
	return n * 3 / 4, true
}

func isBase64(s string) bool {
	_, ok := base64Size(s)
	return ok
}
