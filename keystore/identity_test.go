package keystore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goldenLeaf was computed with another SM3 implementation (OpenSSL).
const goldenLeaf = "23601a71468c4a2e67f73b663978f3128641ef2014c725648b9dc31b2f577097"

func fmtHex(b []byte) string { return hex.EncodeToString(b) }

func TestNormalizeResidentID(t *testing.T) {
	for name, test := range map[string]struct{ in, out string }{
		"example of GB 11643":   {"11010519491231002X", "11010519491231002X"},
		"example, digit check":  {"440524188001010014", "440524188001010014"},
		"lower case x":          {"11010519491231002x", "11010519491231002X"},
		"15 digits":             {"110105491231002", "11010519491231002X"},
		"wrong check digit":     {"110105194912310020", ""},
		"30 February":           {"110105194902300021", ""},
		"letters":               {"1101051949123100AX", ""},
		"full-width digits":     {"１１０１０５４９１２３１００２", ""},
		"too long":              {"11010519491231002X0", ""},
		"15 with a letter":      {"11010549123100X", ""},
		"empty":                 {"", ""},
		"region starts with 0":  {"010105491231002", ""},
		"15 digits, bad birth ": {"110105491331002", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := NormalizeResidentID(test.in)
			if test.out == "" {
				require.ErrorIs(t, err, ErrIdentity)
				if test.in != "" {
					assert.NotContains(t, err.Error(), test.in)
				}
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.out, got)
		})
	}
}

func TestIdentityNeverPrints(t *testing.T) {
	id := Identity{ResidentID: "11010519491231002X"}
	raw, err := json.Marshal(id)
	require.NoError(t, err)
	for _, s := range []string{fmt.Sprint(id), fmt.Sprintf("%+v %#v %s %q", id, id, id, id), string(raw), id.LogValue().String()} {
		assert.NotContains(t, s, "1101")
	}
}
