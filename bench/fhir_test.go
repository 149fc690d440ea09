package bench

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFHIR(t *testing.T) {
	var r Results
	require.NoError(t, FHIR(context.Background(), &r, Options{Span: 40 * time.Millisecond}.WithDefaults()))
}
