package anchor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// linkChain answers statements about tags.
type linkChain struct {
	fakeChain
	said    []evidence.Body
	answers map[evidence.Kind]error
	after   []int // statements said before each anchor
}

func (c *linkChain) Submit(_ context.Context, b evidence.Body) (chainclient.Commit, error) {
	c.said = append(c.said, b)
	return chainclient.Commit{}, c.answers[b.Kind()]
}

func (c *linkChain) Anchor(ctx context.Context, e evidence.Entry) (chainclient.Receipt, error) {
	c.after = append(c.after, len(c.said))
	return c.fakeChain.Anchor(ctx, e)
}

func refusalOf(code evidence.Code) error {
	return &chainclient.EndorseError{TxError: chainclient.TxError{Err: &evidence.Refusal{Code: code}}}
}

func TestLinksAreToldBeforeTheRecord(t *testing.T) {
	links := []patientindex.Link{{From: evidence.Tag{1}, To: evidence.Tag{2}, Order: 7}, {From: evidence.Tag{3}, To: evidence.Tag{2}, Order: 8, Undo: true}}
	id := record.ID{0, 1, 9}
	m := bus.Message{Subject: topology.Stored, Meta: topology.Meta{Record: id},
		Body: seal.Stored{Entry: evidence.Entry{ID: evidence.RecordID(id), Tag: evidence.Tag{2}}, Links: links}.Encode()}
	for name, test := range map[string]struct {
		answers map[evidence.Kind]error
		code    string // of the handler's error
		told    string // on the trail
	}{
		"taken":            {},
		"overtaken":        {answers: map[evidence.Kind]error{evidence.KindLinkTag: refusalOf(evidence.CodeBadState)}},
		"out of order":     {answers: map[evidence.Kind]error{evidence.KindLinkTag: refusalOf(evidence.CodeConflict)}, code: CodeLinkOrder},
		"too many":         {answers: map[evidence.Kind]error{evidence.KindLinkTag: refusalOf(evidence.CodeLimit)}, told: CodeLinkRefused},
		"ledger away":      {answers: map[evidence.Kind]error{evidence.KindUnlinkTag: context.DeadlineExceeded}, code: NeighbourLedger},
		"member suspended": {answers: map[evidence.Kind]error{evidence.KindLinkTag: refusalOf(evidence.CodeNotMember)}, code: NeighbourLedger},
	} {
		t.Run(name, func(t *testing.T) {
			c := &linkChain{answers: test.answers}
			out, err := New(Deps{Anchorer: c, Registrar: c, Store: &fakeStore{}}).Handle(t.Context(), m)
			if test.code != "" {
				require.Equal(t, test.code, stage.CodeOf(err), "%v", err)
				assert.Empty(t, c.after, "the record waits for its links")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, []int{2}, c.after)
			assert.Equal(t, []evidence.Body{evidence.LinkTag{From: links[0].From, To: links[0].To, Order: 7},
				evidence.UnlinkTag{From: links[1].From, To: links[1].To, Order: 8}}, c.said)
			if test.told == "" {
				require.Len(t, out, 1)
				return
			}
			require.Len(t, out, 2)
			assert.Equal(t, test.told, out[1].Meta.Code)
		})
	}
}
