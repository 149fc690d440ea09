package embedded_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
	"github.com/emrbridge/emrbridge/recordstore/storetest"
)

// TestMain is in crash_test.go, since the test program is also the process that is killed.

func open(t testing.TB, dir string, opts embedded.Options) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(t.Context(), dir, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestConformance(t *testing.T) {
	defer goleak.VerifyNone(t)
	storetest.Run(t, func(t testing.TB, place string) recordstore.Store {
		return open(t, filepath.Join(place, "store"), embedded.Options{MaxRecord: storetest.MaxRecord})
	})
}
