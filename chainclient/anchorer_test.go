package chainclient

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/emrbridge/emrbridge/evidence"
)

func entry(n uint64) evidence.Entry {
	e := evidence.Entry{ID: evidence.RecordID{0, 1}, Tag: evidence.Tag{1, byte(n % 7)}, CipherHash: evidence.Digest{9}, Pointer: []byte{1}}
	binary.BigEndian.PutUint64(e.ID[8:], n)
	return e
}

// answers collects what an anchorer says about entries.
type answers struct {
	mu       sync.Mutex
	receipts map[evidence.RecordID][]Receipt
	errs     map[evidence.RecordID][]error
}

func newAnswers() *answers {
	return &answers{receipts: map[evidence.RecordID][]Receipt{}, errs: map[evidence.RecordID][]error{}}
}

func (a *answers) of(e evidence.Entry) func(Receipt, error) {
	return func(r Receipt, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		if err != nil {
			a.errs[e.ID] = append(a.errs[e.ID], err)
		} else {
			a.receipts[e.ID] = append(a.receipts[e.ID], r)
		}
	}
}

func TestAnchorerBatches(t *testing.T) {
	bubble(t, func(c *Config) { c.BatchMax, c.InFlight = 100, 2 }, func(t *testing.T, f *fixture) {
		a, got := f.NewAnchorer(), newAnswers()
		begin := time.Now()
		for n := range uint64(1050) {
			require.NoError(t, a.Add(t.Context(), entry(n), got.of(entry(n))))
		}
		require.NoError(t, a.Close(t.Context()))
		assert.Less(t, time.Since(begin), 10*f.cfg.BatchWait)
		batches := map[evidence.Nonce]int{}
		for n := range uint64(1050) {
			require.Len(t, got.receipts[entry(n).ID], 1)
			r := got.receipts[entry(n).ID][0]
			assert.False(t, r.Duplicate)
			assert.NotZero(t, r.Block)
			batches[r.Batch]++
		}
		assert.Len(t, batches, 11)
		require.ErrorIs(t, a.Add(t.Context(), entry(1), got.of(entry(1))), ErrClosed)
	})
}

func TestAnchorerWaitsForCompany(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		a := f.NewAnchorer()
		defer func() { require.NoError(t, a.Close(t.Context())) }()
		begin := time.Now()
		r, err := a.Anchor(t.Context(), entry(1))
		require.NoError(t, err)
		assert.Equal(t, f.cfg.BatchWait+f.ledger.delay, time.Since(begin))
		again, err := a.Anchor(t.Context(), entry(1))
		require.NoError(t, err)
		assert.True(t, again.Duplicate)
		assert.NotEqual(t, r.Batch, again.Batch)
	})
}

func TestPoisonIsIsolated(t *testing.T) {
	bad := map[uint64]bool{3: true, 250: true, 251: true, 499: true}
	for name, prepare := range map[string]func(f *fixture){
		"named by the refusal": func(f *fixture) {
			for n := range bad {
				e := entry(n)
				e.CipherHash[0]++
				f.ledger.records[e.ID] = e
			}
		},
		"not named": func(f *fixture) {
			f.ledger.poison = func(e evidence.Entry) bool { return bad[binary.BigEndian.Uint64(e.ID[8:])] }
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, f *fixture) {
				prepare(f)
				a, got := f.NewAnchorer(), newAnswers()
				for n := range uint64(500) {
					require.NoError(t, a.Add(t.Context(), entry(n), got.of(entry(n))))
				}
				require.NoError(t, a.Close(t.Context()))
				for n := range uint64(500) {
					id := entry(n).ID
					if !bad[n] {
						assert.Len(t, got.receipts[id], 1)
						assert.Empty(t, got.errs[id])
						continue
					}
					require.Len(t, got.errs[id], 1)
					assert.Empty(t, got.receipts[id])
					var p *PoisonError
					require.ErrorAs(t, got.errs[id][0], &p)
					assert.Equal(t, id, p.ID)
					assert.True(t, IsPoison(got.errs[id][0]))
					assert.False(t, IsRetriable(got.errs[id][0]))
				}
			})
		})
	}
}

func TestRefusalOfTheHospitalIsNoPoison(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.links[0].onEndorse = func(p proposal) error {
			return refusedBy(&evidence.Refusal{Code: evidence.CodeNotMember, Message: "suspended"}, p.orgs...)
		}
		a := f.NewAnchorer()
		_, err := a.Anchor(t.Context(), entry(1))
		assert.False(t, IsPoison(err))
		assert.True(t, IsRetriable(err))
		require.NoError(t, a.Close(t.Context()))
		assert.Equal(t, 1, f.links[0].endorses, "nothing is split")
	})
}

// A contract that refuses everything does not make records poison.
func TestRefusalOfAllIsNoPoison(t *testing.T) {
	for _, code := range []evidence.Code{evidence.CodeMalformed, evidence.CodeUnauthorized} {
		bubble(t, nil, func(t *testing.T, f *fixture) {
			f.links[0].onEndorse = func(p proposal) error {
				return refusedBy(&evidence.Refusal{Code: code, Message: "statement version 2"}, p.orgs...)
			}
			a, got := f.NewAnchorer(), newAnswers()
			for n := range uint64(500) {
				require.NoError(t, a.Add(t.Context(), entry(n), got.of(entry(n))))
			}
			require.NoError(t, a.Close(t.Context()))
			require.Len(t, got.errs, 500)
			for _, errs := range got.errs {
				require.Len(t, errs, 1)
				assert.False(t, IsPoison(errs[0]))
				r, ok := RefusalOf(errs[0])
				require.True(t, ok)
				assert.Equal(t, code, r.Code)
			}
			assert.Less(t, f.links[0].endorses, 40, "the batch is not taken apart to the last entry")
		})
	}
}

func TestTooLargeIsHalved(t *testing.T) {
	bubble(t, func(c *Config) { c.BatchMax = 64 }, func(t *testing.T, f *fixture) {
		f.links[0].onEndorse = func(p proposal) error {
			if len(p.transient[evidence.TransientEntries]) > 20*70 {
				return status.Error(codes.ResourceExhausted, "trying to send message larger than max (9 vs. 5)")
			}
			return nil
		}
		a, got := f.NewAnchorer(), newAnswers()
		for n := range uint64(64) {
			require.NoError(t, a.Add(t.Context(), entry(n), got.of(entry(n))))
		}
		require.NoError(t, a.Close(t.Context()))
		assert.Len(t, got.receipts, 64)
	})
}

// The same id is never on its way twice: later entries wait and the ledger decides.
func TestSameIDWaits(t *testing.T) {
	bubble(t, func(c *Config) { c.BatchMax, c.InFlight = 1, 8 }, func(t *testing.T, f *fixture) {
		var mu sync.Mutex
		flying, most := 0, 0
		f.ledger.delay = time.Second
		f.links[0].onSubmit = func(string) (bool, error) {
			mu.Lock()
			defer mu.Unlock()
			flying++
			most = max(most, flying)
			time.AfterFunc(f.ledger.delay-time.Millisecond, func() { mu.Lock(); flying--; mu.Unlock() })
			return false, nil
		}
		a := f.NewAnchorer()
		other := entry(1)
		other.CipherHash[0]++
		same, different := newAnswers(), newAnswers()
		for range 3 {
			require.NoError(t, a.Add(t.Context(), entry(1), same.of(entry(1))))
		}
		require.NoError(t, a.Add(t.Context(), other, different.of(other)))
		require.NoError(t, a.Close(t.Context()))
		assert.Equal(t, 1, most)
		require.Len(t, same.receipts[other.ID], 3)
		assert.False(t, same.receipts[other.ID][0].Duplicate)
		assert.True(t, same.receipts[other.ID][1].Duplicate)
		require.Len(t, different.errs[other.ID], 1)
		assert.True(t, IsPoison(different.errs[other.ID][0]))
	})
}

func TestBackPressure(t *testing.T) {
	bubble(t, func(c *Config) { c.BatchMax, c.InFlight, c.MaxPending = 5, 1, 10 }, func(t *testing.T, f *fixture) {
		f.ledger.delay = time.Minute
		a, got := f.NewAnchorer(), newAnswers()
		for n := range uint64(10) {
			require.NoError(t, a.Add(t.Context(), entry(n), got.of(entry(n))))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.Add(ctx, entry(11), got.of(entry(11))), context.DeadlineExceeded)
		require.NoError(t, a.Add(t.Context(), entry(12), got.of(entry(12))), "places become free")
		require.NoError(t, a.Close(t.Context()))
		assert.Len(t, got.receipts, 11)
	})
}

func TestCloseThatMayNotWait(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		f.ledger.delay = time.Hour
		a, got := f.NewAnchorer(), newAnswers()
		for n := range uint64(600) {
			require.NoError(t, a.Add(t.Context(), entry(n), got.of(entry(n))))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, a.Close(ctx), context.DeadlineExceeded)
		assert.Len(t, got.errs, 600, "all are answered")
		for _, errs := range got.errs {
			assert.Len(t, errs, 1)
			assert.True(t, IsRetriable(errs[0]), errs[0])
		}
	})
}

// chaos makes a share of all calls fail, with and without effect.
func chaos(f *fixture, rng *rand.Rand) {
	var mu sync.Mutex
	dice := func(n int) bool { mu.Lock(); defer mu.Unlock(); return rng.IntN(n) == 0 }
	for _, l := range f.links {
		l.onEndorse = func(p proposal) error {
			switch {
			case dice(20):
				return status.Error(codes.Unavailable, "connection reset")
			case dice(20): //nolint:gocritic // thrown anew
				return complained("failed to connect", p.orgs[len(p.orgs)-1])
			}
			return nil
		}
		l.onSubmit = func(string) (bool, error) {
			switch {
			case dice(10):
				return true, status.Error(codes.Unavailable, "connection reset")
			case dice(10): //nolint:gocritic // thrown anew
				return false, status.Error(codes.Unavailable, "connection reset")
			case dice(20):
				return true, nil // the orderers lose it
			}
			return false, nil
		}
	}
	f.ledger.spoil = func(*fakeTx) peer.TxValidationCode {
		if dice(10) {
			return peer.TxValidationCode_MVCC_READ_CONFLICT
		}
		return peer.TxValidationCode_VALID
	}
}

// Whatever fails, an entry that is answered with a receipt is on the ledger, and every
// entry is answered once.
func TestAnchorerUnderFaults(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(c *Config) { c.BatchMax, c.InFlight, c.MaxPending = 20, 5, 2000 }, func(t *testing.T, f *fixture) {
				rng := rand.New(rand.NewPCG(seed, 1))
				chaos(f, rng)
				a, got := f.NewAnchorer(), newAnswers()
				var wg sync.WaitGroup
				for w := range uint64(4) {
					wg.Go(func() {
						for n := range uint64(250) {
							e := entry(n + 200*w) // neighbours overlap
							assert.NoError(t, a.Add(t.Context(), e, got.of(e)))
							if n%50 == 0 {
								link := f.links[(n/50+w)%4]
								link.setDown(true)
								time.AfterFunc(3*time.Second, func() { link.setDown(false) })
								time.Sleep(time.Second)
							}
						}
					})
				}
				wg.Wait()
				require.NoError(t, a.Close(t.Context()))
				time.Sleep(time.Hour) // let stragglers commit
				synctest.Wait()
				total := 0
				for n := range uint64(850) {
					id := entry(n).ID
					require.Empty(t, got.errs[id])
					fresh := 0
					for _, r := range got.receipts[id] {
						total++
						if !r.Duplicate {
							fresh++
						}
						assert.True(t, f.ledger.fates[r.TxID].valid())
					}
					assert.Equal(t, 1, fresh, "anchored once")
					assert.Contains(t, f.ledger.records, id)
				}
				assert.Equal(t, 1000, total)
			})
		})
	}
}
