package v2tofhir

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Layouts of FHIR dates and times (FHIR R4 §2.24.0.1). A dateTime with hours has minutes,
// seconds and a zone.
const (
	layoutDay    = "2006-01-02"
	layoutSecond = "2006-01-02T15:04:05Z07:00"
	layoutMilli  = "2006-01-02T15:04:05.000Z07:00"
)

// time reads a DTM, TS, DT or the first component of one. ok is false, and the value
// counts as not read, if it is no time.
func (c *converter) time(v val) (t record.Time, text string, ok bool) {
	text = v.c(1).peekSub()
	if text == "" {
		return t, "", false
	}
	t, err := hl7.ParseTime(text, c.o.Zone)
	if err != nil {
		return t, text, false
	}
	v.c(1).done()
	if t.ZoneAssumed && t.Precision >= record.Hour {
		c.zoneless++
	}
	return t, text, true
}

// peekSub returns the text of the first subcomponent.
func (v val) peekSub() string { return clean(v.Sub(1).Text()) }

// setDateTime sets a dateTime with the precision that the source gave. FHIR has no time of
// day without minutes and seconds: minutes get the seconds :00 that FHIR demands, an hour is
// left out, and in both cases the source's text stands beside the value (extension
// originalText).
func (c *converter) setDateTime(o *tree.Object, name string, v val) {
	t, text, ok := c.time(v)
	if !ok {
		return
	}
	value, exact := dateTime(t, text)
	o.Set(name, value)
	if !exact {
		original(o, name, text)
	}
}

// dateTime writes a time whose text is known, with as many digits of a second as that has.
func dateTime(t record.Time, text string) (s string, exact bool) {
	at := t.Time()
	switch t.Precision {
	case record.Year:
		return at.Format("2006"), true
	case record.Month:
		return at.Format("2006-01"), true
	case record.Day:
		return at.Format(layoutDay), true
	case record.Hour:
		return at.Format(layoutDay), false
	case record.Minute:
		return at.Format(layoutSecond), false
	case record.Second:
		return at.Format(layoutSecond), true
	}
	_, fraction, _ := strings.Cut(text, ".")
	fraction, _, _ = strings.Cut(strings.ReplaceAll(fraction, "-", "+"), "+")
	return at.Format("2006-01-02T15:04:05") + "." + fraction + at.Format("Z07:00"), true
}

// setDate sets a date: year, month or day. It reports the time if the source had one.
func (c *converter) setDate(o *tree.Object, name string, v val) (t record.Time, ok bool) {
	t, _, ok = c.time(v)
	if !ok {
		return t, false
	}
	whole := t
	whole.Precision = min(t.Precision, record.Day)
	value, _ := dateTime(whole, "")
	o.Set(name, value)
	return t, true
}

// setInstant sets an instant, which FHIR wants with seconds; it reports whether it could. A
// time to the minute gets the seconds :00 and its text beside it, a coarser one is not read.
func (c *converter) setInstant(o *tree.Object, name string, v val) bool {
	text := v.c(1).peekSub()
	t, err := hl7.ParseTime(text, c.o.Zone)
	if err != nil || t.Precision < record.Minute {
		return false
	}
	t, _, _ = c.time(v)
	value, exact := dateTime(t, text)
	o.Set(name, value)
	if !exact {
		original(o, name, text)
	}
	return true
}

// original puts the source's text beside a primitive value.
func original(o *tree.Object, name, text string) {
	o.Set("_"+name, tree.New("extension", []any{tree.Extension(tree.OriginalTextURL, "valueString", text)}))
}

// absentPrimitive says that a required primitive value is not known.
func absentPrimitive(o *tree.Object, name string) { o.Set("_"+name, tree.Absent("unknown")) }

// period returns a Period from two times.
func (c *converter) period(from, to val) *tree.Object {
	p := tree.New()
	c.setDateTime(p, "start", from)
	c.setDateTime(p, "end", to)
	return p
}

// setTime sets a time of day (TM), which FHIR wants with seconds. It reports whether it
// could.
func setTime(o *tree.Object, name string, v val) bool {
	text := v.peek()
	if len(text) < 6 || !digits(text[:6]) || text[:2] > "23" || text[2:4] > "59" || text[4:6] > "59" {
		return false
	}
	rest := text[6:]
	if rest != "" && (rest[0] != '.' || len(rest) < 2 || len(rest) > 5 || !digits(rest[1:])) {
		return false
	}
	v.c(1).done()
	o.Set(name, text[:2]+":"+text[2:4]+":"+text[4:6]+rest)
	return true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
