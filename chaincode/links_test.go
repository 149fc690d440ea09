package chaincode_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func link(t *testing.T, m *chaincodetest.Member, from, to byte, order uint64) error {
	t.Helper()
	_, _, err := m.Say(evidence.LinkTag{From: tagOf(from), To: tagOf(to), Order: order})
	return err
}

func unlink(t *testing.T, m *chaincodetest.Member, from, to byte, order uint64) error {
	t.Helper()
	_, _, err := m.Say(evidence.UnlinkTag{From: tagOf(from), To: tagOf(to), Order: order})
	return err
}

// linksTo reads the links that lead to a tag, in pages of one.
func linksTo(t *testing.T, c *chaincodetest.Consortium, tag byte) (out []evidence.TagLink) {
	t.Helper()
	for bookmark := ""; ; {
		p, err := chaincodetest.Ask[evidence.Page[evidence.TagLink]](c.Ledger, evidence.QueryTagLinks, tagOf(tag).String(), "1", bookmark)
		require.NoError(t, err)
		out = append(out, p.Items...)
		if bookmark = p.Bookmark; bookmark == "" {
			return out
		}
	}
}

// linkedAnchors reads the ids of what stands under the tags linked to a tag.
func linkedAnchors(t *testing.T, c *chaincodetest.Consortium, tag byte, size string) (out []evidence.RecordID) {
	t.Helper()
	for bookmark := ""; ; {
		p, err := chaincodetest.Ask[evidence.Page[evidence.Anchor]](c.Ledger, evidence.QueryLinkedAnchors, tagOf(tag).String(), size, bookmark)
		require.NoError(t, err)
		for _, a := range p.Items {
			out = append(out, a.ID)
		}
		if bookmark = p.Bookmark; bookmark == "" {
			return out
		}
	}
}

func TestLinkedRecordsAreFoundUnderTheOtherTag(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1, h2 := c.Members[0], c.Members[1]
	for _, e := range []evidence.Entry{entry(1, 5, 1), entry(1, 5, 2), entry(1, 5, 3), entry(1, 6, 4), entry(1, 9, 5)} {
		_, err := h1.Anchor(e)
		require.NoError(t, err)
	}
	_, err := h2.Anchor(entry(2, 5, 9))
	require.NoError(t, err)
	require.Empty(t, linkedAnchors(t, c, 9, "10"))

	require.NoError(t, link(t, h1, 5, 9, 1))
	require.NoError(t, link(t, h1, 6, 5, 2), "by way of another")
	want := []evidence.RecordID{entry(1, 5, 1).ID, entry(1, 5, 2).ID, entry(1, 5, 3).ID, entry(1, 6, 4).ID}
	for _, size := range []string{"1", "2", "500"} {
		assert.ElementsMatch(t, want, linkedAnchors(t, c, 9, size), "the other hospital's record under the same tag is not among them")
	}
	links := linksTo(t, c, 9)
	require.Len(t, links, 2)
	assert.Equal(t, tagOf(5), links[0].From)
	assert.Equal(t, tagOf(6), links[1].From)
	assert.Equal(t, "H1MSP", links[0].Hospital)
	require.NoError(t, smcrypto.Default().Verify(h1.SignKey.Public(), evidence.SigningBytes(links[0].Signed.Statement), links[0].Signed.Signature))
	assert.Empty(t, linksTo(t, c, 6), "a link leads one way")

	require.NoError(t, unlink(t, h1, 5, 9, 3))
	assert.Empty(t, linkedAnchors(t, c, 9, "10"))
	assert.Len(t, linkedAnchors(t, c, 5, "10"), 1, "what leads to the tag stays")
	history, err := chaincodetest.Ask[evidence.Page[evidence.TagStep]](c.Ledger, evidence.QueryTagHistory, tagOf(9).String(), "10", "")
	require.NoError(t, err)
	require.Len(t, history.Items, 2, "made and ended")
	both, err := chaincodetest.Ask[evidence.Page[evidence.TagStep]](c.Ledger, evidence.QueryTagHistory, tagOf(5).String(), "10", "")
	require.NoError(t, err)
	require.Len(t, both.Items, 3)
}

func TestADishonestHospitalCannotRedirectOthersRecords(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1, h2 := c.Members[0], c.Members[1]
	_, err := h1.Anchor(entry(1, 5, 1))
	require.NoError(t, err)
	require.NoError(t, link(t, h2, 5, 9, 1))
	assert.Empty(t, linkedAnchors(t, c, 9, "10"), "a link counts for the records of who made it")
	require.NoError(t, link(t, h1, 5, 9, 1))
	require.NoError(t, unlink(t, h2, 5, 9, 7))
	assert.Len(t, linkedAnchors(t, c, 9, "10"), 1, "and nobody else ends it")

	raw, _, err := h1.Sign(evidence.LinkTag{From: tagOf(6), To: tagOf(9), Order: 2})
	require.NoError(t, err)
	_, _, err = c.Submit(h2.MSP, evidence.TxLinkTag, [][]byte{raw}, nil)
	refused(t, err, evidence.CodeUnauthorized)
}

func TestCirclesAreRefused(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	h1 := c.Members[0]
	require.NoError(t, link(t, h1, 1, 2, 1))
	refused(t, link(t, h1, 2, 1, 2), evidence.CodeConflict)
	require.NoError(t, link(t, h1, 2, 3, 3))
	refused(t, link(t, h1, 3, 1, 4), evidence.CodeConflict)
	require.NoError(t, link(t, c.Members[1], 3, 1, 4), "another hospital's links are its own")
	assert.Len(t, linksTo(t, c, 3), 2)
}

func TestTheLaterWordCountsHoweverTheyArrive(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	h1 := c.Members[0]
	require.NoError(t, link(t, h1, 1, 2, 5))
	require.NoError(t, link(t, h1, 1, 2, 5), "said twice")
	refused(t, unlink(t, h1, 1, 2, 5), evidence.CodeBadState)
	require.NoError(t, unlink(t, h1, 1, 2, 6))
	require.NoError(t, unlink(t, h1, 1, 2, 6), "said twice")
	refused(t, link(t, h1, 1, 2, 5), evidence.CodeBadState)
	assert.Empty(t, linksTo(t, c, 2))

	require.NoError(t, unlink(t, h1, 3, 4, 8), "the end before the beginning")
	refused(t, link(t, h1, 3, 4, 7), evidence.CodeBadState)
	require.NoError(t, link(t, h1, 3, 2, 9))
	require.NoError(t, link(t, h1, 3, 4, 10), "a later link takes the place")
	assert.Empty(t, linksTo(t, c, 2))
	assert.Len(t, linksTo(t, c, 4), 1)
}

func TestTreesOfLinksHaveTheirBounds(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	h1 := c.Members[0]
	for i := range byte(evidence.MaxLinkDepth) {
		require.NoError(t, link(t, h1, i+1, i+2, uint64(i)+1))
	}
	refused(t, link(t, h1, evidence.MaxLinkDepth+1, 100, 50), evidence.CodeLimit)
	refused(t, link(t, h1, 101, 1, 51), evidence.CodeLimit)
	assert.Len(t, linksTo(t, c, evidence.MaxLinkDepth+1), evidence.MaxLinkDepth)

	wide := func(i int) evidence.Tag { return evidence.Tag{0xee, byte(i >> 8), byte(i)} }
	for i := range evidence.MaxLinkedTags - 1 {
		_, _, err := h1.Say(evidence.LinkTag{From: wide(i), To: tagOf(200), Order: uint64(i) + 100})
		require.NoError(t, err, i)
	}
	_, _, err := h1.Say(evidence.LinkTag{From: wide(999), To: tagOf(200), Order: 1000})
	refused(t, err, evidence.CodeLimit)
	assert.Len(t, linksTo(t, c, 200), evidence.MaxLinkedTags-1)
}

// TestLinksStayTrees says random things and checks the ledger against a plain model.
func TestLinksStayTrees(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	h1 := c.Members[0]
	rng := rand.New(rand.NewPCG(1, 2))
	to := map[byte]byte{}
	for order := uint64(1); order < 150; order++ {
		a, b := byte(rng.IntN(8))+1, byte(rng.IntN(8))+1
		if a == b {
			continue
		}
		if rng.IntN(4) == 0 {
			require.NoError(t, unlink(t, h1, a, b, order))
			delete(to, a)
			continue
		}
		circle := false
		for at, ok := b, true; ok && !circle; at, ok = to[at] {
			circle = at == a
		}
		if err := link(t, h1, a, b, order); circle {
			refused(t, err, evidence.CodeConflict)
		} else {
			require.NoError(t, err)
			to[a] = b
		}
	}
	for tag := byte(1); tag <= 8; tag++ {
		want := 0
		for from := range to {
			for at, ok := to[from], true; ok; at, ok = to[at] {
				if at == tag {
					want++
				}
			}
		}
		assert.Len(t, linksTo(t, c, tag), want)
	}
}

// TestLinksInAnyOrderEndTheSame delivers what a hospital said in a random order, and again
// what would close a circle, as the anchor stage does.
func TestLinksInAnyOrderEndTheSame(t *testing.T) {
	for seed := range uint64(3) {
		c := chaincodetest.NewConsortium(t, 2)
		rng := rand.New(rand.NewPCG(seed, 5))
		var said []evidence.Body
		for order := uint64(1); order <= 60; order++ {
			a, b := byte(rng.IntN(7))+1, byte(rng.IntN(7))+1
			if a == b {
				continue
			}
			var body evidence.Body = evidence.LinkTag{From: tagOf(a), To: tagOf(b), Order: order}
			if rng.IntN(3) == 0 {
				body = evidence.UnlinkTag{From: tagOf(a), To: tagOf(b), Order: order}
			}
			// Hospital 1 hears all in order; only what it takes was ever said.
			if _, _, err := c.Members[0].Say(body); err == nil {
				said = append(said, body)
			}
		}
		rng.Shuffle(len(said), func(i, j int) { said[i], said[j] = said[j], said[i] })
		for len(said) > 0 {
			var again []evidence.Body
			for _, body := range said {
				_, _, err := c.Members[1].Say(body)
				var r *evidence.Refusal
				if errors.As(err, &r) && r.Code == evidence.CodeConflict {
					again = append(again, body)
					continue
				}
				if err != nil {
					refused(t, err, evidence.CodeBadState)
				}
			}
			require.Less(t, len(again), len(said), "what is left comes to an end")
			said = again
		}
		for tag := byte(1); tag <= 7; tag++ {
			inOrder, shuffled := map[evidence.Tag]evidence.Tag{}, map[evidence.Tag]evidence.Tag{}
			for _, l := range linksTo(t, c, tag) {
				if l.HospitalNumber == 1 {
					inOrder[l.From] = l.To
				} else {
					shuffled[l.From] = l.To
				}
			}
			require.Equal(t, inOrder, shuffled, "tag %d", tag)
		}
	}
}
