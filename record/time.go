package record

import (
	"fmt"
	"time"
)

// Precision says how much of a time its source gave.
type Precision uint8

// Precisions, from coarse to fine. Unknown means that there was no time at all.
const (
	Unknown Precision = iota
	Year
	Month
	Day
	Hour
	Minute
	Second
	Millisecond
)

// Time is a point in time with the precision and the zone that its source gave. Clinical
// formats leave out what is not known, and a made-up midnight is a wrong fact.
type Time struct {
	UnixMilli int64     `cbor:"0,keyasint"` // start of the interval that the precision spans
	Precision Precision `cbor:"1,keyasint"`
	// OffsetMinutes is the zone, minutes east of UTC.
	OffsetMinutes int16 `cbor:"2,keyasint"`
	// ZoneAssumed is true where the source gave no zone and the endpoint's default was used.
	ZoneAssumed bool `cbor:"3,keyasint,omitempty"`
}

// NewTime makes a Time from t, in t's own zone.
func NewTime(t time.Time, p Precision, zoneAssumed bool) Time {
	_, offset := t.Zone()
	return Time{UnixMilli: t.UnixMilli(), Precision: p, OffsetMinutes: int16(offset / 60), ZoneAssumed: zoneAssumed}
}

// IsZero reports whether no time is known.
func (t Time) IsZero() bool { return t.Precision == Unknown }

// Time returns the time in its own zone.
func (t Time) Time() time.Time {
	return time.UnixMilli(t.UnixMilli).In(time.FixedZone("", int(t.OffsetMinutes)*60))
}

var layouts = map[Precision]string{
	Year: "2006", Month: "2006-01", Day: "2006-01-02", Hour: "2006-01-02T15Z07:00",
	Minute: "2006-01-02T15:04Z07:00", Second: time.RFC3339, Millisecond: "2006-01-02T15:04:05.000Z07:00",
}

// String formats the known part of the time after ISO 8601.
func (t Time) String() string {
	layout, ok := layouts[t.Precision]
	if !ok {
		return ""
	}
	return t.Time().Format(layout)
}

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// Validate reports a time whose fields contradict each other.
func (t Time) Validate() error {
	if t.Precision > Millisecond || t.OffsetMinutes < -24*60 || t.OffsetMinutes > 24*60 {
		return fmt.Errorf("%w: time out of range", ErrInvalid)
	}
	return nil
}
