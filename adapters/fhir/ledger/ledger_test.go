package ledger_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

var update = flag.Bool("update", false, "write the golden files anew")

var (
	zone = time.FixedZone("", 8*3600)
	now  = time.Date(2026, 3, 2, 8, 15, 0, 0, zone)
)

func consent() ledger.Consent {
	return ledger.Consent{
		ID: strings.Repeat("1a", 16), Hospital: "H1MSP", Tag: strings.Repeat("2b", 16), Grantees: []string{"H2MSP", ledger.Anyone}, Owners: []string{"H1MSP"},
		Purposes: []string{"treatment", "research"}, Kinds: []string{"ORU^R01", "C0039"}, Since: now, NotAfter: now.Add(7 * 24 * time.Hour), Form: strings.Repeat("3c", 32),
	}
}

func access() ledger.Access {
	return ledger.Access{
		ID: strings.Repeat("4d", 16), Requester: "H2MSP", Owner: "H1MSP", Tag: strings.Repeat("2b", 16), Purpose: "treatment", Consent: strings.Repeat("1a", 16),
		Records: []string{strings.Repeat("5e", 16)},
		Steps: []ledger.Step{
			{Kind: "request-access", Actor: "H2MSP", At: now, Good: true},
			{Kind: "decide-access", Actor: "H1MSP", At: now.Add(time.Second), Good: true},
			{Kind: "deliver", Actor: "H1MSP", At: now.Add(2 * time.Second), Good: true, Count: 1},
			{Kind: "confirm", Actor: "H2MSP", At: now.Add(3 * time.Second), Good: false, Reason: "not-genuine"},
		},
	}
}

// TestGoldens compares what the ledger says, as FHIR, with testdata, and lets the validator
// judge it.
func TestGoldens(t *testing.T) {
	revoked := consent()
	revoked.Revoked, revoked.RevokedAt, revoked.Kinds, revoked.Purposes = true, now.Add(time.Hour), nil, []string{"research"}
	emergency := access()
	emergency.Emergency, emergency.Reason, emergency.Consent = true, "unconscious", ""
	emergency.Steps = append(emergency.Steps[:1:1], ledger.Step{Kind: "review-emergency", Actor: "H1MSP", Good: true})
	anchor := ledger.Anchor{
		Record: strings.Repeat("5e", 16), Hospital: "H1MSP", EMR: [32]byte{1}, Cipher: [32]byte{2}, Signature: []byte("der"), Signed: []byte("signed"), SealedAt: now,
		Tx: strings.Repeat("6f", 32), Block: 42, Batch: strings.Repeat("7a", 16), At: now.Add(time.Second),
	}
	target := tree.New("identifier", tree.New("system", ledger.SystemRecord, "value", anchor.Record))
	stages := []ledger.Stage{
		{Name: "received", At: now, Hospital: "H1MSP", Sender: "HIS|H1", ControlID: "C-1", Kind: "ADT^A01", Record: anchor.Record},
		{Name: "anchored", At: now.Add(time.Second), Hospital: "H1MSP", Record: anchor.Record, Tag: strings.Repeat("2b", 16), Batch: anchor.Batch, Tx: anchor.Tx, Block: 42},
		{Name: "rejected", At: now, ControlID: "C-2", Code: "charset"},
		{Name: "incident", At: now},
	}
	events := make([]*tree.Resource, len(stages))
	for i, s := range stages {
		events[i] = s.Event()
	}
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	for name, resources := range map[string][]*tree.Resource{
		"consents": {consent().Resource(), revoked.Resource()},
		"access":   append(access().Events(), emergency.Events()...),
		"anchor":   {anchor.Provenance(nil, target), ledger.Anchor{Record: anchor.Record, Hospital: "H1MSP"}.Provenance(nil, target)},
		"trail":    events,
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			for _, r := range resources {
				b := r.AppendJSON(nil)
				_, issues := v.Validate(t.Context(), b)
				require.False(t, issues.Failed(), "%v\n%s", issues, b)
				require.NoError(t, json.Indent(&got, b, "", " "))
				got.WriteByte('\n')
			}
			golden := filepath.Join("testdata", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String(), "go test ./adapters/fhir/ledger -update writes it anew")
		})
	}
}

// TestConsentThereAndBack reads what Resource writes.
func TestConsentThereAndBack(t *testing.T) {
	want := consent()
	got, err := ledger.ReadConsent(want.Resource().AppendJSON(nil), zone)
	require.NoError(t, err)
	require.True(t, want.NotAfter.Equal(got.NotAfter))
	require.True(t, want.Since.Equal(got.Since))
	got.NotAfter, got.Since = want.NotAfter, want.Since
	want.ID, want.Tag = "", ""
	require.Equal(t, want, got)
}

const good = `{"resourceType":"Consent","status":"active","scope":{"coding":[{"code":"patient-privacy"}]},"category":[{"coding":[{"code":"59284-0"}]}],` +
	`"patient":{"identifier":{"system":"urn:oid:2.16.156.10011.1.3","value":"99010619411003553X"}},"policyRule":{"coding":[{"code":"OPTIN"}]},` +
	`"provision":{"type":"permit","period":{"end":"2026-12-31"},"actor":[{"role":{"coding":[{"code":"IRCP"}]},"reference":{"identifier":{"value":"H2MSP"}}}],"purpose":[{"code":"TREAT"}]}}`

func TestReadConsent(t *testing.T) {
	c, err := ledger.ReadConsent([]byte(good), zone)
	require.NoError(t, err)
	require.Equal(t, "99010619411003553X", c.ResidentID)
	require.Equal(t, []string{"H2MSP"}, c.Grantees)
	require.Equal(t, []string{"treatment"}, c.Purposes)
	require.Equal(t, time.Date(2027, 1, 1, 0, 0, 0, 0, zone), c.NotAfter.In(zone), "the last day counts")

	c, err = ledger.ReadConsent([]byte(strings.Replace(good, `"2026-12-31"`, `"2026-12-31T12:00:00+08:00"`, 1)), zone)
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 12, 31, 12, 0, 0, 0, zone), c.NotAfter.In(zone))

	form := base64.StdEncoding.EncodeToString([]byte("signed form"))
	c, err = ledger.ReadConsent([]byte(strings.Replace(good, `"status"`, `"sourceAttachment":{"data":"`+form+`"},"status"`, 1)), zone)
	require.NoError(t, err)
	require.Equal(t, "signed form", string(c.FormContent))

	contained := strings.Replace(good, `{"identifier":{"system":"urn:oid:2.16.156.10011.1.3","value":"99010619411003553X"}}`,
		`{"reference":"#p"},"contained":[{"resourceType":"Patient","id":"p","identifier":[{"system":"urn:oid:2.16.156.10011.1.3","value":"X"}]}]`, 1)
	c, err = ledger.ReadConsent([]byte(contained), zone)
	require.NoError(t, err)
	require.Equal(t, "X", c.ResidentID)
}

// TestNoConsentBecomesWider refuses whatever the ledger could not keep.
func TestNoConsentBecomesWider(t *testing.T) {
	for name, c := range map[string]struct{ from, to, at string }{
		"other resource":    {`"Consent"`, `"Patient"`, "Consent"},
		"not active":        {`"active"`, `"proposed"`, "Consent.status"},
		"modifier":          {`"status"`, `"modifierExtension":[{"url":"http://x"}],"status"`, "Consent.modifierExtension"},
		"deny":              {`"permit"`, `"deny"`, "Consent.provision.type"},
		"no type":           {`"type":"permit",`, ``, "Consent.provision.type"},
		"exception":         {`"type":"permit"`, `"type":"permit","provision":[{"type":"deny"}]`, "Consent.provision.provision"},
		"security label":    {`"type":"permit"`, `"type":"permit","securityLabel":[{"code":"N"}]`, "Consent.provision.securityLabel"},
		"data period":       {`"type":"permit"`, `"type":"permit","dataPeriod":{"start":"2026"}`, "Consent.provision.dataPeriod"},
		"data":              {`"type":"permit"`, `"type":"permit","data":[{"meaning":"instance"}]`, "Consent.provision.data"},
		"no end":            {`{"end":"2026-12-31"}`, `{"start":"2026-12-31"}`, "Consent.provision.period.end"},
		"no date":           {`2026-12-31`, `soon`, "Consent.provision.period.end"},
		"nobody":            {`IRCP`, `CST`, "Consent.provision.actor"},
		"unknown role":      {`IRCP`, `AUT`, "Consent.provision.actor[0].role"},
		"no member":         {`{"identifier":{"value":"H2MSP"}}`, `{"display":"H2"}`, "Consent.provision.actor[0].reference"},
		"other system":      {`{"identifier":{"value":"H2MSP"}}`, `{"identifier":{"system":"http://x","value":"H2MSP"}}`, "Consent.provision.actor[0].reference"},
		"unknown purpose":   {`TREAT`, `HMARKT`, "Consent.provision.purpose[0]"},
		"unknown class":     {`"purpose"`, `"class":[{"system":"http://hl7.org/fhir/resource-types","code":"Observation"}],"purpose"`, "Consent.provision.class[0]"},
		"unknown action":    {`"purpose"`, `"action":[{"coding":[{"code":"correct"}]}],"purpose"`, "Consent.provision.action"},
		"no provision":      {`"provision"`, `"_x"`, "Consent.provision"},
		"form not base64":   {`"status"`, `"sourceAttachment":{"data":"?"},"status"`, "Consent.sourceAttachment.data"},
		"start not a date":  {`{"end"`, `{"start":"x","end"`, "Consent.provision.period.start"},
		"implicit rules":    {`"status"`, `"implicitRules":"http://x","status"`, "Consent.modifierExtension"},
		"primitive sibling": {`"type":"permit"`, `"type":"permit","_securityLabel":[]`, "Consent.provision._securityLabel"},
	} {
		_, err := ledger.ReadConsent([]byte(strings.Replace(good, c.from, c.to, 1)), zone)
		var refused *ledger.ConsentError
		require.ErrorAs(t, err, &refused, name)
		require.ErrorIs(t, err, ledger.ErrConsent)
		require.Equal(t, c.at, refused.Expression, name)
		require.NotContains(t, err.Error(), "99010619411003553X")
	}
	_, err := ledger.ReadConsent([]byte(`{`), zone)
	require.Error(t, err)
}

func FuzzReadConsent(f *testing.F) {
	f.Add([]byte(good))
	f.Add(consent().Resource().AppendJSON(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ledger.ReadConsent(data, zone)
		if err == nil {
			require.NotEmpty(t, c.Grantees)
			require.False(t, c.NotAfter.IsZero())
		}
	})
}
