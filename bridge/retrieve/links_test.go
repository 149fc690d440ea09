package retrieve_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/bridge/retrieve/retrievetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
)

// localPatient is a number of hospital 1.
func localPatient(v string) keystore.Identity {
	return keystore.Identity{Local: keystore.LocalIdentity{MSPID: "H1MSP", Authority: "H1", Type: "local-patient", Value: v}}
}

func genuineOf(r retrieve.Result) (ids []evidence.RecordID) {
	for _, rec := range r.Records() {
		if rec.Verdict == evidence.Genuine {
			ids = append(ids, rec.ID)
		}
	}
	return ids
}

func TestRecordsUnderALinkedTagComeAlong(t *testing.T) {
	p := newPair(t, nil, nil)
	early := p.h1.File(localPatient("P1"), "ORU^R01", []byte("before the resident number was known"))
	stranger := p.h1.File(localPatient("P2"), "ORU^R01", []byte("somebody else"))
	p.h1.Consent(p.patient, "H2MSP", nil)

	res, err := p.ask(nil)
	require.NoError(t, err)
	require.Len(t, genuineOf(res), 2)

	from, to := p.h1.Tag(localPatient("P1")), p.h1.Tag(p.patient)
	_, _, err = p.h1.Say(evidence.LinkTag{From: from, To: to, Order: 1})
	require.NoError(t, err)
	res, err = p.ask(nil)
	require.NoError(t, err)
	got := genuineOf(res)
	require.Len(t, got, 3)
	assert.Contains(t, got, evidence.RecordID(early.ID))
	assert.NotContains(t, got, evidence.RecordID(stranger.ID))
	for _, r := range res.Records() {
		assert.Empty(t, r.Check)
	}

	_, _, err = p.h1.Say(evidence.UnlinkTag{From: from, To: to, Order: 2})
	require.NoError(t, err)
	res, err = p.ask(nil)
	require.NoError(t, err)
	assert.Len(t, genuineOf(res), 2, "parted again")
}

func TestALinkOfAnotherHospitalMovesNothing(t *testing.T) {
	p := newPair(t, nil, nil)
	other := p.h1.File(localPatient("P1"), "ORU^R01", []byte("of another patient"))
	p.h1.Consent(p.patient, "H2MSP", nil)
	_, _, err := p.h2.Say(evidence.LinkTag{From: p.h1.Tag(localPatient("P1")), To: p.h1.Tag(p.patient), Order: 1})
	require.NoError(t, err)
	res, err := p.ask(nil)
	require.NoError(t, err)
	assert.Len(t, genuineOf(res), 2)

	// Asking for it by name does not help: the owner reads its own links.
	req := p.claim(t, func(b *evidence.RequestAccess) { b.Records = []evidence.RecordID{evidence.RecordID(other.ID)} })
	outcome, _, err := p.deliver(t, req)
	require.NoError(t, err)
	assert.Zero(t, outcome.Delivered)
}

// A peer that makes up links, or alters those that there are, brings no records.
func TestInventedLinksDoNotVerify(t *testing.T) {
	for name, change := range map[string]func(*evidence.TagLink, evidence.Tag){
		"other tag":     func(l *evidence.TagLink, victim evidence.Tag) { l.From = victim },
		"other number":  func(l *evidence.TagLink, _ evidence.Tag) { l.HospitalNumber = 2 },
		"no such party": func(l *evidence.TagLink, _ evidence.Tag) { l.Hospital = "H2MSP" },
		"hanging in the air": func(l *evidence.TagLink, victim evidence.Tag) {
			l.To = victim
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t, nil, nil)
			p.h1.File(localPatient("P1"), "ORU^R01", []byte("linked"))
			victim := p.h1.File(localPatient("P2"), "ORU^R01", []byte("not linked"))
			p.h1.Consent(p.patient, "H2MSP", nil)
			_, _, err := p.h1.Say(evidence.LinkTag{From: p.h1.Tag(localPatient("P1")), To: p.h1.Tag(p.patient), Order: 1})
			require.NoError(t, err)
			lie := func(query string, answer []byte) []byte {
				switch query {
				case evidence.QueryTagLinks:
					var page evidence.Page[evidence.TagLink]
					require.NoError(t, json.Unmarshal(answer, &page))
					for i := range page.Items {
						change(&page.Items[i], victim.Tag)
					}
					answer, _ = json.Marshal(page)
				case evidence.QueryLinkedAnchors:
					var page evidence.Page[evidence.Anchor]
					require.NoError(t, json.Unmarshal(answer, &page))
					page.Items = append(page.Items, evidence.Anchor{Entry: victim.Entry(), HospitalNumber: 1})
					answer, _ = json.Marshal(page)
				}
				return answer
			}
			for side, h := range map[string]*retrievetest.Hospital{"owner": p.h1, "requester": p.h2} {
				h.Ledger.OnAnswer(lie)
				res, err := p.ask(nil)
				require.NoError(t, err, side)
				assert.NotContains(t, genuineOf(res), evidence.RecordID(victim.ID), side)
				h.Ledger.OnAnswer(nil)
			}
		})
	}
}
