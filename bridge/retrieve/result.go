package retrieve

import (
	"errors"
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
)

// Check names what a record failed. The empty value means that it passed all.
type Check string

// Checks of a record, in the order in which they are made.
const (
	CheckAbsent     Check = "absent"          // the owner did not send it; see Record.Absent
	CheckCiphertext Check = "ciphertext-hash" // it is not the ciphertext that was anchored
	CheckHeader     Check = "header"          // id, hospital or tag of the sealed header differ from the anchor
	CheckGrant      Check = "grant"           // no key grant, or one for something else
	CheckDecrypt    Check = "decrypt"         // the ciphertext does not open with the key
	CheckRecord     Check = "record"          // the content is no canonical record, or another hospital's
	CheckRecordID   Check = "record-id"       // the id does not follow from the content
	CheckSignature  Check = "signature"       // the owner's signature does not cover this content
	CheckDelivery   Check = "delivery"        // the key grants are not those on the ledger
)

// Record is one record with its verdict. It holds patient data and redacts itself.
type Record struct {
	ID      evidence.RecordID
	Owner   string
	Verdict evidence.Verdict
	Check   Check  // what it failed
	Absent  string // why it is absent, as the owner says
	// The rest is set for a genuine record alone. Size is the length of its payload in bytes,
	// which Record lacks if the query was Bare.
	Kind   string
	Size   int64
	Record *record.Record
	Proof  *Proof
}

// Proof is what proved a genuine record, for whoever keeps it.
type Proof struct {
	EMR, Cipher evidence.Digest // h(EMR) and h(EMR_en), SM3
	Signature   []byte          // the owner's, SM2 with SM3, DER
	Signed      []byte          // the bytes that it covers: evidence.SealStatement.SigningBytes
	SealedAt    time.Time
	Tag         evidence.Tag // under which it is anchored
}

// LogValue implements slog.LogValuer with what may be logged of a record.
func (r Record) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", r.ID.String()), slog.String("owner", r.Owner),
		slog.String("verdict", string(r.Verdict)), slog.String("check", string(r.Check)), slog.String("absent", r.Absent))
}

// Timings tell where the time of a retrieval went.
type Timings struct {
	Lookup   time.Duration `json:"lookup"`   // anchors and members read from the ledger
	Request  time.Duration `json:"request"`  // RequestAccess committed
	Decision time.Duration `json:"decision"` // until the owner's stream began: DecideAccess committed
	Transfer time.Duration `json:"transfer"` // ciphertexts received
	Delivery time.Duration `json:"delivery"` // until the key grants came: Deliver committed
	Open     time.Duration `json:"open"`     // every check and decryption
	Confirm  time.Duration `json:"confirm"`  // Confirm committed
	Total    time.Duration `json:"total"`
}

// Consensus is the time spent waiting for commits, nearly: the owner's two commits are
// seen from outside, with the owner's own work in them.
func (t Timings) Consensus() time.Duration { return t.Request + t.Decision + t.Delivery + t.Confirm }

// Delivery is what one access request brought.
type Delivery struct {
	Owner   string
	Request evidence.Nonce // id of the access request, zero if it could not be committed
	Verdict evidence.Verdict
	// Confirmed is true once the verdict is on the ledger.
	Confirmed bool
	Records   []Record
	Timings   Timings
	// Err says why nothing, or not all, was delivered: *DeniedError, *RefusedError, or an
	// error that wraps ErrTransfer, ErrUntrusted or comes from the ledger.
	Err error
}

// Result is what a retrieval brought, one delivery for each access request.
type Result struct {
	Deliveries []Delivery
	Timings    Timings // Lookup and Total of the whole; the steps are those of the slowest delivery
}

// Records returns the records of all deliveries.
func (r Result) Records() []Record {
	var out []Record
	for _, d := range r.Deliveries {
		out = append(out, d.Records...)
	}
	return out
}

// err joins the errors of the deliveries, if every one failed.
func (r Result) err() error {
	var all []error
	for _, d := range r.Deliveries {
		if d.Err == nil {
			return nil
		}
		all = append(all, d.Err)
	}
	return errors.Join(all...)
}
