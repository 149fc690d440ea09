package retrieve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// OwnerConfig is what an Owner works with. Ledger, Trust, Custody, Store, MSP and Number
// are required.
type OwnerConfig struct {
	MSP     string
	Number  uint16
	Ledger  Ledger
	Trust   *Trust
	Custody OwnerCustody
	Store   Store
	// Provider defaults to smcrypto.Default.
	Provider smcrypto.Provider
	// GrantTime is how long a grant of keys stays valid. Default 15 minutes, at most a day.
	// A consent that ends earlier ends the grant as well.
	GrantTime time.Duration
	// LedgerWait bounds how long a delivery waits for this hospital's peer to see what
	// another has committed. Default 5 s.
	LedgerWait time.Duration
	// Recorder, if set, says whether consents that a member recorded count here. Any member
	// may record one on the ledger, also the one that asks: the patient may have signed
	// the form there. A hospital that wants to see the form itself accepts its own only.
	Recorder func(msp string) bool
	// KeptGrants is how many deliveries can be resumed after their key grants were
	// issued. Default 256. Their grants are kept in memory until they expire.
	KeptGrants int
	// Now defaults to time.Now.
	Now func() time.Time
}

// Owner answers other hospitals' access requests. It is safe for concurrent use;
// deliveries of the same request take turns.
type Owner struct {
	OwnerConfig
	turns turns
	kept  *grantBook
}

// NewOwner checks the configuration and returns an Owner.
func NewOwner(c OwnerConfig) (*Owner, error) {
	if c.MSP == "" || c.Number == 0 || c.Ledger == nil || c.Trust == nil || c.Custody == nil || c.Store == nil {
		return nil, errors.New("retrieve: an owner needs MSP, number, ledger, trust, custody and store")
	}
	if c.Provider == nil {
		c.Provider = smcrypto.Default()
	}
	if c.GrantTime == 0 {
		c.GrantTime = 15 * time.Minute
	}
	if c.GrantTime < 0 || c.GrantTime > 24*time.Hour {
		return nil, fmt.Errorf("retrieve: grant time of %s: it must be at most 24h", c.GrantTime)
	}
	if c.LedgerWait == 0 {
		c.LedgerWait = 5 * time.Second
	}
	if c.KeptGrants == 0 {
		c.KeptGrants = 256
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Owner{OwnerConfig: c, kept: newGrantBook(c.KeptGrants)}, nil
}

// Outcome tells what an Owner did, in values that may be logged.
type Outcome struct {
	Requester string
	Access    evidence.Nonce
	Granted   bool
	Reason    string // of a denial
	Emergency bool
	Delivered int // records
	Absent    map[wire.AbsentCode]int
}

// delivery is one run of Deliver.
type delivery struct {
	*Owner
	requester Party
	req       wire.Request
	access    evidence.Access
	terms     evidence.RequestAccess
	decision  policy.Decision
	notAfter  int64
	decidedAt time.Time
	wanted    []candidate
	out       *wire.Writer
	outcome   Outcome
}

// Deliver answers the request of an authenticated requester: it decides on the ledger,
// writes the stream to out and records the delivery on the ledger before the key grants
// follow. flush, which may be nil, is called when what was written should leave.
//
// Before anything was written errors are *RefusedError; afterwards the stream ends with a
// failure and the error is returned for the log.
func (o *Owner) Deliver(ctx context.Context, requester Party, req wire.Request, out *wire.Writer, flush func() error) (Outcome, error) {
	d := &delivery{Owner: o, requester: requester, req: req, out: out,
		outcome: Outcome{Requester: requester.MSP, Access: req.Access, Absent: map[wire.AbsentCode]int{}}}
	if req.Owner != o.MSP || req.Requester != requester.MSP {
		return d.outcome, refuse(CodeForeign, nil)
	}
	release, err := o.turns.take(ctx, req.Access)
	if err != nil {
		return d.outcome, refuse(CodeLedger, err)
	}
	defer release()
	if err := d.decide(ctx); err != nil {
		return d.outcome, err
	}
	err = d.deliver(ctx, flush)
	if err != nil && out.Begun() {
		var r *RefusedError
		code := CodeInternal
		if errors.As(err, &r) {
			code = r.Code
		}
		err = errors.Join(err, out.Fail(wire.Failure{Code: string(code)}))
	}
	return d.outcome, err
}

// decide brings the request to a grant, or refuses. The contract may refuse a decision
// because a consent was revoked, or another process of this hospital decided, in the same
// moment; then the ledger is read anew.
func (d *delivery) decide(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := d.decideOnce(ctx)
		code, refused := refusal(err)
		overtaken := refused && (code == evidence.CodeNoConsent || code == evidence.CodeBadState)
		if !overtaken || attempt == 3 {
			return err
		}
	}
}

func (d *delivery) decideOnce(ctx context.Context) error {
	if err := d.load(ctx); err != nil {
		return err
	}
	d.outcome.Emergency = d.terms.Emergency
	switch d.access.State {
	case evidence.AccessRequested:
		return d.commitDecision(ctx)
	case evidence.AccessGranted, evidence.AccessDelivered:
		return d.renewDecision(ctx)
	case evidence.AccessDenied:
		if d.access.Decision != nil {
			d.outcome.Reason = d.access.Decision.Reason
		}
		return &RefusedError{Code: CodeDenied, Reason: d.outcome.Reason}
	}
	return refuse(CodeClosed, nil)
}

// load reads the access request, which may not have reached this hospital's peer yet, and
// verifies it.
func (d *delivery) load(ctx context.Context) error {
	err := eventually(ctx, d.LedgerWait, func() (bool, error) {
		var err error
		d.access, err = d.Ledger.Access(ctx, d.req.Access)
		code, refused := refusal(err)
		return !refused || code != evidence.CodeNotFound, err
	})
	if code, refused := refusal(err); refused && code == evidence.CodeNotFound {
		return refuse(CodeUnknown, nil)
	} else if err != nil {
		return refuse(CodeLedger, err)
	}
	if d.access.ID != d.req.Access || d.access.Requester != d.requester.MSP {
		return refuse(CodeForeign, nil)
	}
	if d.terms, err = d.Trust.request(d.access, d.requester); err != nil {
		return refuse(CodeUntrusted, err)
	}
	if d.terms.Owner != d.MSP {
		return refuse(CodeForeign, nil)
	}
	if !d.terms.RequesterKey.Equal(d.requester.EncryptCert) {
		return refuse(CodeKey, nil)
	}
	return nil
}

// evaluate decides by the consents on the ledger at this moment.
func (d *delivery) evaluate(ctx context.Context) (policy.Decision, error) {
	r := policy.Request{Requester: d.requester.MSP, Owner: d.MSP, Purpose: string(d.terms.Purpose),
		Emergency: d.terms.Emergency, At: d.Now().UnixMilli()}
	if r.Emergency {
		return policy.Decide(nil, r), nil
	}
	consents, err := d.Trust.consents(ctx, d.terms.Tag, d.Recorder)
	if err != nil {
		return policy.Decision{}, refuse(CodeLedger, err)
	}
	return policy.Decide(consents, r), nil
}

// commitDecision decides and puts the decision on the ledger.
func (d *delivery) commitDecision(ctx context.Context) error {
	var err error
	if d.decision, err = d.evaluate(ctx); err != nil {
		return err
	}
	if d.decision.Granted {
		if err := d.choose(ctx); err != nil {
			return err
		}
		if len(d.wanted) > 0 && !slices.ContainsFunc(d.wanted, candidate.covered) {
			d.decision = policy.Decision{Reason: policy.KindWithheld}
		}
	}
	body := evidence.DecideAccess{Request: d.req.Access, Granted: d.decision.Granted}
	if body.Granted {
		body.NotAfter = d.end()
		if body.Consent, err = consentID(d.decision); err != nil {
			return refuse(CodeInternal, err)
		}
	} else {
		body.Reason = string(d.decision.Reason)
	}
	if err := commit(ctx, d.Ledger, d.LedgerWait, body, evidence.CodeNotFound); err != nil {
		return refuse(CodeLedger, fmt.Errorf("commit the decision: %w", err))
	}
	if !body.Granted {
		d.outcome.Reason = body.Reason
		return &RefusedError{Code: CodeDenied, Reason: body.Reason}
	}
	d.outcome.Granted = true
	d.notAfter = body.NotAfter
	d.decidedAt = d.Now()
	return nil
}

// end returns when a grant that is given now ends, Unix milliseconds.
func (d *delivery) end() int64 {
	end := d.Now().Add(d.GrantTime).UnixMilli()
	if d.decision.NotAfter > 0 {
		end = min(end, d.decision.NotAfter)
	}
	return end
}

func consentID(d policy.Decision) (evidence.Nonce, error) {
	if d.Consent == "" {
		return evidence.Nonce{}, nil // an emergency needs none
	}
	return evidence.ParseNonce(d.Consent)
}

// renewDecision takes up a request that was granted earlier, if the grant still holds.
func (d *delivery) renewDecision(ctx context.Context) error {
	given := d.access.Decision
	if given == nil || !given.Granted {
		return refuse(CodeUntrusted, errors.New("granted without a decision"))
	}
	d.notAfter = given.NotAfter
	if err := d.stillHolds(ctx); err != nil {
		return err
	}
	d.outcome.Granted = true
	return d.choose(ctx)
}

// stillHolds checks that the grant has not ended and that the patient's consents still
// allow the access. It sets the decision, which limits the kinds.
func (d *delivery) stillHolds(ctx context.Context) error {
	if d.Now().UnixMilli() > d.notAfter {
		return refuse(CodeExpired, nil)
	}
	now, err := d.evaluate(ctx)
	if err != nil {
		return err
	}
	if !now.Granted {
		return &RefusedError{Code: CodeWithdrawn, Reason: string(now.Reason)}
	}
	d.decision = now
	d.decidedAt = d.Now()
	return nil
}
