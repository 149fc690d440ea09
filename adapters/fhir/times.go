package fhir

import (
	"time"
)

// DateRange returns the interval that a FHIR date, dateTime or instant spans: from its first
// instant up to, and without, the first instant behind it. Without a zone it is read as UTC.
func DateRange(s string) (from, to time.Time, ok bool) {
	return DateRangeIn(s, time.UTC)
}

// DateRangeIn is DateRange with the zone of dates that carry none.
func DateRangeIn(s string, zone *time.Location) (from, to time.Time, ok bool) {
	var err error
	switch {
	case !isDateTime(s):
		return from, to, false
	case len(s) == 4:
		from, err = time.ParseInLocation("2006", s, zone)
		to = from.AddDate(1, 0, 0)
	case len(s) == 7:
		from, err = time.ParseInLocation("2006-01", s, zone)
		to = from.AddDate(0, 1, 0)
	case len(s) == 10:
		from, err = time.ParseInLocation("2006-01-02", s, zone)
		to = from.AddDate(0, 0, 1)
	default:
		from, err = time.Parse(time.RFC3339Nano, s)
		to = from.Add(time.Second)
		if len(s) > 19 && s[19] == '.' {
			to = from.Add(time.Millisecond)
		}
	}
	return from, to, err == nil
}
