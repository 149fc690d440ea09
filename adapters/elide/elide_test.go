package elide_test

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/elide"
)

const marker = "TUFSSw=="

// scan writes text in pieces of a few lengths and checks that they give the same.
func scan(t testing.TB, o elide.Options, text string) (*elide.Skeleton, bool) {
	t.Helper()
	whole := elide.New(o)
	_, err := whole.Write([]byte(text))
	require.NoError(t, err)
	want, ok := whole.Skeleton()
	for _, size := range []int{1, 7} {
		s := elide.New(o)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			_, err := s.Write([]byte(rest[:n]))
			require.NoError(t, err)
			rest = rest[n:]
		}
		got, same := s.Skeleton()
		require.Equal(t, ok, same)
		require.Equal(t, want, got)
	}
	return want, ok
}

func TestSkeleton(t *testing.T) {
	o := elide.Options{Min: 8, Marker: marker}
	for _, c := range []struct {
		name, in, out string
		space         bool
		strict        []bool
	}{
		{"short values stay", `{"a":"AAAA"}`, `{"a":"AAAA"}`, false, nil},
		{"a long one goes", `{"a":"AAAABBBBCCCC"}`, `{"a":"` + marker + `"}`, false, []bool{true}},
		{"padding", `"AAAABBBBCA=="`, `"` + marker + `"`, false, []bool{true}},
		{"bits left over", `"AAAABBBBCB=="`, `"` + marker + `"`, false, []bool{false}},
		{"padding within", `"AAAA=BBBBCCC"`, `"` + marker + `"`, false, []bool{false}},
		{"not padded", `"AAAABBBBCC"`, `"` + marker + `"`, false, []bool{false}},
		{"space ends a run", `"AAAA BBBBB"`, `"AAAA BBBBB"`, false, nil},
		{"space in a run", "<t>AAAA\nBBBBB</t>", "<t>" + marker + "</t>", true, []bool{false}},
		{"several, one at the end", "AAAAAAAAAAAA-BBBBBBBBBBBB", marker + "-" + marker, false, []bool{true, true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := o
			o.Space = c.space
			s, ok := scan(t, o, c.in)
			require.True(t, ok)
			require.Equal(t, c.out, string(s.Text))
			require.Len(t, s.Runs, len(c.strict))
			for i, r := range s.Runs {
				require.Equal(t, c.strict[i], r.Strict)
			}
		})
	}
}

func TestSkeletonIsBounded(t *testing.T) {
	_, ok := scan(t, elide.Options{Min: 8, MaxText: 100, Marker: marker}, strings.Repeat("{}", 60))
	require.False(t, ok)
	s, ok := scan(t, elide.Options{Min: 8, MaxText: 100, Marker: marker}, strings.Repeat("A", 4000))
	require.True(t, ok)
	require.NotContains(t, s.LogValue().String(), string(s.Text))
}

// FuzzSkeleton: with its runs put back a skeleton is the document, and what is called strict
// is what the standard library decodes.
func FuzzSkeleton(f *testing.F) {
	f.Add([]byte(`{"a":"AAAABBBBCCCC"}`), true)
	f.Add([]byte("AAAABBBBCA==\xb0AAAABBBBCCCCC"), false)
	f.Fuzz(func(t *testing.T, doc []byte, space bool) {
		s, ok := scan(t, elide.Options{Min: 8, Space: space, Marker: marker}, string(doc))
		require.True(t, ok)
		var back bytes.Buffer
		at := 0
		for _, r := range s.Runs {
			back.Write(s.Text[at:r.At])
			require.Equal(t, r.Offset, s.Origin(r.At))
			run := doc[r.Offset : r.Offset+r.Length]
			back.Write(run)
			at = r.At + len(s.Marker)
			require.Equal(t, s.Marker, string(s.Text[r.At:at]))
			require.Equal(t, r.Offset+r.Length, s.Origin(at))
			decoded, err := base64.StdEncoding.Strict().DecodeString(string(run))
			require.Equal(t, err == nil && !bytes.ContainsAny(run, " \t\r\n"), r.Strict)
			if r.Strict {
				require.EqualValues(t, len(decoded), r.Bytes())
			}
		}
		back.Write(s.Text[at:])
		require.Equal(t, string(doc), back.String())
	})
}
