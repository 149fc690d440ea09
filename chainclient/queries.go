package chainclient

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"

	"github.com/emrbridge/emrbridge/evidence"
)

// query asks the contract and reads the JSON answer. The gateway peers are tried in turn;
// each answers from its own ledger, so that with the own peer up nobody else is believed.
func query[T any](ctx context.Context, c *Client, name string, args ...string) (T, error) {
	var answer T
	raw, err := c.evaluate(ctx, c.cfg.Contract, name, args...)
	if err != nil {
		return answer, &QueryError{Query: name, Err: ended(ctx, unwrapRefusal(err))}
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		return answer, &QueryError{Query: name, Err: fmt.Errorf("answer is not the expected JSON: %w", err)}
	}
	return answer, nil
}

func (c *Client) evaluate(ctx context.Context, contract, function string, args ...string) ([]byte, error) {
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	raw := make([][]byte, len(args))
	for i, a := range args {
		raw[i] = []byte(a)
	}
	var answer []byte
	err := c.pool.doUntil(ctx, c.cfg.QueryTimeout, func(ctx context.Context, l link) (err error) {
		answer, err = l.evaluate(ctx, contract, function, raw)
		return err
	}, func(err error) bool { // a peer whose contract is down, or that lacks the block, is no last word
		_, refused := RefusalOf(unwrapRefusal(err))
		return refused || !transient(err)
	})
	return answer, err
}

// Authority returns the root of the members' SM2 certificates as the ledger pins it.
func (c *Client) Authority(ctx context.Context) (evidence.Authority, error) {
	return query[evidence.Authority](ctx, c, evidence.QueryAuthority)
}

// Member returns a member of the consortium.
func (c *Client) Member(ctx context.Context, msp string) (evidence.Member, error) {
	return query[evidence.Member](ctx, c, evidence.QueryMember, msp)
}

// Members returns all members of the consortium.
func (c *Client) Members(ctx context.Context) ([]evidence.Member, error) {
	return query[[]evidence.Member](ctx, c, evidence.QueryMembers)
}

// Patient returns the registrations of a patient, one for each hospital that knows them.
func (c *Client) Patient(ctx context.Context, tag evidence.Tag) ([]evidence.Registration, error) {
	return query[[]evidence.Registration](ctx, c, evidence.QueryPatient, tag.String())
}

// Anchor returns the anchor of one record.
func (c *Client) Anchor(ctx context.Context, tag evidence.Tag, id evidence.RecordID) (evidence.Anchor, error) {
	return query[evidence.Anchor](ctx, c, evidence.QueryAnchor, tag.String(), id.String())
}

// Anchors returns a page of the anchors under a tag. size is at most evidence.MaxPageSize;
// bookmark is empty for the first page.
func (c *Client) Anchors(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Anchor], error) {
	return page[evidence.Anchor](ctx, c, evidence.QueryAnchors, tag.String(), size, bookmark)
}

// Batch returns the header of a batch.
func (c *Client) Batch(ctx context.Context, hospital uint16, nonce evidence.Nonce) (evidence.Batch, error) {
	return query[evidence.Batch](ctx, c, evidence.QueryBatch, strconv.Itoa(int(hospital)), nonce.String())
}

// Consent returns a consent.
func (c *Client) Consent(ctx context.Context, id evidence.Nonce) (evidence.Consent, error) {
	return query[evidence.Consent](ctx, c, evidence.QueryConsent, id.String())
}

// Consents returns a page of the consents of a patient.
func (c *Client) Consents(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Consent], error) {
	return page[evidence.Consent](ctx, c, evidence.QueryConsents, tag.String(), size, bookmark)
}

// Access returns an access request with all that followed.
func (c *Client) Access(ctx context.Context, id evidence.Nonce) (evidence.Access, error) {
	return query[evidence.Access](ctx, c, evidence.QueryAccess, id.String())
}

// Accesses returns a page of the access requests that a member made or received.
func (c *Client) Accesses(ctx context.Context, msp string, size int, bookmark string) (evidence.Page[evidence.Access], error) {
	return page[evidence.Access](ctx, c, evidence.QueryAccesses, msp, size, bookmark)
}

// AccessesByTag returns a page of the access requests for a patient.
func (c *Client) AccessesByTag(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Access], error) {
	return page[evidence.Access](ctx, c, evidence.QueryAccessesByTag, tag.String(), size, bookmark)
}

// Emergencies returns a page of the emergency accesses to a member's records that nobody
// reviewed yet.
func (c *Client) Emergencies(ctx context.Context, owner string, size int, bookmark string) (evidence.Page[evidence.Access], error) {
	return page[evidence.Access](ctx, c, evidence.QueryEmergencies, owner, size, bookmark)
}

// Destructions returns a page of the destroyed keys of a patient.
func (c *Client) Destructions(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Destruction], error) {
	return page[evidence.Destruction](ctx, c, evidence.QueryDestructions, tag.String(), size, bookmark)
}

// TagLinks returns a page of the links that lead to a tag, of all hospitals.
func (c *Client) TagLinks(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.TagLink], error) {
	return page[evidence.TagLink](ctx, c, evidence.QueryTagLinks, tag.String(), size, bookmark)
}

// LinkedAnchors returns a page of the anchors under the tags that are linked to a tag, each
// of the hospital that made the link. A page may be empty and have a bookmark.
func (c *Client) LinkedAnchors(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Anchor], error) {
	return page[evidence.Anchor](ctx, c, evidence.QueryLinkedAnchors, tag.String(), size, bookmark)
}

// TagHistory returns a page of the links of a tag that were made and ended, newest first.
func (c *Client) TagHistory(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.TagStep], error) {
	return page[evidence.TagStep](ctx, c, evidence.QueryTagHistory, tag.String(), size, bookmark)
}

func page[T any](ctx context.Context, c *Client, name, of string, size int, bookmark string) (evidence.Page[T], error) {
	if size < 1 || size > evidence.MaxPageSize {
		return evidence.Page[T]{}, &QueryError{Query: name, Err: fmt.Errorf("page of %d items, 1 to %d are possible", size, evidence.MaxPageSize)}
	}
	return query[evidence.Page[T]](ctx, c, name, of, strconv.Itoa(size), bookmark)
}

// All walks over all items of a paged query. It ends after the first error, which it
// yields, and if a peer gives the same bookmark twice in a row.
//
//	for a, err := range chainclient.All(ctx, func(ctx context.Context, size int, bookmark string) (evidence.Page[evidence.Anchor], error) {
//		return client.Anchors(ctx, tag, size, bookmark)
//	}) { … }
func All[T any](ctx context.Context, ask func(ctx context.Context, size int, bookmark string) (evidence.Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		bookmark := ""
		for {
			p, err := ask(ctx, evidence.MaxPageSize, bookmark)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, item := range p.Items {
				if !yield(item, nil) {
					return
				}
			}
			if p.Bookmark == "" || p.Bookmark == bookmark {
				return
			}
			bookmark = p.Bookmark
		}
	}
}
