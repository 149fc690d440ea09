package smcrypto

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// goldenRecordKey was computed with another HMAC-SM3 (OpenSSL).
const goldenRecordKey = "0df0ac6c55480b64f5bc3bf1a0350ef0"

var update = flag.Bool("update", false, "rewrite the golden files (a format change: raise the version instead)")

// The signature in the goldens is the official one over "message digest"; the
// nonce prefix comes from a fixed reader, so sealing is reproducible.
func goldenSeal(t testing.TB, p Provider, size int, segment uint32) Sealed {
	t.Helper()
	h := testHeader()
	h.SegmentSize = segment
	sig := unhex("3046022100" + kaR + "022100" + kaS)
	sealed, err := sealWith(p, testKey, h, testEMR(size), func([32]byte) ([]byte, error) { return sig, nil },
		bytes.NewReader([]byte{1, 2, 3, 4, 5, 6, 7}))
	require.NoError(t, err)
	return sealed
}

var goldens = []struct {
	name    string
	size    int
	segment uint32
}{
	{"one-segment", 300, 65536},
	{"three-segments", 2500, 1024},
	{"signature-across-segments", 1000, 1024},
	{"full-last-segment", 1976, 1024},
}

func TestGoldenFiles(t *testing.T) {
	key, err := kaKey()
	require.NoError(t, err)
	check := Check{Signer: key.Public(), Statement: func(Header, [32]byte, []byte) ([]byte, error) {
		return []byte("message digest"), nil
	}}
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			path := filepath.Join("testdata", "sealed-v1-"+g.name+".hex")
			eachProvider(t, func(t *testing.T, p Provider) {
				got := goldenSeal(t, p, g.size, g.segment)
				if *update {
					require.NoError(t, os.WriteFile(path, wrapHex(got.Bytes), 0o644))
				}
				want := readHex(t, path)
				assert.Equal(t, want, got.Bytes)
				opened, err := Open(p, testKey, want, check)
				require.NoError(t, err)
				assert.Equal(t, testEMR(g.size), opened.EMR)
				assert.Equal(t, testHeader().RecordID, opened.Header.RecordID)
				assert.True(t, testHeader().SealedAt.Equal(opened.Header.SealedAt))
			})
		})
	}
}

// The header's layout, byte by byte as docs/design/sealed-record.md states it.
func TestHeaderLayout(t *testing.T) {
	b := goldenSeal(t, Default(), 300, 65536).Bytes
	for _, f := range []struct {
		name     string
		from, to int
		want     string
	}{
		{"magic", 0, 4, "454d5253"}, {"version", 4, 5, "01"}, {"suite", 5, 6, "01"},
		{"header length", 6, 8, "0055"}, {"record id", 8, 24, "0001aabb00000000000000000000000f"},
		{"hospital number", 24, 26, "0001"}, {"tag", 26, 42, "09080700000000000000000000000000"},
		{"key epoch", 42, 46, "00000003"}, {"sealed at", 46, 54, "000001a1ee565e7b"},
		{"record length", 54, 62, "000000000000012c"}, {"signature length", 62, 64, "0048"},
		{"segment size", 64, 68, "00010000"}, {"nonce prefix", 68, 75, "01020304050607"},
		{"reserved", 75, 79, "00000000"}, {"MSP length", 79, 80, "05"}, {"MSP id", 80, 85, "48314d5350"},
	} {
		assert.Equal(t, f.want, hex.EncodeToString(b[f.from:f.to]), f.name)
	}
	assert.Len(t, b, 85+300+72+16)
}

func TestRecordKeyGolden(t *testing.T) {
	eachProvider(t, func(t *testing.T, p Provider) {
		k, err := RecordKey(p, testEMR(32), 3, [16]byte{0, 1, 2})
		require.NoError(t, err)
		assert.Equal(t, goldenRecordKey, hex.EncodeToString(k[:]))
	})
	_, err := RecordKey(Default(), make([]byte, 15), 1, [16]byte{})
	assert.ErrorIs(t, err, ErrInvalidKey)
}

func wrapHex(b []byte) []byte {
	var out strings.Builder
	for i := 0; i < len(b); i += 32 {
		out.WriteString(hex.EncodeToString(b[i:min(i+32, len(b))]) + "\n")
	}
	return []byte(out.String())
}

func readHex(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	b, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	require.NoError(t, err)
	return b
}

func FuzzParseHeader(f *testing.F) {
	b := goldenSeal(f, Default(), 300, 1024).Bytes
	f.Add(b[:85])
	f.Add(b[:80])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := ParseHeader(b)
		if err != nil {
			return
		}
		if !bytes.Equal(h.appendTo(nil), b[:n]) {
			t.Fatal("accepted a header that is not canonical")
		}
		if h.SealedLength() > MaxEMRLength+MaxEMRLength/32 {
			t.Fatal("unbounded length")
		}
	})
}

// FuzzOpen also holds both readers and both providers to one verdict.
func FuzzOpen(f *testing.F) {
	for _, g := range goldens {
		f.Add(goldenSeal(f, Default(), g.size, g.segment).Bytes)
	}
	key, err := kaKey()
	require.NoError(f, err)
	check := Check{Signer: key.Public(), Statement: func(Header, [32]byte, []byte) ([]byte, error) {
		return []byte("message digest"), nil
	}}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, errA := Open(Default(), testKey, b, check)
		var out bytes.Buffer
		_, errB := OpenStream(Tjfoc(), testKey, bytes.NewReader(b), &out, check)
		if (errA == nil) != (errB == nil) {
			t.Fatalf("in memory: %v, streaming: %v", errA, errB)
		}
		if errA == nil && !bytes.Equal(a.EMR, out.Bytes()) {
			t.Fatal("the readers disagree")
		}
	})
}
