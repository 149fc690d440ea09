package chainclient

import (
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// maxUnnamed is after how many unnamed refusals without a single success a batch is given
// up: the fault is then not in the entries.
const maxUnnamed = 8

// isolation brings one batch to the ledger and takes out the entries that are refused.
type isolation struct {
	a        *Anchorer
	anchored int
	unnamed  []refused // entries that were refused alone, without being named
}

type refused struct {
	item *item
	err  error
}

// anchor brings the items to the ledger and answers each. Entries that the contract
// refuses are taken out by the ids in its refusal, or else by halving.
//
// An entry that the contract does not name is called poison only if others of its batch
// went in: a contract that refuses everything has another quarrel than with the records.
func (a *Anchorer) anchor(items []*item) {
	s := &isolation{a: a}
	s.run(items)
	for _, u := range s.unnamed {
		if r, ok := RefusalOf(u.err); ok && s.anchored > 0 {
			u.item.done(Receipt{}, &PoisonError{ID: u.item.entry.ID, Refusal: r})
		} else {
			u.item.done(Receipt{}, u.err)
		}
	}
}

func (s *isolation) run(items []*item) {
	for len(items) > 0 {
		if s.anchored == 0 && len(s.unnamed) >= maxUnnamed {
			answerAll(items, s.unnamed[0].err)
			return
		}
		err := s.a.attempt(items)
		if err == nil {
			s.anchored += len(items)
			return
		}
		refusal, isRefusal := RefusalOf(err)
		if (isRefusal && !isolates(refusal)) || (!isRefusal && !tooLarge(err)) {
			answerAll(items, fmt.Errorf("batch of %d entries: %w", len(items), err)) // it is about the hospital, the statement or the network
			return
		}
		poison, rest := split(items, refusal)
		switch {
		case len(poison) > 0:
			s.a.cfg.Logger.Warn("entries are refused, the others of the batch go on", "code", string(refusal.Code), "refused", len(poison), "batch", len(items))
			for _, it := range poison {
				it.done(Receipt{}, &PoisonError{ID: it.entry.ID, Refusal: refusal})
			}
			items = rest
		case len(items) == 1:
			s.unnamed = append(s.unnamed, refused{items[0], err})
			return
		default:
			s.run(items[:len(items)/2])
			items = items[len(items)/2:]
		}
	}
}

// isolates reports refusals that single entries of a batch cause.
func isolates(r *evidence.Refusal) bool {
	switch r.Code {
	case evidence.CodeConflict, evidence.CodeMalformed, evidence.CodeLimit:
		return true
	case evidence.CodeUnauthorized:
		return len(r.IDs) > 0 // else the hospital itself is meant
	default:
		return false
	}
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
