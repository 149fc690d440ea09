package tree

import (
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Object is a JSON object whose members keep the order in which they were set. The zero
// Object is empty.
type Object struct {
	members []member
}

type member struct {
	name  string
	value any
}

// Number is a JSON number in its own digits: FHIR decimals keep their precision (FHIR R4
// §2.24.0.1), which a float would lose. Whoever makes one vouches for the syntax.
type Number string

// Raw is a JSON value that is written as it stands. Whoever makes one vouches for it.
type Raw []byte

// New returns an empty object, or one with the members given as name, value, name, value.
func New(pairs ...any) *Object {
	o := &Object{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if name, ok := pairs[i].(string); ok {
			o.Set(name, pairs[i+1])
		}
	}
	return o
}

// Set gives a member a value: string, bool, int, Number, Raw, *Object, or a list as []any,
// []string or []*Object. Values that are empty when the object is written are left out, so
// an object may be set first and filled later. It returns o.
func (o *Object) Set(name string, value any) *Object {
	for i := range o.members {
		if o.members[i].name == name {
			o.members[i].value = value
			return o
		}
	}
	o.members = append(o.members, member{name, value})
	return o
}

// Add appends to the list that a member is, or becomes; empty values are left out. It
// returns o.
func (o *Object) Add(name string, values ...any) *Object {
	list, _ := o.Get(name).([]any)
	for _, v := range values {
		if !empty(v) {
			list = append(list, v)
		}
	}
	if len(list) > 0 {
		o.Set(name, list)
	}
	return o
}

// Get returns the value of a member, nil if there is none.
func (o *Object) Get(name string) any {
	if o == nil {
		return nil
	}
	for _, m := range o.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// Text returns a member that is a string, "" otherwise.
func (o *Object) Text(name string) string {
	s, _ := o.Get(name).(string)
	return s
}

// Has reports whether a member has a value that will be written.
func (o *Object) Has(name string) bool { return !empty(o.Get(name)) }

// IsEmpty reports whether nothing would be written.
func (o *Object) IsEmpty() bool {
	if o == nil {
		return true
	}
	for _, m := range o.members {
		if !empty(m.value) {
			return false
		}
	}
	return true
}

// Names returns the names of the members that have a value, in order.
func (o *Object) Names() []string {
	var out []string
	for _, m := range o.members {
		if !empty(m.value) {
			out = append(out, m.name)
		}
	}
	return out
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return Blank(v)
	case Number:
		return v == ""
	case Raw:
		return len(v) == 0
	case *Object:
		return v.IsEmpty()
	case []any:
		return allEmpty(v)
	case []string:
		return allEmpty(v)
	case []*Object:
		return allEmpty(v)
	}
	return false
}

// Blank reports a string of which nothing but blanks would be written.
func Blank(s string) bool { return strings.IndexFunc(s, written) < 0 }

// Trim cuts blanks, and what would be written as blanks, off both ends of a string.
func Trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return !written(r) })
}

// written reports a character that appendString writes as more than a blank.
func written(r rune) bool { return r >= ' ' && !unicode.IsSpace(r) }

func allEmpty[T any](list []T) bool {
	for _, v := range list {
		if !empty(v) {
			return false
		}
	}
	return true
}

// LogValue implements slog.LogValuer: resources hold patient data.
func (o *Object) LogValue() slog.Value { return slog.StringValue("[resource]") }

// MarshalJSON implements json.Marshaler.
func (o *Object) MarshalJSON() ([]byte, error) { return o.AppendJSON(nil), nil }

// AppendJSON appends the object as compact JSON.
func (o *Object) AppendJSON(dst []byte) []byte {
	dst = append(dst, '{')
	if o != nil {
		first := true
		for _, m := range o.members {
			if empty(m.value) {
				continue
			}
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(appendString(dst, m.name), ':')
			dst = appendValue(dst, m.value)
		}
	}
	return append(dst, '}')
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(dst, v)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case Number:
		return append(dst, v...)
	case Raw:
		return append(dst, v...)
	case *Object:
		return v.AppendJSON(dst)
	case []any:
		return appendList(dst, v)
	case []string:
		return appendList(dst, v)
	case []*Object:
		return appendList(dst, v)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return append(dst, "null"...)
	}
	return append(dst, b...)
}

func appendList[T any](dst []byte, list []T) []byte {
	dst = append(dst, '[')
	first := true
	for _, v := range list {
		if empty(v) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendValue(dst, v)
	}
	return append(dst, ']')
}

const hexDigits = "0123456789abcdef"

// appendString quotes a string. Bytes that are no UTF-8 become U+FFFD, and control
// characters that FHIR strings may not hold (FHIR R4 §2.24.0.1) a blank.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, s[start:i]...), "\uFFFD"...)
				start = i + n
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, c)
		i++
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	case 0x7f:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, ' ')
}
