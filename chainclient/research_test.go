package chainclient

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
)

func TestEveryKindOfStatementHasItsTransaction(t *testing.T) {
	assert.Equal(t, chaincodetest.Transactions, functions)
}

func TestResearchQueriesAskForWhatTheyAreNamed(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		var asked string
		f.links[0].onEvaluate = func(name string) ([]byte, error) { asked = name; return []byte("{}"), nil }
		for name, ask := range map[string]func(context.Context) error{
			evidence.QueryInstitute:         func(ctx context.Context) error { _, err := f.Institute(ctx, "I"); return err },
			evidence.QueryProject:           func(ctx context.Context) error { _, err := f.Project(ctx, "I.p"); return err },
			evidence.QueryProjects:          func(ctx context.Context) error { _, err := f.Projects(ctx, "I", 10, ""); return err },
			evidence.QueryRelease:           func(ctx context.Context) error { _, err := f.Release(ctx, "I.p", "H1MSP", 1); return err },
			evidence.QueryReleases:          func(ctx context.Context) error { _, err := f.Releases(ctx, "I.p", 10, ""); return err },
			evidence.QueryWithdrawals:       func(ctx context.Context) error { _, err := f.Withdrawals(ctx, "I.p", 10, ""); return err },
			evidence.QueryReidentifications: func(ctx context.Context) error { _, err := f.Reidentifications(ctx, "I.p", 10, ""); return err },
		} {
			require.NoError(t, ask(t.Context()), name)
			assert.Equal(t, name, asked)
		}
		f.links[0].onEvaluate = func(name string) ([]byte, error) { asked = name; return []byte("[]"), nil }
		_, err := f.Institutes(t.Context())
		require.NoError(t, err)
		assert.Equal(t, evidence.QueryInstitutes, asked)
	})
}
