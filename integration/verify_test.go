package integration_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestStoresAndLedgerAgree verifies the whole store of hospital 1, after all that the tests
// before this one (in the order of their files) have done to it, and then with one bit
// changed.
func TestStoresAndLedgerAgree(t *testing.T) {
	s := w.up(t, 1, nil)
	s.accepted(t, adt("VERIFY", "某某"))
	s.reconcile(t)
	s.verify(t)
	id := s.id(t, adt("VERIFY", "某某")).String()
	flipBit(t, s.Config.Store.Dir, id)
	defer flipBit(t, s.Config.Store.Dir, id)
	out, code, err := s.Run(t.Context(), "verify", "--json")
	require.NoError(t, err)
	assert.Equal(t, 1, code)
	assert.Contains(t, string(out), id, "the verifier names the record")
}
