package bench

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDeid(t *testing.T) {
	var r Results
	require.NoError(t, Deid(context.Background(), &r, Options{Span: 40 * time.Millisecond}.WithDefaults()))
	picture, err := r.accuracy()
	require.NoError(t, err)
	require.Contains(t, string(picture), "<svg")
	for _, f := range r.Figures {
		if f.Unit == "%" {
			require.True(t, f.Low <= f.Value+1e-9 && f.Value <= f.High+1e-9, f.Name)
		}
	}
}
