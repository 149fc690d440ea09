package bench

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCDA(t *testing.T) {
	r := NewResults()
	require.NoError(t, CDA(context.Background(), r, Options{Span: time.Millisecond, Progress: io.Discard}))
	require.Len(t, r.Figures, 4)
	for _, f := range r.Figures {
		assert.Equal(t, "MB/s", f.Unit)
		assert.Positive(t, f.Value)
	}
}
