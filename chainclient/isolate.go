package chainclient

import (
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// anchor brings the items to the ledger and answers each. Entries that the contract
// refuses are taken out one by one, by the ids in its refusal or else by halving.
func (a *Anchorer) anchor(items []*item) {
	for len(items) > 0 {
		err := a.attempt(items)
		if err == nil {
			return
		}
		refusal, refused := RefusalOf(err)
		if !refused && !tooLarge(err) {
			answerAll(items, fmt.Errorf("batch of %d entries: %w", len(items), err))
			return
		}
		if refused && !isolates(refusal.Code) {
			answerAll(items, err) // it is about the hospital or the statement
			return
		}
		if len(items) == 1 {
			items[0].done(Receipt{}, alone(items[0], refusal, err))
			return
		}
		poison, rest := split(items, refusal)
		if len(poison) == 0 {
			a.anchor(items[:len(items)/2])
			items = items[len(items)/2:]
			continue
		}
		a.cfg.Logger.Warn("entries are refused, the others of the batch go on", "code", string(refusal.Code), "refused", len(poison), "batch", len(items))
		for _, it := range poison {
			it.done(Receipt{}, &PoisonError{ID: it.entry.ID, Refusal: refusal})
		}
		items = rest
	}
}

// isolates reports refusals that single entries of a batch cause.
func isolates(code evidence.Code) bool {
	switch code {
	case evidence.CodeConflict, evidence.CodeUnauthorized, evidence.CodeMalformed, evidence.CodeLimit:
		return true
	default:
		return false
	}
}

// alone returns the error for an entry that fails in a batch of its own.
func alone(it *item, refusal *evidence.Refusal, err error) error {
	if refusal == nil {
		return err
	}
	return &PoisonError{ID: it.entry.ID, Refusal: refusal}
}

// split parts the items that the refusal names from the rest.
func split(items []*item, refusal *evidence.Refusal) (named, rest []*item) {
	if refusal == nil {
		return nil, items
	}
	ids := make(map[evidence.RecordID]bool, len(refusal.IDs))
	for _, id := range refusal.IDs {
		ids[id] = true
	}
	for _, it := range items {
		if ids[it.entry.ID] {
			named = append(named, it)
		} else {
			rest = append(rest, it)
		}
	}
	return named, rest
}

// attempt submits one batch and answers its items if it is on the ledger.
func (a *Anchorer) attempt(items []*item) error {
	if a.ctx.Err() != nil {
		return ErrClosed
	}
	entries := make([]evidence.Entry, len(items))
	for i, it := range items {
		entries[i] = it.entry
	}
	commit, receipt, err := a.submitter.SubmitBatch(a.ctx, entries)
	if err != nil {
		return err
	}
	before := make(map[evidence.RecordID]bool, len(receipt.Duplicates))
	for _, id := range receipt.Duplicates {
		before[id] = true
	}
	for _, it := range items {
		it.done(Receipt{TxID: commit.TxID, Block: commit.Block, Batch: commit.Nonce, Duplicate: before[it.entry.ID]}, nil)
	}
	return nil
}

func answerAll(items []*item, err error) {
	for _, it := range items {
		it.done(Receipt{}, err)
	}
}

// IsUnknown reports whether the outcome is open: it may take effect yet.
func IsUnknown(err error) bool {
	var u *UnknownError
	return errors.As(err, &u)
}
