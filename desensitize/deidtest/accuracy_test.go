package deidtest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/deidtest"
	"github.com/emrbridge/emrbridge/desensitize/text"
)

// The engine does not fall behind what it has reached. The notes are others than those of the
// benchmark (another seed).
func TestAccuracyHolds(t *testing.T) {
	find := deidtest.Text(text.New(text.Options{}))
	for _, c := range []struct {
		set                        deidtest.Set
		language                   string
		removed, precision, damage float64
	}{
		{deidtest.Open, "zh", 0.97, 0.99, 0.01}, {deidtest.Open, "en", 0.99, 0.99, 0.01},
		{deidtest.Held, "zh", 0.92, 0.90, 0.01}, {deidtest.Held, "en", 0.985, 0.99, 0.01},
		{deidtest.Fresh, "zh", 0.93, 0.95, 0.1}, {deidtest.Fresh, "en", 0.93, 0.97, 0.1},
	} {
		t.Run(string(c.set)+c.language, func(t *testing.T) {
			score, misses := deidtest.Measure(c.set, c.language, 11, 400, find)
			ok := score.All.Recall.Value() >= c.removed && score.All.CharPrecision.Value() >= c.precision && score.Damage.Value() <= c.damage
			if !ok && c.set != deidtest.Fresh { // what is missed in those is not to be looked at
				for _, m := range misses[:min(40, len(misses))] {
					before, what, after := m.Text()
					t.Logf("%s %s wrong=%v %s: %q【%s】%q", m.Note.ID, m.Note.Noise, m.Wrong, m.Span.Type, before, what, after)
				}
			}
			require.True(t, ok, "removed %s, precision %s, damaged %s", score.All.Recall.Percent(), score.All.CharPrecision.Percent(), score.Damage.Percent())
		})
	}
}

// At least three names, streets and hospitals in ten hold parts that stand in none of the
// engine's files, so that the figures do not measure its lists.
func TestDictionariesAreApart(t *testing.T) {
	lists := engineFiles(t)
	absent := func(values map[string]bool, known func(string) bool) float64 {
		n := 0
		for v := range values {
			if !known(v) {
				n++
			}
		}
		return float64(n) / float64(len(values))
	}
	for _, language := range deidtest.Languages {
		values := map[deidtest.Type]map[string]bool{deidtest.Name: {}, deidtest.Hospital: {}, deidtest.Address: {}}
		for n := range deidtest.Notes(language, 12, 800) {
			values[deidtest.Name][n.Subject.Name] = true
			values[deidtest.Hospital][n.Subject.Hospital] = true
			values[deidtest.Address][n.Subject.Address] = true
		}
		for typ, list := range values {
			share := absent(list, func(v string) bool { return listed(lists, v) })
			t.Logf("%s %s: %.0f %% absent of %d", language, typ, 100*share, len(list))
			require.Greater(t, share, 0.3, "%s %s", language, typ)
		}
	}
}

// engineFiles is all that the engine is made of, lists and rules.
func engineFiles(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir("../text", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasSuffix(path, "_test.go") || strings.Contains(path, "testdata") {
			return err
		}
		raw, err := os.ReadFile(path)
		all.WriteString(strings.ToLower(string(raw)))
		return err
	}))
	return all.String()
}

// listed says that a value is made of parts that the lists hold: of a Chinese value every two
// neighbouring characters, of an English one every word.
func listed(lists, value string) bool {
	words := strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return r == ' ' || r == '-' || r == ',' || r == '\'' || r == '.' })
	for _, w := range words {
		runes := []rune(w)
		if len(runes) > 0 && runes[0] < 0x2e80 {
			if !strings.Contains(lists, w) {
				return false
			}
			continue
		}
		for i := 0; i+1 < len(runes); i++ {
			if !strings.Contains(lists, string(runes[i:i+2])) {
				return false
			}
		}
	}
	return true
}
