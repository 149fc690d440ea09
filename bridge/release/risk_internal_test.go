package release

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/risk"
)

// TestRungsNest holds the promise that parts on different rungs tell together no more than
// the finer one: no column gets finer on the way up, and the top tells the sex alone.
func TestRungsNest(t *testing.T) {
	for i, q := range quasi {
		h, err := risk.Builtin(q.hierarchy)
		require.NoError(t, err)
		for n, rung := range rungs {
			require.Len(t, rung, len(quasi))
			require.LessOrEqual(t, rung[i], h.Levels())
			if n > 0 {
				assert.GreaterOrEqual(t, rung[i], rungs[n-1][i], "%s on rung %d", q.column, n)
			}
		}
		top, ok := h.Generalise("1", rungs[len(rungs)-1][i])
		assert.True(t, ok)
		assert.Equal(t, q.column != "sex", top == suppressedCell)
	}
}
