//go:build corpus

package deidtest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize/text"
)

// Outside notes with gold spans. Run them with
//
//	CORPUS=/path/to/corpus go test -tags corpus -run Corpus ./desensitize/deidtest

func corpusFile(t *testing.T, name string) []byte {
	t.Helper()
	root := os.Getenv("CORPUS")
	require.NotEmpty(t, root, "set CORPUS to the folder that holds deid")
	raw, err := os.ReadFile(filepath.Join(root, "deid", name))
	require.NoError(t, err)
	return raw
}

// goldCase is a fixture of openmed: spans in characters.
type goldCase struct {
	ID       string `json:"id"`
	Language string `json:"language"`
	Text     string `json:"text"`
	Gold     []struct {
		Label string `json:"label"`
		Text  string `json:"text"`
	} `json:"gold_spans"`
	Metadata struct {
		Traps []struct {
			Text string `json:"text"`
		} `json:"hard_negatives"`
		Candidates []struct {
			Text string `json:"text"`
		} `json:"hard_negative_candidates"`
	} `json:"metadata"`
}

// corpusKept are identifiers that stay, and why.
var corpusKept = map[string]string{
	"東京都新宿区西新宿2丁目8番1号": "Japanese addresses are not read",
	"160-0023": "Japanese postal codes are not read",
}

// corpusRemoved are traps that are removed all the same, and why.
//
// A number behind the label of an identifier goes even if its check digit is wrong: one that
// was mistyped still tells who the patient is, and no clinical value stands there.
var corpusRemoved = map[string]string{
	"000-00-0000":     "behind SSN",
	"242108708540373": "behind NIR",
	"12345678901":     "eleven digits are no measurement",
	"12345678X":       "behind DNI",
	"456378924":       "behind BSN",
	"659676687473":    "twelve digits are no measurement",
	"691256223922":    "twelve digits are no measurement",
	"456.378.921-65":  "behind CPF",
	"29813011234567":  "fourteen digits are no measurement",
	"13198785261":     "eleven digits are no measurement",
	"MRN-0007":        "behind MRN",
	"Nora Patel":      "a name goes, whosever it is",
}

func TestCorpusOpenmedGold(t *testing.T) {
	engine := text.New(text.Options{})
	kept, removed := map[string]bool{}, map[string]bool{}
	for _, c := range goldCases(t) {
		out := scrub(engine, c.Text)
		for _, g := range c.Gold {
			if strings.Contains(out, g.Text) {
				kept[g.Text] = true
				assert.Contains(t, corpusKept, g.Text, "%s: %s stays in %q", c.ID, g.Label, c.Text)
			}
		}
		for _, trap := range append(c.Metadata.Traps, c.Metadata.Candidates...) {
			if !strings.Contains(out, trap.Text) {
				removed[trap.Text] = true
				assert.Contains(t, corpusRemoved, trap.Text, "%s: the trap is removed from %q: %q", c.ID, c.Text, out)
			}
		}
	}
	for value := range corpusKept {
		assert.True(t, kept[value], "%s is removed: strike it from the list", value)
	}
	for value := range corpusRemoved {
		assert.True(t, removed[value], "%s stays: strike it from the list", value)
	}
}

func goldCases(t *testing.T) []goldCase {
	var cases []goldCase
	for _, name := range []string{"per_language_id_traps", "hard_negatives", "overlap", "chunk_boundary"} {
		var file struct{ Fixtures []goldCase }
		require.NoError(t, json.Unmarshal(corpusFile(t, "maziyarpanahi+openmed/fixtures/"+name+".json"), &file))
		require.NotEmpty(t, file.Fixtures)
		cases = append(cases, file.Fixtures...)
	}
	for line := range strings.Lines(string(corpusFile(t, "maziyarpanahi+openmed/i18n/ja.jsonl"))) {
		var c goldCase
		require.NoError(t, json.Unmarshal([]byte(line), &c))
		cases = append(cases, c)
	}
	return cases
}

// scrub replaces every finding by its type in brackets.
func scrub(e *text.Engine, s string) string {
	out, _ := e.Replace(nil, s, nil, func(f text.Span, _ string) string { return "[" + string(f.Type) + "]" })
	return string(out)
}

// Sections of notes without any identifier come out as they went in.
func TestCorpusOpenmedWithoutIdentifiers(t *testing.T) {
	engine := text.New(text.Options{})
	for line := range strings.Lines(string(corpusFile(t, "maziyarpanahi+openmed/fixtures/section_messy.jsonl"))) {
		var c goldCase
		require.NoError(t, json.Unmarshal([]byte(line), &c))
		require.Equal(t, c.Text, scrub(engine, c.Text))
	}
	for line := range strings.Lines(string(corpusFile(t, "maziyarpanahi+openmed/fixtures/cblue_imcs_v2_ner_synthetic.jsonl"))) {
		var c struct{ Sentence []string }
		require.NoError(t, json.Unmarshal([]byte(line), &c))
		note := strings.Join(c.Sentence, "")
		require.Equal(t, note, scrub(engine, note))
	}
}

func TestCorpusChineseNames(t *testing.T) {
	engine := text.New(text.Options{})
	var file struct {
		Cases []struct {
			Text  string
			Names []string
		}
	}
	require.NoError(t, json.Unmarshal(corpusFile(t, "maziyarpanahi+openmed/pii/chinese_names_synthetic.json"), &file))
	require.NotEmpty(t, file.Cases)
	for _, c := range file.Cases {
		want := c.Text
		for _, name := range c.Names {
			want = strings.ReplaceAll(want, name, "[name]")
		}
		require.Equal(t, want, scrub(engine, c.Text))
	}
}

func TestCorpusChineseAddresses(t *testing.T) {
	engine := text.New(text.Options{})
	var file struct {
		Cases []struct{ Text, Address string }
	}
	require.NoError(t, json.Unmarshal(corpusFile(t, "maziyarpanahi+openmed/pii/zh_address_cases.json"), &file))
	require.NotEmpty(t, file.Cases)
	for _, c := range file.Cases {
		require.Equal(t, strings.Replace(c.Text, c.Address, "[address]", 1), scrub(engine, c.Text))
	}
}

// throughputLine is the sentence of which the file of a hundred thousand characters is made.
var throughputLine = regexp.MustCompile(`患者(.+?)，证件号码(\w+)，电话(\d+)，于([\d-]+)在(.+) (\d{6})复诊`)

func TestCorpusChineseThroughput(t *testing.T) {
	engine := text.New(text.Options{})
	var file struct{ Text string }
	require.NoError(t, json.Unmarshal(corpusFile(t, "maziyarpanahi+openmed/i18n/zh_throughput.json"), &file))
	lines := 0
	for line := range strings.Lines(file.Text) {
		m := throughputLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		lines++
		out := scrub(engine, line)
		for _, value := range m[1:] {
			assert.NotContains(t, out, value)
		}
		assert.Contains(t, out, "复诊。此记录完全由测试数据生成，不含真实患者信息。")
	}
	require.Greater(t, lines, 900)
}

// presidioKept are sentences that name no number that could be removed.
var presidioKept = map[string]string{
	"IN_PAN: Typical tax filing identifier is known as PAN in India also known as permanent account number": "there is no number in it",
}

var presidioValue = regexp.MustCompile(`[A-Za-z]{0,5}\d[\w.*() -]*\d[A-Z]?`)

func TestCorpusPresidioContext(t *testing.T) {
	engine := text.New(text.Options{})
	kind, cases := "", 0
	for line := range strings.Lines(string(corpusFile(t, "microsoft+presidio/data/context_sentences_tests.txt"))) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case kind == "":
			kind = line
		default:
			cases++
			if _, listed := presidioKept[kind+": "+line]; !listed {
				for _, digits := range regexp.MustCompile(`\d{4,}`).FindAllString(presidioValue.FindString(line), -1) {
					assert.NotContains(t, scrub(engine, line), digits, "%s: %s", kind, line)
				}
			}
			kind = ""
		}
	}
	require.Greater(t, cases, 25)
}

func TestCorpusPresidioResearch(t *testing.T) {
	engine := text.New(text.Options{})
	var cases []struct {
		Text  string `json:"full_text"`
		Spans []struct {
			Value string `json:"entity_value"`
			Type  string `json:"entity_type"`
		} `json:"spans"`
	}
	require.NoError(t, json.Unmarshal(corpusFile(t, "microsoft+presidio-research/data/mock_input_samples.json"), &cases))
	require.NotEmpty(t, cases)
	for _, c := range cases {
		out := scrub(engine, c.Text)
		for _, s := range c.Spans {
			assert.NotContains(t, out, s.Value, c.Text)
		}
	}
}
