package chaincode

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
)

// The vector of ZeroMQ RFC 32.
func TestZ85IsThatOfTheRFC(t *testing.T) {
	raw, err := hex.DecodeString("864fd26fb559f75b")
	require.NoError(t, err)
	assert.Equal(t, "HelloWorld", string(appendZ85(nil, raw)))
	back, err := decodeZ85([]byte("HelloWorld"))
	require.NoError(t, err)
	assert.Equal(t, raw, back)
}

func TestZ85RefusesOtherText(t *testing.T) {
	for name, text := range map[string]string{
		"length": "Hell", "character": "Hell~", "not ASCII": "Hel\xc3\xa9", "more than 32 bits": "#####",
	} {
		_, err := decodeZ85([]byte(text))
		assert.Error(t, err, name)
	}
}

func FuzzZ85(f *testing.F) {
	f.Add([]byte("HelloWorld"))
	f.Add([]byte{0, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if raw, err := decodeZ85(b); err == nil {
			assert.Equal(t, b, append([]byte{}, appendZ85(nil, raw)...), "only one text for each value")
		}
		b = b[:len(b)/4*4]
		raw, err := decodeZ85(appendZ85(nil, b))
		require.NoError(t, err)
		assert.Equal(t, append([]byte{}, b...), raw)
	})
}

func FuzzDecodeAnchor(f *testing.F) {
	e := evidence.Entry{ID: evidence.RecordID{0, 7, 1}, Tag: evidence.Tag{9}, CipherHash: evidence.Digest{3}, Pointer: []byte{1, 2}}
	f.Add(anchorKey(e.Tag, e.ID, false), anchorValue(e, false))
	f.Add(anchorKey(e.Tag, e.ID, true), anchorValue(e, true))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		got, err := decodeAnchor(e.Tag, key, value)
		if err != nil || !strings.HasPrefix(key, anchorPrefix(e.Tag)) {
			return
		}
		long := len(key) == longAnchor
		if long && string(appendZ85(nil, got.ID[guardPart:])) != key[shortAnchor:] {
			t.Fatalf("id %s from key %q", got.ID, key)
		}
		assert.Equal(t, key, anchorKey(e.Tag, got.ID, long))
		assert.Equal(t, value, anchorValue(got, long))
	})
}

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
		patientKey(tag, 65535), consentKey(n), accessKey(n), anchorKey(tag, id, false), anchorKey(tag, id, true), guardKey(id),
		indexKey(tagPrefix(familyConsentTag, tag), 1, n), indexKey(tagPrefix(familyAccessTag, tag), now, n),
		indexKey(partyPrefix(familyAccessParty, "H1"), 1, n), indexKey(partyPrefix(familyAccessParty, "H1MSP"), 1, n),
		indexKey(partyPrefix(familyAccessParty, "H1.b"), 1, n), indexKey(partyPrefix(familyAccessParty, "H1-b"), 1, n),
		indexKey(partyPrefix(familyEmergency, "H1MSP"), 1, n), indexKey(tagPrefix(familyDestruction, tag), 1, n),
	}
	lists := map[string]int{
		familyMember: 2, patientPrefix(tag): 1, anchorPrefix(tag): 2, anchorPrefix(evidence.Tag{}): 0,
		tagPrefix(familyConsentTag, tag): 1, tagPrefix(familyAccessTag, tag): 1, tagPrefix(familyDestruction, tag): 1,
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
	assert.Len(t, slices.Compact(keys), 20, "all keys differ")
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
