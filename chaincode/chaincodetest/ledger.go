// Package chaincodetest runs the contract without Fabric: a ledger in memory that keeps
// the rules of a peer which a contract can get wrong, and a consortium of members with
// real SM2 keys. Tests of other packages drive the real contract with it.
//
// The ledger keeps these rules. A transaction reads the state before it and never its own
// writes. What it read must be unchanged when it commits, or it is marked invalid (MVCC).
// Two endorsers, each with a contract of its own, must produce the same bytes. A query with
// pages excludes writes. Writing an empty value deletes the key.
package chaincodetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"google.golang.org/protobuf/proto"

	"github.com/emrbridge/emrbridge/chaincode"
	"github.com/emrbridge/emrbridge/evidence"
)

// ErrMVCC reports a transaction that committed as invalid, because something that it had
// read was changed in between. Fabric clients see MVCC_READ_CONFLICT.
var ErrMVCC = errors.New("chaincodetest: MVCC_READ_CONFLICT")

// Call is one proposal.
type Call struct {
	MSP       string // organisation of the submitter
	Unit      string // organisational unit in its certificate; "" means client
	Function  string
	Args      [][]byte
	Transient map[string][]byte
	At        time.Time // timestamp of the transaction; zero means the ledger's clock
}

// Endorsement is a simulated proposal, ready to commit.
type Endorsement struct {
	TxID    string
	Call    Call
	Payload []byte
	// EventName and Event are what the contract set; "" and nil if nothing.
	EventName string
	Event     []byte
	// Set is what the transaction read and wrote, sorted by key as Fabric sorts it.
	Set *kvrwset.KVRWSet
}

// Tx is a transaction in a block.
type Tx struct {
	Endorsement
	Block uint64
	Index int
	Valid bool
}

type version struct{ block, index uint64 }

type held struct {
	value   []byte
	version version
}

// Ledger is one channel with the contract deployed. It is safe for concurrent use.
type Ledger struct {
	mu        sync.Mutex
	endorsers [2]shim.Chaincode
	state     map[string]held
	keys      []string // sorted
	blocks    [][]Tx
	calls     uint64
	clock     func() time.Time
	creators  map[string][]byte
}

// NewLedger returns an empty ledger whose clock is time.Now.
func NewLedger() *Ledger {
	return &Ledger{
		endorsers: [2]shim.Chaincode{&chaincode.Contract{}, &chaincode.Contract{}},
		state:     map[string]held{}, creators: map[string][]byte{},
		clock: time.Now, //nolint:forbidigo // stands for the clocks of the clients
	}
}

// SetClock sets what gives transactions their timestamp.
func (l *Ledger) SetClock(clock func() time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clock = clock
}

// Now returns the time of the ledger's clock.
func (l *Ledger) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clock()
}

// Submit endorses and commits one transaction in a block of its own. A refusal by the
// contract comes back as *evidence.Refusal.
func (l *Ledger) Submit(msp, function string, args [][]byte, transient map[string][]byte) (payload []byte, txID string, err error) {
	e, err := l.Endorse(Call{MSP: msp, Function: function, Args: args, Transient: transient})
	if err != nil {
		return nil, "", err
	}
	if tx := l.Commit(e)[0]; !tx.Valid {
		return nil, tx.TxID, ErrMVCC
	}
	return e.Payload, e.TxID, nil
}

// Query evaluates a function without committing.
func (l *Ledger) Query(msp, function string, args ...string) ([]byte, error) {
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	e, err := l.Endorse(Call{MSP: msp, Function: function, Args: raw})
	if err != nil {
		return nil, err
	}
	return e.Payload, nil
}

// Endorse simulates a proposal on two endorsers against the committed state.
func (l *Ledger) Endorse(c Call) (*Endorsement, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.At.IsZero() {
		c.At = l.clock()
	}
	creator, err := l.creator(c.MSP, c.Unit)
	if err != nil {
		return nil, err
	}
	l.calls++
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], l.calls)
	id := sha256.Sum256(seed[:])
	var results [2]*Endorsement
	for i, endorser := range l.endorsers {
		if results[i], err = l.simulate(endorser, hex.EncodeToString(id[:]), creator, c); err != nil {
			return nil, err
		}
	}
	if err := same(results[0], results[1]); err != nil {
		return nil, err
	}
	return results[0], nil
}

func (l *Ledger) simulate(endorser shim.Chaincode, txID string, creator []byte, c Call) (*Endorsement, error) {
	stub := &stub{ledger: l, txID: txID, creator: creator, call: c, writes: map[string][]byte{}, reads: map[string]*version{}}
	response := endorser.Invoke(stub)
	if response.GetStatus() >= shim.ERRORTHRESHOLD {
		if refusal, ok := evidence.ParseRefusal(response.GetMessage()); ok {
			return nil, refusal
		}
		return nil, fmt.Errorf("chaincodetest: the contract failed: %s", response.GetMessage())
	}
	return &Endorsement{
		TxID: txID, Call: c, Payload: response.GetPayload(), EventName: stub.eventName, Event: stub.event, Set: stub.set(),
	}, nil
}

// same is the comparison of endorsements that a gateway makes.
func same(a, b *Endorsement) error {
	x, errX := proto.MarshalOptions{Deterministic: true}.Marshal(a.Set)
	y, errY := proto.MarshalOptions{Deterministic: true}.Marshal(b.Set)
	if err := errors.Join(errX, errY); err != nil {
		return fmt.Errorf("chaincodetest: read-write set: %w", err)
	}
	if !bytes.Equal(x, y) || !bytes.Equal(a.Payload, b.Payload) || a.EventName != b.EventName || !bytes.Equal(a.Event, b.Event) {
		return errors.New("chaincodetest: two endorsers disagree: the contract is not deterministic")
	}
	return nil
}

// Commit puts endorsed transactions into one block, in the order given, and marks those
// whose reads are outdated as invalid.
func (l *Ledger) Commit(endorsed ...*Endorsement) []Tx {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := uint64(len(l.blocks)) + 1
	block := make([]Tx, len(endorsed))
	for i, e := range endorsed {
		block[i] = Tx{Endorsement: *e, Block: number, Index: i, Valid: l.current(e.Set)}
		if !block[i].Valid {
			continue
		}
		for _, w := range e.Set.GetWrites() {
			l.apply(w, version{number, uint64(i)})
		}
	}
	l.blocks = append(l.blocks, block)
	return block
}

func (l *Ledger) current(set *kvrwset.KVRWSet) bool {
	for _, r := range set.GetReads() {
		h, ok := l.state[r.GetKey()]
		v := r.GetVersion()
		if ok != (v != nil) || ok && (v.GetBlockNum() != h.version.block || v.GetTxNum() != h.version.index) {
			return false
		}
	}
	return true
}

func (l *Ledger) apply(w *kvrwset.KVWrite, v version) {
	at, ok := slices.BinarySearch(l.keys, w.GetKey())
	switch {
	case w.GetIsDelete() && ok:
		l.keys = slices.Delete(l.keys, at, at+1)
		delete(l.state, w.GetKey())
	case w.GetIsDelete():
	default:
		if !ok {
			l.keys = slices.Insert(l.keys, at, w.GetKey())
		}
		l.state[w.GetKey()] = held{value: w.GetValue(), version: v}
	}
}

// Blocks returns the blocks committed so far. The first has number 1.
func (l *Ledger) Blocks() [][]Tx {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.blocks)
}

// State returns the committed value of a key, nil if there is none.
func (l *Ledger) State(key string) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.state[key].value)
}

// Keys returns the keys of the committed state in order.
func (l *Ledger) Keys() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.keys)
}

// Tamper overwrites a value behind the contract's back, as a dishonest peer does with its
// own copy of the state. A nil value removes the key.
func (l *Ledger) Tamper(key string, value []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.apply(&kvrwset.KVWrite{Key: key, Value: value, IsDelete: len(value) == 0}, version{})
}
