package retrieve_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
)

// The owner and the contract count a consent from the same moment. A hospital whose clock
// lags within the tolerance of statements must not deny what the contract would grant.
func TestAConsentCountsUnderALaggingClock(t *testing.T) {
	for _, c := range []struct {
		name    string
		lag     time.Duration
		granted bool
	}{
		{"in time", 0, true},
		{"two minutes behind", 2 * time.Minute, true},
		{"at the end of the tolerance", window, true},
		{"beyond it", window + time.Millisecond, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := time.Now()
			behind := func() time.Time { return base.Add(-c.lag) }
			p := newPair(t, func(o *retrieve.OwnerConfig) { o.Now = behind }, nil)
			p.SetClock(func() time.Time { return base })
			p.h2.Consent(p.patient, "H2MSP", nil)
			req := p.claim(t, nil)
			if c.granted {
				p.SetClock(behind) // the contract sees the time of the owner's transaction
			}
			outcome, _, err := p.deliver(t, req)
			if c.granted {
				require.NoError(t, err)
				assert.Equal(t, 2, outcome.Delivered)
				return
			}
			assert.Equal(t, retrieve.CodeDenied, codeOf(t, err))
			assert.Equal(t, "no-consent", outcome.Reason)
		})
	}
}
