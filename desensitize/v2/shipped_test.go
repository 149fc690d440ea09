package v2_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
)

// shipped is an engine with a policy that comes with the program.
func shipped(t testing.TB, name string) *engine.Engine {
	t.Helper()
	policy, err := desensitize.ShippedPolicy(name)
	require.NoError(t, err)
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P1", Key: bytes.Repeat([]byte{7}, 32)})
	require.NoError(t, err)
	e, err := engine.New(engine.Config{Policy: policy, Project: project, AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, err)
	return e
}

// A day of a hospital goes through every policy that comes with the program: the leak gate
// finds nothing, every result is a message, and persons are the same in all of them.
func TestShippedPolicies(t *testing.T) {
	day := hospitalday.Generate(11, 12, time.Date(2024, 5, 17, 0, 0, 0, 0, time.UTC))
	for _, name := range desensitize.Shipped() {
		e := shipped(t, name)
		numbers := map[int]string{}
		for _, msg := range day.Messages {
			out, _, err := e.Record(context.Background(), desensitize.HL7v2, msg.Raw, engine.Input{})
			require.NoError(t, err, "%s %s", name, msg.Type)
			text, _, err := hl7.CharsetPolicy{}.Decode(out)
			require.NoError(t, err)
			m, err := hl7.Parse(text)
			require.NoError(t, err)
			require.NoError(t, m.Header().Check())
			p := day.Patients[msg.PatientIndex]
			for _, secret := range []string{p.Name(), p.ResidentID, p.LocalNo, p.Phone, p.InpatientNo, p.OutpatientNo, p.InsuranceNo} {
				if secret != "" {
					require.NotContains(t, string(text), secret, "%s %s", name, msg.Type)
				}
			}
			id := m.Get("PID-3.1").Text()
			require.NotEmpty(t, id, "%s %s", name, msg.Type)
			if first, ok := numbers[msg.PatientIndex]; ok {
				require.Equal(t, first, id, "%s: one patient has one number", name)
			}
			numbers[msg.PatientIndex] = id
		}
	}
}
