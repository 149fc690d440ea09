package chainclient

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/ledger/rwset/kvrwset"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/protobuf/proto"

	"github.com/emrbridge/emrbridge/evidence"
)

// Block is a block of the channel.
type Block struct {
	Number       uint64
	Size         int      // bytes as stored and sent (protobuf), with metadata
	Hash         [32]byte // SHA-256 of the header
	PreviousHash [32]byte // zero for block 0
	Txs          []Tx     // all, also configuration and invalid ones
}

// Tx is a transaction in a block.
type Tx struct {
	Block    uint64
	Index    int // position in the block
	ID       string
	Code     string // validation code, VALID if it took effect
	Valid    bool
	Time     time.Time // as its creator claims
	Creator  string    // MSP id of the submitter
	Contract string    // chaincode called; empty for configuration
	Function string
	Args     [][]byte // without the function
	Size     int      // bytes of the envelope
	// Event is what the contract told, nil if nothing or not in the form of evidence.Event.
	// The event of an invalid transaction has no meaning.
	Event     *evidence.Event
	EventName string
	// Writes are the keys that a valid transaction wrote in the contract's namespace, Result
	// what the contract answered. Only BlockByNumber, BlockByTx and WriteSet fill them.
	Writes []Write
	Result []byte
}

// Write is a change of one key of the contract.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
}

// errBlock reports a block that is not well formed.
var errBlock = errors.New("chainclient: block is malformed")

// decodeBlock reads a block, whose sender is not trusted to keep its parts consistent: the
// data must have the hash that the header states. Writes of the namespace are read only if
// one is given.
func decodeBlock(b *common.Block, namespace string) (Block, error) {
	h := b.GetHeader()
	if h == nil || b.GetData() == nil || len(h.GetDataHash()) != sha256.Size ||
		(h.GetNumber() > 0 && len(h.GetPreviousHash()) != sha256.Size) {
		return Block{}, errBlock
	}
	sum := sha256.New()
	for _, d := range b.GetData().GetData() {
		sum.Write(d)
	}
	if !bytes.Equal(sum.Sum(nil), h.GetDataHash()) {
		return Block{}, fmt.Errorf("%w: block %d: data does not fit the header", errBlock, h.GetNumber())
	}
	hash, err := headerHash(h)
	if err != nil {
		return Block{}, err
	}
	out := Block{Number: h.GetNumber(), Size: proto.Size(b), Hash: hash}
	copy(out.PreviousHash[:], h.GetPreviousHash())
	codes := validationCodes(b)
	for i, raw := range b.GetData().GetData() {
		tx := Tx{Block: out.Number, Index: i, Size: len(raw), Code: peer.TxValidationCode_NOT_VALIDATED.String()}
		if i < len(codes) {
			code := peer.TxValidationCode(codes[i])
			tx.Code, tx.Valid = code.String(), code == peer.TxValidationCode_VALID
		}
		// Orderers put any bytes into a block; peers mark the bad ones invalid.
		if err := decodeTx(raw, &tx, namespace); err != nil && tx.Valid {
			return Block{}, fmt.Errorf("block %d, transaction %d: %w", out.Number, i, err)
		}
		out.Txs = append(out.Txs, tx)
	}
	return out, nil
}

// headerHash is the block hash of Fabric: SHA-256 over the ASN.1 sequence of number,
// previous hash and data hash.
func headerHash(h *common.BlockHeader) ([32]byte, error) {
	der, err := asn1.Marshal(struct {
		Number       *big.Int
		PreviousHash []byte
		DataHash     []byte
	}{new(big.Int).SetUint64(h.GetNumber()), h.GetPreviousHash(), h.GetDataHash()})
	if err != nil {
		return [32]byte{}, fmt.Errorf("%w: header: %w", errBlock, err)
	}
	return sha256.Sum256(der), nil
}

func validationCodes(b *common.Block) []byte {
	const index = int(common.BlockMetadataIndex_TRANSACTIONS_FILTER)
	if list := b.GetMetadata().GetMetadata(); len(list) > index {
		return list[index]
	}
	return nil
}

func decodeTx(raw []byte, tx *Tx, namespace string) error {
	var env common.Envelope
	var payload common.Payload
	var channel common.ChannelHeader
	var signer common.SignatureHeader
	var creator msp.SerializedIdentity
	for _, part := range []struct {
		from func() []byte
		into proto.Message
	}{
		{func() []byte { return raw }, &env},
		{env.GetPayload, &payload},
		{func() []byte { return payload.GetHeader().GetChannelHeader() }, &channel},
		{func() []byte { return payload.GetHeader().GetSignatureHeader() }, &signer},
		{signer.GetCreator, &creator},
	} {
		if err := proto.Unmarshal(part.from(), part.into); err != nil {
			return fmt.Errorf("%w: %w", errBlock, err)
		}
	}
	tx.ID, tx.Creator = channel.GetTxId(), creator.GetMspid()
	if ts := channel.GetTimestamp(); ts.IsValid() {
		tx.Time = ts.AsTime()
	}
	if common.HeaderType(channel.GetType()) != common.HeaderType_ENDORSER_TRANSACTION {
		return nil
	}
	return decodeCall(payload.GetData(), tx, namespace)
}

// decodeCall reads what an endorsed transaction called and did.
func decodeCall(data []byte, tx *Tx, namespace string) error {
	var txn peer.Transaction
	var action peer.ChaincodeActionPayload
	var call peer.ChaincodeProposalPayload
	var spec peer.ChaincodeInvocationSpec
	var response peer.ProposalResponsePayload
	var result peer.ChaincodeAction
	if proto.Unmarshal(data, &txn) != nil || len(txn.GetActions()) != 1 {
		return fmt.Errorf("%w: not one action", errBlock)
	}
	for _, part := range []struct {
		from func() []byte
		into proto.Message
	}{
		{func() []byte { return txn.GetActions()[0].GetPayload() }, &action},
		{action.GetChaincodeProposalPayload, &call},
		{call.GetInput, &spec},
		{func() []byte { return action.GetAction().GetProposalResponsePayload() }, &response},
		{response.GetExtension, &result},
	} {
		if err := proto.Unmarshal(part.from(), part.into); err != nil {
			return fmt.Errorf("%w: %w", errBlock, err)
		}
	}
	tx.Contract = result.GetChaincodeId().GetName()
	if args := spec.GetChaincodeSpec().GetInput().GetArgs(); len(args) > 0 {
		tx.Function, tx.Args = string(args[0]), args[1:]
	}
	if err := decodeEvent(result.GetEvents(), tx); err != nil {
		return err
	}
	if namespace == "" || !tx.Valid {
		return nil
	}
	if tx.Contract == namespace {
		tx.Result = result.GetResponse().GetPayload()
	}
	return decodeWrites(result.GetResults(), tx, namespace)
}

func decodeEvent(raw []byte, tx *Tx) error {
	if len(raw) == 0 {
		return nil
	}
	var ev peer.ChaincodeEvent
	if err := proto.Unmarshal(raw, &ev); err != nil {
		return fmt.Errorf("%w: event: %w", errBlock, err)
	}
	tx.EventName = ev.GetEventName()
	var e evidence.Event
	if json.Unmarshal(ev.GetPayload(), &e) == nil { // other contracts tell other things
		tx.Event = &e
	}
	return nil
}

func decodeWrites(raw []byte, tx *Tx, namespace string) error {
	var set rwset.TxReadWriteSet
	if err := proto.Unmarshal(raw, &set); err != nil {
		return fmt.Errorf("%w: write set: %w", errBlock, err)
	}
	for _, ns := range set.GetNsRwset() {
		if ns.GetNamespace() != namespace {
			continue
		}
		var kv kvrwset.KVRWSet
		if err := proto.Unmarshal(ns.GetRwset(), &kv); err != nil {
			return fmt.Errorf("%w: write set: %w", errBlock, err)
		}
		for _, w := range kv.GetWrites() {
			tx.Writes = append(tx.Writes, Write{Key: w.GetKey(), Value: w.GetValue(), Delete: w.GetIsDelete()})
		}
	}
	return nil
}
