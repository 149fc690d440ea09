package bridge

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
)

var errLedgerAway = errors.New("connection refused")

// ledger is the real contract in memory behind the interfaces of the chain client. It
// batches what arrives together.
type ledger struct {
	contract *chaincodetest.Ledger
	member   *chaincodetest.Member

	mu         sync.Mutex
	away       bool
	fresh      map[record.ID]int // how often an entry was newly written
	duplicates int
	batches    int
	queue      []*anchoring
	busy       bool
	registered map[evidence.Tag]int
	// onBatch runs before a batch is submitted.
	onBatch func([]evidence.Entry)
}

type anchoring struct {
	entry evidence.Entry
	done  chan struct{}
	r     chainclient.Receipt
	err   error
}

func newLedger(t testing.TB) *ledger {
	t.Helper()
	c := chaincodetest.NewConsortium(t, 4)
	return &ledger{contract: c.Ledger, member: c.Members[0], fresh: map[record.ID]int{}, registered: map[evidence.Tag]int{}}
}

func (l *ledger) setAway(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// counts returns how many records are on the ledger, and how many were written twice.
func (l *ledger) counts() (records, twice int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.fresh {
		records++
		if n > 1 {
			twice++
		}
	}
	return records, twice
}

// Submit implements registrar.
func (l *ledger) Submit(_ context.Context, body evidence.Body) (chainclient.Commit, error) {
	l.mu.Lock()
	away := l.away
	l.mu.Unlock()
	if away {
		return chainclient.Commit{}, errLedgerAway
	}
	_, nonce, err := l.member.Say(body)
	if err != nil {
		return chainclient.Commit{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r, ok := body.(evidence.RegisterPatient); ok {
		l.registered[r.Tag]++
	}
	return chainclient.Commit{Nonce: nonce}, nil
}

// Anchor implements anchorer.
func (l *ledger) Anchor(ctx context.Context, e evidence.Entry) (chainclient.Receipt, error) {
	a := &anchoring{entry: e, done: make(chan struct{})}
	l.mu.Lock()
	l.queue = append(l.queue, a)
	if !l.busy {
		l.busy = true
		go l.drain()
	}
	l.mu.Unlock()
	select {
	case <-a.done:
		return a.r, a.err
	case <-ctx.Done():
		return chainclient.Receipt{}, ctx.Err()
	}
}

func (l *ledger) drain() {
	for {
		l.mu.Lock()
		group := l.queue[:min(len(l.queue), 500)]
		l.queue = l.queue[len(group):]
		if len(group) == 0 {
			l.busy = false
			l.mu.Unlock()
			return
		}
		away := l.away
		l.mu.Unlock()
		for _, a := range group {
			a.err = errLedgerAway
		}
		if !away {
			l.anchor(group)
		}
		for _, a := range group {
			close(a.done)
		}
	}
}

// anchor submits a group; entries that are refused for their own sake are taken out.
func (l *ledger) anchor(group []*anchoring) {
	var entries []evidence.Entry
	for _, a := range group {
		if !slices.ContainsFunc(entries, func(e evidence.Entry) bool { return e.ID == a.entry.ID }) {
			entries = append(entries, a.entry)
		}
	}
	if l.onBatch != nil {
		l.onBatch(entries)
	}
	receipt, err := l.member.Anchor(entries...)
	var refusal *evidence.Refusal
	if errors.As(err, &refusal) && refusal.Code == evidence.CodeConflict && len(entries) > 1 {
		for _, a := range group { // one by one: the poisoned one alone fails
			l.anchor([]*anchoring{a})
		}
		return
	}
	l.note(entries, receipt, err)
	for _, a := range group {
		a.r = chainclient.Receipt{TxID: "tx-" + receipt.Batch.String()[:8], Block: 7, Batch: receipt.Batch,
			Duplicate: slices.Contains(receipt.Duplicates, a.entry.ID)}
		if a.err = err; refusal != nil {
			a.err = &chainclient.PoisonError{ID: a.entry.ID, Refusal: refusal}
		}
	}
}

func (l *ledger) note(entries []evidence.Entry, r evidence.AnchorReceipt, err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.batches++
	for _, e := range entries {
		if slices.Contains(r.Duplicates, e.ID) {
			l.duplicates++
			continue
		}
		l.fresh[record.ID(e.ID)]++
	}
}

// anchorsOf asks the contract what is anchored under a tag.
func (l *ledger) anchorsOf(t testing.TB, c *chaincodetest.Ledger, tag string) []evidence.Anchor {
	t.Helper()
	_, err := hex.DecodeString(tag)
	require.NoError(t, err)
	page, err := chaincodetest.Ask[evidence.Page[evidence.Anchor]](c, evidence.QueryAnchors, tag, fmt.Sprint(evidence.MaxPageSize), "")
	require.NoError(t, err)
	return page.Items
}
