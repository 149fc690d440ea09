package evidence

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		assert.ErrorIs(t, err, ErrMalformed, name)
	}
}

func TestAnchorState(t *testing.T) {
	e := Entry{ID: RecordID{0, 7, 1, 15: 9}, Tag: Tag{9, 15: 1}, CipherHash: Digest{3}, Pointer: []byte{1, 2}}
	for _, long := range []bool{false, true} {
		key := AnchorKey(e.Tag, e.ID, long)
		assert.True(t, IsAnchorKey(key))
		assert.Contains(t, key, AnchorPrefix(e.Tag))
		got, err := DecodeAnchor(key, AnchorValue(e, long))
		require.NoError(t, err)
		assert.True(t, e.Equal(got))
		_, err = DecodeAnchor(key, make([]byte, 10))
		require.ErrorIs(t, err, ErrMalformed)
		_, err = DecodeAnchor(key, make([]byte, 100))
		require.ErrorIs(t, err, ErrMalformed)
	}
	assert.False(t, IsAnchorKey(GuardKey(e.ID)))
	assert.Equal(t, "m2(<@900000000000000100-J800000", AnchorKey(e.Tag, e.ID, false))
}

func FuzzZ85(f *testing.F) {
	f.Add([]byte("HelloWorld"))
	f.Add([]byte{0, 0, 0, 0, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		if raw, err := decodeZ85(b); err == nil {
			assert.Equal(t, string(b), string(appendZ85(nil, raw)), "only one text for each value")
		}
		b = b[:len(b)/4*4]
		raw, err := decodeZ85(appendZ85(nil, b))
		require.NoError(t, err)
		assert.Equal(t, string(b), string(raw))
	})
}

func FuzzDecodeAnchor(f *testing.F) {
	e := Entry{ID: RecordID{0, 7, 1}, Tag: Tag{9}, CipherHash: Digest{3}, Pointer: []byte{1, 2}}
	f.Add(AnchorKey(e.Tag, e.ID, false), AnchorValue(e, false))
	f.Add(AnchorKey(e.Tag, e.ID, true), AnchorValue(e, true))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		got, err := DecodeAnchor(key, value)
		if err != nil {
			return
		}
		long := len(key) == longAnchor
		assert.Equal(t, key, AnchorKey(got.Tag, got.ID, long))
		assert.Equal(t, value, AnchorValue(got, long))
	})
}
