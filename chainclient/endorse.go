package chainclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
)

// errDisagree reports that organisations answered differently, or that only a foreign one
// refused. It is no refusal: another selection is asked.
var errDisagree = errors.New("organisations disagree about the transaction")

// errBehind reports a refusal that the newest block may have made untrue.
var errBehind = errors.New("the peer may not have applied the newest block yet")

// mismatch is what a gateway says of an endorser that answered otherwise than the first.
const mismatch = "ProposalResponsePayloads do not match"

// voices collects, for each code of refusal, the organisations that gave it, over all
// attempts of an order.
type voices map[evidence.Code]map[string]bool

func (v *voices) add(code evidence.Code, org string) int {
	if *v == nil {
		*v = voices{}
	}
	if (*v)[code] == nil {
		(*v)[code] = map[string]bool{}
	}
	(*v)[code][org] = true
	return len((*v)[code])
}

// endorse asks the organisations of call and judges the answer.
func (c *Client) endorse(ctx context.Context, o *order, call proposal) (endorsed, error) {
	err := errors.New("no gateway peer is configured")
	for _, i := range c.pool.order() {
		var e endorsed
		err = c.pool.call(ctx, i, c.cfg.EndorseTimeout, func(ctx context.Context, l link) (err error) {
			e, err = l.endorse(ctx, call)
			return err
		})
		switch {
		case err == nil:
			return e, nil
		case ctx.Err() != nil:
			return endorsed{}, err
		case timedOut(err): // at another gateway the same organisations would hang again
			c.blameHanging(ctx, call.orgs)
			return endorsed{}, err
		case !linkFault(ctx, err):
			return endorsed{}, c.judge(o, call.orgs, i, err)
		}
		err = fmt.Errorf("gateway peer %s: %w", c.pool.links[i].name(), err)
	}
	return endorsed{}, err
}

// probeTimeout is how long a healthy peer may take to answer a small query.
const probeTimeout = 2 * time.Second

// blameHanging finds out which peers, or contracts behind them, do not answer and lets
// their organisations rest. If all answer, one of the foreign endorsers was slow.
func (c *Client) blameHanging(ctx context.Context, orgs []string) {
	hanging := make([]string, len(c.pool.links))
	var probes sync.WaitGroup
	for i, l := range c.pool.links {
		probes.Go(func() {
			if err := c.probe(ctx, l); err != nil && linkFault(ctx, err) {
				c.pool.failed(i, err)
				hanging[i] = l.msp()
			}
		})
	}
	probes.Wait()
	hanging = slices.DeleteFunc(hanging, func(org string) bool { return org == "" })
	if len(hanging) == 0 {
		hanging = c.endorsers.others(orgs)
	}
	c.endorsers.failed(hanging...)
}

// probe has one peer run its contract. A refusal is an answer too.
func (c *Client) probe(ctx context.Context, l link) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := l.evaluate(ctx, c.cfg.Contract, evidence.QueryMember, [][]byte{[]byte(c.cfg.MSPID)})
	return err
}

// judge finds out who failed, lets them rest, and turns a refusal that is to be believed
// into *evidence.Refusal. Any other error leaves the question open.
func (c *Client) judge(o *order, orgs []string, via int, err error) error {
	gateway := c.pool.links[via].msp()
	c.endorsers.failed(missingOrgs(err)...)
	list := complaintsOf(err)
	behind := gateway == c.cfg.MSPID && c.onlyOthersRefuse(orgs, list) && o.mayLag()
	refusing, verdict := c.hear(o, gateway, behind, list, err)
	if verdict != nil {
		return verdict
	}
	if suspects := c.odd(orgs, list); len(suspects) > 0 {
		c.endorsers.failed(suspects...)
		return fmt.Errorf("%w: %w", errDisagree, err)
	}
	if len(refusing) == 0 {
		return err
	}
	if !behind {
		c.endorsers.failed(c.endorsers.others(refusing)...)
	}
	if gateway != c.cfg.MSPID {
		c.pool.failed(via, errDisagree)
	}
	return fmt.Errorf("%w: %s", errDisagree, err) //nolint:errorlint // it must not be taken for a refusal
}

// hear counts the voices that refuse. The verdict is a refusal that is to be believed, or
// errBehind where the own peer has not seen yet what the order builds on; nil leaves the
// question open.
func (c *Client) hear(o *order, gateway string, behind bool, list []complaint, err error) (refusing []string, verdict error) {
	for _, cm := range list {
		r, ok := evidence.ParseRefusal(cm.message)
		if !ok {
			if !strings.Contains(cm.message, mismatch) {
				c.endorsers.failed(cm.msp)
			}
			continue
		}
		voice := gateway // the word of a foreign gateway is one voice, whomever it cites
		if gateway == c.cfg.MSPID {
			voice = cm.msp
		}
		if voice == c.cfg.MSPID && c.tooEarly(o, r.Code) {
			return nil, fmt.Errorf("%w: %s", errBehind, err) //nolint:errorlint // it must not be taken for a refusal
		}
		if voice == c.cfg.MSPID || o.voices.add(r.Code, voice) >= c.quorum && !behind {
			return nil, r
		}
		refusing = append(refusing, cm.msp)
	}
	return refusing, nil
}

// lagPatience is how long foreign peers may refuse what the own peer endorses because they
// have not seen yet what it has. After that their refusal counts.
const lagPatience = time.Second

func (o *order) mayLag() bool {
	if o.doubted.IsZero() {
		o.doubted = time.Now()
	}
	return time.Since(o.doubted) < lagPatience
}

// A peer tells of a block before it has applied it, so that it may refuse, for a moment,
// what refers to a transaction whose block was reported. It is asked again up to
// maxReasked times if a block came within blockFresh.
const (
	blockFresh = 250 * time.Millisecond
	maxReasked = 3
)

func (c *Client) tooEarly(o *order, code evidence.Code) bool {
	if !heals(code) || o.reasked >= maxReasked || !c.tracker.movedWithin(blockFresh) {
		return false
	}
	o.reasked++
	return true
}

// heals reports whether another member's transaction can end a refusal with this code.
func heals(code evidence.Code) bool {
	switch code {
	case evidence.CodeNotFound, evidence.CodeBadState, evidence.CodeNotMember, evidence.CodeNoConsent, evidence.CodeNotApproved:
		return true
	}
	return false
}

// onlyOthersRefuse reports whether foreign peers refuse what the own one endorsed, in a way
// that a block which they have not seen would explain.
func (c *Client) onlyOthersRefuse(orgs []string, list []complaint) bool {
	refused := false
	for _, cm := range list {
		if cm.msp == c.cfg.MSPID {
			return false
		}
		if r, ok := evidence.ParseRefusal(cm.message); ok {
			if !heals(r.Code) {
				return false
			}
			refused = true
		}
	}
	return refused && slices.Contains(orgs, c.cfg.MSPID)
}

// odd returns whom to set aside after answers that do not match. Gateways compare with the
// answer that came first: if the own peer is the odd one out, those that agreed with the
// first are suspect, otherwise those that did not.
func (c *Client) odd(orgs []string, list []complaint) []string {
	var differ []string
	for _, cm := range list {
		if strings.Contains(cm.message, mismatch) {
			differ = append(differ, cm.msp)
		}
	}
	if len(differ) == 0 {
		return nil
	}
	if !slices.Contains(differ, c.cfg.MSPID) {
		return differ
	}
	return slices.DeleteFunc(c.endorsers.others(orgs), func(o string) bool { return slices.Contains(differ, o) })
}
