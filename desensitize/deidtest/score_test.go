package deidtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/deidtest"
)

// The interval of Wilson for known cases: 0 of 10, 5 of 10 and 10 of 10.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		share     deidtest.Share
		low, high float64
	}{
		{deidtest.Share{Hits: 0, Of: 10}, 0, 0.2775}, {deidtest.Share{Hits: 5, Of: 10}, 0.2366, 0.7634},
		{deidtest.Share{Hits: 10, Of: 10}, 0.7225, 1}, {deidtest.Share{}, 0, 1},
	} {
		low, high := c.share.Wilson()
		require.InDelta(t, c.low, low, 1e-4)
		require.InDelta(t, c.high, high, 1e-4)
	}
}

func TestScore(t *testing.T) {
	const text = "患者王小明先生，CA125升高"
	note := &deidtest.Note{Text: text,
		Gold:    []deidtest.Span{{Start: 6, End: 15, Type: deidtest.Name}},
		Neutral: []deidtest.Span{{Start: 15, End: 21}},
		Keep:    []deidtest.Span{{Start: 24, End: 29}},
	}
	for _, c := range []struct {
		name                          string
		found                         []deidtest.Found
		recall, strict, typed, leaky  int
		damage, precise, chars, wrong int
	}{
		{"nothing", nil, 0, 0, 0, 1, 0, 0, 0, 0},
		{"exact", []deidtest.Found{{6, 15, deidtest.Name}}, 1, 1, 1, 0, 0, 1, 3, 0},
		{"with its title", []deidtest.Found{{6, 21, deidtest.Name}}, 1, 1, 1, 0, 0, 1, 3, 0},
		{"in two parts", []deidtest.Found{{6, 9, deidtest.Name}, {9, 15, deidtest.Name}}, 1, 1, 1, 0, 0, 2, 3, 0},
		{"as another type", []deidtest.Found{{6, 15, deidtest.Address}}, 1, 1, 0, 0, 0, 1, 3, 0},
		{"too wide", []deidtest.Found{{0, 15, deidtest.Name}}, 1, 0, 0, 0, 0, 0, 3, 1},
		{"a part", []deidtest.Found{{6, 9, deidtest.Name}}, 0, 0, 0, 1, 0, 1, 1, 0},
		{"and a term", []deidtest.Found{{6, 15, deidtest.Name}, {24, 29, deidtest.RecordNo}}, 1, 1, 1, 0, 1, 1, 3, 1},
		{"the title alone", []deidtest.Found{{15, 21, deidtest.Name}}, 0, 0, 0, 1, 0, 0, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s deidtest.Score
			wrong := 0
			for _, m := range s.Add(note, c.found) {
				if m.Wrong {
					wrong++
				}
			}
			got := s.All
			require.Equal(t, []int{c.recall, c.strict, c.typed, c.leaky, c.damage, c.precise, c.chars, c.wrong},
				[]int{got.Recall.Hits, got.Strict.Hits, got.Typed.Hits, s.Leaky.Hits, s.Damage.Hits, got.Precision.Hits, got.Chars.Hits, wrong})
		})
	}
}

// An engine that finds the gold itself is perfect in every figure, whatever the noise.
func TestScoreOfThePerfectEngine(t *testing.T) {
	for _, language := range deidtest.Languages {
		var s deidtest.Score
		for n := range deidtest.Notes(language, 2, 300) {
			var found []deidtest.Found
			for _, g := range n.Gold {
				found = append(found, deidtest.Found(g))
			}
			require.Empty(t, s.Add(n, found), n.ID)
		}
		for typ, got := range s.Types {
			for _, share := range []deidtest.Share{got.Recall, got.Strict, got.Typed, got.Chars, got.Precision, got.CharPrecision} {
				require.Equal(t, share.Of, share.Hits, typ)
			}
		}
		require.Zero(t, s.Leaky.Hits)
		require.Zero(t, s.Damage.Hits)
	}
}
