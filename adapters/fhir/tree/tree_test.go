package tree_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

func TestObject(t *testing.T) {
	later := tree.New()
	o := tree.New("b", "first", "a", 1, "empty", "", "blank", "  ", "control", "\x00 \x1f", "none", nil, "later", later)
	o.Set("list", []any{"x", "", nil, tree.New(), 2}).Set("texts", []string{"", "y"}).Set("objects", []*tree.Object{nil, tree.New("k", true)})
	o.Set("gone", []any{"", tree.New("x", "")}).Set("number", tree.Number("5.60")).Set("raw", tree.Raw(`{"x":[1]}`)).Set("no", false)
	o.Add("added", "1", "", tree.New()).Add("added", "2").Add("never", "")
	o.Set("b", "again")
	later.Set("filled", "late")
	require.Equal(t, `{"b":"again","a":1,"later":{"filled":"late"},"list":["x",2],"texts":["y"],"objects":[{"k":true}],"number":5.60,"raw":{"x":[1]},"no":false,"added":["1","2"]}`,
		string(o.AppendJSON(nil)))
	require.Equal(t, []string{"b", "a", "later", "list", "texts", "objects", "number", "raw", "no", "added"}, o.Names())
	require.True(t, o.Has("later"))
	require.False(t, o.Has("gone"))
	require.Equal(t, "again", o.Text("b"))
	require.Empty(t, o.Text("a"))
}

func TestNilObject(t *testing.T) {
	var o *tree.Object
	require.True(t, o.IsEmpty())
	require.Nil(t, o.Get("x"))
	require.Empty(t, o.Text("x"))
	require.False(t, o.Has("x"))
	require.Equal(t, "{}", string(o.AppendJSON(nil)))
	var r *tree.Resource
	require.Nil(t, r.Ref())
	require.Nil(t, tree.Extension("u", "valueString", ""))
}

// TestStrings writes any string as JSON that FHIR allows: no control characters but tab and
// line ends, nothing that is no UTF-8.
func TestStrings(t *testing.T) {
	for in, want := range map[string]string{
		"诸葛亮 \U0001F3E5": "诸葛亮 \U0001F3E5", "a\"\\/b": "a\"\\/b", "l1\r\nl2\tx": "l1\r\nl2\tx", "a\x00\x1fb": "a  b", "x\xff\xc0y": "x\uFFFD\uFFFDy",
		"\x7f": "\x7f", "<&>\u2028": "<&>\u2028", "\uFFFD": "\uFFFD",
	} {
		var got string
		require.NoError(t, json.Unmarshal(tree.New("s", in).AppendJSON(nil)[len(`{"s":`):len(tree.New("s", in).AppendJSON(nil))-1], &got))
		require.Equal(t, want, got)
	}
}

func TestNameID(t *testing.T) {
	pattern := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for _, names := range [][]string{{"a", "b"}, {"ab"}, {"a", "", "b"}, {"ab", ""}, {}} {
		id := tree.NameID(names...)
		require.Regexp(t, pattern, id)
		require.False(t, seen[id], "names run together")
		seen[id] = true
		require.Equal(t, id, tree.NameID(names...))
	}
}

func TestBundle(t *testing.T) {
	b := tree.NewBundle("b1", "collection")
	p := tree.NewResource("Patient", "p1")
	b.Append(p, tree.Received("Observation", "http://h/Observation/1", tree.Raw(`{"resourceType":"Observation","x":1.0}`)))
	text, err := json.Marshal(b)
	require.NoError(t, err)
	require.JSONEq(t, `{"resourceType":"Bundle","id":"b1","type":"collection","entry":[
		{"fullUrl":"urn:uuid:p1","resource":{"resourceType":"Patient","id":"p1"}},
		{"fullUrl":"http://h/Observation/1","resource":{"resourceType":"Observation","x":1.0}}]}`, string(text))
	require.Contains(t, string(text), "1.0", "what was received stays as it is")
	require.Equal(t, []*tree.Resource{p}, b.Find("Patient"))
	require.Equal(t, "urn:uuid:p1", p.Ref().Text("reference"))
}

func FuzzStrings(f *testing.F) {
	f.Add("a\x00\"\\\u2028\xff")
	f.Fuzz(func(t *testing.T, s string) {
		require.True(t, json.Valid(tree.New("s", s, "t", []string{s}).AppendJSON(nil)))
	})
}
