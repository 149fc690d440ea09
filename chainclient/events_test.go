package chainclient

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
)

// memoryCheckpoint keeps the position and can fail.
type memoryCheckpoint struct {
	pos   Position
	fail  error
	saves int
}

func (m *memoryCheckpoint) Load() (Position, error) { return m.pos, nil }
func (m *memoryCheckpoint) Save(p Position) error {
	m.saves++
	if m.fail == nil {
		m.pos = p
	}
	return m.fail
}

var errStop = errors.New("enough")

// A reader that stops after each event, and breaks in every other way between, sees each
// event once and in order.
func TestEventsAcrossRestarts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		var want []string
		for range 12 {
			c, err := f.Submit(t.Context(), somePatient)
			require.NoError(t, err)
			want = append(want, c.TxID)
		}
		path := filepath.Join(t.TempDir(), "events.json")
		var got []string
		var blocks []uint64
		for round := 0; len(got) < len(want); round++ {
			require.Less(t, round, 100)
			err := f.Events(t.Context(), NewFileCheckpoint(path), Handler{
				Tx: func(_ context.Context, tx Tx) error {
					if round%2 == 0 {
						return errStop // not handled: comes again
					}
					require.NotNil(t, tx.Event)
					assert.True(t, tx.Valid)
					assert.Equal(t, "H1MSP", tx.Creator)
					assert.Equal(t, evidence.KindRegisterPatient, tx.Event.Kind)
					got = append(got, tx.ID)
					return nil
				},
				Block: func(_ context.Context, b Block) error {
					if n := len(blocks); n == 0 || blocks[n-1] != b.Number {
						blocks = append(blocks, b.Number)
						if b.Number%3 == 0 {
							return errStop // the block comes again, its events do not
						}
					}
					assert.Positive(t, b.Size)
					return nil
				},
			})
			if len(got) < len(want) {
				require.ErrorIs(t, err, errStop)
			}
			for _, l := range f.links[:round%3] {
				l.setDown(true)
				time.AfterFunc(time.Second, func() { l.setDown(false) })
			}
			if len(got) == len(want) {
				break
			}
		}
		assert.Equal(t, want, got)
		assert.Len(t, blocks, 13)
	})
}

func TestEventsFollowTheLedger(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		var got []string
		ended := make(chan error, 1)
		go func() {
			ended <- f.Events(ctx, &memoryCheckpoint{}, Handler{Tx: func(_ context.Context, tx Tx) error {
				got = append(got, tx.ID)
				return nil
			}})
		}()
		var want []string
		for n := range 20 {
			c, err := f.Submit(t.Context(), somePatient)
			require.NoError(t, err)
			want = append(want, c.TxID)
			if n%4 == 0 {
				f.links[n/4%4].setDown(true)
				time.Sleep(2 * time.Second)
				f.links[n/4%4].setDown(false)
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, want, got)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func TestRepeatableEventsAreSavedOncePerBlock(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		for range 3 {
			_, err := f.Submit(t.Context(), somePatient)
			require.NoError(t, err)
		}
		for repeatable, want := range map[bool]int{true: 4, false: 7} { // blocks 0 to 2, the stop, and 3 transactions
			cp, events := &memoryCheckpoint{}, 0
			require.ErrorIs(t, f.Events(t.Context(), cp, Handler{Repeatable: repeatable,
				Tx: func(context.Context, Tx) error { events++; return nil },
				Block: func(_ context.Context, b Block) error {
					if b.Number == 3 {
						cp.fail = errStop
						return errStop
					}
					return nil
				}}), errStop)
			assert.Equal(t, 3, events)
			assert.Equal(t, uint64(3), cp.pos.Block)
			assert.Equal(t, want, cp.saves)
		}
	})
}

func TestEventsRefuseAnotherLedger(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		cp := &memoryCheckpoint{pos: Position{Ledger: "00", Block: 1}}
		require.ErrorIs(t, f.Events(t.Context(), cp, Handler{}), ErrOtherLedger)
		cp.pos = Position{Previous: "ab", Block: 0}
		require.ErrorIs(t, f.Events(t.Context(), cp, Handler{}), ErrOtherLedger, "blocks must follow each other")
	})
}

func TestEventsEndWithCheckpointAndClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, nil)
		full := errors.New("disk full")
		require.ErrorIs(t, f.Events(t.Context(), &memoryCheckpoint{fail: full}, Handler{}), full)
		ended := make(chan error, 1)
		go func() { ended <- f.Events(t.Context(), &memoryCheckpoint{}, Handler{}) }()
		synctest.Wait()
		require.NoError(t, f.Close())
		require.ErrorIs(t, <-ended, ErrClosed)
	})
}

func TestFileCheckpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cp.json")
	cp := NewFileCheckpoint(path)
	p, err := cp.Load()
	require.NoError(t, err)
	assert.Zero(t, p)
	want := Position{Ledger: "00", Block: 7, Tx: 3}
	require.NoError(t, cp.Save(want))
	_, err = cp.Load()
	require.Error(t, err, "a hash has 32 bytes")
	for _, damaged := range []string{"", "{", "[]", `{"tx":-1}`, `{"block":-1}`, `{"ledger":"zz"}`} {
		require.NoError(t, os.WriteFile(path, []byte(damaged), 0o600))
		_, err := cp.Load()
		require.Error(t, err, damaged)
	}
	require.Error(t, NewFileCheckpoint(filepath.Join(path, "no", "folder")).Save(want))
}

func FuzzPosition(f *testing.F) {
	f.Add([]byte(`{"ledger":"","block":7,"tx":3,"previous":""}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parsePosition(raw)
		if err == nil && p.Tx < 0 {
			t.Fatal("negative")
		}
	})
}
