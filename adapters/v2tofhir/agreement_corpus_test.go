//go:build corpus

package v2tofhir_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
)

// otherReadings are facts on which the corpus and this package differ, each with why. A key
// is a prefix of TYPE.path; the corpus is other projects' reading of the guide, not a norm.
var otherReadings = []struct{ prefix, why string }{}

// TestAgreement compares the facts of the corpus' expected Bundles (leaf values by resource
// type and path, without ids, references and extensions) with ours.
func TestAgreement(t *testing.T) {
	type tally struct{ have, want int }
	byType := map[string]*tally{}
	missing := map[string]int{}
	root := corpus(t, "hl7v2-to-fhir")
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".hl7") {
			return err
		}
		want := factsOf(t, strings.TrimSuffix(path, ".hl7")+".fhir")
		have := ourFacts(t, path)
		for fact := range want {
			typ, _, _ := strings.Cut(fact, ".")
			if byType[typ] == nil {
				byType[typ] = &tally{}
			}
			byType[typ].want++
			if have[fact] {
				byType[typ].have++
				continue
			}
			missing[fact]++
			if os.Getenv("MISSING") != "" {
				fmt.Println(filepath.Base(path), fact)
			}
		}
		return nil
	}))
	all := tally{}
	var lines []string
	for typ, n := range byType {
		all.have += n.have
		all.want += n.want
		lines = append(lines, fmt.Sprintf("%-20s %4d of %4d", typ, n.have, n.want))
	}
	sort.Strings(lines)
	t.Logf("%d of %d facts agree\n%s", all.have, all.want, strings.Join(lines, "\n"))
}

func ourFacts(t *testing.T, path string) map[string]bool {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	out := map[string]bool{}
	for _, raw := range hl7.SplitMessages(data).Messages() {
		text, _, err := (hl7.CharsetPolicy{}).Decode(raw)
		require.NoError(t, err)
		_, entries, err := convert(string(text), v2tofhir.Options{})
		require.NoError(t, err)
		collect(entries, out)
	}
	return out
}

func factsOf(t *testing.T, path string) map[string]bool {
	b, err := os.ReadFile(path)
	require.NoError(t, err, path)
	var doc struct{ Entry []entry }
	require.NoError(t, json.Unmarshal(b, &doc))
	out := map[string]bool{}
	collect(doc.Entry, out)
	return out
}

func collect(entries []entry, out map[string]bool) {
	for _, e := range entries {
		typ := fmt.Sprint(e.Resource["resourceType"])
		if typ != "Provenance" {
			leaves(e.Resource, typ, out)
		}
	}
}

func leaves(v any, at string, out map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			switch {
			case k == "extension", k == "id", k == "meta", k == "reference", k == "resourceType", strings.HasPrefix(k, "_"):
			default:
				leaves(inner, at+"."+k, out)
			}
		}
	case []any:
		for _, inner := range v {
			leaves(inner, at, out)
		}
	default:
		out[fmt.Sprintf("%s = %v", at, v)] = true
	}
}
