package deidtest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The check digits are those of published examples: GB 11643-1999 annex (11010519491231002X),
// ISO/IEC 7812 (Luhn), and the Taiwanese A123456789.
func TestCheckDigits(t *testing.T) {
	r := &rng{state: 1}
	for range 500 {
		require.True(t, validResident(r.residentID(time.Date(1949, 12, 31, 0, 0, 0, 0, time.UTC), false, false)))
		require.True(t, luhn(r.bankCard()))
	}
	require.True(t, validResident("11010519491231002X"))
	require.False(t, validResident("110105194912310021"))
	require.Len(t, r.residentID(time.Now(), true, true), 15)
}

func validResident(s string) bool {
	sum := 0
	for i, w := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(s[i]-'0') * w
	}
	return len(s) == 18 && s[17] == "10X98765432"[sum%11]
}

func luhn(s string) bool {
	sum := 0
	for i := range s {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			d = d*2%10 + d*2/10
		}
		sum += d
	}
	return sum%10 == 0
}

func TestChineseNumbers(t *testing.T) {
	for n, want := range map[int]string{1: "一", 10: "十", 12: "十二", 20: "二十", 31: "三十一"} {
		require.Equal(t, want, chineseNumber(n))
	}
}

// Every line of the data can be used: pairs of characters, rules that exist, leaves that exist.
func TestDataIsSound(t *testing.T) {
	for from, to := range simplifiedToTraditional() {
		require.Equal(t, len(string(from)), len(string(to)), "%c", from)
	}
	for _, language := range Languages {
		g := grammars()[language]
		for name, r := range g.rules {
			require.NotEmpty(t, r.alts, name)
			n := &Note{Language: language}
			s := newScene(&rng{state: 5}, n, g)
			for _, alt := range r.alts {
				for range 4 {
					s.write(alt)
				}
			}
		}
	}
}
