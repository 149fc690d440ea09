//go:build corpus

package mllp_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
)

// TestSimulatedHospitalStream sends an outside stream of messages whole, as it stands in
// its file, over one connection; every one is accepted in the mode that it asks for.
func TestSimulatedHospitalStream(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(os.Getenv("CORPUS"), "hl7v2/google+simhospital/messages.shared.out"))
	require.NoError(t, err)
	messages := hl7.SplitMessages(data).Messages()
	require.NotEmpty(t, messages)
	addr, _, _ := start(t, mllp.Config{Handler: mllp.ForReceiver(accepting(nil))})
	c := client(t, addr, mllp.ClientConfig{})
	codes := map[hl7.AckCode]int{}
	for _, m := range messages {
		reply, err := c.Send(t.Context(), m)
		require.NoError(t, err)
		codes[reply.Code]++
		assert.True(t, reply.Code.Accepted())
	}
	t.Logf("%d messages: %v", len(messages), codes)
}
