package chaincodetest

import (
	"testing"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// script is a contract that does what a test says.
type script func(shim.ChaincodeStubInterface) *peer.Response

func (script) Init(shim.ChaincodeStubInterface) *peer.Response          { return shim.Success(nil) }
func (s script) Invoke(stub shim.ChaincodeStubInterface) *peer.Response { return s(stub) }

func scripted(do script) *Ledger {
	l := NewLedger()
	l.endorsers = [2]shim.Chaincode{do, do}
	return l
}

func TestATransactionDoesNotReadItsOwnWrites(t *testing.T) {
	l := scripted(func(stub shim.ChaincodeStubInterface) *peer.Response {
		before, _ := stub.GetState("k")
		_ = stub.PutState("k", append(before, 'x'))
		after, _ := stub.GetState("k")
		return shim.Success(after)
	})
	for _, want := range []string{"", "x", "xx"} {
		got, _, err := l.Submit("H1MSP", "f", nil, nil)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
	assert.Equal(t, "xxx", string(l.State("k")))
	assert.Len(t, l.Blocks(), 3)
}

func TestOutdatedReadsAreInvalid(t *testing.T) {
	l := scripted(func(stub shim.ChaincodeStubInterface) *peer.Response {
		_, _ = stub.GetState("k")
		_ = stub.PutState("k", stub.GetArgs()[1])
		return shim.Success(nil)
	})
	a, err := l.Endorse(Call{MSP: "H1MSP", Args: [][]byte{[]byte("a")}})
	require.NoError(t, err)
	b, err := l.Endorse(Call{MSP: "H1MSP", Args: [][]byte{[]byte("b")}})
	require.NoError(t, err)
	block := l.Commit(a, b)
	assert.True(t, block[0].Valid)
	assert.False(t, block[1].Valid)
	assert.Equal(t, "a", string(l.State("k")))
	assert.NotEqual(t, a.TxID, b.TxID)
	l.Tamper("k", nil)
	assert.Empty(t, l.Keys())
}

func TestAnUnstableContractIsNoticed(t *testing.T) {
	n := byte(0)
	l := scripted(func(stub shim.ChaincodeStubInterface) *peer.Response {
		n++
		_ = stub.PutState("k", []byte{n})
		return shim.Success(nil)
	})
	_, _, err := l.Submit("H1MSP", "f", nil, nil)
	assert.ErrorContains(t, err, "not deterministic")
}

func TestFabricsLimitsAreKept(t *testing.T) {
	var errs []error
	l := scripted(func(stub shim.ChaincodeStubInterface) *peer.Response {
		errs = append(errs, stub.PutState("", []byte{1}), stub.PutState("\xff", []byte{1}))
		_, _, err := stub.GetStateByRangeWithPagination("a", "b", 1, "")
		errs = append(errs, stub.PutState("k", []byte{1}), err)
		return shim.Error("enough")
	})
	_, _, err := l.Submit("H1MSP", "f", nil, nil)
	assert.ErrorContains(t, err, "enough")
	for _, err := range errs[:3] {
		assert.Error(t, err)
	}
	assert.NoError(t, errs[3])
}

func TestTheClock(t *testing.T) {
	l := scripted(func(stub shim.ChaincodeStubInterface) *peer.Response {
		at, _ := stub.GetTxTimestamp()
		return shim.Success([]byte(at.AsTime().Format(time.RFC3339)))
	})
	l.SetClock(func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) })
	got, err := l.Query("H1MSP", "f")
	require.NoError(t, err)
	assert.Equal(t, "2026-01-02T03:04:05Z", string(got))
}

func TestNewConsortium(t *testing.T) {
	c := NewConsortium(t, 2)
	assert.Len(t, c.Blocks(), 3, "the authority and two members")
	for _, block := range c.Blocks() {
		assert.True(t, block[0].Valid)
	}
}
