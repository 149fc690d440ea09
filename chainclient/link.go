package chainclient

import (
	"context"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
)

// link is the way to one gateway peer. Errors of the calls keep their gRPC status. It is
// safe for concurrent use.
type link interface {
	name() string // address, for logs
	msp() string
	// ready reports whether the connection stands; it starts connecting if not.
	ready() bool
	endorse(ctx context.Context, p proposal) (endorsed, error)
	submit(ctx context.Context, e endorsed) error
	// commitStatus waits until the transaction is in a block or ctx ends.
	commitStatus(ctx context.Context, txID string) (outcome, error)
	evaluate(ctx context.Context, contract, function string, args [][]byte) ([]byte, error)
	// Both streams start at block from. The channel is closed when the stream ends for any
	// reason; the reader cancels ctx and drains it.
	filteredBlocks(ctx context.Context, from uint64) (<-chan *peer.FilteredBlock, error)
	blocks(ctx context.Context, from uint64) (<-chan *common.Block, error)
	close() error
}

// proposal is a call of the contract that is to be endorsed.
type proposal struct {
	function  string
	args      [][]byte
	transient map[string][]byte
	orgs      []string // organisations that endorse
}

// endorsed is a signed transaction, ready to be handed to the orderers, by any gateway.
type endorsed struct {
	txID      string
	result    []byte
	bytes     []byte // gateway.PreparedTransaction
	signature []byte
}

// outcome is what a block says about a transaction.
type outcome struct {
	code  peer.TxValidationCode
	block uint64
	peer  string // MSP id of the peer that said so
}

func (o outcome) valid() bool { return o.code == peer.TxValidationCode_VALID }
