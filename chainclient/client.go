package chainclient

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
)

// Client is the way to the ledger for one hospital. It is safe for concurrent use.
type Client struct {
	cfg       Config
	signer    Signer
	pool      *pool
	endorsers *endorsers
	tracker   *tracker
	quorum    int // foreign voices that make a refusal believed

	ctx   context.Context // ends with Close
	close context.CancelFunc
	tasks sync.WaitGroup
	gate  sync.RWMutex // held while a task starts, so that none does after Close
}

// Open connects to the gateway peers and waits until one answers. The caller closes the
// client.
func Open(ctx context.Context, cfg Config, signer Signer) (*Client, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	self, err := loadIdentity(cfg)
	if err != nil {
		return nil, err
	}
	var links []link
	for _, p := range cfg.Peers {
		l, err := newFabricLink(p, cfg, self)
		if err != nil {
			return nil, errors.Join(err, newPool(links, cfg.Logger, cfg.Clock).close())
		}
		links = append(links, l)
	}
	c := newClient(cfg, signer, links)
	if cfg.Lazy {
		return c, nil
	}
	if err := c.pool.warm(ctx, cfg.DialTimeout); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// newClient builds a client over links and starts its block stream.
func newClient(cfg Config, signer Signer, links []link) *Client {
	c := &Client{cfg: cfg, signer: signer, pool: newPool(links, cfg.Logger, time.Now), endorsers: newEndorsers(cfg)}
	foreign := map[string]bool{}
	for _, l := range links {
		if l.msp() != cfg.MSPID {
			foreign[l.msp()] = true
		}
	}
	c.quorum = min(2, max(1, max(len(foreign), len(cfg.Endorsers)-1)))
	c.tracker = newTracker(c.pool, cfg.Logger, cfg.ProbeAfter, c.Height)
	c.ctx, c.close = context.WithCancel(context.Background())
	c.tasks.Go(func() { c.tracker.run(c.ctx) })
	return c
}

// MSPID returns the organisation that the client acts for.
func (c *Client) MSPID() string { return c.cfg.MSPID }

// Close ends all connections. Transactions on their way end with UnknownError.
func (c *Client) Close() error {
	c.gate.Lock()
	c.close()
	c.gate.Unlock()
	c.tasks.Wait()
	return c.pool.close()
}

// Ready reports whether the ledger can be reached, naming what is missing.
func (c *Client) Ready(ctx context.Context) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if _, err := c.Height(ctx); err != nil {
		return fmt.Errorf("chainclient: no gateway peer serves channel %s (tried %s): %w", c.cfg.Channel, c.pool.names(), err)
	}
	return nil
}

// Commit tells where a statement stands on the ledger.
type Commit struct {
	TxID     string
	Block    uint64
	Nonce    evidence.Nonce
	Signed   evidence.Signed
	Result   []byte // answer of the contract
	Peer     string // MSP id of the peer that reported the block
	Attempts int
	Steps    Steps // of the last attempt
}

// Steps are the spans of one transaction.
type Steps struct {
	Endorse time.Duration // the organisations ran the contract and signed
	Order   time.Duration // the orderers took the transaction
	Block   time.Duration // from then until a peer reported the block
}

// functions of the contract by kind of statement.
var functions = map[evidence.Kind]string{
	evidence.KindRegisterMember:  evidence.TxRegisterMember,
	evidence.KindSetMemberStatus: evidence.TxSetMemberStatus,
	evidence.KindRegisterPatient: evidence.TxRegisterPatient,
	evidence.KindAnchorBatch:     evidence.TxAnchorBatch,
	evidence.KindGrantConsent:    evidence.TxGrantConsent,
	evidence.KindRevokeConsent:   evidence.TxRevokeConsent,
	evidence.KindRequestAccess:   evidence.TxRequestAccess,
	evidence.KindDecideAccess:    evidence.TxDecideAccess,
	evidence.KindDeliver:         evidence.TxDeliver,
	evidence.KindConfirm:         evidence.TxConfirm,
	evidence.KindReviewEmergency: evidence.TxReviewEmergency,
	evidence.KindDestroyKey:      evidence.TxDestroyKey,
	evidence.KindLinkTag:         evidence.TxLinkTag,
	evidence.KindUnlinkTag:       evidence.TxUnlinkTag,

	evidence.KindRegisterInstitute:  evidence.TxRegisterInstitute,
	evidence.KindSetInstituteStatus: evidence.TxSetInstituteStatus,
	evidence.KindApplyProject:       evidence.TxApplyProject,
	evidence.KindDecideProject:      evidence.TxDecideProject,
	evidence.KindCloseProject:       evidence.TxCloseProject,
	evidence.KindRecordRelease:      evidence.TxRecordRelease,
	evidence.KindWithdrawSubjects:   evidence.TxWithdrawSubjects,
	evidence.KindConfirmDeletion:    evidence.TxConfirmDeletion,
	evidence.KindReidentify:         evidence.TxReidentify,
}

// Submit signs a statement with body, brings it to the ledger and waits for its block. It
// retries what passes by itself until ctx ends or Config.Patience is over. Errors are
// *EndorseError, *SubmitError, *CommitError and *UnknownError; a refusal of the contract is
// found with RefusalOf.
func (c *Client) Submit(ctx context.Context, body evidence.Body) (Commit, error) {
	o, err := c.newOrder(ctx, body, nil)
	if err != nil {
		return Commit{}, err
	}
	return c.run(ctx, o)
}

// SubmitBatch anchors entries in one transaction: all of them, or none. Their order does
// not matter. Anchorer is the way to anchor many records.
func (c *Client) SubmitBatch(ctx context.Context, entries []evidence.Entry) (Commit, evidence.AnchorReceipt, error) {
	sorted := append([]evidence.Entry(nil), entries...)
	evidence.Sort(sorted)
	raw, err := evidence.EncodeEntries(sorted)
	if err != nil {
		return Commit{}, evidence.AnchorReceipt{}, fmt.Errorf("chainclient: %w", err)
	}
	body := evidence.AnchorBatch{Root: evidence.BatchRoot(sorted), Count: uint32(len(sorted))}
	o, err := c.newOrder(ctx, body, map[string][]byte{evidence.TransientEntries: raw})
	if err != nil {
		return Commit{}, evidence.AnchorReceipt{}, err
	}
	commit, err := c.run(ctx, o)
	if err != nil {
		return Commit{}, evidence.AnchorReceipt{}, err
	}
	receipt, err := readReceipt(commit)
	return commit, receipt, err
}

// SubmitSigned brings a statement to the ledger that was signed elsewhere, as the
// consortium authority does for SetMemberStatus.
func (c *Client) SubmitSigned(ctx context.Context, signed evidence.Signed) (Commit, error) {
	st, err := evidence.ParseStatement(signed.Statement)
	if err != nil {
		return Commit{}, fmt.Errorf("chainclient: %w", err)
	}
	o, err := orderOf(st, signed, nil)
	if err != nil {
		return Commit{}, err
	}
	return c.run(ctx, o)
}

// Bootstrap names the consortium authority to a fresh contract, once.
func (c *Client) Bootstrap(ctx context.Context, authorityDER []byte) (Commit, error) {
	return c.run(ctx, &order{call: proposal{function: evidence.TxBootstrap, args: [][]byte{authorityDER}}})
}

// newOrder signs a statement over body.
func (c *Client) newOrder(ctx context.Context, body evidence.Body, transient map[string][]byte) (*order, error) {
	var nonce evidence.Nonce
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, fmt.Errorf("chainclient: nonce: %w", err)
	}
	st, err := evidence.NewStatement(c.cfg.MSPID, nonce, c.cfg.Clock().UnixMilli(), body)
	if err != nil {
		return nil, fmt.Errorf("chainclient: %w", err)
	}
	canonical, err := st.Canonical()
	if err != nil {
		return nil, fmt.Errorf("chainclient: %w", err)
	}
	signature, err := c.signer.Sign(ctx, evidence.SigningBytes(canonical))
	if err != nil {
		return nil, fmt.Errorf("chainclient: sign %s: %w", st.Kind, err)
	}
	return orderOf(st, evidence.Signed{Statement: canonical, Signature: signature}, transient)
}

func orderOf(st evidence.Statement, signed evidence.Signed, transient map[string][]byte) (*order, error) {
	function, ok := functions[st.Kind]
	if !ok {
		return nil, fmt.Errorf("chainclient: no transaction takes statements of kind %q", st.Kind)
	}
	raw, err := signed.Encode()
	if err != nil {
		return nil, fmt.Errorf("chainclient: %w", err)
	}
	return &order{kind: st.Kind, nonce: st.Nonce, signed: signed,
		call: proposal{function: function, args: [][]byte{raw}, transient: transient}}, nil
}

// Resolve asks what became of a statement whose outcome was unknown. It returns false if no
// peer has any of its transactions in a block yet, and an error if a block has it as
// invalid or no peer answers.
func (c *Client) Resolve(ctx context.Context, u *UnknownError) (Commit, bool, error) {
	for _, id := range u.TxIDs {
		out, err := c.tracker.ask(ctx, id, c.cfg.ProbeAfter)
		switch {
		case errors.Is(err, errUndecided):
			continue
		case err != nil:
			return Commit{}, false, fmt.Errorf("chainclient: resolve transaction %s: %w", id, ended(ctx, err))
		case !out.valid():
			return Commit{}, true, &CommitError{TxError: TxError{Kind: u.Kind, TxID: id, Nonce: u.Nonce,
				Err: errors.New("the transaction is on the ledger and invalid")}, Code: out.code, Block: out.block}
		}
		return Commit{TxID: id, Block: out.block, Nonce: u.Nonce, Signed: u.Signed, Peer: out.peer}, true, nil
	}
	return Commit{}, false, nil
}

// Pending is a transaction that was handed to the orderers.
type Pending struct {
	nonce  evidence.Nonce
	done   chan struct{}
	commit Commit
	err    error
}

// Nonce returns the nonce of the statement.
func (p *Pending) Nonce() evidence.Nonce { return p.nonce }

// Wait returns what Submit would have returned.
func (p *Pending) Wait(ctx context.Context) (Commit, error) {
	select {
	case <-p.done:
		return p.commit, p.err
	case <-ctx.Done():
		return Commit{}, context.Cause(ctx)
	}
}

// SubmitAsync is Submit that returns once the orderers have the transaction. ctx bounds
// the whole transaction, not only this call.
func (c *Client) SubmitAsync(ctx context.Context, body evidence.Body) (*Pending, error) {
	o, err := c.newOrder(ctx, body, nil)
	if err != nil {
		return nil, err
	}
	handed := make(chan struct{})
	o.handed = handed
	p := &Pending{nonce: o.nonce, done: make(chan struct{})}
	if !c.start(func() {
		defer close(p.done)
		p.commit, p.err = c.run(ctx, o)
	}) {
		return nil, ErrClosed
	}
	select {
	case <-handed:
		return p, nil
	case <-p.done:
		return p, p.err
	}
}

// start runs a task that Close waits for, and reports false if the client is closed.
func (c *Client) start(task func()) bool {
	c.gate.RLock()
	defer c.gate.RUnlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.tasks.Go(task)
	return true
}
