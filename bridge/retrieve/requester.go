package retrieve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Peer reaches the gateways of other members.
type Peer interface {
	// Deliver sends a signed request to the owner's gateway, which it knows by the key in
	// the owner's registration, and hands the answer to handle. An owner's refusal is a
	// *RefusedError; every other failure wraps ErrTransfer, unless it comes from handle.
	Deliver(ctx context.Context, owner Party, envelope []byte, handle func(*wire.Reader) error) error
}

// RequesterConfig is what a Requester works with. MSP, Number, Ledger, Trust, Custody
// and Peer are required.
type RequesterConfig struct {
	MSP     string
	Number  uint16
	Ledger  Ledger
	Trust   *Trust
	Custody RequesterCustody
	Peer    Peer
	// Provider defaults to smcrypto.Default.
	Provider smcrypto.Provider
	// SpoolDir is where large ciphertexts wait for their keys. Default: the system's
	// folder for temporary files. It is made with mode 0700 if it is missing.
	SpoolDir string
	// Attempts bounds how often an interrupted transfer is taken up. Default 3.
	Attempts int
	// Parallel bounds how many owners are asked at a time. Default 4.
	Parallel int
	// LedgerWait bounds how long this hospital's peer may take to see what another
	// committed. Default 5 s.
	LedgerWait time.Duration
	// AsyncConfirm lets Retrieve return before its verdict is on the ledger; Close waits
	// for verdicts that are under way.
	AsyncConfirm bool
	// Now defaults to time.Now.
	Now func() time.Time
}

// confirmTimeout bounds the commit of a verdict, which goes on when the caller gives up.
const confirmTimeout = 30 * time.Second

// Requester retrieves records of other hospitals. It is safe for concurrent use.
type Requester struct {
	RequesterConfig
	confirms sync.WaitGroup
}

// NewRequester checks the configuration and returns a Requester.
func NewRequester(c RequesterConfig) (*Requester, error) {
	if c.MSP == "" || c.Number == 0 || c.Ledger == nil || c.Trust == nil || c.Custody == nil || c.Peer == nil {
		return nil, errors.New("retrieve: a requester needs MSP, number, ledger, trust, custody and peer")
	}
	if c.SpoolDir != "" {
		if err := os.MkdirAll(c.SpoolDir, 0o700); err != nil {
			return nil, fmt.Errorf("retrieve: %w", err)
		}
	}
	if c.Provider == nil {
		c.Provider = smcrypto.Default()
	}
	if c.Attempts == 0 {
		c.Attempts = 3
	}
	if c.Parallel == 0 {
		c.Parallel = 4
	}
	if c.LedgerWait == 0 {
		c.LedgerWait = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Requester{RequesterConfig: c}, nil
}

// Close waits for verdicts that are still being committed.
func (r *Requester) Close() { r.confirms.Wait() }

// Retrieve finds the records of a patient at other hospitals, fetches and proves them, and
// returns them with their verdicts. The result is filled as far as it goes even with an
// error. The error is ErrNothing, ErrQuery, ErrLimit, or joins the errors of all
// deliveries if none succeeded: a denial is a *DeniedError and is on the ledger.
func (r *Requester) Retrieve(ctx context.Context, q Query) (Result, error) {
	left := q.MaxBytes
	if left <= 0 {
		left = defaultMaxBytes
	}
	return r.retrieve(ctx, q, func(rec *Record) error {
		if rec.Record != nil && q.Bare {
			rec.Record.Payload = nil
		}
		if rec.Record != nil {
			left -= int64(len(rec.Record.Payload))
		}
		if left < 0 {
			return fmt.Errorf("%w: payloads", ErrLimit)
		}
		return nil
	})
}

// RetrieveEach is Retrieve with the memory of one record: each record is handed to each,
// one at a time and before the verdict on the whole is committed, and its content is not
// kept in the result. An error of each ends the retrieval.
func (r *Requester) RetrieveEach(ctx context.Context, q Query, each func(Record) error) (Result, error) {
	return r.retrieve(ctx, q, func(rec *Record) error {
		err := each(*rec)
		rec.Record = nil
		return err
	})
}

func (r *Requester) retrieve(ctx context.Context, q Query, each func(*Record) error) (Result, error) {
	start := time.Now()
	var res Result
	if q.Purpose == "" {
		q.Purpose = evidence.Treatment
	}
	if err := q.validate(); err != nil {
		return res, err
	}
	jobs, err := r.plan(ctx, &q)
	res.Timings.Lookup = time.Since(start)
	if err != nil {
		return res, err
	}
	var one sync.Mutex
	for _, j := range jobs {
		j.each = func(rec *Record) error {
			one.Lock()
			defer one.Unlock()
			return each(rec)
		}
	}
	res.Deliveries = r.runAll(ctx, jobs)
	for _, d := range res.Deliveries {
		if d.Timings.Total > res.Timings.Total {
			lookup := res.Timings.Lookup
			res.Timings = d.Timings
			res.Timings.Lookup = lookup
		}
	}
	res.Timings.Total = time.Since(start)
	for _, d := range res.Deliveries {
		if errors.Is(d.Err, errCaller) {
			return res, d.Err
		}
	}
	return res, res.err()
}

// errCaller marks an error of the function that takes the records.
var errCaller = errors.New("retrieve: stopped by the caller")

// runAll runs the jobs, those of one owner one after another.
func (r *Requester) runAll(ctx context.Context, jobs []*job) []Delivery {
	out := make([]Delivery, len(jobs))
	slots := make(chan struct{}, r.Parallel)
	var wg sync.WaitGroup
	for from := 0; from < len(jobs); {
		to := from + 1
		for to < len(jobs) && jobs[to].owner.MSP == jobs[from].owner.MSP {
			to++
		}
		wg.Add(1)
		go func(from, to int) {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			for i := from; i < to; i++ {
				out[i] = jobs[i].run(ctx)
			}
		}(from, to)
		from = to
	}
	wg.Wait()
	return out
}

// plan finds what to ask of whom: one job for each owner and at most MaxRequestRecords.
func (r *Requester) plan(ctx context.Context, q *Query) ([]*job, error) {
	if q.Tag.IsZero() {
		tag, err := tagOf(ctx, r.Custody, q.Patient)
		if err != nil {
			return nil, err
		}
		q.Tag = tag
	}
	var staff []evidence.Digest
	if q.Emergency != nil {
		var err error
		if staff, err = staffDigests(ctx, r.Custody, q.Emergency.Staff); err != nil {
			return nil, err
		}
	}
	self, err := r.Trust.Active(ctx, r.MSP)
	if err != nil {
		return nil, err
	}
	found, err := r.find(ctx, q)
	if err != nil {
		return nil, err
	}
	owners, err := r.owners(ctx, q, found)
	if err != nil {
		return nil, err
	}
	var jobs []*job
	for _, owner := range owners {
		for part := range slices.Chunk(found[owner.Number], evidence.MaxRequestRecords) {
			jobs = append(jobs, &job{Requester: r, query: q, self: self, owner: owner, staff: staff, anchors: part})
		}
	}
	if len(jobs) == 0 {
		return nil, ErrNothing
	}
	return jobs, nil
}

// find returns the anchors asked for by hospital number, without this hospital's own.
func (r *Requester) find(ctx context.Context, q *Query) (map[uint16][]evidence.Anchor, error) {
	found, total := map[uint16][]evidence.Anchor{}, 0
	err := r.Trust.anchors(ctx, q.Tag, func(a evidence.Anchor) error {
		number := a.ID.HospitalNumber()
		if number == r.Number || len(q.Records) > 0 && !slices.Contains(q.Records, a.ID) {
			return nil
		}
		if total++; total > maxQueryRecords {
			return fmt.Errorf("%w: more than %d records: name those that are needed", ErrLimit, maxQueryRecords)
		}
		found[number] = append(found[number], a)
		return nil
	})
	for _, list := range found {
		slices.SortFunc(list, func(a, b evidence.Anchor) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	}
	return found, err
}

// owners verifies the members that anchored what was found, in the order of their numbers.
func (r *Requester) owners(ctx context.Context, q *Query, found map[uint16][]evidence.Anchor) ([]Party, error) {
	members, err := r.Ledger.Members(ctx)
	if err != nil {
		return nil, fmt.Errorf("read members: %w", err)
	}
	var out []Party
	for _, m := range members {
		wanted := len(q.Owners) == 0 || slices.Contains(q.Owners, m.MSP)
		if !wanted || len(found[m.Info.Number]) == 0 {
			continue
		}
		p, err := r.Trust.verify(m.MSP, m)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Party) int { return int(a.Number) - int(b.Number) })
	return out, nil
}
