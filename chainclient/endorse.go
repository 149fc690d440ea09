package chainclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/emrbridge/emrbridge/evidence"
)

// errDisagree reports that organisations answered differently, or that only a foreign one
// refused. It is no refusal: another selection is asked.
var errDisagree = errors.New("organisations disagree about the transaction")

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
	var e endorsed
	via := -1
	err := c.pool.do(ctx, c.cfg.EndorseTimeout, func(ctx context.Context, l link) (err error) {
		via = slices.Index(c.pool.links, l)
		e, err = l.endorse(ctx, call)
		return err
	})
	if err == nil {
		return e, nil
	}
	if ctx.Err() != nil || via < 0 {
		return endorsed{}, err
	}
	return endorsed{}, c.judge(o, call.orgs, via, err)
}

// judge finds out who failed, lets them rest, and turns a refusal that is to be believed
// into *evidence.Refusal. Any other error leaves the question open.
func (c *Client) judge(o *order, orgs []string, via int, err error) error {
	gateway := c.pool.links[via].msp()
	c.endorsers.failed(missingOrgs(err)...)
	if statusOf(err).Code() == codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded) {
		c.endorsers.failed(c.endorsers.others(orgs)...) // one of them hangs
	}
	list := complaintsOf(err)
	var refusing []string
	for _, cm := range list {
		if r, ok := evidence.ParseRefusal(cm.message); ok {
			voice := gateway // the word of a foreign gateway is one voice, whomever it cites
			if gateway == c.cfg.MSPID {
				voice = cm.msp
			}
			if voice == c.cfg.MSPID || o.voices.add(r.Code, voice) >= c.quorum {
				return r
			}
			refusing = append(refusing, cm.msp)
		} else if !strings.Contains(cm.message, mismatch) {
			c.endorsers.failed(cm.msp)
		}
	}
	if suspects := c.odd(orgs, list); len(suspects) > 0 {
		c.endorsers.failed(suspects...)
		return fmt.Errorf("%w: %w", errDisagree, err)
	}
	if len(refusing) > 0 {
		c.endorsers.failed(c.endorsers.others(refusing)...)
		if gateway != c.cfg.MSPID {
			c.pool.failed(via, errDisagree)
		}
		return fmt.Errorf("%w: %s", errDisagree, err) // %s: it must not be taken for a refusal
	}
	return err
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
