package v2tofhir

import (
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// booking is the appointment of a SIU message while it is being read.
type booking struct {
	*tree.Resource
	status  string
	start   *tree.Object // {"start": …} as set by setInstant
	end     *tree.Object
	minutes int
	from    val // where the start stood
}

// sch reads an appointment (segment map SCH[Appointment]).
func (c *converter) sch(s seg) {
	c.closeBooking()
	a := c.add("Appointment", s.path)
	c.booking = &booking{Resource: a, start: tree.New(), end: tree.New()}
	a.Add("identifier", c.ei(s.f(1).c, "PLAC"), c.ei(s.f(2).c, "FILL"))
	c.booking.status = eventAppointments[c.event]
	if to := appointmentStatuses[strings.ToUpper(s.f(25).peek())]; to != "" {
		s.f(25).done()
		c.booking.status = to
	}
	a.Set("appointmentType", c.concept(s.f(8), hl7Table+"0277"))
	a.Add("reasonCode", c.concept(s.f(7), hl7Table+"0276"))
	if why := c.concept(s.f(6), ""); why != nil {
		if c.booking.status == "cancelled" {
			a.Set("cancelationReason", why)
		} else {
			a.Add("extension", tree.Extension(tree.LocalURL+"StructureDefinition/appointment-event-reason", "valueCodeableConcept", why))
		}
	}
	if n, ok := integer(s.f(9), 1, 1<<20); ok {
		c.booking.minutes = n * minutesIn(s.f(10))
	}
	c.bookingTimes(s.f(11).c(4), s.f(11).c(5))
	for _, f := range []int{12, 16, 20} {
		c.practitioners(a.Object, "participant", s.f(f), func(who *tree.Object) *tree.Object {
			return tree.New("actor", who, "status", "accepted")
		})
	}
	for _, f := range []int{26, 27} {
		if id := c.ei(s.f(f).c, map[int]string{26: "PLAC", 27: "FILL"}[f]); id != nil {
			a.Add("basedOn", tree.New("type", "ServiceRequest", "identifier", id))
		}
	}
	c.noted = &noted{Object: a.Object, text: "comment"}
}

// minutesIn reads a unit of duration; what is not said is minutes.
func minutesIn(v val) int {
	switch unit := strings.ToUpper(v.peek()); {
	case strings.HasPrefix(unit, "H"):
		v.done()
		return 60
	case strings.HasPrefix(unit, "D"):
		v.done()
		return 24 * 60
	case unit == "S":
		return 0
	}
	v.done()
	return 1
}

// bookingTimes takes the first start and the first end that the message gives.
func (c *converter) bookingTimes(start, end val) {
	b := c.booking
	switch {
	case !start.has():
	case b.start.Has("start"):
		if start.peek() == b.from.peek() { // the resource begins with the appointment
			start.done()
		}
	case c.setInstant(b.start, "start", start):
		b.from = start
	}
	if !b.end.Has("end") && end.has() {
		c.setInstant(b.end, "end", end)
	}
}

func (c *converter) rgs(s seg) {
	if c.booking == nil {
		c.unread(s)
	}
}

// ais reads a booked service (segment map AIS[Appointment]).
func (c *converter) ais(s seg) {
	if c.booking == nil {
		c.unread(s)
		return
	}
	c.booking.Add("serviceType", c.concept(s.f(3), ""))
	c.bookingSlot(s.f(4), s.f(7), s.f(8))
}

// bookingSlot reads start and duration of a resource.
func (c *converter) bookingSlot(start, length, unit val) {
	c.bookingTimes(start, val{t: c.t})
	n, ok := integer(length, 1, 1<<20)
	if !ok {
		return
	}
	if n *= minutesIn(unit); c.booking.minutes == 0 {
		c.booking.minutes = n
	}
}

// aig reads a booked thing (segment map AIG[Appointment]).
func (c *converter) aig(s seg) {
	if c.booking == nil {
		c.unread(s)
		return
	}
	what := c.concept(s.f(3), "")
	kind := c.concept(s.f(4), "")
	name := firstText(what.Text("text"), kind.Text("text"))
	if name != "" {
		c.participant(tree.New("display", name), kind)
	}
	c.bookingSlot(s.f(8), s.f(11), s.f(12))
}

// ail reads a booked place (segment map AIL[Appointment]).
func (c *converter) ail(s seg) {
	if c.booking == nil {
		c.unread(s)
		return
	}
	for _, v := range s.f(3).reps() {
		if where := c.location(v); where != nil {
			c.participant(where.Ref(), nil)
		}
	}
	c.bookingSlot(s.f(6), s.f(9), s.f(10))
}

// aip reads a booked person (segment map AIP[Appointment]).
func (c *converter) aip(s seg) {
	if c.booking == nil {
		c.unread(s)
		return
	}
	kind := c.concept(s.f(4), "")
	for _, v := range s.f(3).reps() {
		if who := c.practitioner(v); who != nil {
			c.participant(who.Ref(), kind)
		}
	}
	c.bookingSlot(s.f(6), s.f(9), s.f(10))
}

func (c *converter) participant(who, kind *tree.Object) {
	p := tree.New()
	if !kind.IsEmpty() {
		p.Set("type", []any{kind})
	}
	c.booking.Add("participant", p.Set("actor", who).Set("status", "accepted"))
}

// closeBooking settles status and times. FHIR wants start and end or neither (app-2), and
// both unless the appointment is proposed, cancelled or waiting (app-3): one whose end nobody
// gave is a requested period, and the status it has stands beside the one FHIR allows.
func (c *converter) closeBooking() {
	b := c.booking
	if b == nil {
		return
	}
	c.booking = nil
	c.endOf(b)
	status := firstText(b.status, "booked")
	whole := b.start.Has("start") && b.end.Has("end")
	if !whole && status != "cancelled" && status != "waitlist" {
		b.Set("_status", tree.New("extension", []any{tree.Extension(structureDefinition+"alternate-codes", "valueCodeableConcept",
			tree.Concept("http://hl7.org/fhir/appointmentstatus", status, ""))}))
		status = "proposed"
	}
	b.Set("status", status)
	if b.minutes > 0 {
		b.Set("minutesDuration", b.minutes)
	}
	if whole {
		for _, m := range []string{"start", "_start"} {
			b.Set(m, b.start.Get(m))
		}
		for _, m := range []string{"end", "_end"} {
			b.Set(m, b.end.Get(m))
		}
	} else if b.start.Has("start") || b.end.Has("end") {
		p := tree.New("start", b.start.Get("start"), "_start", b.start.Get("_start"), "end", b.end.Get("end"), "_end", b.end.Get("_end"))
		b.Add("requestedPeriod", p)
	}
	if c.patient != nil {
		b.Add("participant", tree.New("actor", c.patient.Ref(), "status", "accepted"))
	}
	if !b.Has("participant") { // required
		b.Add("participant", tree.New("actor", tree.Absent("unknown"), "status", "needs-action"))
	}
}

// endOf computes the end of a booking from its start and duration.
func (c *converter) endOf(b *booking) {
	if b.end.Has("end") || !b.start.Has("start") || b.minutes == 0 {
		return
	}
	t, err := hl7.ParseTime(b.from.c(1).peekSub(), c.o.Zone)
	if err != nil || t.Precision < record.Minute {
		return
	}
	b.end.Set("end", t.Time().Add(time.Duration(b.minutes)*time.Minute).Format(layoutSecond))
}
