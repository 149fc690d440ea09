package seal

import (
	"encoding/binary"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/patientindex"
)

// Stored is the body of emr.stored: T_M of the record, the digest of its patient's T_R, so
// that whoever anchors can register the patient first without knowing who it is, and the
// links of tags that follow from the record, which the ledger is told before the record.
//
// Encoded: version 1 ‖ digest of T_R (32 bytes, zero if not known) ‖ canonical entry, or with
// links: version 2 ‖ digest ‖ number of links (1 byte) ‖ links ‖ entry. A link is from (16) ‖ to (16) ‖ order
// (8, big-endian) ‖ 1 if it ends, else 0.
type Stored struct {
	Entry        evidence.Entry
	Registration evidence.Digest
	Links        []patientindex.Link
}

const (
	storedVersion = 1
	linkedVersion = 2
	linkSize      = 2*evidence.TagSize + 8 + 1
	// maxLinks is how many links one record may bring.
	maxLinks = 255
)

// Encode returns the bytes that travel. Links beyond 255 cannot come from one record.
func (s Stored) Encode() []byte {
	b := append([]byte{storedVersion}, s.Registration[:]...)
	if n := min(len(s.Links), maxLinks); n > 0 {
		b[0] = linkedVersion
		b = append(b, byte(n))
		for _, l := range s.Links[:n] {
			b = append(append(b, l.From[:]...), l.To[:]...)
			b = binary.BigEndian.AppendUint64(b, l.Order)
			if l.Undo {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
	}
	return s.Entry.Append(b)
}

// ParseStored reads what Encode wrote and refuses anything else with an error wrapping
// evidence.ErrMalformed.
func ParseStored(b []byte) (Stored, error) {
	malformed := func(what string) (Stored, error) {
		return Stored{}, fmt.Errorf("%w: body of emr.stored: %s", evidence.ErrMalformed, what)
	}
	if len(b) < 33 || b[0] != storedVersion && b[0] != linkedVersion {
		return malformed("version or length")
	}
	s := Stored{Registration: evidence.Digest(b[1:33])}
	rest := b[33:]
	if b[0] == linkedVersion {
		var ok bool
		if s.Links, rest, ok = parseLinks(rest); !ok {
			return malformed("links")
		}
	}
	entries, err := evidence.DecodeEntries(rest)
	if err != nil {
		return Stored{}, err
	}
	if len(entries) != 1 {
		return malformed(fmt.Sprintf("%d entries", len(entries)))
	}
	s.Entry = entries[0]
	return s, nil
}

func parseLinks(b []byte) (links []patientindex.Link, rest []byte, ok bool) {
	if len(b) == 0 || b[0] == 0 || len(b) < 1+int(b[0])*linkSize {
		return nil, nil, false
	}
	n := int(b[0])
	for b = b[1:]; n > 0; n-- {
		if b[linkSize-1] > 1 {
			return nil, nil, false
		}
		links = append(links, patientindex.Link{From: evidence.Tag(b[:16]), To: evidence.Tag(b[16:32]),
			Order: binary.BigEndian.Uint64(b[32:40]), Undo: b[linkSize-1] == 1})
		b = b[linkSize:]
	}
	return links, b, true
}
