package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir/ledger"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
)

var fhirNow = time.Date(2026, 3, 2, 8, 15, 0, 0, time.UTC)

// chainOf is a ledger with one transaction in each block, a minute apart.
type chainOf []chainclient.Tx

func (c chainOf) Height(context.Context) (uint64, error) { return uint64(len(c)) + 1, nil }

func (c chainOf) BlockByNumber(_ context.Context, n uint64) (chainclient.Block, error) {
	b := chainclient.Block{Number: n}
	if n > 0 { // the first block has the channel's configuration
		b.Txs = []chainclient.Tx{c[n-1]}
	}
	return b, nil
}

func (c chainOf) WriteSet(ctx context.Context, n uint64) ([]chainclient.Tx, error) {
	b, err := c.BlockByNumber(ctx, n)
	return b.Txs, err
}

func TestAnchorPlace(t *testing.T) {
	var chain chainOf
	tag := evidence.Tag{7}
	id := func(n int) evidence.RecordID { return evidence.RecordID{0, 1, byte(n), 9} }
	for i := 1; i <= 40; i++ {
		chain = append(chain, chainclient.Tx{
			ID: fmt.Sprint("tx", i), Block: uint64(i), Valid: i != 20, Time: fhirNow.Add(time.Duration(i) * time.Minute), EventName: evidence.EventAnchored,
			Event: &evidence.Event{ID: evidence.Nonce{byte(i)}}, Writes: []chainclient.Write{{Key: evidence.AnchorKey(tag, id(i), i%2 == 0)}},
		})
	}
	for _, n := range []int{1, 2, 30, 40} {
		ref, err := anchorPlace(t.Context(), chain, tag, id(n), fhirNow.Add(time.Duration(n)*time.Minute-time.Second))
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("tx", n), ref.TxID)
		require.Equal(t, uint64(n), ref.Block)
		require.Equal(t, evidence.Nonce{byte(n)}, ref.Batch)
	}
	for name, n := range map[string]int{"an invalid transaction anchors nothing": 20, "not there": 50} {
		ref, err := anchorPlace(t.Context(), chain, tag, id(n), fhirNow.Add(time.Duration(n)*time.Minute))
		require.NoError(t, err, name)
		require.Empty(t, ref.TxID, name)
	}
}

func TestExtension(t *testing.T) {
	for media, want := range map[string]string{
		"x-application/hl7-v2+er7": ".hl7", "application/fhir+json; charset=utf-8": ".json", "application/hl7-cda+xml": ".xml", "": ".hl7",
	} {
		require.Equal(t, want, extension(media))
	}
}

func ledgerConsent() evidence.Consent {
	return evidence.Consent{
		ID: evidence.Nonce{1}, Hospital: "H1MSP", Since: fhirNow.UnixMilli(),
		Terms: evidence.GrantConsent{Tag: evidence.Tag{2}, Grantees: []string{"H2MSP"}, Owners: []string{evidence.Anyone}, Purposes: []evidence.Purpose{evidence.Treatment, evidence.Research},
			Kinds: []string{"ORU^R01"}, NotAfter: fhirNow.Add(time.Hour).UnixMilli(), Form: evidence.Digest{3}},
	}
}

// TestConsentThroughFHIR turns a consent of the ledger into FHIR and back into a request.
func TestConsentThroughFHIR(t *testing.T) {
	k := ledgerConsent()
	data, err := json.Marshal(consentFHIR(k, time.UTC).Resource())
	require.NoError(t, err)
	req, err := consentRequest(data, local.Patient{ResidentID: "99010619411003553X"}, time.UTC, fhirNow)
	require.NoError(t, err)
	require.Equal(t, k.Terms.Grantees, req.Grantees)
	require.Equal(t, k.Terms.Owners, req.Owners)
	require.Equal(t, k.Terms.Purposes, req.Purposes)
	require.Equal(t, k.Terms.Kinds, req.Kinds)
	require.Equal(t, k.Terms.Form, req.Form)
	require.Equal(t, k.Terms.NotAfter, req.NotAfter.UnixMilli())
}

func TestConsentRequestRefusals(t *testing.T) {
	data, err := json.Marshal(consentFHIR(ledgerConsent(), time.UTC).Resource())
	require.NoError(t, err)
	someone := local.Patient{ResidentID: "99010619411003553X"}
	for want, call := range map[string]func() error{
		"names no resident number": func() error { _, err := consentRequest(data, local.Patient{}, time.UTC, fhirNow); return err },
		"has ended":                func() error { _, err := consentRequest(data, someone, time.UTC, fhirNow.Add(2*time.Hour)); return err },
		"begins later":             func() error { _, err := consentRequest(data, someone, time.UTC, fhirNow.Add(-time.Hour)); return err },
		"another patient's": func() error {
			other := strings.Replace(string(data), `"patient":{"type":"Patient","identifier":{"system":"`+ledger.SystemTag, `"patient":{"identifier":{"system":"urn:oid:2.16.156.10011.1.3`, 1)
			_, err := consentRequest([]byte(other), someone, time.UTC, fhirNow)
			return err
		},
		"not a Consent resource": func() error {
			_, err := consentRequest([]byte(`{"resourceType":"Patient"}`), someone, time.UTC, fhirNow)
			return err
		},
	} {
		err := call()
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), someone.ResidentID)
	}
}

func TestAccessFHIR(t *testing.T) {
	signed := func(actor string, body evidence.Body) evidence.Signed {
		s, err := evidence.NewStatement(actor, evidence.Nonce{9}, fhirNow.UnixMilli(), body)
		require.NoError(t, err)
		b, err := s.Canonical()
		require.NoError(t, err)
		return evidence.Signed{Statement: b, Signature: []byte("12345678")}
	}
	ask := evidence.RequestAccess{Tag: evidence.Tag{2}, Owner: "H1MSP", Purpose: evidence.Treatment, Records: []evidence.RecordID{{0, 1, 5}}, RequesterKey: evidence.Digest{1}}
	decide := evidence.DecideAccess{Request: evidence.Nonce{9}, Granted: false, Reason: "no-consent"}
	a := evidence.Access{ID: evidence.Nonce{9}, Requester: "H2MSP", Request: ask, Decision: &decide, Statements: []evidence.Signed{signed("H2MSP", ask), signed("H1MSP", decide)}}
	got := accessFHIR(a, time.UTC)
	require.Equal(t, []ledger.Step{
		{Kind: "request-access", Actor: "H2MSP", At: fhirNow, Good: true},
		{Kind: "decide-access", Actor: "H1MSP", At: fhirNow, Good: false, Reason: "no-consent"},
	}, got.Steps)
	require.Len(t, got.Events(), 2)
}
