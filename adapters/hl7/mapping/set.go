package mapping

import (
	"errors"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Choice binds the messages of some senders to rules of their own. Senders are chosen by
// what the message says, not by the connection it came over, so that a message that is
// read later, from the bus or on a replay, is read by the same rules.
type Choice struct {
	// Sender is MSH-3|MSH-4. Either part may be * for any, or end in * for any that begins
	// so: LIS|*, HIS-*|H1.
	Sender string
	Mapper *Mapper
}

// Set is a mapper for each sender. It is immutable and safe for concurrent use.
type Set struct {
	standard *Mapper
	choices  []choice
}

type choice struct {
	application, facility string
	mapper                *Mapper
}

// ErrSender reports a Choice whose Sender has not the form that is documented there.
var ErrSender = errors.New("mapping: a sender is written APPLICATION|FACILITY, as in LIS|* or HIS|H1")

// NewSet makes a set. The first choice that fits a sender counts; standard is for all
// others.
func NewSet(standard *Mapper, choices ...Choice) (*Set, error) {
	s := &Set{standard: standard}
	for _, c := range choices {
		application, facility, ok := strings.Cut(c.Sender, "|")
		if !ok || application == "" || facility == "" || c.Mapper == nil {
			return nil, fmt.Errorf("%w: %q", ErrSender, c.Sender)
		}
		s.choices = append(s.choices, choice{application, facility, c.Mapper})
	}
	return s, nil
}

// For returns the mapper for hl7.Header.Sender.
func (s *Set) For(sender string) *Mapper {
	application, facility, _ := strings.Cut(sender, "|")
	for _, c := range s.choices {
		if fits(c.application, application) && fits(c.facility, facility) {
			return c.mapper
		}
	}
	return s.standard
}

func fits(pattern, s string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(s, prefix)
	}
	return pattern == s
}

// Map reads a raw message by the rules for its sender; see Mapper.Map.
func (s *Set) Map(src Source) (*record.Record, error) {
	msg, cs, err := s.standard.parse(src)
	if err != nil {
		return nil, err
	}
	return s.For(msg.Header().Sender()).mapWhole(msg, cs, src)
}

// Identifiers implements hl7.Mapping by the rules for the message's sender.
func (s *Set) Identifiers(msg *hl7.Message) []record.Identifier {
	if len(s.choices) == 0 {
		return s.standard.Identifiers(msg)
	}
	return s.For(msg.Header().Sender()).Identifiers(msg)
}

// Knows implements hl7.Mapping: it reports whether any of the mappers knows the kind.
func (s *Set) Knows(kind string) bool {
	for _, c := range s.choices {
		if c.mapper.Knows(kind) {
			return true
		}
	}
	return s.standard.Knows(kind)
}
