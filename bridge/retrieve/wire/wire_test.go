package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/evidence"
)

func request() wire.Request {
	return wire.Request{Version: wire.Version, Requester: "H2MSP", Owner: "H1MSP", Access: evidence.Nonce{1}, Nonce: evidence.Nonce{2},
		Records: []evidence.RecordID{{0, 1, 1}, {0, 1, 2}}, Kinds: []string{"ORU^R01"}, IssuedAt: 1772323200123}
}

func encode(t testing.TB, r wire.Request) []byte {
	t.Helper()
	c, err := r.Canonical()
	require.NoError(t, err)
	b, err := wire.SignedRequest{Request: c, Signature: make([]byte, 70)}.Encode()
	require.NoError(t, err)
	return b
}

func TestRequestRoundTrip(t *testing.T) {
	for _, change := range []func(*wire.Request){func(*wire.Request) {}, func(r *wire.Request) { r.Records, r.Kinds = nil, nil }} {
		r := request()
		change(&r)
		signed, back, err := wire.ParseRequest(encode(t, r))
		require.NoError(t, err)
		again, err := back.Canonical()
		require.NoError(t, err)
		assert.Equal(t, signed.Request, again)
		assert.True(t, strings.HasPrefix(string(wire.RequestSigningBytes(again)), wire.RequestDomain))
	}
}

func TestMalformedRequestsAreRefused(t *testing.T) {
	good := encode(t, request())
	for name, b := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)-1], "trailing": append(bytes.Clone(good), 0), "array": {0x80}, "huge": make([]byte, wire.MaxRequest+1),
	} {
		_, _, err := wire.ParseRequest(b)
		assert.ErrorIs(t, err, wire.ErrMalformed, name)
	}
	for name, spoil := range map[string]func(*wire.Request){
		"version": func(r *wire.Request) { r.Version = 2 }, "requester": func(r *wire.Request) { r.Requester = "" },
		"owner": func(r *wire.Request) { r.Owner = strings.Repeat("x", 65) }, "access": func(r *wire.Request) { r.Access = evidence.Nonce{} },
		"nonce": func(r *wire.Request) { r.Nonce = evidence.Nonce{} }, "time": func(r *wire.Request) { r.IssuedAt = 0 },
		"doubled":  func(r *wire.Request) { r.Records = []evidence.RecordID{{1}, {1}} },
		"disorder": func(r *wire.Request) { r.Records = []evidence.RecordID{{2}, {1}} },
		"too many": func(r *wire.Request) { r.Records = make([]evidence.RecordID, wire.MaxRecords+1) },
		"kinds":    func(r *wire.Request) { r.Kinds = make([]string, wire.MaxKinds+1) }, "kind": func(r *wire.Request) { r.Kinds = []string{""} },
	} {
		r := request()
		spoil(&r)
		_, err := r.Canonical()
		assert.ErrorIs(t, err, wire.ErrMalformed, name)
	}
	c, err := request().Canonical()
	require.NoError(t, err)
	b, err := wire.SignedRequest{Request: c, Signature: []byte{1}}.Encode()
	require.NoError(t, err)
	_, _, err = wire.ParseRequest(b)
	assert.ErrorIs(t, err, wire.ErrMalformed, "signature")
}

// stream writes one of everything.
func stream(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	require.False(t, w.Begun())
	big := bytes.Repeat([]byte("sealed"), 40_000)
	require.NoError(t, w.Record(wire.RecordHead{ID: evidence.RecordID{1}, Length: uint64(len(big))}, bytes.NewReader(big)))
	require.NoError(t, w.Absent(wire.Absent{ID: evidence.RecordID{2}, Code: wire.Withheld}))
	err := w.Record(wire.RecordHead{ID: evidence.RecordID{3}, Length: 100_000}, io.MultiReader(bytes.NewReader(big[:90_000]), iotest.ErrReader(errors.New("damaged"))))
	require.ErrorAs(t, err, new(*wire.DroppedError))
	require.NoError(t, w.Record(wire.RecordHead{ID: evidence.RecordID{4}, Length: 3}, strings.NewReader("abc")))
	require.NoError(t, w.Grant(wire.Grant{ID: evidence.RecordID{1}, Bytes: []byte("grant")}))
	require.NoError(t, w.End(false))
	require.True(t, w.Begun())
	return out.Bytes()
}

func TestStreamRoundTrip(t *testing.T) {
	for name, r := range map[string]io.Reader{"at once": bytes.NewReader(stream(t)), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream(t)))} {
		t.Run(name, func(t *testing.T) {
			in := wire.NewReader(r)
			head := func(id byte, n int) {
				item, err := in.Next()
				require.NoError(t, err)
				require.Equal(t, &wire.RecordHead{ID: evidence.RecordID{id}, Length: uint64(n)}, item)
			}
			head(1, 240_000)
			_, err := in.Next()
			require.ErrorIs(t, err, wire.ErrMalformed, "the record must be read first")
			body, err := io.ReadAll(in)
			require.NoError(t, err)
			require.Equal(t, bytes.Repeat([]byte("sealed"), 40_000), body)
			item, err := in.Next()
			require.NoError(t, err)
			require.Equal(t, &wire.Absent{ID: evidence.RecordID{2}, Code: wire.Withheld}, item)
			head(3, 100_000)
			_, err = io.ReadAll(in)
			require.ErrorIs(t, err, wire.ErrDropped)
			head(4, 3)
			_, err = io.ReadAll(in)
			require.NoError(t, err)
			item, err = in.Next()
			require.NoError(t, err)
			require.Equal(t, []byte("grant"), item.(*wire.Grant).Bytes)
			item, err = in.Next()
			require.NoError(t, err)
			require.Equal(t, &wire.End{Records: 2, Absent: 2}, item)
			_, err = in.Next()
			require.ErrorIs(t, err, io.EOF)
		})
	}
}

// The store checks itself at its end; the last bytes must not leave before that.
func TestASourceThatFailsAtItsVeryEndIsDropped(t *testing.T) {
	var out bytes.Buffer
	w := wire.NewWriter(&out)
	err := w.Record(wire.RecordHead{ID: evidence.RecordID{1}, Length: 3}, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(errors.New("digest"))))
	require.ErrorAs(t, err, new(*wire.DroppedError))
	err = w.Record(wire.RecordHead{ID: evidence.RecordID{2}, Length: 3}, strings.NewReader("abcd"))
	require.ErrorAs(t, err, new(*wire.DroppedError), "longer than announced")
	require.NoError(t, w.End(false))
	assert.NotContains(t, out.String(), "abc")
}

func TestEveryCutIsNoticed(t *testing.T) {
	all := stream(t)
	for _, n := range []int{0, 1, 4, 5, 9, 60, 70_000, 250_000, len(all) - 40, len(all) - 1} {
		err := drain(all[:n])
		assert.ErrorIs(t, err, wire.ErrCut, "cut at %d of %d", n, len(all))
	}
	assert.NoError(t, drain(all))
}

func drain(b []byte) error {
	in := wire.NewReader(bytes.NewReader(b))
	for {
		item, err := in.Next()
		if errors.Is(err, io.EOF) && !errors.Is(err, wire.ErrCut) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, ok := item.(*wire.RecordHead); ok {
			if _, err := io.Copy(io.Discard, in); err != nil && !errors.Is(err, wire.ErrDropped) {
				return err
			}
		}
	}
}

func TestOrderIsKept(t *testing.T) {
	w := wire.NewWriter(io.Discard)
	require.NoError(t, w.Grant(wire.Grant{ID: evidence.RecordID{1}, Bytes: []byte{1}}))
	assert.Error(t, w.Record(wire.RecordHead{Length: 1}, strings.NewReader("x")), "a record after a key")
	assert.Error(t, w.Absent(wire.Absent{}))
	assert.Error(t, w.Grant(wire.Grant{}), "an empty grant")
	require.NoError(t, w.Fail(wire.Failure{Code: "ledger"}))
	assert.Error(t, w.End(false), "after the failure")
	assert.NoError(t, w.Fail(wire.Failure{Code: "again"}), "says nothing")
	assert.Error(t, wire.NewWriter(io.Discard).Record(wire.RecordHead{Length: wire.MaxSealed + 1}, strings.NewReader("")))
	full := wire.NewWriter(io.Discard)
	for range wire.MaxItems {
		require.NoError(t, full.Absent(wire.Absent{}))
	}
	assert.Error(t, full.Absent(wire.Absent{}))
}

func TestHostileStreamsAreRefused(t *testing.T) {
	head := "EMRD\x01"
	for name, s := range map[string]string{
		"other magic": "HTTP/1.1 200", "other version": "EMRD\x02", "frame too long": head + "R\xff\xff\xff\xff", "control too long": head + "R\x00\x00\xff\xff",
		"unknown type": head + "Z\x00\x00\x00\x00", "no CBOR": head + "E\x00\x00\x00\x01\xff", "data outside a record": head + "D\x00\x00\x00\x01x",
		"endless record": head + "R\x00\x00\x00\x1c\xa2\x00\x50" + strings.Repeat("\x01", 16) + "\x01\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
	} {
		err := drain([]byte(s))
		assert.ErrorIs(t, err, wire.ErrMalformed, name)
	}
}

func TestGrantsDigestIsUnambiguous(t *testing.T) {
	assert.NotEqual(t, wire.GrantsDigest([][]byte{[]byte("ab"), []byte("c")}), wire.GrantsDigest([][]byte{[]byte("a"), []byte("bc")}))
	assert.Equal(t, "dacd39e54029cfd63194c94d89918e5f1128c8875c1468d4440fb466f111d7e8", wire.GrantsDigest(nil).String(), "the digest stands on ledgers: a change of form needs a new version")
}

func FuzzParseRequest(f *testing.F) {
	f.Add(encode(f, request()))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		signed, r, err := wire.ParseRequest(b)
		if err != nil {
			return
		}
		c, err := r.Canonical()
		require.NoError(t, err)
		require.Equal(t, signed.Request, c)
		again, err := signed.Encode()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}

func FuzzReadStream(f *testing.F) {
	var small bytes.Buffer
	w := wire.NewWriter(&small)
	require.NoError(f, w.Record(wire.RecordHead{ID: evidence.RecordID{4}, Length: 3}, strings.NewReader("abc")))
	require.Error(f, w.Record(wire.RecordHead{ID: evidence.RecordID{5}, Length: 3}, strings.NewReader("a")))
	require.NoError(f, w.Absent(wire.Absent{ID: evidence.RecordID{2}, Code: wire.Withheld}))
	require.NoError(f, w.Grant(wire.Grant{ID: evidence.RecordID{4}, Bytes: []byte("grant")}))
	require.NoError(f, w.End(true))
	f.Add(small.Bytes())
	f.Add([]byte("EMRD\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := drain(b)
		if err != nil && !errors.Is(err, wire.ErrCut) && !errors.Is(err, wire.ErrMalformed) {
			t.Fatalf("unexpected error %v", err)
		}
	})
}
