package fingerprint_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/research/fingerprint"
)

func project(n byte) [32]byte { return [32]byte{n, 1, 2, 3} }

func candidates(n int) (list []fingerprint.Candidate) {
	for i := range n {
		name := fmt.Sprintf("INST%02d", i)
		list = append(list, fingerprint.Candidate{Recipient: name, Key: fingerprint.NewKey(project(1), name)})
	}
	return list
}

// copyOf makes the table that a recipient gets: marked subjects, rows in the keyed order.
func copyOf(c fingerprint.Candidate, rng *rand.Rand, rows int) []string {
	m := fingerprint.NewMarker(c.Key)
	out := make([]string, rows)
	for i := range out {
		var body [fingerprint.BodySize]byte
		for j := range body {
			body[j] = byte(rng.Uint32())
		}
		out[i] = fmt.Sprintf("%s,%d,%s,I%02d.%d,%d.%d", m.Surrogate(body), 30+rng.IntN(50), []string{"1", "2"}[rng.IntN(2)],
			rng.IntN(90), rng.IntN(9), 4+rng.IntN(9), rng.IntN(100))
	}
	slices.SortFunc(out, func(a, b string) int {
		ra, rb := m.Rank([]byte(a)), m.Rank([]byte(b))
		switch {
		case ra < rb:
			return -1
		case ra > rb:
			return 1
		}
		return 0
	})
	return out
}

// stripped cuts the first column, where the surrogates are.
func stripped(rows []string) (out []string) {
	for _, r := range rows {
		_, rest, _ := strings.Cut(r, ",")
		out = append(out, "*,"+rest)
	}
	return out
}

func trace(t testing.TB, rows []string, list []fingerprint.Candidate) []fingerprint.Finding {
	f, err := fingerprint.Trace(strings.NewReader(strings.Join(rows, "\n")), list)
	require.NoError(t, err)
	return f
}

func TestSurrogatesBearTheMarkOfTheirKeyOnly(t *testing.T) {
	a, b := fingerprint.NewMarker(fingerprint.NewKey(project(1), "A")), fingerprint.NewMarker(fingerprint.NewKey(project(1), "B"))
	hits := 0
	for i := range 4000 {
		s := a.Surrogate([fingerprint.BodySize]byte{byte(i), byte(i >> 8)})
		require.Regexp(t, `^[a-z2-7]{24}$`, s)
		require.True(t, a.Marked([]byte(s)))
		if b.Marked([]byte(s)) {
			hits++
		}
	}
	assert.Zero(t, hits, "a mark of 40 bits does not fit by chance")
	assert.Equal(t, "[redacted]", fmt.Sprint(fingerprint.NewKey(project(1), "A")))
	assert.NotEqual(t, fingerprint.NewKey(project(1), "A"), fingerprint.NewKey(project(2), "A"))
}

func TestContentCutsSurrogatesAlone(t *testing.T) {
	for in, want := range map[string]string{
		"":                                     "",
		"abcdefghijklmnopqrstuvwx,1":           "*,1",
		"Patient/abcdefghijklmnopqrstuvwx\"}":  "Patient/*\"}",
		"xabcdefghijklmnopqrstuvwx":            "xabcdefghijklmnopqrstuvwx", // 25 characters
		"Abcdefghijklmnopqrst":                 "Abcdefghijklmnopqrst",
		"中abcdefghijklmnopqrstuv22文":           "中*文",
		"abcdefghijklmnopqrstuvwx":             "*",
		"abcdefghijklmnopqrstuvwx_":            "abcdefghijklmnopqrstuvwx_",
		"1 2 abcdefghijklmnopqrstuvwx 3 4 5 6": "1 2 * 3 4 5 6",
	} {
		assert.Equal(t, want, string(fingerprint.Content(nil, []byte(in))), in)
	}
}

func TestAPartNamesItsRecipient(t *testing.T) {
	list := candidates(16)
	rng := rand.New(rand.NewPCG(1, 2))
	full := copyOf(list[3], rng, 400)
	for name, c := range map[string]struct {
		rows  []string
		named bool
	}{
		"one row with its subject":        {full[7:8], true},
		"all, shuffled":                   {shuffled(rng, full), true},
		"without subjects, in order":      {stripped(full), true},
		"twelve rows without subjects":    {stripped(full)[100:112], true},
		"every tenth without subjects":    {every(stripped(full), 10), true},
		"without subjects, shuffled":      {shuffled(rng, stripped(full)), false},
		"four rows without subjects":      {stripped(full)[:4], false},
		"somebody else's rows":            {stripped(copyOf(fingerprint.Candidate{Key: fingerprint.NewKey(project(9), "X")}, rng, 300)), false},
		"nothing":                         {nil, false},
		"mixed with rows of other origin": {mixed(rng, stripped(full), 40), true},
	} {
		t.Run(name, func(t *testing.T) {
			f := trace(t, c.rows, list)
			require.Len(t, f, 16)
			assert.Equal(t, c.named, f[0].Named, "%+v", f[0])
			if c.named {
				assert.Equal(t, "INST03", f[0].Recipient)
			}
			assert.False(t, f[1].Named, "%+v", f[1])
		})
	}
}

func shuffled(rng *rand.Rand, rows []string) []string {
	out := slices.Clone(rows)
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func every(rows []string, n int) (out []string) {
	for i := 0; i < len(rows); i += n {
		out = append(out, rows[i])
	}
	return out
}

func mixed(rng *rand.Rand, rows []string, n int) []string {
	out := slices.Clone(rows)
	for i := range n {
		out = slices.Insert(out, rng.IntN(len(out)), fmt.Sprintf("*,%d,2,Z%d,0.0", i, rng.IntN(1000)))
	}
	return out
}

// TestErrorRate measures how often parts of different sizes, without any surrogate, name
// nobody or the wrong one. The figures are quoted in docs/guide/research.md.
func TestErrorRate(t *testing.T) {
	list := candidates(10)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		rows, trials int
		missed       float64 // share that may go unnamed
	}{{8, 300, 1}, {12, 300, 0.01}, {20, 200, 0}, {50, 100, 0}, {200, 30, 0}} {
		missed, wrong, wrongByMarks, missedByMarks := 0, 0, 0, 0
		for range c.trials {
			who := rng.IntN(len(list))
			part := copyOf(list[who], rng, c.rows)
			for _, f := range trace(t, stripped(part), list) {
				if f.Named && f.Recipient != list[who].Recipient {
					wrong++
				}
				if !f.Named && f.Recipient == list[who].Recipient {
					missed++
				}
			}
			for _, f := range trace(t, part[:1], list) {
				if f.Named && f.Recipient != list[who].Recipient {
					wrongByMarks++
				}
			}
			for _, f := range trace(t, part[:2], list) {
				if !f.Named && f.Recipient == list[who].Recipient {
					missedByMarks++
				}
			}
		}
		t.Logf("%3d rows without surrogates: %d of %d parts named nobody, %d a wrong one; one row with its surrogate named a wrong one %d times, two rows nobody %d times",
			c.rows, missed, c.trials, wrong, wrongByMarks, missedByMarks)
		assert.LessOrEqual(t, float64(missed), c.missed*float64(c.trials))
		assert.Zero(t, wrong+wrongByMarks+missedByMarks)
	}
}

func TestKendallsDistribution(t *testing.T) {
	// Sorted rows of one copy, and their reverse: the probabilities must be 1/n! and 1.
	list := candidates(1)
	rows := stripped(copyOf(list[0], rand.New(rand.NewPCG(5, 6)), 6))
	f := trace(t, rows, list)[0]
	assert.Zero(t, f.Inversions)
	assert.InDelta(t, 1.0/720, f.ByOrder, 1e-12)
	slices.Reverse(rows)
	f = trace(t, rows, list)[0]
	assert.EqualValues(t, 15, f.Inversions)
	assert.InDelta(t, 1, f.ByOrder, 1e-9)
}

func FuzzTrace(f *testing.F) {
	list := candidates(2)
	f.Add([]byte("abcdefghijklmnopqrstuvwx,1\nabcdefghijklmnopqrstuvwx,2\n"))
	f.Add([]byte("\r\n\xff,,\"\n"))
	f.Fuzz(func(t *testing.T, part []byte) {
		found, err := fingerprint.Trace(bytes.NewReader(part), list)
		require.NoError(t, err)
		for _, x := range found {
			require.True(t, x.ByOrder >= 0 && x.ByOrder <= 1 && x.ByMarks >= 0 && x.ByMarks <= 1)
		}
		require.LessOrEqual(t, len(fingerprint.Content(nil, part)), len(part))
	})
}
