package smcrypto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var testKey = Key(unhex("000102030405060708090a0b0c0d0e0f"))

func testHeader() Header {
	return Header{
		RecordID:       [16]byte{0x00, 0x01, 0xaa, 0xbb, 15: 0x0f},
		HospitalNumber: 1, MSPID: "H1MSP", Tag: [16]byte{9, 8, 7}, Epoch: 3,
		SealedAt: time.UnixMilli(1_795_000_000_123).UTC(), SegmentSize: 1024,
	}
}

// testSigner signs a stand-in for the seal statement and checks it again.
func testSigner(t testing.TB, p Provider) (SignFunc, Check) {
	t.Helper()
	key, err := kaKey()
	require.NoError(t, err)
	statement := func(digest [32]byte) []byte { return append([]byte("statement"), digest[:]...) }
	// Always 71 bytes long, so that sealed records of one size are of one length.
	sign := func(digest [32]byte) (sig []byte, err error) {
		for err == nil && len(sig) != 71 {
			sig, err = p.Sign(key, statement(digest))
		}
		return sig, err
	}
	check := Check{Signer: key.Public(), Statement: func(_ Header, digest [32]byte, _ []byte) ([]byte, error) {
		return statement(digest), nil
	}}
	return sign, check
}

func testEMR(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

// The sizes put the end of the record and of the signature before, on and after a segment's edge.
var emrSizes = []int{1, 100, 952, 953, 954, 1000, 1023, 1024, 1025, 1976, 1977, 1978, 2048, 5000}

func TestSealAndOpen(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to Provider) {
		sign, check := testSigner(t, from)
		for _, n := range emrSizes {
			emr := testEMR(n)
			sealed, err := Seal(from, testKey, testHeader(), emr, sign)
			require.NoError(t, err)
			require.EqualValues(t, len(sealed.Bytes), sealed.Header.SealedLength())
			check.CipherDigest = &sealed.CipherDigest
			opened, err := Open(to, testKey, sealed.Bytes, check)
			require.NoError(t, err, "%d bytes", n)
			require.Equal(t, emr, opened.EMR)
			require.Equal(t, sealed.Signature, opened.Signature)
			require.Equal(t, sealed.Header, opened.Header)
			require.Equal(t, sealed.EMRDigest, opened.EMRDigest)

			var out bytes.Buffer
			streamed, err := OpenStream(to, testKey, bytes.NewReader(sealed.Bytes), &out, check)
			require.NoError(t, err, "%d bytes", n)
			require.Equal(t, emr, out.Bytes())
			opened.EMR = nil
			require.Equal(t, opened, streamed)

			h, digest, err := Inspect(to, sealed.Bytes)
			require.NoError(t, err)
			require.Equal(t, sealed.Header, h)
			require.Equal(t, sealed.CipherDigest, digest)
		}
	})
}

func TestSealStreamMatchesSeal(t *testing.T) {
	p := Default()
	sign, check := testSigner(t, p)
	for _, n := range emrSizes {
		emr := testEMR(n)
		src := bytes.NewReader(append([]byte("skipped"), emr...))
		_, _ = src.Seek(7, io.SeekStart)
		var out bytes.Buffer
		sealed, err := SealStream(p, testKey, testHeader(), src, sign, &out)
		require.NoError(t, err)
		require.Equal(t, p.SM3(out.Bytes()), sealed.CipherDigest)
		check.CipherDigest = &sealed.CipherDigest
		opened, err := Open(p, testKey, out.Bytes(), check)
		require.NoError(t, err)
		require.Equal(t, emr, opened.EMR)
	}
}

// changingSource gives other bytes, more or fewer of them, after the rewind.
type changingSource struct {
	*bytes.Reader
	second []byte
	seeks  int
}

func (c *changingSource) Seek(off int64, whence int) (int64, error) {
	if c.seeks++; c.seeks == 2 {
		c.Reader = bytes.NewReader(c.second)
	}
	return c.Reader.Seek(off, whence)
}

func TestSealStreamNoticesAChangingSource(t *testing.T) {
	sign, _ := testSigner(t, Default())
	first := testEMR(3000)
	for name, second := range map[string][]byte{
		"other byte": append(testEMR(2999), 0xee), "shorter": testEMR(2999), "longer": testEMR(3001),
	} {
		src := &changingSource{Reader: bytes.NewReader(first), second: second}
		_, err := SealStream(Default(), testKey, testHeader(), src, sign, io.Discard)
		assert.ErrorIs(t, err, ErrSource, name)
	}
}

func TestOpenRefusesEveryChange(t *testing.T) {
	p := Default()
	sign, check := testSigner(t, p)
	sealed, err := Seal(p, testKey, testHeader(), testEMR(2500), sign)
	require.NoError(t, err)
	refused := func(b []byte) error {
		_, err := Open(p, testKey, b, check)
		_, err2 := OpenStream(p, testKey, bytes.NewReader(b), io.Discard, check)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("in memory: %v, streaming: %v", err, err2)
		}
		return err
	}
	require.NoError(t, refused(sealed.Bytes))
	for at := range sealed.Bytes {
		bad := bytes.Clone(sealed.Bytes)
		bad[at] ^= 0x01
		require.Error(t, refused(bad), "byte %d", at)
	}
	for n := range sealed.Bytes {
		require.Error(t, refused(sealed.Bytes[:n]), "first %d bytes", n)
	}
	assert.ErrorIs(t, refused(append(bytes.Clone(sealed.Bytes), 0)), ErrTrailing)
	assert.ErrorIs(t, refused(sealed.Bytes[:len(sealed.Bytes)-1]), ErrTruncated)
}

func TestOpenNamesTheFault(t *testing.T) {
	p := Default()
	sign, check := testSigner(t, p)
	seal := func(h Header, n int) Sealed {
		s, err := Seal(p, testKey, h, testEMR(n), sign)
		require.NoError(t, err)
		return s
	}
	a, b := seal(testHeader(), 3000), seal(testHeader(), 3000)
	head, step := a.Header.Size(), 1024+SegmentOverhead
	segment := func(s Sealed, i int) []byte { return s.Bytes[head+i*step : min(head+(i+1)*step, len(s.Bytes))] }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	other := testHeader()
	other.Tag[0] ^= 1
	for name, test := range map[string]struct {
		bytes []byte
		want  error
	}{
		"segments swapped":        {join(a.Bytes[:head], segment(a, 1), segment(a, 0), segment(a, 2)), ErrAuthentication},
		"segment repeated":        {join(a.Bytes[:head], segment(a, 0), segment(a, 0), segment(a, 2)), ErrAuthentication},
		"segment of another file": {join(a.Bytes[:head], segment(a, 0), segment(b, 1), segment(a, 2)), ErrAuthentication},
		"header of another file":  {join(b.Bytes[:head], a.Bytes[head:]), ErrAuthentication},
		"header of another tag":   {join(seal(other, 3000).Bytes[:head], a.Bytes[head:]), ErrAuthentication},
		"last segment dropped":    {a.Bytes[:head+2*step], ErrTruncated},
		"another magic":           {join([]byte("EMRT"), a.Bytes[4:]), ErrMalformed},
		"a later version":         {join([]byte("EMRS\x02"), a.Bytes[5:]), ErrUnsupported},
		"another suite":           {join([]byte("EMRS\x01\x02"), a.Bytes[6:]), ErrUnsupported},
		"empty":                   {nil, ErrTruncated},
	} {
		_, err := Open(p, testKey, test.bytes, check)
		assert.ErrorIs(t, err, test.want, name)
		_, err = OpenStream(p, testKey, bytes.NewReader(test.bytes), io.Discard, check)
		assert.ErrorIs(t, err, test.want, name)
	}

	_, err := Open(p, Key{1}, a.Bytes, check)
	assert.ErrorIs(t, err, ErrAuthentication, "wrong key")
	wrong := check
	wrong.CipherDigest = &b.CipherDigest
	_, err = Open(p, testKey, a.Bytes, wrong)
	assert.ErrorIs(t, err, ErrDigest)
	_, err = OpenStream(p, testKey, bytes.NewReader(a.Bytes), io.Discard, wrong)
	assert.ErrorIs(t, err, ErrDigest)
	wrong = check
	wrong.Signer = newKey(t).Public()
	_, err = Open(p, testKey, a.Bytes, wrong)
	assert.ErrorIs(t, err, ErrInvalidSignature)
	wrong.Former = []PublicKey{newKey(t).Public()}
	_, err = Open(p, testKey, a.Bytes, wrong)
	assert.ErrorIs(t, err, ErrInvalidSignature)
	renewed := wrong
	renewed.Former = append(renewed.Former, check.Signer)
	_, err = Open(p, testKey, a.Bytes, renewed)
	assert.NoError(t, err, "sealed under a former key")
	_, err = OpenStream(p, testKey, bytes.NewReader(a.Bytes), io.Discard, renewed)
	assert.NoError(t, err)
	wrong = check
	wrong.Statement = func(Header, [32]byte, []byte) ([]byte, error) { return []byte("another statement"), nil }
	_, err = OpenStream(p, testKey, bytes.NewReader(a.Bytes), io.Discard, wrong)
	assert.ErrorIs(t, err, ErrInvalidSignature)
	cause := errors.New("no statement")
	wrong.Statement = func(Header, [32]byte, []byte) ([]byte, error) { return nil, cause }
	_, err = Open(p, testKey, a.Bytes, wrong)
	assert.ErrorIs(t, err, cause)
}

// Dropping the tail and adjusting the announced lengths does not help: the lengths
// are authenticated, and so is which segment is the last.
func TestShortenedWithMatchingHeaderIsRefused(t *testing.T) {
	p := Default()
	sign, check := testSigner(t, p)
	sealed, err := Seal(p, testKey, testHeader(), testEMR(3000), sign)
	require.NoError(t, err)
	bad := bytes.Clone(sealed.Bytes[:sealed.Header.Size()+2*(1024+SegmentOverhead)])
	binary.BigEndian.PutUint64(bad[54:], 2048-uint64(sealed.Header.SignatureLength))
	_, err = Open(p, testKey, bad, check)
	assert.ErrorIs(t, err, ErrAuthentication)
}

func TestHeaderValidation(t *testing.T) {
	for name, change := range map[string]func(*Header){
		"hospital zero":     func(h *Header) { h.HospitalNumber = 0; h.RecordID[1] = 0 },
		"foreign record id": func(h *Header) { h.RecordID[1] = 2 },
		"no MSP":            func(h *Header) { h.MSPID = "" },
		"long MSP":          func(h *Header) { h.MSPID = string(testEMR(65)) },
		"MSP with a slash":  func(h *Header) { h.MSPID = "a/b" },
		"epoch zero":        func(h *Header) { h.Epoch = 0 },
		"no time":           func(h *Header) { h.SealedAt = time.Time{} },
		"year 10000":        func(h *Header) { h.SealedAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"segment size":      func(h *Header) { h.SegmentSize = 1000 },
		"segment too small": func(h *Header) { h.SegmentSize = 512 },
		"segment too large": func(h *Header) { h.SegmentSize = 2 << 20 },
	} {
		h := testHeader()
		change(&h)
		sign, _ := testSigner(t, Default())
		_, err := Seal(Default(), testKey, h, testEMR(10), sign)
		assert.ErrorIs(t, err, ErrMalformed, name)
	}
	sign, _ := testSigner(t, Default())
	_, err := Seal(Default(), testKey, testHeader(), nil, sign)
	assert.ErrorIs(t, err, ErrMalformed, "empty record")
	_, err = Seal(Default(), Key{}, testHeader(), testEMR(1), sign)
	assert.ErrorIs(t, err, ErrInvalidKey)
	_, err = Seal(Default(), testKey, testHeader(), testEMR(1), func([32]byte) ([]byte, error) { return []byte("not DER"), nil })
	assert.ErrorIs(t, err, ErrInvalidSignature)
}

func TestSealWriterCountsItsPlaintext(t *testing.T) {
	h := testHeader()
	h.EMRLength, h.SignatureLength = 100, 70
	w, err := NewSealWriter(Default(), testKey, h, io.Discard, nil)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 171))
	assert.ErrorIs(t, err, ErrLimit)
	w, err = NewSealWriter(Default(), testKey, h, io.Discard, nil)
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 169))
	require.NoError(t, err)
	assert.ErrorIs(t, w.Close(), ErrTruncated)
}

type failingWriter struct{ after int }

func (f *failingWriter) Write(b []byte) (int, error) {
	if f.after -= len(b); f.after < 0 {
		return 0, errFull
	}
	return len(b), nil
}

var errFull = errors.New("disk full")

func TestWriterFaultsSurface(t *testing.T) {
	sign, check := testSigner(t, Default())
	for _, after := range []int{0, 90, 1200, 3200} {
		_, err := SealStream(Default(), testKey, testHeader(), bytes.NewReader(testEMR(3000)), sign, &failingWriter{after})
		assert.ErrorIs(t, err, errFull, "after %d", after)
	}
	sealed, err := Seal(Default(), testKey, testHeader(), testEMR(3000), sign)
	require.NoError(t, err)
	_, err = OpenStream(Default(), testKey, bytes.NewReader(sealed.Bytes), &failingWriter{100}, check)
	assert.ErrorIs(t, err, errFull)
}

// endless is a source of n bytes that takes no memory.
type endless struct{ n, at int64 }

func (e *endless) Read(b []byte) (int, error) {
	if e.at == e.n {
		return 0, io.EOF
	}
	n := min(int64(len(b)), e.n-e.at)
	e.at += n
	return int(n), nil
}

func (e *endless) Seek(off int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		e.at = off
	}
	return e.at, nil
}

func TestFiftyMegabytesInFlatMemory(t *testing.T) {
	sign, check := testSigner(t, Default())
	path := filepath.Join(t.TempDir(), "sealed")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	h := testHeader()
	h.SegmentSize = 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sealed, err := SealStream(Default(), testKey, h, &endless{n: 50 << 20}, sign, file)
	require.NoError(t, err)
	_, err = file.Seek(0, io.SeekStart)
	require.NoError(t, err)
	check.CipherDigest = &sealed.CipherDigest
	_, err = OpenStream(Default(), testKey, file, io.Discard, check)
	require.NoError(t, err)
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(2<<20), "bytes allocated in all")
	_, err = SealStream(Default(), testKey, h, &endless{n: MaxEMRLength + 1}, sign, io.Discard)
	assert.ErrorIs(t, err, ErrLimit)
}

func TestBlob(t *testing.T) {
	eachPair(t, func(t *testing.T, from, to Provider) {
		blob, err := SealBlob(from, testKey, []byte("aad"), []byte("secret"))
		require.NoError(t, err)
		plain, err := OpenBlob(to, testKey, []byte("aad"), blob)
		require.NoError(t, err)
		assert.Equal(t, "secret", string(plain))
		_, err = OpenBlob(to, testKey, []byte("other"), blob)
		assert.ErrorIs(t, err, ErrAuthentication)
		for at := range blob {
			bad := bytes.Clone(blob)
			bad[at] ^= 1
			_, err = OpenBlob(to, testKey, []byte("aad"), bad)
			assert.Error(t, err)
		}
		_, err = OpenBlob(to, testKey, nil, blob[:BlobOverhead-1])
		assert.ErrorIs(t, err, ErrMalformed)
	})
}
