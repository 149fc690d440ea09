package chainclient

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"google.golang.org/protobuf/proto"

	"github.com/emrbridge/emrbridge/evidence"
)

// System contract of a Fabric peer that shows its ledger.
const (
	ledgerContract   = "qscc"
	queryChainInfo   = "GetChainInfo"
	queryBlock       = "GetBlockByNumber"
	queryBlockByTxID = "GetBlockByTxID"
)

// Height returns how many blocks the ledger has; the newest has the number Height-1.
func (c *Client) Height(ctx context.Context) (uint64, error) {
	raw, err := c.evaluate(ctx, ledgerContract, queryChainInfo, c.cfg.Channel)
	if err != nil {
		return 0, &QueryError{Query: queryChainInfo, Err: ended(ctx, err)}
	}
	var info common.BlockchainInfo
	if err := proto.Unmarshal(raw, &info); err != nil {
		return 0, &QueryError{Query: queryChainInfo, Err: err}
	}
	return info.GetHeight(), nil
}

// BlockByNumber returns a block with the write sets of its transactions.
func (c *Client) BlockByNumber(ctx context.Context, number uint64) (Block, error) {
	b, err := c.block(ctx, queryBlock, strconv.FormatUint(number, 10))
	if err == nil && b.Number != number {
		err = &QueryError{Query: queryBlock, Err: fmt.Errorf("the peer answered with block %d for %d", b.Number, number)}
	}
	return b, err
}

// BlockByTx returns the block that holds a transaction, with the write sets.
func (c *Client) BlockByTx(ctx context.Context, txID string) (Block, error) {
	return c.block(ctx, queryBlockByTxID, txID)
}

func (c *Client) block(ctx context.Context, name, which string) (Block, error) {
	raw, err := c.evaluate(ctx, ledgerContract, name, c.cfg.Channel, which)
	if err != nil {
		return Block{}, &QueryError{Query: name, Err: ended(ctx, err)}
	}
	var b common.Block
	if err := proto.Unmarshal(raw, &b); err != nil {
		return Block{}, &QueryError{Query: name, Err: err}
	}
	out, err := decodeBlock(&b, c.cfg.Contract)
	if err != nil {
		return Block{}, &QueryError{Query: name, Err: err}
	}
	return out, nil
}

// WriteSet returns the transactions of a block that called the contract, with what they
// wrote, invalid ones included (they wrote nothing).
func (c *Client) WriteSet(ctx context.Context, number uint64) ([]Tx, error) {
	b, err := c.BlockByNumber(ctx, number)
	if err != nil {
		return nil, err
	}
	var txs []Tx
	for _, tx := range b.Txs {
		if tx.Contract == c.cfg.Contract {
			txs = append(txs, tx)
		}
	}
	return txs, nil
}

// WaitBlock waits until the peer in use has committed a block, so that what another member
// wrote in it can be read and referred to.
func (c *Client) WaitBlock(ctx context.Context, number uint64) error {
	for {
		height, err := c.Height(ctx)
		if err == nil && height > number {
			return nil
		}
		if err != nil && !IsRetriable(err) {
			return err
		}
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("chainclient: wait for block %d: %w", number, context.Cause(ctx))
		case <-t.C:
		}
	}
}

// readReceipt reads the contract's answer to a batch. It was endorsed, hence agreed on, but
// it is checked to speak of this batch.
func readReceipt(commit Commit) (evidence.AnchorReceipt, error) {
	var r evidence.AnchorReceipt
	if err := json.Unmarshal(commit.Result, &r); err != nil {
		return r, fmt.Errorf("chainclient: batch %s is on the ledger, but the contract's receipt cannot be read: %w", commit.Nonce, err)
	}
	if r.Batch != commit.Nonce {
		return r, fmt.Errorf("chainclient: batch %s is on the ledger, but the contract's receipt names %s", commit.Nonce, r.Batch)
	}
	return r, nil
}
