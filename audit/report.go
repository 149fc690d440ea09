package audit

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/emrbridge/emrbridge/internal/table"
)

// Status is the outcome of a check.
type Status string

// Outcomes.
const (
	OK         Status = "ok"
	Failed     Status = "failed"
	NotChecked Status = "not-checked"
)

// Reason is the code of why a check failed or was not made.
type Reason string

// Reasons of failures.
const (
	CiphertextDiffers  Reason = "ciphertext-differs"   // not the bytes that were anchored
	HeaderMalformed    Reason = "header-malformed"     // no sealed record
	HeaderDiffers      Reason = "header-differs"       // id or tag of the header are not those of the store
	LengthDiffers      Reason = "length-differs"       // cut, or longer than the header announces
	NotInStore         Reason = "not-in-store"         // anchored, but the store lacks it
	NotAnchored        Reason = "not-anchored"         // stored, but not on the ledger under its tag
	OtherHospital      Reason = "other-hospital"       // number and MSP do not belong together
	AnchoredTwice      Reason = "anchored-twice"       // the ledger has it more than once
	PointerDiffers     Reason = "pointer-differs"      // the ledger points to another place in the store
	DoesNotOpen        Reason = "does-not-open"        // the key does not open the ciphertext
	RecordMalformed    Reason = "record-malformed"     // the content is no canonical record of this id
	RecordIDDiffers    Reason = "record-id-differs"    // the id does not follow from the content
	SignatureBad       Reason = "signature-bad"        // does not verify under the registered certificate
	MemberUntrusted    Reason = "member-untrusted"     // the hospital's registration does not verify
	RootDiffers        Reason = "root-differs"         // the write set does not have the signed root
	BatchMalformed     Reason = "batch-malformed"      // a batch header or anchor cannot be read
	BatchFailed        Reason = "batch-failed"         // the batch that brought it failed
	NotInBatch         Reason = "not-in-a-batch"       // anchored, but no block brought it
	ProvidersDisagree  Reason = "providers-disagree"   // the two libraries differ
	DigestUncorrelated Reason = "digest-not-confirmed" // the signature that should cover the digest is bad
)

// Reasons why a check was not made on purpose.
const (
	NoKeys   Reason = "no-keys"   // no custody was given
	NoStore  Reason = "no-store"  // a single record was given
	NoBlocks Reason = "no-blocks" // no blocks were given
	Erased   Reason = "erased"    // its key was destroyed, which is on the ledger
	Pending  Reason = "pending"   // stored a short while ago, not anchored yet
	Later    Reason = "later"     // anchored after the walk over the ledger
	Before   Reason = "see-other" // another check has failed that this one needs
)

// Reasons why a check could not be made.
const (
	LedgerUnavailable Reason = "ledger-unavailable"
	StoreUnavailable  Reason = "store-unavailable"
	NoKey             Reason = "no-key"           // custody has no key for it
	Duplicates        Reason = "batch-duplicates" // the batch names records anchored earlier that are not at hand
	BatchUnchecked    Reason = "batch-unchecked"  // the batch that brought it could not be checked
	MemberUnknown     Reason = "member-unknown"   // the hospital is not registered
)

var impediments = map[Reason]bool{
	LedgerUnavailable: true, StoreUnavailable: true, NoKey: true, Duplicates: true, BatchUnchecked: true, MemberUnknown: true,
}

// Check is the outcome of one check with its reason.
type Check struct {
	Status Status `json:"status"`
	Reason Reason `json:"reason,omitempty"`
}

var passed = Check{Status: OK}

func failed(r Reason) Check  { return Check{Status: Failed, Reason: r} }
func skipped(r Reason) Check { return Check{Status: NotChecked, Reason: r} }

// Checks are all checks of one record.
type Checks struct {
	Ciphertext Check `json:"ciphertext"` // bytes against the anchored hash, and their clear header
	Anchor     Check `json:"anchor"`     // on the ledger, once, under the tag of the header, by its hospital
	Pointer    Check `json:"pointer"`    // the ledger points to where the store has it
	Batch      Check `json:"batch"`      // signed batch header and Merkle root over the write set
	Signature  Check `json:"signature"`  // the hospital's signature over the seal statement
	Digest     Check `json:"digest"`     // h(EMR) is what the signature covers; the id follows from the content
}

func (c *Checks) all() []*Check {
	return []*Check{&c.Ciphertext, &c.Anchor, &c.Pointer, &c.Batch, &c.Signature, &c.Digest}
}

// Outcome sums up checks.
type Outcome string

// Outcomes of a record or of a whole verification.
const (
	AllOK      Outcome = "ok"         // every check that was asked for passed
	AnyFailed  Outcome = "failed"     // at least one check failed
	Incomplete Outcome = "incomplete" // none failed, but some could not be made
)

// ExitStatus is the process status for an outcome: 0, 1 or 2.
func (o Outcome) ExitStatus() int {
	switch o {
	case AllOK:
		return 0
	case AnyFailed:
		return 1
	}
	return 2
}

// RecordReport is what was found about one record. Its JSON form is stable.
type RecordReport struct {
	ID     string `json:"id"`
	Checks Checks `json:"checks"`
}

// Outcome sums up the record's checks.
func (r RecordReport) Outcome() Outcome {
	out := AllOK
	for _, c := range r.Checks.all() {
		if c.Status == Failed {
			return AnyFailed
		}
		if c.Status == NotChecked && impediments[c.Reason] {
			out = Incomplete
		}
	}
	return out
}

// Tally counts outcomes.
type Tally struct {
	Total      int64 `json:"total"`
	OK         int64 `json:"ok"`
	Failed     int64 `json:"failed"`
	Incomplete int64 `json:"incomplete"`
}

func (t *Tally) add(o Outcome) {
	t.Total++
	switch o {
	case AllOK:
		t.OK++
	case AnyFailed:
		t.Failed++
	case Incomplete:
		t.Incomplete++
	}
}

// Report is the outcome of a verification. Its JSON form is stable.
type Report struct {
	Outcome   Outcome  `json:"outcome"`
	Hospital  uint16   `json:"hospital,omitempty"` // whose records were looked for on the ledger
	Providers []string `json:"providers"`
	WithKeys  bool     `json:"with_keys"`
	Blocks    uint64   `json:"blocks"` // walked
	Records   Tally    `json:"records"`
	Batches   Tally    `json:"batches"`
	// Of the failed records: stored but not on the ledger, on the ledger but not stored,
	// and on the ledger more than once.
	MissingOnLedger int64 `json:"missing_on_ledger"`
	MissingInStore  int64 `json:"missing_in_store"`
	Doubled         int64 `json:"doubled"`
	// Found lists the records whose outcome is not ok, the first MaxFound of them; for a
	// single record, the record in any case.
	Found []RecordReport `json:"found"`
}

// MaxFound bounds Report.Found.
const MaxFound = 1000

func (r *Report) add(rec RecordReport) {
	o := rec.Outcome()
	r.Records.add(o)
	if o != AllOK && len(r.Found) < MaxFound {
		r.Found = append(r.Found, rec)
	}
	switch {
	case rec.Checks.Anchor.Reason == NotAnchored:
		r.MissingOnLedger++
	case rec.Checks.Ciphertext.Reason == NotInStore:
		r.MissingInStore++
	}
	if rec.Checks.Anchor.Reason == AnchoredTwice {
		r.Doubled++
	}
}

// finish sets the outcome of the whole.
func (r *Report) finish() {
	r.Outcome = AllOK
	if r.Records.Incomplete+r.Batches.Incomplete > 0 {
		r.Outcome = Incomplete
	}
	if r.Records.Failed+r.Batches.Failed > 0 {
		r.Outcome = AnyFailed
	}
	if r.Found == nil {
		r.Found = []RecordReport{}
	}
}

// WriteJSON writes the report as one indented JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable writes the report for people: the records that are not ok, and the totals.
func (r Report) WriteTable(w io.Writer) error {
	if len(r.Found) > 0 {
		rows := make([][]any, len(r.Found))
		for i, rec := range r.Found {
			rows[i] = []any{rec.ID}
			for _, c := range rec.Checks.all() {
				rows[i] = append(rows[i], c.String())
			}
		}
		if err := table.Write(w, []string{"record", "ciphertext", "anchor", "pointer", "batch", "signature", "digest"}, rows); err != nil {
			return err
		}
	}
	err := table.Write(w, []string{"", "total", "ok", "failed", "not checkable"}, [][]any{
		{"records", r.Records.Total, r.Records.OK, r.Records.Failed, r.Records.Incomplete},
		{"batches", r.Batches.Total, r.Batches.OK, r.Batches.Failed, r.Batches.Incomplete},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "missing on the ledger %d, missing in the store %d, doubled %d; providers %v; with keys: %t; verdict: %s\n",
		r.MissingOnLedger, r.MissingInStore, r.Doubled, r.Providers, r.WithKeys, r.Outcome)
	return err
}

// String is the check in a table.
func (c Check) String() string {
	if c.Status == OK {
		return string(OK)
	}
	return fmt.Sprintf("%s: %s", c.Status, c.Reason)
}
