package safexml_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/hl7"
)

func parse(text string) (*safexml.Document, error) {
	return safexml.Parse([]byte(text), safexml.Encoding{}, safexml.Limits{})
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		kind       safexml.Kind
		line, col  int
		path       string
	}{
		{"empty", "", safexml.Syntax, 1, 1, ""},
		{"text only", "hello", safexml.Syntax, 1, 1, ""},
		{"doctype", "<!DOCTYPE a SYSTEM \"x\"><a/>", safexml.Forbidden, 1, 1, ""},
		{"internal subset", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", safexml.Forbidden, 1, 1, ""},
		{"entity", "<a>\n <b>&xxe;</b></a>", safexml.Forbidden, 2, 5, "/a/b"},
		{"xinclude", `<a><x:include xmlns:x="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/></a>`, safexml.Forbidden, 1, 4, "/a/include"},
		{"second root", "<a/><b/>", safexml.Syntax, 1, 5, ""},
		{"end first", "</a>", safexml.Syntax, 1, 1, ""},
		{"CDATA outside", "<a/><![CDATA[x]]>", safexml.Syntax, 1, 5, ""},
		{"tail", "<a/>x", safexml.Syntax, 1, 5, ""},
		{"declaration late", " <?xml version=\"1.0\"?><a/>", safexml.Syntax, 1, 2, ""},
		{"declaration malformed", "<?xml encoding=\"UTF-8\"?><a/>", safexml.Syntax, 1, 1, ""},
		{"crossed", "<a><b></a></b>", safexml.Syntax, 1, 7, "/a/b"},
		{"open", "<a><b></b>", safexml.Syntax, 1, 11, "/a"},
		{"end of another prefix", `<p:a xmlns:p="u" xmlns:q="u"></q:a>`, safexml.Syntax, 1, 30, "/a"},
		{"duplicate", `<a b="1" b="2"/>`, safexml.Syntax, 1, 1, "/a"},
		{"duplicate by namespace", `<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>`, safexml.Syntax, 1, 1, "/a"},
		{"duplicate declaration", `<a xmlns:p="u" xmlns:p="v"/>`, safexml.Syntax, 1, 16, "/a"},
		{"undeclared prefix", "<p:a/>", safexml.Namespace, 1, 1, "/a"},
		{"undeclared attribute prefix", `<a p:b=""/>`, safexml.Namespace, 1, 4, "/a"},
		{"reserved prefix", `<a xmlns:xml="u"/>`, safexml.Namespace, 1, 4, "/a"},
		{"prefix undone", `<a xmlns:p=""/>`, safexml.Namespace, 1, 4, "/a"},
		{"two colons", `<a:b:c xmlns:a="u"/>`, safexml.Namespace, 1, 1, "/b:c"},
		{"< in value", `<a b="<"/>`, safexml.Syntax, 1, 7, ""},
		{"no quotes", `<a b=1/>`, safexml.Syntax, 1, 6, ""},
		{"no space", `<a b="1"c="2"/>`, safexml.Syntax, 1, 9, ""},
		{"]]> in text", "<a>]]></a>", safexml.Syntax, 1, 4, "/a"},
		{"-- in comment", "<a><!-- -- --></a>", safexml.Syntax, 1, 9, "/a"},
		{"bare &", "<a>& </a>", safexml.Syntax, 1, 4, "/a"},
		{"forbidden reference", "<a>&#0;</a>", safexml.Syntax, 1, 4, "/a"},
		{"surrogate reference", "<a>&#xD800;</a>", safexml.Syntax, 1, 4, "/a"},
		{"control character", "<a>\x01</a>", safexml.Syntax, 1, 4, "/a"},
		{"bad UTF-8", "<a>\xff</a>", safexml.Charset, 1, 4, ""},
		{"unknown encoding", `<?xml version="1.0" encoding="EBCDIC"?><a/>`, safexml.Charset, 1, 1, ""},
		{"wrong UTF-16", `<?xml version="1.0" encoding="UTF-16"?><a/>`, safexml.Charset, 1, 1, ""},
		{"wrong name", "<1a/>", safexml.Syntax, 1, 2, ""},
		{"path", "<a><b/><b><c/>\n<c>&x;</c></b></a>", safexml.Forbidden, 2, 4, "/a/b[2]/c[2]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse(c.text)
			var e *safexml.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.kind, e.Kind, e.Error())
			require.Equal(t, [2]int{c.line, c.col}, [2]int{e.Line, e.Column}, e.Error())
			require.Equal(t, c.path, e.Path, e.Error())
			require.NotEmpty(t, e.Error())
		})
	}
}

func TestRead(t *testing.T) {
	d, err := parse("<?xml version='1.0' encoding='utf-8' standalone='yes'?>\n<!-- c --><?pi x?>\n" +
		"<h:a xmlns:h='urn:h' xmlns='urn:d' x=' 1\n2&lt;&#65;' h:x='3'><b/>t&amp;<![CDATA[<&]]>\r\nu<b xmlns=''>\u4e2d</b></h:a>\n<!-- e -->")
	require.NoError(t, err)
	a := d.Root
	require.Equal(t, safexml.Name{Space: "urn:h", Local: "a"}, a.Name)
	require.Equal(t, " 1 2<A", a.Attr("x"))
	v, ok := a.Lookup("urn:h", "x")
	require.True(t, ok)
	require.Equal(t, "3", v)
	require.Len(t, a.Elements(), 2)
	require.Equal(t, "urn:d", a.Elements()[0].Name.Space)
	require.Equal(t, "", a.Elements()[1].Name.Space)
	require.Nil(t, a.Child("b"), "another namespace")
	require.Equal(t, "t&<&\nu\u4e2d", a.Content())
	require.Equal(t, "<b xmlns=''>\u4e2d</b>", d.Text[a.Elements()[1].Start:a.Elements()[1].End])
	var none *safexml.Node
	require.Equal(t, "", none.Find("x", "y").Attr("z"))
	require.Empty(t, none.Trimmed())
}

func TestEncodings(t *testing.T) {
	text := `<?xml version="1.0" encoding="%s"?><a b="住院病案首页">㐀</a>`
	for _, name := range []string{"GB18030", "gbk", "UTF-8"} {
		cs, ok := hl7.CharsetByName(name)
		require.True(t, ok)
		body := strings.Replace(text, "%s", name, 1)
		if name == "gbk" {
			body = strings.Replace(body, "㐀", "", 1)
		}
		raw, err := cs.Encode([]byte(body))
		require.NoError(t, err)
		d, err := safexml.Parse(raw, safexml.Encoding{}, safexml.Limits{})
		require.NoError(t, err, name)
		require.Equal(t, "住院病案首页", d.Root.Attr("b"))
	}
	utf16 := []byte{0xff, 0xfe}
	for _, r := range `<?xml version="1.0" encoding="UTF-16"?><a>中</a>` {
		utf16 = append(utf16, byte(r), byte(r>>8))
	}
	d, err := safexml.Parse(utf16, safexml.Encoding{}, safexml.Limits{})
	require.NoError(t, err)
	require.Equal(t, "中", d.Root.Content())
	require.Equal(t, "UTF-16", d.Encoding)

	decoded := []byte(strings.Replace(text, "%s", "GBK", 1))
	_, err = safexml.Parse(decoded, safexml.Encoding{}, safexml.Limits{})
	require.Error(t, err, "UTF-8 under the name of GBK")
	d, err = safexml.Parse(decoded, safexml.Encoding{Default: "UTF-8", Force: true}, safexml.Limits{})
	require.NoError(t, err)
	require.Equal(t, "㐀", d.Root.Content())
}

// Hostile documents fail fast, and for the reason of their kind.
func TestLimits(t *testing.T) {
	small := safexml.Limits{Bytes: 1 << 20, Depth: 50, Nodes: 1000, Attributes: 10, Name: 20, Value: 100}
	var attrs strings.Builder
	for i := range 11 {
		attrs.WriteString(" a" + string(rune('a'+i)) + `=""`)
	}
	for name, text := range map[string]string{
		"size": strings.Repeat(" ", 1<<20) + "<a/>", "depth": strings.Repeat("<a>", 51), "nodes": "<a>" + strings.Repeat("<b/>", 1000) + "</a>",
		"attributes": "<a" + attrs.String() + "/>", "name": "<" + strings.Repeat("a", 21) + "/>", "value": `<a b="` + strings.Repeat("x", 101) + `"/>`,
	} {
		start := time.Now()
		_, err := safexml.Parse([]byte(text), safexml.Encoding{}, small)
		var e *safexml.Error
		require.True(t, errors.As(err, &e), name)
		require.Equal(t, safexml.Limit, e.Kind, name)
		require.Less(t, time.Since(start), time.Second)
	}
	start := time.Now()
	for _, text := range []string{strings.Repeat("<a>", 1<<20), "<a>" + strings.Repeat("&amp;", 1<<20), "<a " + strings.Repeat("x", 1<<22),
		strings.Repeat("<a xmlns:b='c'>", 1<<18), "<a>" + strings.Repeat("<!---->", 1<<19), "<a>" + strings.Repeat("]]", 1<<20)} {
		_, err := parse(text)
		require.Error(t, err)
	}
	require.Less(t, time.Since(start), 5*time.Second)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"<a/>", `<?xml version="1.0" encoding="GBK"?><a b='&lt;'>&#x4e2d;</a>`, "<a xmlns:p='u'><p:b p:c=''/><![CDATA[x]]></a>",
		"<!DOCTYPE a><a/>", "\xff\xfe<\x00a\x00/\x00>\x00", "<a>\r\n&amp;]]></a>"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := safexml.Parse(raw, safexml.Encoding{}, safexml.Limits{Bytes: 1 << 16})
		if err != nil {
			var e *safexml.Error
			require.ErrorAs(t, err, &e)
			return
		}
		var walk func(n *safexml.Node)
		walk = func(n *safexml.Node) {
			require.True(t, n.Start <= n.End && n.End <= len(d.Text))
			for _, c := range n.Children {
				require.Same(t, n, c.Parent)
				walk(c)
			}
		}
		walk(d.Root)
	})
}
