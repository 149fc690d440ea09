// Package hospitalday makes up a day at a small Chinese hospital as HL7 v2 messages:
// registrations, admissions, updates, discharges, orders, laboratory results, reports and
// documents, from four systems that differ in version and charset as real ones do.
//
// Everything is invented and follows from the seed alone. Nobody real can be hit: resident
// ids have a valid form and check character, but an area code that begins with 99, which
// GB/T 2260 assigns to no place; telephone numbers begin with 100, which no mobile network
// has; names and streets are put together from common syllables.
//
// Some names hold characters whose second byte in GB 18030 equals a delimiter of HL7 v2
// (| ^ ~ \), which a receiver that splits before decoding gets wrong.
package hospitalday

import (
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// Patient is an invented person with all the numbers that the hospital knows.
type Patient struct {
	Family, Given string
	Gender        string // GB/T 2261.1: 1 male, 2 female
	BirthDate     time.Time
	ResidentID    string // 18 characters, area code 99....
	InsuranceNo   string
	HealthCardNo  string
	LocalNo       string // the hospital's own patient number
	OutpatientNo  string
	InpatientNo   string // "" for patients who were not admitted
	Phone         string
	Address       string
}

// Name returns the full name.
func (p Patient) Name() string { return p.Family + p.Given }

// LogValue implements slog.LogValuer. The person is invented; the habit is not.
func (p Patient) LogValue() slog.Value { return slog.StringValue("[patient]") }

// Message is one message of the day.
type Message struct {
	ControlID    string
	Type         string // as ADT^A01
	Charset      string // MSH-18
	Raw          []byte // in that charset, without framing
	PatientIndex int    // into Day.Patients
	At           time.Time
}

// LogValue implements slog.LogValuer.
func (m Message) LogValue() slog.Value {
	return slog.GroupValue(slog.String("control_id", m.ControlID), slog.String("type", m.Type))
}

// Day is a day's patients and messages. Messages are in the order in which they were
// sent; those of one patient are at least a second apart.
type Day struct {
	Patients []Patient
	Messages []Message
}

// Of returns the messages of one patient in order.
func (d *Day) Of(patient int) []Message {
	var out []Message
	for _, m := range d.Messages {
		if m.PatientIndex == patient {
			out = append(out, m)
		}
	}
	return out
}

// Facility is MSH-4 of the messages that Generate makes.
const Facility = "H1"

// Generate makes the day of a number of patients, about six messages for each. The date
// is that of day in the zone of China; the same arguments give the same bytes.
func Generate(seed uint64, patients int, day time.Time) *Day {
	return GenerateFor(Facility, seed, patients, day)
}

// GenerateFor makes the day of another facility. With the same seed the persons are the
// same, with the same resident ids and insurance numbers but the facility's own numbers,
// so that one patient can be known to two hospitals.
func GenerateFor(facility string, seed uint64, patients int, day time.Time) *Day {
	day = day.In(hl7.ChinaStandardTime)
	g := &generator{
		facility: facility,
		day:      time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, hl7.ChinaStandardTime),
	}
	for i := range patients {
		g.persons = rand.New(rand.NewPCG(seed, uint64(i)))                     //nolint:gosec // the same seed gives the same day
		g.events = rand.New(rand.NewPCG(seed^hash(facility), uint64(i)|1<<32)) //nolint:gosec // see above
		g.patient(i)
	}
	slices.SortStableFunc(g.out, func(a, b draft) int { return a.at.Compare(b.at) })
	d := &Day{Patients: g.patients}
	for i, dr := range g.out {
		d.Messages = append(d.Messages, g.write(i, dr))
	}
	return d
}

// hash is FNV-1a, to mix the facility's name into the seed.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// generator makes one day.
type generator struct {
	facility string
	day      time.Time
	persons  *rand.Rand // who the patient is
	events   *rand.Rand // what happens to them here
	patients []Patient
	out      []draft
}

// draft is a message before its place in the day, and so its control id, is known.
type draft struct {
	sys     *system
	kind    string
	event   string
	patient int
	at      time.Time
	body    []string // segments after MSH, escaped
}

// system is one of the hospital's sending systems.
type system struct {
	app     string // MSH-3
	prefix  string // of control ids
	version string
	charset hl7.Charset
	name    string // of the charset, as the system writes it in MSH-18
	zone    bool   // whether it writes the zone into times
}

var (
	his = &system{app: "HIS", prefix: "HIS", version: "2.4", charset: hl7.GB18030, name: "GB 18030-2000"}
	lis = &system{app: "LIS", prefix: "L", version: "2.5.1", charset: hl7.UTF8, name: "UNICODE UTF-8", zone: true}
	ris = &system{app: "RIS", prefix: "R", version: "2.3.1", charset: hl7.GB18030, name: "GBK"}
	emr = &system{app: "EMR", prefix: "DOC", version: "2.5", charset: hl7.UTF8, name: "UNICODE UTF-8", zone: true}
)

// stamp writes a time as the system does.
func (s *system) stamp(t time.Time) string {
	if s.zone {
		return t.Format("20060102150405-0700")
	}
	return t.Format("20060102150405")
}
