package cda_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	codec "github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
)

// Every type of WS/T 500 goes through every policy that comes with the program: the leak gate
// finds nothing, and the result is a document of its type.
func TestShippedPolicies(t *testing.T) {
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P1", Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	for _, name := range desensitize.Shipped() {
		policy, err := desensitize.ShippedPolicy(name)
		require.NoError(t, err)
		e, err := engine.New(engine.Config{Policy: policy, Project: project, AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		require.NoError(t, err)
		for _, typ := range codec.Types() {
			d := cdaexample.Document(typ, 5)
			raw, err := codec.Render(d, codec.Roots{})
			require.NoError(t, err)
			out, _, err := e.Record(context.Background(), desensitize.CDA, raw, engine.Input{})
			require.NoError(t, err, "%s %s", name, typ.Code)
			back, err := codec.Parse(out, codec.ReadOptions{})
			require.NoError(t, err)
			require.Same(t, typ, back.Type)
			require.Len(t, back.Sections, len(d.Sections))
			if name == "limited-dataset" { // which keeps dates
				d.Patient.Birth = ""
			}
			for _, secret := range secrets(d) {
				require.NotContains(t, string(out), secret, "%s %s", name, typ.Code)
			}
		}
	}
}

func TestSampleUnderShippedPolicies(t *testing.T) {
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P1", Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	for _, name := range desensitize.Shipped() {
		policy, err := desensitize.ShippedPolicy(name)
		require.NoError(t, err)
		e, err := engine.New(engine.Config{Policy: policy, Project: project, AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		require.NoError(t, err)
		out, _, err := e.Record(context.Background(), desensitize.CDA, []byte(sample(t)), engine.Input{Known: known()})
		require.NoError(t, err, name)
		clean(t, string(out), name)
	}
}
