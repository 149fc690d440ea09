package cda_test

import (
	"context"
	"encoding/base64"
	"html"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	codec "github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/cda"
)

// planted are identifiers of the people of the documents, known beside them.
var planted = []string{"王小明", "110101199003070011", "13812345678", "ZhangWei"}

func known() *desensitize.Known {
	return &desensitize.Known{Names: []string{"王小明", "Zhang Wei", "ZhangWei"}, IDNumbers: []string{"110101199003070011"}, Phones: []string{"13812345678"}}
}

func sample(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("testdata/sample.xml")
	require.NoError(t, err)
	return string(raw)
}

// clean requires that no identifier is in a result, however it is written.
func clean(t *testing.T, out, what string) {
	t.Helper()
	texts := []string{out, html.UnescapeString(out)}
	for _, word := range regexp.MustCompile(`[A-Za-z0-9+/]{12,}=*`).FindAllString(out, -1) {
		if plain, err := base64.StdEncoding.DecodeString(word); err == nil {
			texts = append(texts, string(plain))
		}
	}
	for _, text := range texts {
		for _, p := range planted {
			if i := strings.Index(strings.ToLower(text), strings.ToLower(p)); i >= 0 {
				require.Fail(t, "an identifier came out", "%s: … %s …", what, text[max(0, i-80):min(len(text), i+80)])
			}
		}
	}
	_, err := safexml.Parse([]byte(out), safexml.Encoding{}, safexml.Limits{})
	require.NoError(t, err, what)
}

// slots are the places of a document where a value may stand: values of attributes, text,
// comments and instructions.
var slots = regexp.MustCompile(`="([^"]*)"|>([^<]*)<|<!--(.*?)-->|<\?\w+ ([^?]*)\?>`)

func TestPlantedEverywhere(t *testing.T) {
	w := walker(t)
	document := sample(t)
	places := slots.FindAllStringSubmatchIndex(document, -1)
	runs := 0
	for k, place := range places {
		from, to := span(place)
		for i, p := range planted {
			if i != k%len(planted) {
				continue
			}
			var report desensitize.Report
			out, err := w.Record(context.Background(), []byte(document[:from]+p+document[to:]), nil, known(), &report)
			if err != nil {
				require.ErrorIs(t, err, cda.ErrInput)
				require.NotContains(t, err.Error(), p)
				continue
			}
			clean(t, string(out), document[max(0, from-60):from])
			runs++
		}
	}
	require.Greater(t, runs, 150)
}

func span(place []int) (from, to int) {
	for i := 2; i < len(place); i += 2 {
		if place[i] >= 0 {
			return place[i], place[i+1]
		}
	}
	return place[0], place[0]
}

// The same in every slot of every type of WS/T 500 at once, apart from what makes it a
// document.
func TestPlantedInAllTypes(t *testing.T) {
	w := walker(t)
	for _, typ := range codec.Types() {
		raw, err := codec.Render(cdaexample.Document(typ, 3), codec.Roots{})
		require.NoError(t, err)
		head, rest, _ := strings.Cut(string(raw), "<templateId")
		for _, p := range planted[:2] {
			body := slots.ReplaceAllStringFunc(rest, func(s string) string {
				switch {
				case strings.HasPrefix(s, "="):
					return `="` + p + `"`
				case strings.HasPrefix(s, ">") && strings.TrimSpace(s[1:len(s)-1]) != "":
					return ">" + p + "<"
				}
				return s
			})
			var report desensitize.Report
			out, err := w.Record(context.Background(), []byte(head+"<templateId"+body), nil, known(), &report)
			require.NoError(t, err)
			clean(t, string(out), typ.Code)
		}
	}
}

func TestUnknownElements(t *testing.T) {
	w := walker(t)
	document := sample(t)
	for _, extra := range []string{"<hl7:王小明/>", "<hl7:note>王小明</hl7:note>", "<x:ZhangWei a='1'/>", "<hl7:entry><hl7:act><x:p>王小明</x:p></hl7:act></hl7:entry>",
		"<hl7:entry>王小明</hl7:entry>", "<?ZhangWei x?>", "<!--王小明-->", "<hl7:entry ZhangWei='王小明' x:a='13812345678'/>"} {
		out, _ := deid(t, w, []byte(strings.Replace(document, "</hl7:section>", extra+"</hl7:section>", 1)), known())
		clean(t, out, extra)
	}
}

func TestSample(t *testing.T) {
	out, report := deid(t, walker(t), []byte(sample(t)), known())
	for _, secret := range []string{"王小明", "Wei", "Zhang", "Wang Fang", "Li Si", "Daming", "A00458812", "123-45-6789", "Jianguo", "100022", "Tianjin",
		"138-1234", "13900001111", "19900307", "Good Health", "clinic.example", "DOC-000777", "1.2.3.4.", "000000000001", "1234567893", "nickname", "stylesheet", "urn:example"} {
		require.NotContains(t, out, secret)
	}
	for _, kept := range []string{`code="194828000"`, `displayName="Angina (disorder)"`, `value="177" unit="cm"`, `<period value="6" unit="h"/>`,
		`root="2.16.840.1.113883.10.20.22.1.2" extension="2015-08-01"`, `<sdtc:raceCode code="2034-7"`, `>Angina<`, `xsi:type="PIVL_TS"`, `<birthTime value="1990"/>`, "<low value=\"150\""} {
		require.Contains(t, out, kept)
	}
	for _, c := range report.Changes() {
		require.NotContains(t, c.Path, "nickname")
	}
	back, err := codec.Parse([]byte(out), codec.ReadOptions{})
	require.NoError(t, err)
	require.Len(t, back.Sections, 1)
}
