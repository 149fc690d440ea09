package recordstore

import (
	"fmt"
	"math"
	"unicode"
	"unicode/utf8"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
)

// Validate reports what keeps a draft out of every store. Implementations call it before
// anything else, so that they all refuse the same.
func (d Draft) Validate() error {
	switch {
	case d.ID.IsZero():
		return fmt.Errorf("%w: no record id", ErrInvalid)
	case d.Tag.IsZero():
		return fmt.Errorf("%w: record %s has no tag", ErrInvalid, d.ID)
	case d.Kind == "" || len(d.Kind) > MaxKind || !plain(d.Kind):
		return fmt.Errorf("%w: record %s: kind must be 1 to %d bytes of text", ErrInvalid, d.ID, MaxKind)
	case d.Epoch == 0:
		return fmt.Errorf("%w: record %s has no key epoch", ErrInvalid, d.ID)
	case d.SealedAt <= 0:
		return fmt.Errorf("%w: record %s has no time of sealing", ErrInvalid, d.ID)
	}
	return nil
}

// Check validates a draft together with its bytes: size from 1 to maxRecord, and the digest.
func (s Sealed) Check(maxRecord int64) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if len(s.Data) == 0 {
		return fmt.Errorf("%w: record %s is empty", ErrInvalid, s.ID)
	}
	if int64(len(s.Data)) > maxRecord {
		return fmt.Errorf("%w: record %s has %d bytes, the limit is %d", ErrTooLarge, s.ID, len(s.Data), maxRecord)
	}
	if !evidence.Digest(sm3.Sum(s.Data)).Equal(s.CipherHash) {
		return fmt.Errorf("%w: record %s", ErrMismatch, s.ID)
	}
	return nil
}

// CheckGroup validates the group of a PutAll.
func CheckGroup(group []Sealed, maxRecord int64) error {
	if len(group) > MaxGroup {
		return fmt.Errorf("%w: group of %d records, the limit is %d", ErrTooLarge, len(group), MaxGroup)
	}
	total := 0
	for _, s := range group {
		if total += len(s.Data); total > MaxGroupBytes {
			return fmt.Errorf("%w: group of more than %d bytes", ErrTooLarge, MaxGroupBytes)
		}
		if err := s.Check(maxRecord); err != nil {
			return err
		}
	}
	return nil
}

// CheckPage validates the arguments of a listing.
func CheckPage(after uint64, limit int) error {
	if limit < 1 || limit > MaxPage {
		return fmt.Errorf("%w: a page has 1 to %d records, not %d", ErrInvalid, MaxPage, limit)
	}
	if after > math.MaxInt64 {
		return fmt.Errorf("%w: sequence number out of range", ErrInvalid)
	}
	return nil
}

// CheckMark validates the arguments of MarkAnchored.
func CheckMark(ids []record.ID, ref AnchorRef) error {
	switch {
	case len(ids) > MaxGroup:
		return fmt.Errorf("%w: %d ids to mark, the limit is %d", ErrTooLarge, len(ids), MaxGroup)
	case ref.TxID == "" || len(ref.TxID) > MaxTxID || !plain(ref.TxID):
		return fmt.Errorf("%w: anchor needs a transaction id of 1 to %d bytes", ErrInvalid, MaxTxID)
	case ref.Block > math.MaxInt64:
		return fmt.Errorf("%w: block number out of range", ErrInvalid)
	}
	return nil
}

// plain reports valid UTF-8 without control characters.
func plain(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}
