package guard

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzLedgerValue checks that nothing but a sealed value of the same name opens.
func FuzzLedgerValue(f *testing.F) {
	s := secret{bytes.Repeat([]byte{1}, KeySize)}
	genuine := s.seal("emr:c:a", fingerprint{1, 2, 3})
	f.Add("emr:c:a", genuine)
	f.Add("emr:c:b", genuine)
	f.Add("emr:c:a", genuine[:31])
	f.Add("emr:c:a", genuine+"x")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, name, value string) {
		content, ok := s.open(name, value)
		if ok && s.seal(name, content) != value {
			t.Fatalf("%q opens under %q, but was not sealed", value, name)
		}
	})
}

func TestSealedValuesBelongToTheirName(t *testing.T) {
	s := secret{bytes.Repeat([]byte{1}, KeySize)}
	value := s.seal("a", fingerprint{9})
	got, ok := s.open("a", value)
	assert.True(t, ok)
	assert.Equal(t, fingerprint{9}, got)
	_, ok = s.open("b", value)
	assert.False(t, ok)
	_, ok = secret{bytes.Repeat([]byte{2}, KeySize)}.open("a", value)
	assert.False(t, ok)
}

func TestMemoryForgetsWhatExpired(t *testing.T) {
	m := newMemory(4, false)
	soon, late := time.Now().Add(20*time.Millisecond), time.Now().Add(time.Hour)
	for i, expires := range []time.Time{late, soon, soon, late} {
		_, added, ok := m.add(fmt.Sprint(i), fingerprint{}, expires)
		require.True(t, added && ok)
		m.settle(fmt.Sprint(i))
	}
	_, _, ok := m.add("early", fingerprint{}, late)
	require.False(t, ok, "full of entries that Redis does not have")
	time.Sleep(30 * time.Millisecond)
	_, there := m.get("1")
	assert.False(t, there)
	m.swept = time.Time{}
	_, added, ok := m.add("2", fingerprint{7}, late)
	assert.True(t, added && ok, "an expired name is free again, and makes room")
	_, _, ok = m.add("next", fingerprint{}, late)
	assert.True(t, ok)
	_, _, ok = m.add("over", fingerprint{}, late)
	assert.False(t, ok)
	m.settle("2")
	m.settle("next")
	assert.Len(t, m.unsent(false), 4)

	m.confirm("0", fingerprint{5})
	all, pending := m.sizes()
	assert.Equal(t, [2]int{4, 3}, [2]int{all, pending})
	assert.Len(t, m.unsent(true), 4)
	_, added, ok = m.add("over", fingerprint{}, late)
	assert.True(t, added && ok, "what Redis has makes room")
	_, there = m.get("0")
	assert.False(t, there)
}

func TestRingDisplacesTheOldest(t *testing.T) {
	r := newRing(2)
	for i, want := range []string{"", "", "0", "1", "2"} {
		assert.Equal(t, want, r.push(fmt.Sprint(i)))
	}
}

// An upload that overtook the call that entered a name would make that call find its own
// entry and take it for a replay.
func TestEntriesBeingAskedAreNotUploaded(t *testing.T) {
	m := newMemory(4, false)
	expires := time.Now().Add(time.Minute)
	m.add("a", fingerprint{1}, expires)
	assert.Empty(t, m.unsent(true))
	m.settle("a")
	assert.Len(t, m.unsent(false), 1)
	m.confirm("a", fingerprint{1})
	assert.Empty(t, m.unsent(false))
	assert.Len(t, m.unsent(true), 1)
}
