package retrieve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
)

// job is one access request and what came of it. It runs in one goroutine.
type job struct {
	*Requester
	query   *Query
	self    Party
	owner   Party
	staff   []evidence.Digest
	anchors []evidence.Anchor
	each    func(*Record) error

	access evidence.Nonce
	spools map[evidence.RecordID]*spool
	grants map[evidence.RecordID][]byte
	absent map[evidence.RecordID]wire.AbsentCode
	out    Delivery
}

// run carries the request through to its confirmation.
func (j *job) run(ctx context.Context) Delivery {
	start := time.Now()
	j.out.Owner = j.owner.MSP
	j.spools, j.grants = map[evidence.RecordID]*spool{}, map[evidence.RecordID][]byte{}
	j.absent = map[evidence.RecordID]wire.AbsentCode{}
	defer j.discard()
	j.out.Err = j.steps(ctx)
	j.out.Timings.Total = time.Since(start)
	return j.out
}

func (j *job) discard() {
	for _, s := range j.spools {
		s.close()
	}
}

func (j *job) steps(ctx context.Context) error {
	if err := j.request(ctx); err != nil {
		return err
	}
	err := j.transfer(ctx)
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Code == CodeDenied {
		return j.denied(ctx, refused)
	}
	delivered, lerr := j.delivered(ctx, err == nil)
	if delivered == nil {
		return errors.Join(err, lerr) // nothing to confirm: the ledger has no delivery
	}
	opened := time.Now()
	callerErr := j.openAll(ctx, delivered)
	j.out.Timings.Open = time.Since(opened)
	confirmErr := j.confirm(ctx)
	return errors.Join(err, callerErr, confirmErr)
}

// request commits the access request.
func (j *job) request(ctx context.Context) error {
	start := time.Now()
	if !j.owner.Active {
		return fmt.Errorf("%w: %s", ErrInactive, j.owner.MSP)
	}
	body := evidence.RequestAccess{Tag: j.query.Tag, Owner: j.owner.MSP, Purpose: j.query.Purpose, RequesterKey: j.self.EncryptCert}
	for _, a := range j.anchors {
		body.Records = append(body.Records, a.ID)
	}
	if e := j.query.Emergency; e != nil {
		body.Emergency, body.Reason, body.Staff = true, e.Reason, j.staff
	}
	id, err := j.Ledger.Submit(ctx, body)
	if err != nil {
		return fmt.Errorf("commit the access request to %s: %w", j.owner.MSP, err)
	}
	j.access, j.out.Request = id, id
	j.out.Timings.Request = time.Since(start)
	return nil
}

// transfer calls the owner, and again if the stream is cut, for what is missing then.
func (j *job) transfer(ctx context.Context) error {
	var err error
	for attempt := range j.Attempts {
		if attempt > 0 {
			if werr := pause(ctx, time.Duration(attempt)*200*time.Millisecond); werr != nil {
				return errors.Join(err, werr)
			}
		}
		if err = j.call(ctx, attempt > 0); err == nil {
			return nil
		}
		var refused *RefusedError
		again := errors.Is(err, ErrTransfer) || errors.Is(err, wire.ErrCut) ||
			errors.As(err, &refused) && (refused.Code == CodeLedger || refused.Code == CodeUnknown)
		if !again || ctx.Err() != nil {
			return err
		}
	}
	return err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// call sends one envelope and receives one stream.
func (j *job) call(ctx context.Context, resume bool) error {
	req := wire.Request{Version: wire.Version, Requester: j.MSP, Owner: j.owner.MSP, Access: j.access,
		Kinds: j.query.Kinds, IssuedAt: j.Now().UnixMilli()}
	if resume {
		req.Records = j.missing()
	}
	if _, err := rand.Read(req.Nonce[:]); err != nil {
		return fmt.Errorf("draw a nonce: %w", err)
	}
	canonical, err := req.Canonical()
	if err != nil {
		return err
	}
	sig, err := j.Custody.Sign(ctx, wire.RequestSigningBytes(canonical))
	if err != nil {
		return fmt.Errorf("sign the delivery request: %w", err)
	}
	envelope, err := wire.SignedRequest{Request: canonical, Signature: sig}.Encode()
	if err != nil {
		return err
	}
	in := &intake{job: j, start: time.Now()}
	return j.Peer.Deliver(ctx, j.owner, envelope, in.read)
}

// missing lists the records whose ciphertext or key grant has not come, ascending.
func (j *job) missing() []evidence.RecordID {
	var ids []evidence.RecordID
	for _, a := range j.anchors {
		if _, gone := j.absent[a.ID]; !gone && (j.spools[a.ID] == nil || j.grants[a.ID] == nil) {
			ids = append(ids, a.ID)
		}
	}
	return ids
}

// denied looks for the denial on the ledger: the word of the gateway is not enough.
func (j *job) denied(ctx context.Context, said *RefusedError) error {
	var body evidence.DecideAccess
	err := eventually(ctx, j.LedgerWait, func() (bool, error) {
		a, err := j.Ledger.Access(ctx, j.access)
		if err != nil {
			return false, err
		}
		ok, err := j.Trust.step(a, j.owner, &body)
		if err == nil && !ok {
			return false, fmt.Errorf("%w: %s says that it denied request %s, the ledger does not", ErrUntrusted, j.owner.MSP, j.access)
		}
		return true, err
	})
	if err != nil {
		return errors.Join(said, err)
	}
	if body.Granted || body.Request != j.access {
		return fmt.Errorf("%w: %s says that it denied request %s, the ledger has a grant", ErrUntrusted, j.owner.MSP, j.access)
	}
	return &DeniedError{Owner: j.owner.MSP, Request: j.access, Reason: body.Reason}
}

// delivered reads the owner's delivery from the ledger. It waits for it if the stream
// came to its end, and looks once if it did not.
func (j *job) delivered(ctx context.Context, wait bool) (*evidence.Deliver, error) {
	limit := time.Duration(0)
	if wait {
		limit = j.LedgerWait
	}
	var body evidence.Deliver
	found := false
	err := eventually(ctx, limit, func() (bool, error) {
		a, err := j.Ledger.Access(ctx, j.access)
		if err != nil {
			return false, err
		}
		found, err = j.Trust.step(a, j.owner, &body)
		return found || err != nil, err
	})
	if err != nil {
		return nil, err
	}
	if !found && wait {
		return nil, fmt.Errorf("%w: %s sent keys without a delivery on the ledger", ErrUntrusted, j.owner.MSP)
	}
	if !found || body.Request != j.access {
		return nil, nil
	}
	return &body, nil
}

// accountable reports whether the key grants that came are those on the ledger. After a
// broken transfer some are missing, and that is no fault.
func (j *job) accountable(d *evidence.Deliver) bool {
	if uint32(len(j.grants)) != d.Count {
		return uint32(len(j.grants)) < d.Count
	}
	ids := slices.SortedFunc(maps.Keys(j.grants), compareIDs)
	list := make([][]byte, len(ids))
	for i, id := range ids {
		list[i] = j.grants[id]
	}
	return wire.GrantsDigest(list).Equal(d.Grants)
}

// confirm puts the verdict on the ledger.
func (j *job) confirm(ctx context.Context) error {
	body := evidence.Confirm{Request: j.access, Verdict: j.verdict()}
	for _, r := range j.out.Records {
		if r.Verdict == evidence.Genuine {
			body.Count++
		}
	}
	j.out.Verdict = body.Verdict
	commitVerdict := func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), confirmTimeout)
		defer cancel()
		err := commit(ctx, j.Ledger, j.LedgerWait, body, evidence.CodeNotFound, evidence.CodeBadState)
		if err != nil {
			return fmt.Errorf("commit the verdict on request %s: %w", j.access, err)
		}
		return nil
	}
	if j.AsyncConfirm {
		j.confirms.Go(func() { _ = commitVerdict() })
		return nil
	}
	start := time.Now()
	err := commitVerdict()
	j.out.Timings.Confirm = time.Since(start)
	j.out.Confirmed = err == nil
	return err
}

// verdict sums up: one record that is not genuine spoils the delivery, one that is
// missing makes it incomplete. What the patient withheld is not missing.
func (j *job) verdict() evidence.Verdict {
	sum := evidence.Genuine
	for _, r := range j.out.Records {
		switch {
		case r.Verdict == evidence.NotGenuine:
			return evidence.NotGenuine
		case r.Verdict == evidence.Incomplete && r.Absent != string(wire.Withheld):
			sum = evidence.Incomplete
		}
	}
	return sum
}
