package integration_test

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/hospitalday"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
)

// ward is hospital 1 with records of several patients, and hospital 2, which asks for them.
type ward struct {
	owner, asker *site
	patients     []hospitalday.Patient // with resident numbers and records of several kinds
	records      map[string]int        // by resident number
	kinds        map[string]map[string]int
}

// theWard is filled once; patients that a test has taken are used up, since the ledger
// remembers their consents.
var theWard *ward

// openWard returns the ward with both hospitals running.
func openWard(t *testing.T) *ward {
	t.Helper()
	owner, asker := w.up(t, 1, nil), w.up(t, 2, nil)
	if theWard == nil {
		theWard = &ward{owner: owner, asker: asker, records: map[string]int{}, kinds: map[string]map[string]int{}}
		theWard.fill(t)
	}
	return theWard
}

func (w *ward) fill(t *testing.T) {
	t.Helper()
	// Persons of their own: other tests give consents too.
	d := hospitalday.GenerateFor("WARD", 4711, 24, time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC))
	l := w.owner.send(t, d)
	l.wait(t)
	w.owner.reconcile(t)
	for i, p := range d.Patients {
		kinds := map[string]int{}
		for _, m := range d.Of(i) {
			kinds[m.Type]++
		}
		if p.ResidentID == "" || kinds["ORU^R01"] == 0 || len(kinds) < 2 {
			continue
		}
		w.patients = append(w.patients, p)
		w.kinds[p.ResidentID], w.records[p.ResidentID] = kinds, len(d.Of(i))
	}
}

// patient takes a patient whom no test has had.
func (w *ward) patient(t *testing.T) hospitalday.Patient {
	t.Helper()
	require.NotEmpty(t, w.patients, "the ward has run out of patients: let fill make more")
	p := w.patients[0]
	w.patients = w.patients[1:]
	return p
}

// ask retrieves as hospital 2 and expects an exit code.
func (w *ward) ask(t *testing.T, code int, p hospitalday.Patient, extra ...string) retrieved {
	t.Helper()
	var answer retrieved
	w.asker.answer(t, code, &answer, append([]string{"retrieve", "--id-file", w.asker.patientFile(t, p.ResidentID)}, extra...)...)
	return answer
}

// consent records a consent at hospital 1 and returns its id.
func (w *ward) consent(t *testing.T, p hospitalday.Patient, extra ...string) evidence.Nonce {
	t.Helper()
	var c local.ConsentResponse
	w.owner.answer(t, 0, &c, append([]string{"consent", "grant", "--id-file", w.owner.patientFile(t, p.ResidentID), "--to", w.asker.hospital.MSPID}, extra...)...)
	return c.ID
}

// denied requires that nothing came, and that the denial is on the ledger.
func denied(t *testing.T, a retrieved) evidence.Access {
	t.Helper()
	require.Len(t, a.Deliveries, 1)
	assert.True(t, a.Deliveries[0].Denied, "%+v", a.Deliveries[0])
	assert.Zero(t, a.Total)
	return w.access(t, a.Deliveries[0].Request, evidence.AccessDenied)
}

// TestConsentDecides retrieves under every state that a consent can be in.
func TestConsentDecides(t *testing.T) {
	ward := openWard(t)
	t.Run("without", func(t *testing.T) {
		access := denied(t, ward.ask(t, 1, ward.patient(t)))
		assert.Equal(t, "no-consent", access.Decision.Reason)
	})
	t.Run("given, then revoked", func(t *testing.T) {
		p := ward.patient(t)
		id := ward.consent(t, p)
		a := ward.ask(t, 0, p)
		assert.Equal(t, ward.records[p.ResidentID], a.Genuine)
		w.access(t, a.Deliveries[0].Request, evidence.AccessConfirmed)
		ward.owner.must(t, "consent", "revoke", id.String())
		access := denied(t, ward.ask(t, 1, p))
		assert.Equal(t, "consent-revoked", access.Decision.Reason)
	})
	t.Run("run out", func(t *testing.T) {
		p := ward.patient(t)
		own := local.Dial(ward.owner.Config.Gateway.Socket, "")
		defer own.Close()
		end := time.Now().Add(4 * time.Second)
		_, err := own.Grant(t.Context(), local.ConsentRequest{Patient: local.Patient{ResidentID: p.ResidentID},
			Grantees: []string{ward.asker.hospital.MSPID}, NotAfter: end})
		require.NoError(t, err)
		time.Sleep(time.Until(end.Add(time.Second)))
		access := denied(t, ward.ask(t, 1, p))
		assert.Equal(t, "consent-expired", access.Decision.Reason)
	})
	t.Run("for some kinds only", func(t *testing.T) {
		p := ward.patient(t)
		ward.consent(t, p, "--kind", "ORU^R01")
		for _, asked := range [][]string{{"--kind", "ORU^R01"}, nil} {
			// The others are not handed over, and not even their kinds are told: so the answer is not a whole one.
			a := ward.ask(t, 1, p, asked...)
			assert.Equal(t, ward.kinds[p.ResidentID]["ORU^R01"], a.Genuine)
			for _, r := range a.Deliveries[0].Records {
				if r.Verdict == evidence.Genuine {
					assert.Equal(t, "ORU^R01", r.Kind)
				} else {
					assert.Equal(t, "withheld", r.Absent)
					assert.Empty(t, r.Kind)
				}
			}
		}
	})
	t.Run("for another purpose", func(t *testing.T) {
		p := ward.patient(t)
		ward.consent(t, p, "--purpose", "research")
		access := denied(t, ward.ask(t, 1, p))
		assert.Equal(t, "purpose-not-consented", access.Decision.Reason)
	})
}

// TestEmergencyNeedsTwo breaks the glass.
func TestEmergencyNeedsTwo(t *testing.T) {
	ward := openWard(t)
	p := ward.patient(t)
	file := ward.asker.patientFile(t, p.ResidentID)
	for name, staff := range map[string][]string{
		"nobody": nil, "one": {"--staff", "D-017"}, "the same twice": {"--staff", "D-017", "--staff", "D-017"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), ward.asker.Self, append([]string{"retrieve", "--config", ward.asker.Path, "--id-file", file,
				"--emergency", "--reason", "unconscious"}, staff...)...).CombinedOutput()
			require.Error(t, err, "%s", out)
			assert.Contains(t, string(out), "staff")
		})
	}
	a := ward.ask(t, 0, p, "--emergency", "--reason", "unconscious", "--staff", "D-017", "--staff", "N-201")
	assert.Equal(t, ward.records[p.ResidentID], a.Genuine)
	access := w.access(t, a.Deliveries[0].Request, evidence.AccessConfirmed)
	assert.True(t, access.Request.Emergency)
	assert.Equal(t, "unconscious", access.Request.Reason)
	assert.Nil(t, access.Reviewed)
	awaits := func() bool {
		var list []evidence.Access
		ward.owner.answer(t, 0, &list, "emergency", "list")
		for _, e := range list {
			if e.ID == access.ID {
				return true
			}
		}
		return false
	}
	require.True(t, awaits())
	ward.owner.must(t, "emergency", "review", access.ID.String(), "--justified", "--reviewer", "QA-1")
	eventually(t, "the review is closed", func() bool { return !awaits() })
}

// TestOwnerAway: the owner's bridge does not run. The error says so, the request stands on
// the ledger, and another try succeeds when it is back.
func TestOwnerAway(t *testing.T) {
	ward := openWard(t)
	p := ward.patient(t)
	ward.consent(t, p)
	ward.owner.stop(t)
	out, code, err := ward.asker.Run(t.Context(), "retrieve", "--json", "--id-file", ward.asker.patientFile(t, p.ResidentID))
	require.NoError(t, err)
	require.Equal(t, 1, code)
	require.Contains(t, string(out), `"error":"transfer"`)
	require.Contains(t, string(out), "connection refused")
	_, rest, ok := strings.Cut(string(out), `"request":"`)
	require.True(t, ok, "%s", out)
	request, _, _ := strings.Cut(rest, `"`)
	w.access(t, request, evidence.AccessRequested)
	ward.owner.start(t)
	a := ward.ask(t, 0, p)
	assert.Equal(t, ward.records[p.ResidentID], a.Genuine)
}

// TestTamperingIsCaught changes one bit of a ciphertext in the owner's store.
func TestTamperingIsCaught(t *testing.T) {
	ward := openWard(t)
	p := ward.patient(t)
	ward.consent(t, p)
	a := ward.ask(t, 0, p)
	id := a.Deliveries[0].Records[0].ID
	flipBit(t, ward.owner.Config.Store.Dir, id)
	defer flipBit(t, ward.owner.Config.Store.Dir, id)
	spoiled := ward.ask(t, 1, p)
	assert.Less(t, spoiled.Genuine, a.Genuine)
	assert.NotContains(t, genuine(spoiled), id)
}

func genuine(a retrieved) (ids []string) {
	for _, d := range a.Deliveries {
		for _, r := range d.Records {
			if r.Verdict == evidence.Genuine {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids
}
