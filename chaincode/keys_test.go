package chaincode

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
)

// No key of a family may fall into the range of another list.
func TestKeyFamiliesDoNotMeet(t *testing.T) {
	var tag evidence.Tag
	var id evidence.RecordID
	var n evidence.Nonce
	for i := range tag {
		tag[i], id[i], n[i] = 0xff, 0xff, 0xff
	}
	const now = maxTime - 1
	keys := []string{
		keyAuthority, memberKey("H1MSP"), memberKey("H1MSP.b"), numberKey(65535), nonceKey(65535, n), batchKey(65535, n),
		patientKey(tag, 65535), consentKey(n), accessKey(n), evidence.AnchorKey(tag, id, false), evidence.AnchorKey(tag, id, true), evidence.GuardKey(id),
		indexKey(tagPrefix(familyConsentTag, tag), 1, n), indexKey(tagPrefix(familyAccessTag, tag), now, n),
		indexKey(partyPrefix(familyAccessParty, "H1"), 1, n), indexKey(partyPrefix(familyAccessParty, "H1MSP"), 1, n),
		indexKey(partyPrefix(familyAccessParty, "H1.b"), 1, n), indexKey(partyPrefix(familyAccessParty, "H1-b"), 1, n),
		indexKey(partyPrefix(familyEmergency, "H1MSP"), 1, n), indexKey(tagPrefix(familyDestruction, tag), 1, n),
		linkKey(tag, 65535), indexKey(tagPrefix(familyLinkStep, tag), 1, n),
		instituteKey("I1"), instituteKey("I1-b"), instituteNonceKey("I1", n), projectKey("I1.p"), projectKey("I1.p.q"),
		projectIndexKey("I1", 1, "I1.p"), projectIndexKey("I1-b", 1, "I1-b.p"), partKey("I1.p", 65535), partKey("I1.p.q", 1), countsKey("I1.p", 1),
		releaseKey("I1.p", 65535, 1<<32-1), releaseKey("I1.p-q", 1, 1), withdrawalKey("I1.p", 1, 1),
		indexKey(partyPrefix(familyReidentification, "I1.p"), 1, n),
	}
	lists := map[string]int{
		familyMember: 2, patientPrefix(tag): 1, evidence.AnchorPrefix(tag): 2, evidence.AnchorPrefix(evidence.Tag{}): 0,
		tagPrefix(familyConsentTag, tag): 1, tagPrefix(familyAccessTag, tag): 1, tagPrefix(familyDestruction, tag): 1,
		linkPrefix(tag): 1, tagPrefix(familyLinkStep, tag): 1,
		familyInstitute: 2, partyPrefix(familyProjectParty, "I1"): 1, partyPrefix(familyPart, "I1.p"): 1,
		partyPrefix(familyRelease, "I1.p"): 1, partyPrefix(familyWithdrawal, "I1.p"): 1, partyPrefix(familyReidentification, "I1.p"): 1,
		partyPrefix(familyAccessParty, "H1"): 1, partyPrefix(familyAccessParty, "H1MSP"): 1, partyPrefix(familyEmergency, "H1MSP"): 1,
	}
	for prefix, want := range lists {
		got := 0
		for _, key := range keys {
			if key >= prefix && key < prefixEnd(prefix) {
				got++
			}
		}
		assert.Equal(t, want, got, "keys in the list %q", prefix)
	}
	slices.Sort(keys)
	assert.Len(t, slices.Compact(keys), 36, "all keys differ")
}

func TestAnIndexListsTheNewestFirst(t *testing.T) {
	var n evidence.Nonce
	prefix := partyPrefix(familyAccessParty, "H1MSP")
	early, late := indexKey(prefix, 1_700_000_000_000, n), indexKey(prefix, 1_900_000_000_000, n)
	assert.Less(t, late, early)
	id, err := indexID(early)
	require.NoError(t, err)
	assert.Equal(t, n, id)
	_, err = indexID("short")
	assert.Error(t, err)
}
