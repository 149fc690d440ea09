package audit

import "github.com/emrbridge/emrbridge/evidence"

// Anchors returns the entries that a transaction anchored, read from its write set, in
// the order of a batch. It is empty for a transaction that anchors nothing.
func Anchors(writes []Write) ([]evidence.Entry, error) {
	b, ok, err := batchOf(writes)
	if err != nil || !ok {
		return nil, err
	}
	return b.entries, nil
}
