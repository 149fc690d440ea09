package retrieve_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/retrievetest"
	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

var ctx = context.Background()

func TestMain(m *testing.M) { retrievetest.VerifyTestMain(m) }

// direct connects a requester with an owner without a network. spoil, if set, stands
// between them.
type direct struct {
	owner   *retrieve.Owner
	trust   *retrieve.Trust
	spoil   func(call int, stream []byte) []byte
	mu      sync.Mutex
	calls   int
	outcome retrieve.Outcome
}

func (d *direct) Deliver(ctx context.Context, _ retrieve.Party, envelope []byte, handle func(*wire.Reader) error) error {
	_, req, err := wire.ParseRequest(envelope)
	if err != nil {
		return err
	}
	party, err := d.trust.Active(ctx, req.Requester)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.calls++
	call := d.calls
	d.mu.Unlock()
	var stream bytes.Buffer
	out := wire.NewWriter(&stream)
	outcome, err := d.owner.Deliver(ctx, party, req, out, nil)
	d.mu.Lock()
	d.outcome = outcome
	d.mu.Unlock()
	if err != nil && !out.Begun() {
		return err
	}
	b := stream.Bytes()
	if d.spoil != nil {
		b = d.spoil(call, b)
	}
	return handle(wire.NewReader(bytes.NewReader(b)))
}

// pair is a hospital with records and one that asks.
type pair struct {
	*retrievetest.World
	h1, h2  *retrievetest.Hospital
	patient keystore.Identity
	items   []recordstore.Item
	peer    *direct
	request *retrieve.Requester
}

func newPair(t *testing.T, own func(*retrieve.OwnerConfig), ask func(*retrieve.RequesterConfig)) *pair {
	w := retrievetest.New(t, 2)
	p := &pair{World: w, h1: w.Hospitals[0], h2: w.Hospitals[1], patient: retrievetest.Patient(1)}
	for i, kind := range []string{"ADT^A01", "ORU^R01"} {
		p.items = append(p.items, p.h1.File(p.patient, kind, []byte(fmt.Sprintf("MSH|%d", i))))
	}
	p.peer = &direct{owner: p.h1.Owner(own), trust: p.h1.Trust}
	p.request = p.h2.Requester(p.peer, ask)
	return p
}

func (p *pair) ask(change func(*retrieve.Query)) (retrieve.Result, error) {
	q := retrieve.Query{Patient: p.patient}
	if change != nil {
		change(&q)
	}
	return p.request.Retrieve(ctx, q)
}

// rewrite decodes a stream and writes it again, changed.
func rewrite(stream []byte, change func(item any, body []byte) (any, []byte)) []byte {
	var out bytes.Buffer
	in, w := wire.NewReader(bytes.NewReader(stream)), wire.NewWriter(&out)
	for {
		item, err := in.Next()
		if err != nil {
			return out.Bytes()
		}
		var body []byte
		if _, ok := item.(*wire.RecordHead); ok {
			body, _ = io.ReadAll(in)
		}
		if item, body = change(item, body); item == nil {
			continue
		}
		switch item := item.(type) {
		case *wire.RecordHead:
			err = w.Record(wire.RecordHead{ID: item.ID, Length: uint64(len(body))}, bytes.NewReader(body))
		case *wire.Absent:
			err = w.Absent(*item)
		case *wire.Grant:
			err = w.Grant(*item)
		case *wire.End:
			err = w.End(item.More)
		case *wire.Failure:
			err = w.Fail(*item)
		}
		if err != nil {
			panic(err)
		}
	}
}

func verdictOf(t *testing.T, res retrieve.Result, id any) retrieve.Record {
	t.Helper()
	for _, r := range res.Records() {
		if fmt.Sprint(r.ID) == fmt.Sprint(id) {
			return r
		}
	}
	t.Fatalf("no record %v in the result", id)
	return retrieve.Record{}
}

// TestProofComesAlong finds with each genuine record what proved it, and it proves it again.
func TestProofComesAlong(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	res, err := p.ask(nil)
	require.NoError(t, err)
	require.NotEmpty(t, res.Records())
	for _, r := range res.Records() {
		require.NotNil(t, r.Proof)
		emr, err := r.Record.Canonical()
		require.NoError(t, err)
		assert.Equal(t, evidence.Digest(sm3.Sum(emr)), r.Proof.EMR)
		assert.NotEmpty(t, r.Proof.Signature)
		want, err := evidence.SealStatement{Record: r.ID, Hospital: r.Record.HospitalMSP, Kind: r.Kind, EventTime: r.Record.EventTime.UnixMilli,
			Precision: uint8(r.Record.EventTime.Precision), EMR: r.Proof.EMR}.SigningBytes()
		require.NoError(t, err)
		assert.Equal(t, want, r.Proof.Signed)
		assert.False(t, r.Proof.SealedAt.IsZero())
		assert.False(t, r.Proof.Tag.IsZero())
	}
}

func TestTamperedDeliveriesAreNotGenuine(t *testing.T) {
	flip := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	for _, c := range []struct {
		name  string
		spoil func(p *pair) func(any, []byte) (any, []byte)
		want  retrieve.Check
		whole evidence.Verdict
	}{
		{"bit flip in the ciphertext", func(p *pair) func(any, []byte) (any, []byte) {
			return func(item any, body []byte) (any, []byte) {
				if h, ok := item.(*wire.RecordHead); ok && h.ID == evidence.RecordID(p.items[0].ID) {
					return item, flip(body, len(body)-30)
				}
				return item, body
			}
		}, retrieve.CheckCiphertext, evidence.NotGenuine},
		{"edited header", func(p *pair) func(any, []byte) (any, []byte) {
			return func(item any, body []byte) (any, []byte) {
				if h, ok := item.(*wire.RecordHead); ok && h.ID == evidence.RecordID(p.items[0].ID) {
					return item, flip(body, 53)
				}
				return item, body
			}
		}, retrieve.CheckCiphertext, evidence.NotGenuine},
		{"ciphertext of another record", func(p *pair) func(any, []byte) (any, []byte) {
			_, other, _ := recordstore.ReadAll(ctx, p.h1.Store, p.items[1].ID, 1<<20)
			return func(item any, body []byte) (any, []byte) {
				if h, ok := item.(*wire.RecordHead); ok && h.ID == evidence.RecordID(p.items[0].ID) {
					return item, other
				}
				return item, body
			}
		}, retrieve.CheckCiphertext, evidence.NotGenuine},
		{"cut ciphertext", func(p *pair) func(any, []byte) (any, []byte) {
			return func(item any, body []byte) (any, []byte) {
				if h, ok := item.(*wire.RecordHead); ok && h.ID == evidence.RecordID(p.items[0].ID) {
					return item, body[:len(body)-1]
				}
				return item, body
			}
		}, retrieve.CheckCiphertext, evidence.NotGenuine},
		{"altered grant", func(p *pair) func(any, []byte) (any, []byte) {
			return func(item any, body []byte) (any, []byte) {
				if g, ok := item.(*wire.Grant); ok && g.ID == evidence.RecordID(p.items[0].ID) {
					g.Bytes = flip(g.Bytes, len(g.Bytes)-1)
				}
				return item, body
			}
		}, retrieve.CheckDelivery, evidence.NotGenuine},
		{"grant held back", func(p *pair) func(any, []byte) (any, []byte) {
			return func(item any, body []byte) (any, []byte) {
				if g, ok := item.(*wire.Grant); ok && g.ID == evidence.RecordID(p.items[0].ID) {
					return nil, nil
				}
				return item, body
			}
		}, retrieve.CheckGrant, evidence.Incomplete},
		{"said to be absent", func(p *pair) func(any, []byte) (any, []byte) {
			return func(item any, body []byte) (any, []byte) {
				if h, ok := item.(*wire.RecordHead); ok && h.ID == evidence.RecordID(p.items[0].ID) {
					return &wire.Absent{ID: h.ID, Code: wire.NotStored}, nil
				}
				if g, ok := item.(*wire.Grant); ok && g.ID == evidence.RecordID(p.items[0].ID) {
					return nil, nil
				}
				return item, body
			}
		}, retrieve.CheckAbsent, evidence.Incomplete},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, nil, nil)
			p.h1.Consent(p.patient, "H2MSP", nil)
			change := c.spoil(p)
			p.peer.spoil = func(_ int, b []byte) []byte { return rewrite(b, change) }
			res, err := p.ask(nil)
			require.NoError(t, err)
			bad := verdictOf(t, res, p.items[0].ID)
			assert.Equal(t, c.want, bad.Check)
			assert.Nil(t, bad.Record, "nothing of it reaches the caller")
			require.Len(t, res.Deliveries, 1)
			assert.Equal(t, c.whole, res.Deliveries[0].Verdict)
			a, err := p.h2.Ledger.Access(ctx, res.Deliveries[0].Request)
			require.NoError(t, err)
			assert.Equal(t, c.whole, a.Outcome.Verdict, "the verdict is on the ledger")
		})
	}
}

// A hospital that seals what it likes and anchors it is honest on the ledger and still
// found out by whoever opens the record.
func TestForgedContentIsNotGenuine(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	tag := p.h1.Tag(p.patient)
	stranger, err := smcrypto.Default().GenerateKey()
	require.NoError(t, err)
	file := func(s smcrypto.Sealed) recordstore.Item {
		item := p.h1.Put(tag, "ADT^A01", s)
		_, err := p.h1.Anchor(item.Entry())
		require.NoError(t, err)
		return item
	}
	forged := file(p.h1.SealAs(tag, p.h1.NewRecord("ADT^A01", []byte("MSH|forged")), stranger, nil))
	misnamed := p.h1.NewRecord("ADT^A01", []byte("MSH|misnamed"))
	misnamed.ID[7] ^= 1
	other := file(p.h1.Seal(tag, misnamed))
	foreign := p.h1.NewRecord("ADT^A01", []byte("MSH|foreign"))
	foreign.HospitalMSP = "H2MSP"
	stolen := file(p.h1.Seal(tag, foreign))
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Equal(t, retrieve.CheckSignature, verdictOf(t, res, forged.ID).Check)
	assert.Equal(t, retrieve.CheckRecordID, verdictOf(t, res, other.ID).Check)
	assert.Equal(t, retrieve.CheckRecord, verdictOf(t, res, stolen.ID).Check)
	assert.Equal(t, evidence.Genuine, verdictOf(t, res, p.items[0].ID).Verdict)
	assert.Equal(t, evidence.NotGenuine, res.Deliveries[0].Verdict)
}

func TestGrantOfAnotherRequestDoesNotOpen(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	var earlier []byte
	p.peer.spoil = func(call int, b []byte) []byte {
		return rewrite(b, func(item any, body []byte) (any, []byte) {
			if g, ok := item.(*wire.Grant); ok && g.ID == evidence.RecordID(p.items[0].ID) {
				if call == 1 {
					earlier = bytes.Clone(g.Bytes)
				} else {
					g.Bytes = earlier
				}
			}
			return item, body
		})
	}
	only := func(q *retrieve.Query) { q.Records = []evidence.RecordID{evidence.RecordID(p.items[0].ID)} }
	_, err := p.ask(only)
	require.NoError(t, err)
	res, err := p.ask(only)
	require.NoError(t, err)
	assert.Equal(t, retrieve.CheckDelivery, res.Records()[0].Check)
}

func TestCutTransfersAreResumed(t *testing.T) {
	for _, keep := range []int{3, 40, 600, 1000, 1500} {
		t.Run(fmt.Sprint(keep), func(t *testing.T) {
			p := newPair(t, nil, nil)
			p.h1.Consent(p.patient, "H2MSP", nil)
			p.peer.spoil = func(call int, b []byte) []byte {
				if call == 1 {
					return b[:min(keep, len(b)-1)]
				}
				return b
			}
			res, err := p.ask(nil)
			require.NoError(t, err)
			assert.Equal(t, 2, p.peer.calls)
			for _, r := range res.Records() {
				assert.Equal(t, evidence.Genuine, r.Verdict, r.Check)
			}
			assert.Len(t, res.Records(), 2)
		})
	}
}

func TestTransferThatNeverEndsIsConfirmedIncomplete(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	p.peer.spoil = func(_ int, b []byte) []byte { return b[:len(b)-1] }
	res, err := p.ask(nil)
	require.ErrorIs(t, err, wire.ErrCut)
	require.Len(t, res.Deliveries, 1)
	a, err := p.h2.Ledger.Access(ctx, res.Deliveries[0].Request)
	require.NoError(t, err)
	assert.Equal(t, evidence.AccessConfirmed, a.State)
}

func TestConsentsDecide(t *testing.T) {
	for _, c := range []struct {
		name    string
		prepare func(t *testing.T, p *pair)
		reason  string
	}{
		{"none", func(*testing.T, *pair) {}, "no-consent"},
		{"for another member", func(_ *testing.T, p *pair) { p.h1.Consent(p.patient, "H9MSP", nil) }, "no-consent"},
		{"of another patient", func(_ *testing.T, p *pair) { p.h1.Consent(retrievetest.Patient(2), "H2MSP", nil) }, "no-consent"},
		{"revoked", func(t *testing.T, p *pair) {
			id := p.h1.Consent(p.patient, "H2MSP", nil)
			_, _, err := p.h1.Say(evidence.RevokeConsent{Consent: id})
			require.NoError(t, err)
		}, "consent-revoked"},
		{"expired", func(_ *testing.T, p *pair) {
			p.h1.Consent(p.patient, "H2MSP", func(c *evidence.GrantConsent) { c.NotAfter = time.Now().Add(50 * time.Millisecond).UnixMilli() })
			time.Sleep(60 * time.Millisecond)
		}, "consent-expired"},
		{"for another purpose", func(_ *testing.T, p *pair) {
			p.h1.Consent(p.patient, "H2MSP", func(c *evidence.GrantConsent) { c.Purposes = []evidence.Purpose{evidence.Research} })
		}, "purpose-not-consented"},
		{"for other kinds", func(_ *testing.T, p *pair) {
			p.h1.Consent(p.patient, "H2MSP", func(c *evidence.GrantConsent) { c.Kinds = []string{"MDM^T02"} })
		}, "kind-not-consented"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t, nil, nil)
			c.prepare(t, p)
			res, err := p.ask(nil)
			var denied *retrieve.DeniedError
			require.ErrorAs(t, err, &denied)
			assert.Equal(t, c.reason, denied.Reason)
			assert.Empty(t, res.Records())
			a, err := p.h2.Ledger.Access(ctx, denied.Request)
			require.NoError(t, err)
			assert.Equal(t, evidence.AccessDenied, a.State)
			assert.Equal(t, c.reason, a.Decision.Reason)
		})
	}
}

func TestOwnerMayInsistOnItsOwnConsents(t *testing.T) {
	p := newPair(t, func(c *retrieve.OwnerConfig) { c.Recorder = func(msp string) bool { return msp == "H1MSP" } }, nil)
	p.h2.Consent(p.patient, "H2MSP", nil)
	_, err := p.ask(nil)
	require.ErrorAs(t, err, new(*retrieve.DeniedError))
	p.h1.Consent(p.patient, "H2MSP", nil)
	_, err = p.ask(nil)
	require.NoError(t, err)
}

func TestConsentForSomeKindsWithholdsTheRest(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", func(c *evidence.GrantConsent) { c.Kinds = []string{"ORU^R01"} })
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Equal(t, evidence.Genuine, verdictOf(t, res, p.items[1].ID).Verdict)
	withheld := verdictOf(t, res, p.items[0].ID)
	assert.Equal(t, string(wire.Withheld), withheld.Absent)
	assert.Equal(t, evidence.Genuine, res.Deliveries[0].Verdict, "what the patient withholds is not missing")
	assert.Equal(t, 1, p.peer.outcome.Absent[wire.Withheld])
}

func TestOnlyTheKindsAskedForAreSent(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	res, err := p.ask(func(q *retrieve.Query) { q.Kinds = []string{"ORU^R01"} })
	require.NoError(t, err)
	require.Len(t, res.Records(), 1)
	assert.Equal(t, "ORU^R01", res.Records()[0].Kind)
	assert.Equal(t, 1, p.peer.outcome.Delivered)
}

func TestConsentRevokedBetweenDecisionAndDelivery(t *testing.T) {
	p := newPair(t, nil, nil)
	id := p.h1.Consent(p.patient, "H2MSP", nil)
	p.h1.Ledger.OnSubmit(func(b evidence.Body) error {
		if b.Kind() == evidence.KindDeliver {
			p.h1.Ledger.OnSubmit(nil)
			_, _, err := p.h1.Say(evidence.RevokeConsent{Consent: id})
			return err
		}
		return nil
	})
	var stream []byte
	p.peer.spoil = func(_ int, b []byte) []byte { stream = b; return b }
	res, err := p.ask(nil)
	var refused *retrieve.RefusedError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, retrieve.CodeWithdrawn, refused.Code)
	assert.Empty(t, res.Records())
	assert.NotContains(t, string(stream), "wrapped", "sanity")
	in := wire.NewReader(bytes.NewReader(stream))
	for {
		item, err := in.Next()
		if err != nil {
			break
		}
		_, isGrant := item.(*wire.Grant)
		assert.False(t, isGrant, "no key leaves after the consent has ended")
		_, _ = io.Copy(io.Discard, in)
	}
}

func TestEmergencyNeedsNoConsentAndIsListedForReview(t *testing.T) {
	p := newPair(t, nil, nil)
	res, err := p.ask(func(q *retrieve.Query) {
		q.Emergency = &retrieve.Emergency{Reason: "unconscious", Staff: []string{"D-017", "N-204"}}
	})
	require.NoError(t, err)
	assert.Len(t, res.Records(), 2)
	desk, err := retrieve.NewDesk("H1MSP", p.h1.Ledger, p.h1.Custody)
	require.NoError(t, err)
	page, err := desk.Emergencies(ctx, 0, "")
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	a := page.Items[0]
	assert.True(t, a.Request.Emergency)
	assert.Equal(t, "unconscious", a.Request.Reason)
	assert.Len(t, a.Request.Staff, 2)
	for _, s := range a.Statements {
		assert.NotContains(t, string(s.Statement), "D-017", "staff identities stay in the house")
	}
	require.NoError(t, desk.Review(ctx, a.ID, true, "Q-001"))
	page, err = desk.Emergencies(ctx, 0, "")
	require.NoError(t, err)
	assert.Empty(t, page.Items)
	require.Error(t, desk.Review(ctx, a.ID, true, "Q-001"), "a review is made once")
}

func TestQueriesAreChecked(t *testing.T) {
	p := newPair(t, nil, nil)
	two := []string{"D-017", "N-204"}
	for name, q := range map[string]retrieve.Query{
		"nobody":              {},
		"two patients":        {Patient: p.patient, Tag: p.h2.Tag(p.patient)},
		"purpose":             {Patient: p.patient, Purpose: "curiosity"},
		"one member of staff": {Patient: p.patient, Emergency: &retrieve.Emergency{Reason: "coma", Staff: []string{"D-017"}}},
		"the same twice":      {Patient: p.patient, Emergency: &retrieve.Emergency{Reason: "coma", Staff: []string{"d-017 ", "D-017"}}},
		"nameless staff":      {Patient: p.patient, Emergency: &retrieve.Emergency{Reason: "coma", Staff: []string{"D-017", " "}}},
		"no reason":           {Patient: p.patient, Emergency: &retrieve.Emergency{Staff: two}},
		"a sentence":          {Patient: p.patient, Emergency: &retrieve.Emergency{Reason: "张三 fell from a tree", Staff: two}},
		"research":            {Patient: p.patient, Purpose: evidence.Research, Emergency: &retrieve.Emergency{Reason: "coma", Staff: two}},
	} {
		_, err := p.request.Retrieve(ctx, q)
		assert.ErrorIs(t, err, retrieve.ErrQuery, name)
	}
	_, err := p.request.Retrieve(ctx, retrieve.Query{Patient: retrievetest.Patient(9)})
	assert.ErrorIs(t, err, retrieve.ErrNothing)
	_, err = p.request.Retrieve(ctx, retrieve.Query{Patient: keystore.Identity{ResidentID: "11010119900307001Y"}})
	require.ErrorIs(t, err, keystore.ErrIdentity)
	assert.NotContains(t, err.Error(), "11010119900307", "no identity in errors")
	q := retrieve.Query{Patient: p.patient, Emergency: &retrieve.Emergency{Reason: "coma", Staff: two}}
	assert.NotContains(t, fmt.Sprintf("%v %v", q.LogValue(), q.Emergency.LogValue()), "D-017")
	assert.False(t, strings.Contains(fmt.Sprint(q.LogValue()), p.patient.ResidentID))
}

func TestResultIsBounded(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	_, err := p.ask(func(q *retrieve.Query) { q.MaxBytes = 6 })
	require.ErrorIs(t, err, retrieve.ErrLimit)
	n := 0
	res, err := p.request.RetrieveEach(ctx, retrieve.Query{Patient: p.patient}, func(r retrieve.Record) error {
		n++
		assert.NotNil(t, r.Record)
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	for _, r := range res.Records() {
		assert.Nil(t, r.Record, "contents are not kept")
	}
	stop := errors.New("enough")
	_, err = p.request.RetrieveEach(ctx, retrieve.Query{Patient: p.patient}, func(retrieve.Record) error { return stop })
	require.ErrorIs(t, err, stop)
}

func TestAsyncConfirmComesBeforeClose(t *testing.T) {
	p := newPair(t, nil, func(c *retrieve.RequesterConfig) { c.AsyncConfirm = true })
	p.h1.Consent(p.patient, "H2MSP", nil)
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Zero(t, res.Timings.Confirm)
	p.request.Close()
	a, err := p.h2.Ledger.Access(ctx, res.Deliveries[0].Request)
	require.NoError(t, err)
	assert.Equal(t, evidence.AccessConfirmed, a.State)
}
