package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Ledger answers queries. What it does not hold is an *evidence.Refusal with the code
// NOT_FOUND; any other error makes a check impossible.
type Ledger interface {
	Member(ctx context.Context, msp string) (evidence.Member, error)
	Members(ctx context.Context) ([]evidence.Member, error)
	Anchor(ctx context.Context, tag evidence.Tag, id evidence.RecordID) (evidence.Anchor, error)
}

// Blocks gives the write sets of committed transactions of the contract.
type Blocks interface {
	// Height is the number of blocks; the last is Height-1.
	Height(ctx context.Context) (uint64, error)
	WriteSet(ctx context.Context, block uint64) ([]Tx, error)
}

// Tx is what one transaction wrote.
type Tx struct {
	ID     string
	Valid  bool // false for a transaction that was committed without effect
	Writes []Write
	// Payload is the contract's answer, which names the records of a batch that were
	// anchored earlier. Without it such a batch cannot be checked.
	Payload []byte
}

// Write is one written key of the contract.
type Write struct {
	Key    string
	Value  []byte
	Delete bool
}

// Store is a record store. It should give out stored bytes without judging them, so that
// damage is seen here.
type Store interface {
	List(ctx context.Context, after uint64, limit int) ([]recordstore.Item, error)
	Stat(ctx context.Context, id record.ID) (recordstore.Item, error)
	Open(ctx context.Context, id record.ID) (recordstore.Item, io.ReadCloser, error)
}

// Custody derives the keys of records.
type Custody interface {
	RecordKey(ctx context.Context, tag keystore.Tag, epoch uint32, id keystore.RecordID) (smcrypto.Key, error)
}

// Config is what a Verifier works with. Ledger and Roots are required.
type Config struct {
	Ledger Ledger
	// Roots are the pinned SM2 certificates of the consortium's authority.
	Roots []*smcrypto.Certificate
	// Blocks makes the checks of batches possible, and finds what the store lacks.
	Blocks Blocks
	// Custody makes the checks of signature and digest possible.
	Custody Custody
	// Hospital is the number of the hospital whose store is verified; with it records that
	// the ledger has and the store lacks are found. 0 skips that.
	Hospital uint16
	// Providers default to both; all must agree.
	Providers []smcrypto.Provider
	// Parallel is how many records are verified at a time. Default: two for each core,
	// since half of the time is spent waiting for the ledger.
	Parallel int
	// PendingFor is how long a stored record may wait for its anchor before it counts as
	// missing on the ledger. Default 10 minutes.
	PendingFor time.Duration
	// Progress, if set, is called now and then from one goroutine.
	Progress func(Progress)
	// Now defaults to time.Now.
	Now func() time.Time
}

// Progress tells how far a verification has come.
type Progress struct {
	Block, Blocks uint64
	Records       int64
	Failed        int64
}

// Verifier verifies records. It is safe for concurrent use.
type Verifier struct {
	Config
	members *memberCache
}

// New checks the configuration and returns a Verifier.
func New(c Config) (*Verifier, error) {
	if c.Ledger == nil || len(c.Roots) == 0 {
		return nil, errors.New("audit: a ledger and the certificate of the consortium's authority are needed")
	}
	if len(c.Providers) == 0 {
		c.Providers = smcrypto.Providers()
	}
	if c.Parallel <= 0 {
		c.Parallel = 2 * runtime.GOMAXPROCS(0)
	}
	if c.PendingFor <= 0 {
		c.PendingFor = 10 * time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	v := &Verifier{Config: c}
	v.members = newMemberCache(v)
	return v, nil
}

// source is where the bytes of one sealed record come from. It is read more than once.
type source func() (io.ReadCloser, error)

// Sealed verifies one sealed record from a seekable source, such as a file. The checks of
// pointer and batch are not made.
func (v *Verifier) Sealed(ctx context.Context, r io.ReadSeeker) (RecordReport, error) {
	open := func() (io.ReadCloser, error) {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return nil, fmt.Errorf("audit: read the sealed record: %w", err)
		}
		return io.NopCloser(r), nil
	}
	rep := RecordReport{Checks: Checks{Pointer: skipped(NoStore), Batch: skipped(NoBlocks)}}
	err := v.sealed(ctx, open, nil, &rep)
	return rep, err
}

// Single verifies one sealed record and reports it as a verification of its own.
func (v *Verifier) Single(ctx context.Context, r io.ReadSeeker) (Report, error) {
	rec, err := v.Sealed(ctx, r)
	if err != nil {
		return Report{}, err
	}
	rep := v.newReport()
	rep.add(rec)
	if rec.Outcome() == AllOK {
		rep.Found = append(rep.Found, rec) // one record is worth a line in any case
	}
	rep.finish()
	return rep, nil
}

func (v *Verifier) newReport() Report {
	rep := Report{Hospital: v.Hospital, WithKeys: v.Custody != nil}
	for _, p := range v.Providers {
		rep.Providers = append(rep.Providers, p.Name())
	}
	return rep
}
