package stage_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/stage"
)

func TestErrorsKeepCauseAndCode(t *testing.T) {
	cause := errors.New("cause")
	for code, err := range map[string]error{
		"A": stage.Retry("A", cause), "B": stage.Park("B", cause), "C": stage.Reject("C", cause), "ledger": stage.Unavailable("ledger", cause),
	} {
		wrapped := fmt.Errorf("step: %w", err)
		require.ErrorIs(t, wrapped, cause)
		require.Equal(t, code, stage.CodeOf(wrapped))
		require.Contains(t, err.Error(), code)
	}
	require.Equal(t, "ERROR", stage.CodeOf(cause))
	require.Equal(t, "park (X)", stage.Park("X", nil).Error())
}
