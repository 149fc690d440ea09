package chaincode_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
)

// everyQuery returns a valid call of each query.
func everyQuery(tag evidence.Tag, id evidence.RecordID, consent, request evidence.Nonce) [][]string {
	return [][]string{
		{evidence.QueryAuthority},
		{evidence.QueryMember, "H1MSP"},
		{evidence.QueryMembers},
		{evidence.QueryPatient, tag.String()},
		{evidence.QueryAnchor, tag.String(), id.String()},
		{evidence.QueryAnchors, tag.String(), "10", ""},
		{evidence.QueryBatch, "1", consent.String()},
		{evidence.QueryConsent, consent.String()},
		{evidence.QueryConsents, tag.String(), "10", ""},
		{evidence.QueryAccess, request.String()},
		{evidence.QueryAccesses, "H1MSP", "10", ""},
		{evidence.QueryAccessesByTag, tag.String(), "10", ""},
		{evidence.QueryEmergencies, "H1MSP", "10", ""},
		{evidence.QueryDestructions, tag.String(), "10", ""},
		{evidence.QueryTagLinks, tag.String(), "10", ""},
		{evidence.QueryLinkedAnchors, tag.String(), "10", ""},
		{evidence.QueryTagHistory, tag.String(), "10", ""},
		{evidence.QueryInstitute, "INST1"},
		{evidence.QueryInstitutes},
		{evidence.QueryProject, "INST1.p1"},
		{evidence.QueryProjects, "H1MSP", "10", ""},
		{evidence.QueryRelease, "INST1.p1", "H1MSP", "1"},
		{evidence.QueryReleases, "INST1.p1", "10", ""},
		{evidence.QueryWithdrawals, "INST1.p1", "10", ""},
		{evidence.QueryReidentifications, "INST1.p1", "10", ""},
	}
}

func TestQueriesRefuseBadArguments(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	for _, call := range everyQuery(tagOf(1), evidence.RecordID{}, evidence.Nonce{1}, evidence.Nonce{1}) {
		_, err := c.Query("H1MSP", call[0], append(call[1:], "more")...)
		refused(t, err, evidence.CodeMalformed)
		for i := 1; i < len(call); i++ {
			for _, bad := range []string{"", "\x00", "/", "zz", "\xff", "-1", "99999999999", string(make([]byte, 4096))} {
				args := append([]string{}, call[1:]...)
				args[i-1] = bad
				if i == 3 && bad == "" {
					continue // the first page
				}
				if evidence.ValidMSP(bad) && evidence.ValidMSP(call[i]) && (strings.HasSuffix(call[i], "MSP") || call[i] == "INST1") {
					continue // may name a member or an institute
				}
				_, err := c.Query("H1MSP", call[0], args...)
				r := refused(t, err, evidence.CodeMalformed)
				assert.Less(t, len(r.Message), 400)
			}
		}
	}
}

func TestQueriesOfAnEmptyLedger(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 1)
	for _, call := range everyQuery(tagOf(1), evidence.RecordID{1}, evidence.Nonce{1}, evidence.Nonce{1}) {
		got, err := c.Query("H1MSP", call[0], call[1:]...)
		switch call[0] {
		case evidence.QueryAuthority, evidence.QueryMember, evidence.QueryMembers:
			require.NoError(t, err)
		case evidence.QueryPatient, evidence.QueryInstitutes:
			require.NoError(t, err)
			assert.JSONEq(t, `[]`, string(got))
		case evidence.QueryAnchor, evidence.QueryBatch, evidence.QueryConsent, evidence.QueryAccess, evidence.QueryInstitute, evidence.QueryProject, evidence.QueryRelease:
			refused(t, err, evidence.CodeNotFound)
		default:
			require.NoError(t, err, call[0])
			assert.JSONEq(t, `{"items":[],"bookmark":""}`, string(got), call[0])
		}
	}
}

// walk reads a list page by page.
func walk[T any](t *testing.T, c *chaincodetest.Consortium, size int, function, first string) (items []T) {
	t.Helper()
	for bookmark, pages := "", 0; ; pages++ {
		require.Less(t, pages, 100)
		page, err := chaincodetest.Ask[evidence.Page[T]](c.Ledger, function, first, strconv.Itoa(size), bookmark)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), size)
		items = append(items, page.Items...)
		if page.Bookmark == "" {
			return items
		}
		bookmark = page.Bookmark
	}
}

func TestPagesOfAnchors(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 2)
	_, err := c.Members[0].Anchor(batchOf(1, 1, 1, 25)...)
	require.NoError(t, err)
	_, err = c.Members[1].Anchor(batchOf(2, 1, 500, 5)...)
	require.NoError(t, err)
	_, err = c.Members[0].Anchor(batchOf(1, 2, 100, 10)...)
	require.NoError(t, err)
	for _, size := range []int{1, 7, 10, 30, 31, 500} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			seen := map[evidence.RecordID]bool{}
			for _, a := range walk[evidence.Anchor](t, c, size, evidence.QueryAnchors, tagOf(1).String()) {
				assert.False(t, seen[a.ID], "twice")
				seen[a.ID] = true
				assert.Equal(t, a.ID.HospitalNumber(), a.HospitalNumber)
				assert.Equal(t, tagOf(1), a.Tag)
			}
			assert.Len(t, seen, 30)
		})
	}
	page, err := chaincodetest.Ask[evidence.Page[evidence.Anchor]](c.Ledger, evidence.QueryAnchors, tagOf(2).String(), "3", "")
	require.NoError(t, err)
	_, err = c.Query("H1MSP", evidence.QueryAnchors, tagOf(1).String(), "3", page.Bookmark)
	refused(t, err, evidence.CodeMalformed)
	page, err = chaincodetest.Ask[evidence.Page[evidence.Anchor]](c.Ledger, evidence.QueryAnchors, tagOf(1).String(), "100000", "")
	require.NoError(t, err, "a page that is too large is made smaller")
	assert.Len(t, page.Items, 30)
}

func TestListsAreTheNewestFirst(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 3)
	now := time.Now()
	c.SetClock(func() time.Time { return now })
	var requests, consents []evidence.Nonce
	for range 12 {
		now = now.Add(time.Second)
		_, id, err := c.Members[1].Say(requestOf(c.Members[1], c.Members[0]))
		require.NoError(t, err)
		requests = append([]evidence.Nonce{id}, requests...)
		_, id, err = c.Members[2].Say(consentFor(tagOf(1)))
		require.NoError(t, err)
		consents = append([]evidence.Nonce{id}, consents...)
	}
	ids := func(list []evidence.Access) (out []evidence.Nonce) {
		for _, a := range list {
			out = append(out, a.ID)
		}
		return out
	}
	assert.Equal(t, requests, ids(walk[evidence.Access](t, c, 5, evidence.QueryAccesses, "H1MSP")), "by owner")
	assert.Equal(t, requests, ids(walk[evidence.Access](t, c, 5, evidence.QueryAccesses, "H2MSP")), "by requester")
	assert.Empty(t, walk[evidence.Access](t, c, 5, evidence.QueryAccesses, "H3MSP"))
	assert.Equal(t, requests, ids(walk[evidence.Access](t, c, 4, evidence.QueryAccessesByTag, tagOf(1).String())))
	var got []evidence.Nonce
	for _, consent := range walk[evidence.Consent](t, c, 5, evidence.QueryConsents, tagOf(1).String()) {
		got = append(got, consent.ID)
		assert.Equal(t, "H3MSP", consent.Hospital)
	}
	assert.Equal(t, consents, got)
}

func TestListMembers(t *testing.T) {
	c := chaincodetest.NewConsortium(t, 4)
	members, err := chaincodetest.Ask[[]evidence.Member](c.Ledger, evidence.QueryMembers)
	require.NoError(t, err)
	require.Len(t, members, 4)
	for i, m := range members {
		assert.Equal(t, c.Members[i].MSP, m.MSP)
		assert.Equal(t, c.Members[i].Registration(), m.Info)
	}
}
