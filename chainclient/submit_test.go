package chainclient

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/emrbridge/emrbridge/evidence"
)

// signerStub signs with anything that has the length of a signature.
type signerStub struct{}

func (signerStub) Sign(context.Context, []byte) ([]byte, error) { return make([]byte, 70), nil }

var orgs = []string{"H1MSP", "H2MSP", "H3MSP", "H4MSP"}

// fixture is a client of H1 with one gateway peer for each organisation.
type fixture struct {
	*Client
	ledger *fakeLedger
	links  []*fakeLink
}

func newFixture(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	cfg := Config{MSPID: "H1MSP", Endorsers: orgs}
	if change != nil {
		change(&cfg)
	}
	f := &fixture{ledger: newFakeLedger()}
	var links []link
	for _, org := range orgs {
		l := &fakeLink{ledger: f.ledger, org: org}
		f.links, links = append(f.links, l), append(links, l)
	}
	f.Client = newClient(cfg.WithDefaults(), signerStub{}, links)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f
}

// bubble runs a test with a fixture under fake time.
func bubble(t *testing.T, change func(*Config), test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, change)
		synctest.Wait()
		test(t, f)
	})
}

// count returns how many transactions of the nonce took effect and how many are on the
// ledger in all.
func (f *fixture) count(nonce evidence.Nonce) (valid, all int) {
	f.ledger.mu.Lock()
	defer f.ledger.mu.Unlock()
	for id, fate := range f.ledger.fates {
		if f.ledger.txs[id].nonce == nonce {
			all++
			if fate.valid() {
				valid++
			}
		}
	}
	return valid, all
}

var somePatient = evidence.RegisterPatient{Tag: evidence.Tag{1}, Digest: evidence.Digest{2}}

func TestSubmit(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		c, err := f.Submit(t.Context(), somePatient)
		require.NoError(t, err)
		assert.Equal(t, 1, c.Attempts)
		assert.Equal(t, uint64(1), c.Block)
		assert.Equal(t, "H1MSP", c.Peer)
		signed, st, err := evidence.ParseSigned(must1(c.Signed.Encode()))
		require.NoError(t, err)
		assert.Equal(t, c.Signed, signed)
		assert.Equal(t, c.Nonce, st.Nonce)
		assert.Equal(t, "H1MSP", st.Actor)
		assert.Zero(t, f.links[0].asks, "the block stream tells, nobody has to ask")
	})
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSubmitFaults(t *testing.T) {
	once := func(first bool) func() bool { return func() bool { was := first; first = false; return was } }
	for name, tc := range map[string]struct {
		prepare  func(f *fixture)
		attempts int
		onLedger int // transactions, valid or not
	}{
		"answer of submit lost, the orderers have it": {attempts: 1, onLedger: 1, prepare: func(f *fixture) {
			fail := once(true)
			f.links[0].onSubmit = func(string) (bool, error) {
				if fail() {
					return false, status.Error(codes.Unavailable, "connection reset")
				}
				return false, nil
			}
		}},
		"all submits time out at every peer, the orderers have them": {attempts: 1, onLedger: 1, prepare: func(f *fixture) {
			for _, l := range f.links {
				l.onSubmit = func(string) (bool, error) { return false, status.Error(codes.DeadlineExceeded, "submit timeout") }
			}
		}},
		"orderers out for a while": {attempts: 1, onLedger: 1, prepare: func(f *fixture) {
			until := time.Now().Add(20 * time.Second)
			for _, l := range f.links {
				l.onSubmit = func(string) (bool, error) {
					if time.Now().Before(until) {
						return true, complainedAs(codes.Unavailable, "rpc error: connection refused", "OrdererMSP")
					}
					return false, nil
				}
			}
		}},
		"collision": {attempts: 2, onLedger: 2, prepare: func(f *fixture) {
			hit := once(true)
			f.ledger.spoil = func(*fakeTx) peer.TxValidationCode {
				if hit() {
					return peer.TxValidationCode_MVCC_READ_CONFLICT
				}
				return peer.TxValidationCode_VALID
			}
		}},
		"no block stream": {attempts: 1, onLedger: 1, prepare: func(f *fixture) {
			for _, l := range f.links {
				l.mu.Lock()
				l.noStream = true
				l.breakStreams()
				l.mu.Unlock()
			}
			synctest.Wait()
		}},
		"own peer down": {attempts: 1, onLedger: 1, prepare: func(f *fixture) { f.links[0].setDown(true) }},
		"three peers down": {attempts: 1, onLedger: 1, prepare: func(f *fixture) {
			for _, l := range f.links[:3] {
				l.setDown(true)
			}
		}},
		"all peers down for a while": {attempts: -1, onLedger: 1, prepare: func(f *fixture) {
			for _, l := range f.links {
				l.setDown(true)
			}
			time.AfterFunc(30*time.Second, func() {
				for _, l := range f.links {
					l.setDown(false)
				}
			})
		}},
		"too many calls": {attempts: 2, onLedger: 1, prepare: func(f *fixture) {
			hit := once(true)
			f.links[0].onEndorse = func(proposal) error {
				if hit() {
					return status.Error(codes.ResourceExhausted, "too many requests for /gateway.Gateway, exceeding concurrency limit (500)")
				}
				return nil
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, f *fixture) {
				tc.prepare(f)
				c, err := f.Submit(t.Context(), somePatient)
				require.NoError(t, err)
				if tc.attempts > 0 {
					assert.Equal(t, tc.attempts, c.Attempts)
				}
				time.Sleep(time.Minute)
				valid, all := f.count(c.Nonce)
				assert.Equal(t, 1, valid, "takes effect once")
				assert.Equal(t, tc.onLedger, all)
			})
		})
	}
}

func complainedAs(code codes.Code, message string, orgs ...string) error {
	st, err := status.New(code, "details follow").WithDetails(&gateway.ErrorDetail{MspId: orgs[0], Message: message})
	if err != nil {
		panic(err)
	}
	return st.Err()
}

func TestUnknownOutcomeIsResolvedLater(t *testing.T) {
	bubble(t, func(c *Config) { c.Patience = 5 * time.Second }, func(t *testing.T, f *fixture) {
		f.ledger.delay = 20 * time.Second
		_, err := f.Submit(t.Context(), somePatient)
		var u *UnknownError
		require.ErrorAs(t, err, &u)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, IsUnknown(err))
		assert.True(t, IsRetriable(err), "a registration may be repeated")
		_, found, err := f.Resolve(t.Context(), u)
		require.NoError(t, err)
		assert.False(t, found)
		time.Sleep(30 * time.Second)
		c, found, err := f.Resolve(t.Context(), u)
		require.NoError(t, err)
		assert.True(t, found)
		assert.Equal(t, u.TxIDs[0], c.TxID)
		assert.Equal(t, u.Nonce, c.Nonce)
	})
}

func TestUnknownIsNotRetriableIfRepeatingHasEffects(t *testing.T) {
	assert.False(t, IsRetriable(&UnknownError{TxError: TxError{Kind: evidence.KindRequestAccess}}))
	assert.True(t, IsRetriable(&UnknownError{TxError: TxError{Kind: evidence.KindAnchorBatch}}))
}

func TestCallerGivesUp(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		for _, l := range f.links {
			l.setDown(true)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.Submit(ctx, somePatient)
		var e *EndorseError
		require.ErrorAs(t, err, &e)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, IsRetriable(err))
		assert.False(t, IsUnknown(err), "nothing was handed over")
	})
}

func TestEnvelopeRejectedByOrderers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		for _, l := range f.links {
			l.onSubmit = func(string) (bool, error) {
				return true, complainedAs(codes.Unavailable, "received unsuccessful response from orderer: status=REQUEST_ENTITY_TOO_LARGE, info=message payload is 9 bytes, max 5", "OrdererMSP")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := f.Submit(ctx, somePatient)
		var e *SubmitError
		require.ErrorAs(t, err, &e)
		assert.NotEmpty(t, e.TxID)
		assert.True(t, tooLarge(err))
	})
}

func TestSubmitAsync(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		var pending []*Pending
		for range 100 {
			p, err := f.SubmitAsync(t.Context(), somePatient)
			require.NoError(t, err)
			pending = append(pending, p)
		}
		for _, p := range pending {
			c, err := p.Wait(t.Context())
			require.NoError(t, err)
			assert.Equal(t, p.Nonce(), c.Nonce)
		}
		f.links[0].onEndorse = func(p proposal) error {
			return refusedBy(&evidence.Refusal{Code: evidence.CodeNoConsent}, p.orgs...)
		}
		_, err := f.SubmitAsync(t.Context(), somePatient)
		r, ok := RefusalOf(err)
		require.True(t, ok)
		assert.Equal(t, evidence.CodeNoConsent, r.Code)
	})
}

func TestCloseEndsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		f.ledger.delay = time.Hour
		p, err := f.SubmitAsync(t.Context(), somePatient)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		_, err = p.Wait(t.Context())
		assert.True(t, IsUnknown(err))
		_, err = f.Submit(t.Context(), somePatient)
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, f.Ready(t.Context()), ErrClosed)
	})
}

func TestSignerFailure(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.signer = brokenSigner{}
		_, err := f.Submit(t.Context(), somePatient)
		require.ErrorIs(t, err, errBroken)
		_, err = f.Submit(t.Context(), evidence.RegisterPatient{})
		require.ErrorIs(t, err, evidence.ErrMalformed)
	})
}

var errBroken = errors.New("the key store is locked")

type brokenSigner struct{}

func (brokenSigner) Sign(context.Context, []byte) ([]byte, error) { return nil, errBroken }

func TestBackToOwnPeer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.links[0].setDown(true)
		_, err := f.Submit(t.Context(), somePatient)
		require.NoError(t, err)
		f.links[0].setDown(false)
		time.Sleep(cooldownMax)
		before := f.links[0].endorses
		_, err = f.Submit(t.Context(), somePatient)
		require.NoError(t, err)
		assert.Equal(t, before+1, f.links[0].endorses)
	})
}

// A peer that hangs keeps its streams open: events go on at another, and come back.
func TestStreamsLeaveAPeerThatHangs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		var mu sync.Mutex
		var seen []string
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- f.Events(ctx, &memoryCheckpoint{}, Handler{Tx: func(_ context.Context, tx Tx) error {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, tx.ID)
				return nil
			}})
		}()
		synctest.Wait()
		f.links[0].setHung(true)
		var want []string
		for range 3 {
			c, err := f.Submit(t.Context(), somePatient)
			require.NoError(t, err)
			assert.NotEqual(t, "H1MSP", c.Peer)
			want = append(want, c.TxID)
		}
		time.Sleep(10 * time.Second)
		mu.Lock()
		assert.Equal(t, want, seen)
		mu.Unlock()
		f.links[0].setHung(false)
		time.Sleep(2 * time.Minute)
		c, err := f.Submit(t.Context(), somePatient)
		require.NoError(t, err)
		assert.Equal(t, "H1MSP", c.Peer)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// A gateway that answers but waits for another organisation's peer.
func TestForeignEndorserThatHangs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.links[2].setHung(true)
		for _, l := range f.links {
			l.onEndorse = func(p proposal) error {
				if slices.Contains(p.orgs, "H3MSP") {
					time.Sleep(f.cfg.EndorseTimeout)
					return status.Error(codes.DeadlineExceeded, "endorsement timeout expired while collecting endorsements")
				}
				return nil
			}
		}
		for range 5 {
			begin := time.Now()
			c, err := f.Submit(t.Context(), somePatient)
			require.NoError(t, err)
			assert.LessOrEqual(t, c.Attempts, 2)
			assert.Less(t, time.Since(begin), f.cfg.EndorseTimeout+probeTimeout+2*time.Second)
		}
		f.links[2].setHung(false)
	})
}

// While the ordering is slow many transactions are asked for; the stream ends all that.
func TestManyWaitForASlowBlock(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.ledger.delay = 20 * time.Second
		begin := time.Now()
		var wg sync.WaitGroup
		for range 400 {
			wg.Go(func() {
				_, err := f.Submit(t.Context(), somePatient)
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.Less(t, time.Since(begin), 21*time.Second)
		asks := 0
		for _, l := range f.links {
			asks += l.asks
		}
		assert.Less(t, asks, 5*maxAsking*4)
	})
}

func TestEndorsersTakeTurns(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		asked := map[string]int{}
		f.links[0].onEndorse = func(p proposal) error {
			assert.Len(t, p.orgs, 3)
			assert.Equal(t, "H1MSP", p.orgs[0])
			for _, o := range p.orgs {
				asked[o]++
			}
			if slices.Contains(p.orgs, "H3MSP") {
				return complained("failed to connect", "H3MSP")
			}
			return nil
		}
		for range 10 {
			_, err := f.Submit(t.Context(), somePatient)
			require.NoError(t, err)
		}
		assert.Less(t, asked["H3MSP"], 3, "an organisation that fails rests")
		assert.Positive(t, asked["H2MSP"])
		assert.Positive(t, asked["H4MSP"])
	})
}
