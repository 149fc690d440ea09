package deidtest_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/deidtest"
)

func TestNotesAreSound(t *testing.T) {
	for _, language := range deidtest.Languages {
		kinds, noises, headers := map[string]int{}, map[string]int{}, 0
		types := map[deidtest.Type]int{}
		for n := range deidtest.Notes(language, 1, 1500) {
			kinds[n.Kind]++
			noises[n.Noise]++
			if n.Header {
				headers++
			}
			soundSpans(t, n)
			for _, g := range n.Gold {
				types[g.Type]++
			}
			require.NotContains(t, n.Text, "{")
			require.NotContains(t, n.Text, "«")
			require.True(t, utf8.ValidString(n.Text))
		}
		require.Len(t, kinds, len(deidtest.Kinds(language, deidtest.Open)))
		require.Greater(t, len(noises), 3)
		require.InDelta(t, 750, headers, 100)
		require.Greater(t, len(types), 20, "%v", types)
	}
}

func soundSpans(t *testing.T, n *deidtest.Note) {
	t.Helper()
	all := slices.Concat(n.Gold, n.Keep, n.Neutral)
	slices.SortFunc(all, func(a, b deidtest.Span) int { return a.Start - b.Start })
	last := 0
	for _, s := range all {
		require.True(t, last <= s.Start && s.Start < s.End && s.End <= len(n.Text), "%s: %v after %d", n.ID, s, last)
		require.True(t, utf8.ValidString(n.Text[s.Start:s.End]), n.ID)
		last = s.End
	}
	for _, g := range n.Gold {
		require.NotEmpty(t, g.Type)
		require.Equal(t, strings.TrimSpace(n.Text[g.Start:g.End]), n.Text[g.Start:g.End], "%s %s", n.ID, g.Type)
	}
}

func TestNotesAreTheSameEachTime(t *testing.T) {
	for i := range 40 {
		require.Equal(t, deidtest.Make("zh", 7, i), deidtest.Make("zh", 7, i))
	}
	require.NotEqual(t, deidtest.Make("zh", 7, 0).Text, deidtest.Make("zh", 8, 0).Text)
}
