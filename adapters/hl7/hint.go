package hl7

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/emrbridge/emrbridge/record"
)

// MediaType is the media type of HL7 v2 payloads in records.
const MediaType = "x-application/hl7-v2+er7"

// Mapping is what a Receiver asks of the rules that turn messages into records. Package
// mapping implements it.
type Mapping interface {
	// Identifiers returns the numbers of the message's patient.
	Identifiers(m *Message) []record.Identifier
	// Knows reports whether there are rules for a kind such as "ADT^A01", or for any event
	// of a message code such as "ADT".
	Knows(kind string) bool
}

// rankOf orders the types of numbers by how steady they are over a patient's messages. The
// hospital's own number comes first: results often bear nothing else, and have to keep
// their place behind the registration that tells whose number it is.
var rankOf = map[record.IdentifierType]int{
	record.LocalPatient: 0, record.ResidentID: 1, record.MedicalNo: 2, record.HealthCard: 3,
	record.InsuranceNo: 4, record.Passport: 5, record.TravelPermit: 6, record.InpatientNo: 7, record.OutpatientNo: 8,
}

func rank(id record.Identifier) int {
	if r, ok := rankOf[id.Type]; ok {
		return r
	}
	return len(rankOf)
}

// hint makes the bucket of a patient's most stable number.
func (r *Receiver) hint(m *Message) string {
	if r.Mapper == nil {
		return noHint
	}
	return RoutingHint(r.Mapper.Identifiers(m))
}

// noHint is the routing hint of a message without a patient.
const noHint = "none"

// RoutingHint returns the bucket of the most stable of a patient's numbers: "p" and four
// hexadecimal digits, or "none" where there is no number.
func RoutingHint(numbers []record.Identifier) string {
	if len(numbers) == 0 {
		return noHint
	}
	best := numbers[0]
	for _, n := range numbers[1:] {
		if rank(n) < rank(best) {
			best = n
		}
	}
	sum := sha256.Sum256([]byte(string(best.Type) + "\x00" + best.Authority + "\x00" + best.Value))
	return "p" + hex.EncodeToString(sum[:2])
}
