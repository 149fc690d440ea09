package chainclient

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/emrbridge/emrbridge/evidence"
)

// fakeLedger is a channel in memory: a contract that knows nonces and anchors, orderers
// that cut a block for each transaction, and validation of what was read at endorsement.
type fakeLedger struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at each block
	blocks  []*common.Block
	nonces  map[evidence.Nonce]string // → transaction
	records map[evidence.RecordID]evidence.Entry
	txs     map[string]*fakeTx
	fates   map[string]outcome
	serial  int
	delay   time.Duration // from hand-over to block
	// spoil, if set, changes the code of a transaction that would be valid.
	spoil func(tx *fakeTx) peer.TxValidationCode
	// poison, if set, refuses batches by an entry without naming it.
	poison func(evidence.Entry) bool
}

type fakeTx struct {
	id      string
	nonce   evidence.Nonce
	kind    evidence.Kind
	args    [][]byte
	entries []evidence.Entry
	reads   map[evidence.RecordID]bool // record → was there
	orgs    []string
}

func newFakeLedger() *fakeLedger {
	l := &fakeLedger{changed: make(chan struct{}), nonces: map[evidence.Nonce]string{}, delay: 50 * time.Millisecond,
		records: map[evidence.RecordID]evidence.Entry{}, txs: map[string]*fakeTx{}, fates: map[string]outcome{}}
	l.cut(nil, peer.TxValidationCode_VALID)
	return l
}

// simulate runs the contract on the present state.
func (l *fakeLedger) simulate(p proposal) (*fakeTx, []byte, *evidence.Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	signed, st, err := evidence.ParseSigned(p.args[0])
	if err != nil || len(signed.Signature) == 0 {
		return nil, nil, &evidence.Refusal{Code: evidence.CodeMalformed, Message: "statement"}
	}
	if _, used := l.nonces[st.Nonce]; used {
		return nil, nil, &evidence.Refusal{Code: evidence.CodeReplayed, Message: "nonce"}
	}
	l.serial++
	tx := &fakeTx{id: fmt.Sprintf("%064x", l.serial), nonce: st.Nonce, kind: st.Kind, args: p.args, reads: map[evidence.RecordID]bool{}, orgs: p.orgs}
	var result []byte
	if st.Kind == evidence.KindAnchorBatch {
		receipt, refusal := l.simulateBatch(tx, st, p.transient[evidence.TransientEntries])
		if refusal != nil {
			return nil, nil, refusal
		}
		result, _ = json.Marshal(receipt)
	}
	l.txs[tx.id] = tx
	return tx, result, nil
}

func (l *fakeLedger) simulateBatch(tx *fakeTx, st evidence.Statement, raw []byte) (evidence.AnchorReceipt, *evidence.Refusal) {
	receipt := evidence.AnchorReceipt{Batch: st.Nonce}
	var header evidence.AnchorBatch
	entries, err := evidence.DecodeEntries(raw)
	if err != nil || st.DecodeBody(&header) != nil || !evidence.BatchRoot(entries).Equal(header.Root) {
		return receipt, &evidence.Refusal{Code: evidence.CodeMalformed, Message: "batch"}
	}
	refusal := &evidence.Refusal{Code: evidence.CodeConflict, Message: "taken"}
	for _, e := range entries {
		held, known := l.records[e.ID]
		tx.reads[e.ID] = known
		switch {
		case l.poison != nil && l.poison(e):
			return receipt, &evidence.Refusal{Code: evidence.CodeMalformed, Message: "one of the entries"}
		case !known:
			tx.entries = append(tx.entries, e)
			receipt.Anchored++
		case held.Equal(e):
			receipt.Duplicates = append(receipt.Duplicates, e.ID)
		default:
			refusal.IDs = append(refusal.IDs, e.ID)
		}
	}
	if len(refusal.IDs) > 0 {
		return receipt, refusal
	}
	return receipt, nil
}

// order takes a transaction in: its block follows after the delay.
func (l *fakeLedger) order(txID string) {
	time.AfterFunc(l.delay, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		tx := l.txs[txID]
		code := l.validate(tx)
		if code == peer.TxValidationCode_VALID {
			l.nonces[tx.nonce] = tx.id
			for _, e := range tx.entries {
				l.records[e.ID] = e
			}
		}
		l.cut(tx, code)
		if _, seen := l.fates[txID]; !seen {
			l.fates[txID] = outcome{code: code, block: uint64(len(l.blocks) - 1)}
		}
	})
}

func (l *fakeLedger) validate(tx *fakeTx) peer.TxValidationCode {
	if _, seen := l.fates[tx.id]; seen {
		return peer.TxValidationCode_DUPLICATE_TXID
	}
	if l.spoil != nil {
		if code := l.spoil(tx); code != peer.TxValidationCode_VALID {
			return code
		}
	}
	if _, used := l.nonces[tx.nonce]; used {
		return peer.TxValidationCode_MVCC_READ_CONFLICT
	}
	for id, was := range tx.reads {
		if _, is := l.records[id]; is != was {
			return peer.TxValidationCode_MVCC_READ_CONFLICT
		}
	}
	return peer.TxValidationCode_VALID
}

// cut appends a block with tx and a transaction of another contract.
func (l *fakeLedger) cut(tx *fakeTx, code peer.TxValidationCode) {
	var data [][]byte
	var flags []byte
	if tx != nil {
		data, flags = append(data, envelopeOf(tx)), append(flags, byte(code))
	}
	other := &fakeTx{id: fmt.Sprintf("other-%d", len(l.blocks))}
	data, flags = append(data, envelopeOf(other)), append(flags, byte(peer.TxValidationCode_VALID))
	var previous []byte
	if n := len(l.blocks); n > 0 {
		sum, _ := headerHash(l.blocks[n-1].GetHeader())
		previous = sum[:]
	}
	l.blocks = append(l.blocks, newBlock(uint64(len(l.blocks)), previous, data, flags))
	close(l.changed)
	l.changed = make(chan struct{})
}

func newBlock(number uint64, previous []byte, data [][]byte, flags []byte) *common.Block {
	sum := sha256.New()
	for _, d := range data {
		sum.Write(d)
	}
	return &common.Block{
		Header:   &common.BlockHeader{Number: number, PreviousHash: previous, DataHash: sum.Sum(nil)},
		Data:     &common.BlockData{Data: data},
		Metadata: &common.BlockMetadata{Metadata: [][]byte{nil, nil, flags, nil, nil}},
	}
}

func must(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// envelopeOf builds the envelope of a transaction as it stands in a block.
func envelopeOf(tx *fakeTx) []byte {
	contract := evidence.ContractName
	if tx.args == nil {
		contract = "other"
	}
	ev, _ := json.Marshal(evidence.Event{Kind: tx.kind, Actor: "H1MSP", ID: tx.nonce, Count: uint32(len(tx.entries))})
	kv := &kvrwset.KVRWSet{}
	for _, e := range tx.entries {
		kv.Writes = append(kv.Writes, &kvrwset.KVWrite{Key: "m" + e.ID.String(), Value: e.CipherHash[:]})
	}
	receipt, _ := json.Marshal(evidence.AnchorReceipt{Batch: tx.nonce, Anchored: uint32(len(tx.entries))})
	result := &peer.ChaincodeAction{
		Response: &peer.Response{Status: 200, Payload: receipt},
		Results:  must(&rwset.TxReadWriteSet{NsRwset: []*rwset.NsReadWriteSet{{Namespace: contract, Rwset: must(kv)}}}),
		Events:   must(&peer.ChaincodeEvent{TxId: tx.id, EventName: evidence.EventChanged, Payload: ev}), ChaincodeId: &peer.ChaincodeID{Name: contract},
	}
	spec := &peer.ChaincodeInvocationSpec{ChaincodeSpec: &peer.ChaincodeSpec{Input: &peer.ChaincodeInput{Args: append([][]byte{[]byte("fn")}, tx.args...)}}}
	action := &peer.ChaincodeActionPayload{
		ChaincodeProposalPayload: must(&peer.ChaincodeProposalPayload{Input: must(spec)}),
		Action:                   &peer.ChaincodeEndorsedAction{ProposalResponsePayload: must(&peer.ProposalResponsePayload{Extension: must(result)})},
	}
	return must(&common.Envelope{Payload: must(&common.Payload{
		Header: &common.Header{
			ChannelHeader: must(&common.ChannelHeader{Type: int32(common.HeaderType_ENDORSER_TRANSACTION), TxId: tx.id,
				Timestamp: timestamppb.New(time.Unix(1_800_000_000, 0))}),
			SignatureHeader: must(&common.SignatureHeader{Creator: must(&msp.SerializedIdentity{Mspid: "H1MSP"})}),
		},
		Data: must(&peer.Transaction{Actions: []*peer.TransactionAction{{Payload: must(action)}}}),
	})})
}

// fakeLink is a gateway peer of a fake ledger with faults to order.
type fakeLink struct {
	ledger *fakeLedger
	org    string

	mu         sync.Mutex
	down       bool // nothing answers, streams break
	noStream   bool
	hung       chan struct{} // if set, nothing answers until it is closed or the caller gives up
	endorses   int
	asks       int
	evaluates  int
	onEndorse  func(p proposal) error
	onSubmit   func(txID string) (lost bool, err error) // lost: the orderers do not get it
	onEvaluate func(function string) ([]byte, error)
	breakers   map[int]context.CancelFunc
}

var errDown = status.Error(codes.Unavailable, "connection refused")

func (f *fakeLink) name() string { return "peer." + f.org }
func (f *fakeLink) msp() string  { return f.org }
func (f *fakeLink) close() error { return nil }

func (f *fakeLink) isDown() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.down
}

// setHung stops the peer as SIGSTOP does, or lets it go on.
func (f *fakeLink) setHung(hung bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if hung {
		f.hung = make(chan struct{})
	} else {
		close(f.hung)
		f.hung = nil
	}
}

// pass waits while the peer hangs.
func (f *fakeLink) pass(ctx context.Context) error {
	f.mu.Lock()
	hung := f.hung
	f.mu.Unlock()
	if hung == nil {
		return nil
	}
	select {
	case <-hung:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func (f *fakeLink) ready() bool { return !f.isDown() }

// setDown takes the peer down, with its streams, or brings it back.
func (f *fakeLink) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
	if down {
		f.breakStreams()
	}
}

func (f *fakeLink) breakStreams() {
	for _, b := range f.breakers {
		b()
	}
}

func (f *fakeLink) endorse(ctx context.Context, p proposal) (endorsed, error) {
	if err := f.pass(ctx); err != nil {
		return endorsed{}, err
	}
	if f.isDown() {
		return endorsed{}, errDown
	}
	f.mu.Lock()
	f.endorses++
	hook := f.onEndorse
	f.mu.Unlock()
	if hook != nil {
		if err := hook(p); err != nil {
			return endorsed{}, err
		}
	}
	tx, result, refusal := f.ledger.simulate(p)
	if refusal != nil {
		return endorsed{}, refusedBy(refusal, p.orgs...)
	}
	return endorsed{txID: tx.id, result: result}, ctx.Err()
}

// refusedBy is the error of a gateway whose endorsers refuse.
func refusedBy(r *evidence.Refusal, orgs ...string) error {
	return complained("chaincode response 500, "+r.Error(), orgs...)
}

func complained(message string, orgs ...string) error {
	var details []protoadapt.MessageV1
	for _, org := range orgs {
		details = append(details, protoadapt.MessageV1Of(&gateway.ErrorDetail{Address: "peer." + org, MspId: org, Message: message}))
	}
	st, err := status.New(codes.Aborted, "failed to collect enough transaction endorsements").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func (f *fakeLink) submit(ctx context.Context, e endorsed) error {
	if err := f.pass(ctx); err != nil {
		return err
	}
	if f.isDown() {
		return errDown
	}
	f.mu.Lock()
	hook := f.onSubmit
	f.mu.Unlock()
	if hook != nil {
		lost, err := hook(e.txID)
		if !lost {
			f.ledger.order(e.txID)
		}
		return err
	}
	f.ledger.order(e.txID)
	return nil
}

func (f *fakeLink) commitStatus(ctx context.Context, txID string) (outcome, error) {
	if err := f.pass(ctx); err != nil {
		return outcome{}, err
	}
	if f.isDown() {
		return outcome{}, errDown
	}
	f.mu.Lock()
	f.asks++
	f.mu.Unlock()
	for {
		f.ledger.mu.Lock()
		fate, ok := f.ledger.fates[txID]
		changed := f.ledger.changed
		f.ledger.mu.Unlock()
		if ok {
			fate.peer = f.org
			return fate, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return outcome{}, status.FromContextError(ctx.Err()).Err()
		}
	}
}

func (f *fakeLink) evaluate(ctx context.Context, _, function string, args [][]byte) ([]byte, error) {
	if err := f.pass(ctx); err != nil {
		return nil, err
	}
	if f.isDown() {
		return nil, errDown
	}
	f.mu.Lock()
	f.evaluates++
	hook := f.onEvaluate
	f.mu.Unlock()
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	switch {
	case hook != nil:
		return hook(function)
	case function == queryChainInfo:
		return must(&common.BlockchainInfo{Height: uint64(len(f.ledger.blocks))}), nil
	case function == queryBlock:
		var n int
		if _, err := fmt.Sscan(string(args[1]), &n); err != nil || n >= len(f.ledger.blocks) {
			return nil, status.Error(codes.Aborted, "no such block")
		}
		return must(f.ledger.blocks[n]), nil
	default:
		return nil, status.Error(codes.Unknown, `chaincode response 500, {"code":"NOT_FOUND","message":"nothing there"}`)
	}
}

func (f *fakeLink) blocks(ctx context.Context, from uint64) (<-chan *common.Block, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down || f.noStream {
		return nil, errDown
	}
	ctx, cancel := context.WithCancel(ctx)
	if f.breakers == nil {
		f.breakers = map[int]context.CancelFunc{}
	}
	f.breakers[len(f.breakers)] = cancel
	out := make(chan *common.Block)
	go func() {
		defer close(out)
		defer cancel()
		for n := from; ; {
			f.ledger.mu.Lock()
			var b *common.Block
			if n < uint64(len(f.ledger.blocks)) {
				b = f.ledger.blocks[n]
			}
			changed := f.ledger.changed
			f.ledger.mu.Unlock()
			if ctx.Err() != nil {
				return
			}
			if b != nil {
				if f.pass(ctx) != nil {
					return
				}
				out <- b // like fabric-gateway: without a look at ctx
				n++
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (f *fakeLink) filteredBlocks(ctx context.Context, from uint64) (<-chan *peer.FilteredBlock, error) {
	full, err := f.blocks(ctx, from)
	if err != nil {
		return nil, err
	}
	out := make(chan *peer.FilteredBlock)
	go func() {
		defer close(out)
		for b := range full {
			decoded, err := decodeBlock(b, "")
			if err != nil {
				panic(err)
			}
			fb := &peer.FilteredBlock{Number: decoded.Number}
			for _, tx := range decoded.Txs {
				fb.FilteredTransactions = append(fb.FilteredTransactions, &peer.FilteredTransaction{Txid: tx.ID,
					TxValidationCode: peer.TxValidationCode(peer.TxValidationCode_value[tx.Code])})
			}
			out <- fb
		}
	}()
	return out, nil
}
