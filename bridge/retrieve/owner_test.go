package retrieve_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/retrievetest"
	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/recordstore/embedded"
)

// claim commits an access request of h2 and returns the delivery request for it.
func (p *pair) claim(t *testing.T, change func(*evidence.RequestAccess)) wire.Request {
	t.Helper()
	body := evidence.RequestAccess{Tag: p.h1.Tag(p.patient), Owner: "H1MSP", Purpose: evidence.Treatment, RequesterKey: p.h2.KeyDigest()}
	if change != nil {
		change(&body)
	}
	_, id, err := p.h2.Say(body)
	require.NoError(t, err)
	return wire.Request{Version: 1, Requester: "H2MSP", Owner: "H1MSP", Access: id}
}

// deliver runs the owner's side and returns what it wrote.
func (p *pair) deliver(t *testing.T, req wire.Request) (retrieve.Outcome, []byte, error) {
	t.Helper()
	party, err := p.h1.Trust.Party(ctx, "H2MSP")
	require.NoError(t, err)
	var out bytes.Buffer
	outcome, err := p.peer.owner.Deliver(ctx, party, req, wire.NewWriter(&out), nil)
	return outcome, out.Bytes(), err
}

func codeOf(t *testing.T, err error) retrieve.Code {
	t.Helper()
	var refused *retrieve.RefusedError
	require.ErrorAs(t, err, &refused)
	return refused.Code
}

func TestRecordsOfAnotherPatientAreNotDelivered(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	other := p.h1.File(retrievetest.Patient(2), "ADT^A01", []byte("MSH|another patient"))
	outcome, stream, err := p.deliver(t, p.claim(t, func(b *evidence.RequestAccess) {
		b.Records = []evidence.RecordID{evidence.RecordID(other.ID)} // under a tag that has a consent
	}))
	require.NoError(t, err)
	assert.Equal(t, map[wire.AbsentCode]int{wire.Foreign: 1}, outcome.Absent)
	assert.Zero(t, outcome.Delivered)
	assert.Less(t, len(stream), 200)
}

func TestEnvelopeCannotWidenTheRequest(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	req := p.claim(t, func(b *evidence.RequestAccess) { b.Records = []evidence.RecordID{evidence.RecordID(p.items[0].ID)} })
	req.Records = []evidence.RecordID{evidence.RecordID(p.items[1].ID)}
	_, _, err := p.deliver(t, req)
	assert.Equal(t, retrieve.CodeForeign, codeOf(t, err))
}

func TestRequestsOfOthersAreRefused(t *testing.T) {
	p := newPair(t, nil, nil)
	req := p.claim(t, nil)
	third := req
	third.Access = evidence.Nonce{1}
	_, _, err := p.deliver(t, third)
	assert.Equal(t, retrieve.CodeUnknown, codeOf(t, err))
	third = req
	third.Owner = "H3MSP"
	_, _, err = p.deliver(t, third)
	assert.Equal(t, retrieve.CodeForeign, codeOf(t, err))
	// H1 itself poses as the requester of H2's request.
	self, err := p.h1.Trust.Party(ctx, "H1MSP")
	require.NoError(t, err)
	req.Requester = "H1MSP"
	_, err = p.peer.owner.Deliver(ctx, self, req, wire.NewWriter(io.Discard), nil)
	assert.Equal(t, retrieve.CodeForeign, codeOf(t, err))
}

// The owner does not believe its peer: what the peer shows must be signed by whom it names.
func TestALyingPeerIsNotBelieved(t *testing.T) {
	edit := func(query string, change func(map[string]any)) func(string, []byte) []byte {
		return func(q string, answer []byte) []byte {
			var v map[string]any
			if q != query || json.Unmarshal(answer, &v) != nil {
				return answer
			}
			change(v)
			b, _ := json.Marshal(v)
			return b
		}
	}
	for name, c := range map[string]struct {
		view func(string, []byte) []byte
		want retrieve.Code
	}{
		"request for another tag": {edit(evidence.QueryAccess, func(v map[string]any) {
			v["request"].(map[string]any)["Tag"] = "00000000000000000000000000000009"
		}), retrieve.CodeUntrusted},
		"request made an emergency": {edit(evidence.QueryAccess, func(v map[string]any) {
			v["request"].(map[string]any)["Emergency"] = true
		}), retrieve.CodeUntrusted},
		"request without a statement": {edit(evidence.QueryAccess, func(v map[string]any) { v["statements"] = nil }), retrieve.CodeUntrusted},
		"another requester":           {edit(evidence.QueryAccess, func(v map[string]any) { v["requester"] = "H1MSP" }), retrieve.CodeForeign},
		"consent with another grantee": {edit(evidence.QueryConsents, func(v map[string]any) {
			for _, c := range v["items"].([]any) {
				c.(map[string]any)["terms"].(map[string]any)["Grantees"] = []string{"H2MSP"}
			}
		}), retrieve.CodeDenied},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil, nil)
			p.h1.Consent(p.patient, "H9MSP", nil)
			req := p.claim(t, nil)
			p.h1.Ledger.OnAnswer(c.view)
			_, stream, err := p.deliver(t, req)
			assert.Equal(t, c.want, codeOf(t, err))
			assert.Empty(t, stream)
		})
	}
}

func TestMembersMustVerify(t *testing.T) {
	p := newPair(t, nil, nil)
	_, err := p.h1.Trust.Active(ctx, "H2MSP")
	require.NoError(t, err)
	stranger := p.NewMember(t, "H2MSP", 2) // same name, certified by the same authority, never registered
	raw, err := json.Marshal(evidence.Member{MSP: "H2MSP", Info: stranger.Registration(), Status: evidence.MemberActive})
	require.NoError(t, err)
	p.h1.Ledger.OnAnswer(func(q string, answer []byte) []byte {
		if q == evidence.QueryMember {
			return raw
		}
		return answer
	})
	_, err = p.h1.Trust.Active(ctx, "H2MSP")
	require.ErrorIs(t, err, retrieve.ErrUntrusted)
	p.h1.Ledger.OnAnswer(nil)
	require.NoError(t, p.SetStatus(p.h1.Member, "H2MSP", evidence.MemberSuspended))
	_, err = p.h1.Trust.Active(ctx, "H2MSP")
	require.ErrorIs(t, err, retrieve.ErrInactive)
	// A peer that hides a suspension while it still shows the authority's word.
	p.h1.Ledger.OnAnswer(func(_ string, answer []byte) []byte {
		return bytes.Replace(answer, []byte(`"status":"suspended"`), []byte(`"status":"active"`), 1)
	})
	_, err = p.h1.Trust.Active(ctx, "H2MSP")
	require.ErrorIs(t, err, retrieve.ErrUntrusted)
}

func TestRecordsThatCannotBeDeliveredDoNotHoldUpTheRest(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	tag := p.h1.Tag(p.patient)
	erased := p.h1.File(p.patient, "ADT^A01", []byte("MSH|erased"))
	require.NoError(t, p.h1.Custody.DestroyRecord(ctx, tag, erased.Epoch, erased.ID))
	lost := p.h1.Seal(tag, p.h1.NewRecord("ADT^A01", []byte("MSH|never stored")))
	_, err := p.h1.Anchor(evidence.Entry{ID: lost.Header.RecordID, Tag: tag, CipherHash: lost.CipherDigest, Pointer: []byte{99}})
	require.NoError(t, err)
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Equal(t, string(wire.Erased), verdictOf(t, res, erased.ID).Absent)
	assert.Equal(t, string(wire.NotStored), verdictOf(t, res, evidence.RecordID(lost.Header.RecordID)).Absent)
	assert.Equal(t, evidence.Genuine, verdictOf(t, res, p.items[0].ID).Verdict)
	assert.Equal(t, evidence.Incomplete, res.Deliveries[0].Verdict)
}

// checked is a store that fails at the end of one record, as a store that checks itself.
type checked struct {
	*embedded.Store
	bad record.ID
}

func (c checked) Open(ctx context.Context, id record.ID) (recordstore.Item, io.ReadCloser, error) {
	item, r, err := c.Store.Open(ctx, id)
	if err != nil {
		return item, r, err
	}
	if id == c.bad {
		item.CipherHash[0] ^= 1
	}
	return item, struct {
		io.Reader
		io.Closer
	}{recordstore.NewCheckedReader(r, item), r}, nil
}

func TestDamageInTheStoreIsSaidAndTheRestDelivered(t *testing.T) {
	p := newPair(t, nil, nil)
	p.peer.owner = p.h1.Owner(func(c *retrieve.OwnerConfig) { c.Store = checked{p.h1.Store, p.items[0].ID} })
	p.h1.Consent(p.patient, "H2MSP", nil)
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Equal(t, string(wire.Damaged), verdictOf(t, res, p.items[0].ID).Absent)
	assert.Equal(t, evidence.Genuine, verdictOf(t, res, p.items[1].ID).Verdict)
}

// relabelled is a store in which someone has changed the kind of a record.
type relabelled struct {
	*embedded.Store
	id   record.ID
	kind string
}

func (r relabelled) Stat(ctx context.Context, id record.ID) (recordstore.Item, error) {
	item, err := r.Store.Stat(ctx, id)
	if id == r.id {
		item.Kind = r.kind
	}
	return item, err
}

func TestAStoreThatLiesAboutKindsCannotWidenAConsent(t *testing.T) {
	p := newPair(t, nil, nil)
	p.peer.owner = p.h1.Owner(func(c *retrieve.OwnerConfig) { c.Store = relabelled{p.h1.Store, p.items[0].ID, "ORU^R01"} })
	p.h1.Consent(p.patient, "H2MSP", func(c *evidence.GrantConsent) { c.Kinds = []string{"ORU^R01"} })
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Equal(t, string(wire.Withheld), verdictOf(t, res, p.items[0].ID).Absent)
	assert.Equal(t, evidence.Genuine, verdictOf(t, res, p.items[1].ID).Verdict)
}

func TestRepeatedDeliveryBringsTheSameGrants(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	req := p.claim(t, nil)
	_, first, err := p.deliver(t, req)
	require.NoError(t, err)
	_, second, err := p.deliver(t, req)
	require.NoError(t, err)
	assert.Equal(t, first, second, "the ledger holds the digest of these grants")
	// After a restart the grants are gone, and none may be made anew.
	p.peer.owner = p.h1.Owner(nil)
	_, _, err = p.deliver(t, req)
	assert.Equal(t, retrieve.CodeGone, codeOf(t, err))
}

func TestGrantEnds(t *testing.T) {
	now := time.Now().Add(time.Second) // not before the consent
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	p := newPair(t, func(c *retrieve.OwnerConfig) { c.Now = clock }, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	req := p.claim(t, nil)
	_, _, err := p.deliver(t, req)
	require.NoError(t, err)
	mu.Lock()
	now = now.Add(16 * time.Minute)
	mu.Unlock()
	_, _, err = p.deliver(t, req)
	assert.Equal(t, retrieve.CodeExpired, codeOf(t, err))
}

func TestConcurrentDeliveriesDecideOnce(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	req := p.claim(t, nil)
	party, err := p.h1.Trust.Party(ctx, "H2MSP")
	require.NoError(t, err)
	var decisions, deliveries int
	var mu sync.Mutex
	p.h1.Ledger.OnSubmit(func(b evidence.Body) error {
		mu.Lock()
		defer mu.Unlock()
		switch b.Kind() {
		case evidence.KindDecideAccess:
			decisions++
		case evidence.KindDeliver:
			deliveries++
		}
		return nil
	})
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			_, err := p.peer.owner.Deliver(ctx, party, req, wire.NewWriter(io.Discard), nil)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	assert.Equal(t, 1, decisions)
	assert.Equal(t, 1, deliveries)
}

func TestLedgerOutageLetsNoKeyLeave(t *testing.T) {
	p := newPair(t, nil, nil)
	p.h1.Consent(p.patient, "H2MSP", nil)
	req := p.claim(t, nil)
	down := errors.New("orderers unreachable")
	p.h1.Ledger.OnSubmit(func(b evidence.Body) error {
		if b.Kind() == evidence.KindDeliver {
			return down
		}
		return nil
	})
	_, stream, err := p.deliver(t, req)
	assert.Equal(t, retrieve.CodeLedger, codeOf(t, err))
	in := wire.NewReader(bytes.NewReader(stream))
	kinds := map[string]int{}
	for {
		item, err := in.Next()
		if err != nil {
			break
		}
		switch item.(type) {
		case *wire.Grant:
			kinds["grant"]++
		case *wire.Failure:
			kinds["failure"]++
		}
		_, _ = io.Copy(io.Discard, in)
	}
	assert.Equal(t, map[string]int{"failure": 1}, kinds)
	p.h1.Ledger.OnSubmit(nil)
	_, _, err = p.deliver(t, req)
	require.NoError(t, err, "it heals")
}

func TestOwnersDenialMustStandOnTheLedger(t *testing.T) {
	p := newPair(t, nil, nil)
	r := p.h2.Requester(liar{}, nil)
	_, err := r.Retrieve(ctx, retrieve.Query{Patient: p.patient})
	require.ErrorIs(t, err, retrieve.ErrUntrusted)
	assert.False(t, errors.As(err, new(*retrieve.DeniedError)))
}

type liar struct{}

func (liar) Deliver(context.Context, retrieve.Party, []byte, func(*wire.Reader) error) error {
	return &retrieve.RefusedError{Code: retrieve.CodeDenied, Reason: "no-consent"}
}

func TestLargeRecordsWaitOnDisk(t *testing.T) {
	p := newPair(t, nil, func(c *retrieve.RequesterConfig) { c.SpoolDir = filepath.Join(t.TempDir(), "spool") }) // which does not exist yet
	p.h1.Consent(p.patient, "H2MSP", nil)
	payload := make([]byte, 3<<20)
	_, err := rand.Read(payload)
	require.NoError(t, err)
	item := p.h1.File(p.patient, "MDM^T02", payload)
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Equal(t, payload, verdictOf(t, res, item.ID).Record.Payload)
	res, err = p.ask(func(q *retrieve.Query) { q.Bare, q.MaxBytes = true, 1 })
	require.NoError(t, err)
	bare := verdictOf(t, res, item.ID)
	assert.Empty(t, bare.Record.Payload)
	assert.Equal(t, int64(len(payload)), bare.Size)
}
