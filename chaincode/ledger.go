package chaincode

import (
	"encoding/json"
	"fmt"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"

	"github.com/emrbridge/emrbridge/evidence"
)

// ledger reads and writes state. Its errors are failures of the ledger, not refusals.
// Reads see the state before the transaction, never its own writes.
type ledger struct {
	stub shim.ChaincodeStubInterface
}

func (l ledger) get(key string) ([]byte, error) {
	value, err := l.stub.GetState(key)
	if err != nil {
		return nil, fmt.Errorf("emrbridge contract: read state: %w", err)
	}
	return value, nil
}

// getAll returns the values of keys in their order, nil where there is none.
func (l ledger) getAll(keys []string) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	values, err := l.stub.GetMultipleStates(keys...)
	if err != nil {
		return nil, fmt.Errorf("emrbridge contract: read states: %w", err)
	}
	if len(values) != len(keys) {
		return nil, fmt.Errorf("emrbridge contract: read states: the peer returned %d values for %d keys", len(values), len(keys))
	}
	return values, nil
}

// put, del and index write. Their errors are failures of the ledger.
func (l ledger) put(key string, value []byte) error {
	if err := l.stub.PutState(key, value); err != nil {
		return fmt.Errorf("emrbridge contract: write state: %w", err)
	}
	return nil
}

func (l ledger) del(key string) error {
	if err := l.stub.DelState(key); err != nil {
		return fmt.Errorf("emrbridge contract: delete state: %w", err)
	}
	return nil
}

func (l ledger) putJSON(key string, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("emrbridge contract: encode state: %w", err)
	}
	return l.put(key, value)
}

// getJSON reads a view; found is false if the key has no value.
func getJSON[T any](l ledger, key string) (v T, found bool, err error) {
	value, err := l.get(key)
	if err != nil || len(value) == 0 {
		return v, false, err
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return v, false, damaged(err)
	}
	return v, true, nil
}

// damaged reports state that this contract cannot have written.
func damaged(err error) error { return fmt.Errorf("emrbridge contract: state is damaged: %w", err) }

// prefixEnd returns the first key after all keys that begin with prefix. Keys are ASCII.
func prefixEnd(prefix string) string {
	return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
}

// page reads up to size keys that begin with prefix, from the bookmark of the page before.
func (l ledger) page(prefix string, size int32, bookmark string, each func(key string, value []byte) error) (next string, err error) {
	end := prefixEnd(prefix)
	if bookmark != "" && (bookmark < prefix || bookmark >= end) {
		return "", refuse(evidence.CodeMalformed, "the bookmark belongs to another list")
	}
	rows, meta, err := l.stub.GetStateByRangeWithPagination(prefix, end, size, bookmark)
	if err != nil {
		return "", fmt.Errorf("emrbridge contract: read a range: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.HasNext() {
		row, err := rows.Next()
		if err != nil {
			return "", fmt.Errorf("emrbridge contract: read a range: %w", err)
		}
		if err := each(row.GetKey(), row.GetValue()); err != nil {
			return "", err
		}
	}
	return meta.GetBookmark(), nil
}

// all reads every key that begins with prefix, page by page. It is for short lists.
func (l ledger) all(prefix string, each func(key string, value []byte) error) error {
	for bookmark := ""; ; {
		next, err := l.page(prefix, evidence.MaxPageSize, bookmark, each)
		if err != nil || next == "" {
			return err
		}
		bookmark = next
	}
}
