package chainclient

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/emrbridge/emrbridge/evidence"
)

func TestWriteSet(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		entries := []evidence.Entry{entry(3), entry(1), entry(2)}
		c, receipt, err := f.SubmitBatch(t.Context(), entries)
		require.NoError(t, err)
		assert.Equal(t, uint32(3), receipt.Anchored)
		assert.Equal(t, entry(3), entries[0], "the caller's order is left alone")
		txs, err := f.WriteSet(t.Context(), c.Block)
		require.NoError(t, err)
		require.Len(t, txs, 1, "other contracts are left out")
		assert.Equal(t, c.TxID, txs[0].ID)
		assert.Equal(t, "VALID", txs[0].Code)
		assert.Len(t, txs[0].Writes, 3)
		var answer evidence.AnchorReceipt
		require.NoError(t, json.Unmarshal(txs[0].Result, &answer))
		assert.Equal(t, receipt, answer, "what the contract answered: a verifier needs its duplicates")
		require.Len(t, txs[0].Args, 1)
		assert.Equal(t, must1(c.Signed.Encode()), txs[0].Args[0])
		assert.Equal(t, time.Unix(1_800_000_000, 0).UTC(), txs[0].Time)
		_, err = f.BlockByNumber(t.Context(), 99)
		var q *QueryError
		require.ErrorAs(t, err, &q)
		h, err := f.Height(t.Context())
		require.NoError(t, err)
		assert.Equal(t, c.Block+1, h)
	})
}

func TestWaitBlock(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		require.NoError(t, f.WaitBlock(t.Context(), 0))
		done := make(chan error, 1)
		go func() { done <- f.WaitBlock(t.Context(), 1) }()
		synctest.Wait()
		assert.Empty(t, done)
		_, err := f.Submit(t.Context(), somePatient)
		require.NoError(t, err)
		require.NoError(t, <-done)
	})
}

func TestDecodeBlockRefuses(t *testing.T) {
	good := func() *common.Block {
		return newBlock(1, make([]byte, 32), [][]byte{envelopeOf(&fakeTx{id: "a", args: [][]byte{{1}}})}, []byte{0})
	}
	b, err := decodeBlock(good(), evidence.ContractName)
	require.NoError(t, err)
	assert.Equal(t, proto.Size(good()), b.Size)
	for name, spoil := range map[string]func(b *common.Block){
		"no header":             func(b *common.Block) { b.Header = nil },
		"no data":               func(b *common.Block) { b.Data = nil },
		"changed data":          func(b *common.Block) { b.Data.Data[0] = slices.Concat(b.Data.Data[0], []byte{0x1a, 0}) },
		"no previous hash":      func(b *common.Block) { b.Header.PreviousHash = nil },
		"nonsense called valid": func(b *common.Block) { b.Data.Data[0] = []byte{0xff}; rehash(b) },
	} {
		t.Run(name, func(t *testing.T) {
			b := good()
			spoil(b)
			_, err := decodeBlock(b, evidence.ContractName)
			require.ErrorIs(t, err, errBlock)
		})
	}
	invalid := good()
	invalid.Data.Data[0] = []byte{0xff}
	rehash(invalid)
	invalid.Metadata.Metadata[2] = []byte{1}
	b, err = decodeBlock(invalid, evidence.ContractName)
	require.NoError(t, err, "nonsense that the peers marked invalid")
	assert.False(t, b.Txs[0].Valid)
}

func rehash(b *common.Block) {
	sum := sha256.Sum256(slices.Concat(b.Data.Data...))
	b.Header.DataHash = sum[:]
}

func FuzzDecodeTx(f *testing.F) {
	f.Add(envelopeOf(&fakeTx{id: "a", args: [][]byte{{1}}, entries: []evidence.Entry{{Pointer: []byte{1}}}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx := Tx{Valid: true}
		_ = decodeTx(raw, &tx, evidence.ContractName)
	})
}
