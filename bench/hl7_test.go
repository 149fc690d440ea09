package bench

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Without node the figures of our own parser are there, and the others say what is missing.
func TestHL7WithoutNode(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("EMRBRIDGE_BUILD_DIR", t.TempDir())
	r := NewResults()
	require.NoError(t, HL7(context.Background(), r, Options{Span: time.Millisecond, Progress: io.Discard}))
	units := map[string]string{}
	for _, f := range r.Figures {
		units[f.Name] = f.Unit + ", " + f.Anchor
	}
	for _, mode := range hl7Modes {
		assert.Equal(t, "MB/s, target 100", units[mode])
	}
	assert.Equal(t, "MB/s, "+nodeMissing, units[nodeParser+": not measured"])
}

func TestOnlyKnownParts(t *testing.T) {
	err := NewResults().Run(context.Background(), Options{}, "nonsense")
	assert.ErrorContains(t, err, `there is no part "nonsense": crypto, hl7`)
}
