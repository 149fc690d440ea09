package retrieve

import (
	"context"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/policy"
)

// Consents returns the consents under a tag that verify, in the form of package policy, for
// whoever decides about something else than a retrieval. accepted, if not nil, says whose
// recorded consents count.
func (t *Trust) Consents(ctx context.Context, tag evidence.Tag, accepted func(msp string) bool) ([]policy.Consent, error) {
	return t.consents(ctx, tag, accepted)
}
