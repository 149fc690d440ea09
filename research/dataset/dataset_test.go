package dataset_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func manifest() dataset.Manifest {
	return dataset.Manifest{Kind: dataset.Release, Project: "P2026-001", Institute: "INST1", Hospital: "H1MSP", Sequence: 1,
		Created: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC), Policy: "gbt39725-agreement", Subjects: 3}
}

// build makes a package of n rows and two documents.
func build(t testing.TB, n int) (dir string, m dataset.Manifest, root evidence.Digest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "package")
	b, err := dataset.NewBuilder(dir, manifest(), dataset.Salts{1, 2, 3})
	require.NoError(t, err)
	l, err := b.Lines("resources/Patient.ndjson", "application/fhir+ndjson", "patients", nil)
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, l.Add([]byte(fmt.Sprintf(`{"resourceType":"Patient","id":"%d"}`, i))))
	}
	require.NoError(t, l.Close())
	l, err = b.Lines("tables/subjects.csv", "text/csv", "subjects", []byte("subject,age"))
	require.NoError(t, err)
	for i := range n {
		require.NoError(t, l.Add([]byte(fmt.Sprintf("%d,%d", i, 40+i%10))))
	}
	require.NoError(t, l.Close())
	require.NoError(t, b.Document("risk.html", "text/html", "risk report", []byte("<html>\n</html>\n")))
	m, root, err = b.Finish()
	require.NoError(t, err)
	return dir, m, root
}

func TestVerifyFindsWhatWasBuilt(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 7, 8, 100} {
		dir, m, root := build(t, n)
		got, again, err := dataset.Verify(dir)
		require.NoError(t, err)
		assert.Equal(t, root, again)
		assert.Equal(t, m.Rows, got.Rows)
		assert.EqualValues(t, 2*n, m.Rows)
	}
}

func TestEveryChangeIsFound(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, dir string){
		"a row":          func(t *testing.T, dir string) { edit(t, dir, "tables/subjects.csv", "1,41", "1,42") },
		"a row more":     func(t *testing.T, dir string) { edit(t, dir, "tables/subjects.csv", "1,41\n", "1,41\n1,41\n") },
		"a row less":     func(t *testing.T, dir string) { edit(t, dir, "tables/subjects.csv", "1,41\n", "") },
		"the last end":   func(t *testing.T, dir string) { edit(t, dir, "tables/subjects.csv", "2,42\n", "2,42") },
		"a document":     func(t *testing.T, dir string) { edit(t, dir, "risk.html", "html", "HTML") },
		"a file is gone": func(t *testing.T, dir string) { require.NoError(t, os.Remove(filepath.Join(dir, "risk.html"))) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, _, _ := build(t, 3)
			change(t, dir)
			_, _, err := dataset.Verify(dir)
			require.Error(t, err)
		})
	}
	t.Run("the manifest", func(t *testing.T) {
		dir, _, root := build(t, 3)
		edit(t, dir, dataset.ManifestName, `"subjects": 3`, `"subjects": 4`)
		_, other, err := dataset.Verify(dir)
		require.NoError(t, err)
		assert.NotEqual(t, root, other)
	})
	t.Run("the salts", func(t *testing.T) {
		dir, _, root := build(t, 3)
		edit(t, dir, dataset.ProofKeyName, "01", "02")
		_, other, err := dataset.Verify(dir)
		require.NoError(t, err)
		assert.NotEqual(t, root, other)
	})
}

func edit(t *testing.T, dir, name, from, to string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(b), from)
	require.NoError(t, os.WriteFile(path, []byte(strings.Replace(string(b), from, to, 1)), 0o600))
}

func TestEachRowIsProvableAlone(t *testing.T) {
	dir, m, root := build(t, 11)
	for _, f := range m.Files {
		for line := int64(1); line <= f.Leaves; line++ {
			p, err := dataset.Prove(dir, f.Name, line)
			require.NoError(t, err)
			b, err := json.Marshal(p)
			require.NoError(t, err)
			var read dataset.Proof
			require.NoError(t, json.Unmarshal(b, &read))
			row, err := read.Check(root)
			require.NoError(t, err, "%s %d", f.Name, line)
			assert.NotEmpty(t, row)
			read.Row = "AAAA"
			_, err = read.Check(root)
			require.ErrorIs(t, err, dataset.ErrAltered)
			p.File = "tables/other.csv"
			_, err = p.Check(root)
			require.ErrorIs(t, err, dataset.ErrAltered)
		}
	}
	_, err := dataset.Prove(dir, "tables/subjects.csv", 99)
	require.ErrorIs(t, err, dataset.ErrMalformed)
	// The audit path must not let its reader guess the neighbour: the same rows under other salts.
	p, err := dataset.Prove(dir, "tables/subjects.csv", 2)
	require.NoError(t, err)
	other := filepath.Join(t.TempDir(), "other")
	b, err := dataset.NewBuilder(other, manifest(), dataset.Salts{9})
	require.NoError(t, err)
	l, err := b.Lines("tables/subjects.csv", "text/csv", "", []byte("subject,age"))
	require.NoError(t, err)
	require.NoError(t, l.Add([]byte("0,40")))
	require.NoError(t, l.Close())
	_, _, err = b.Finish()
	require.NoError(t, err)
	q, err := dataset.Prove(other, "tables/subjects.csv", 2)
	require.NoError(t, err)
	assert.NotEqual(t, p.Path[0], q.Path[0])
}

func TestBuilderRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p")
	b, err := dataset.NewBuilder(dir, manifest(), dataset.Salts{1})
	require.NoError(t, err)
	for _, name := range []string{"", "../x", "/x", "a/../b", ".x", "manifest.json", "proof.key", "a b", "a\\b", "a/b/c/d", "中.csv"} {
		require.ErrorIs(t, b.Document(name, "text/plain", "", nil), dataset.ErrMalformed, name)
	}
	l, err := b.Lines("a.csv", "text/csv", "", nil)
	require.NoError(t, err)
	require.ErrorIs(t, l.Add([]byte("a\nb")), dataset.ErrMalformed)
	require.Error(t, b.Document("b", "text/plain", "", nil), "one file at a time")
	_, _, err = b.Finish()
	require.Error(t, err)
	require.NoError(t, l.Close())
	require.ErrorIs(t, b.Document("a.csv", "text/plain", "", nil), dataset.ErrMalformed)
	_, err = dataset.NewBuilder(dir, manifest(), dataset.Salts{1})
	require.Error(t, err, "the folder is not empty")
	m := manifest()
	m.Project = "a/b"
	_, err = dataset.NewBuilder(filepath.Join(t.TempDir(), "q"), m, dataset.Salts{1})
	require.ErrorIs(t, err, dataset.ErrMalformed)
}

// party is a hospital that seals and an institute that opens.
type party struct {
	p         smcrypto.Provider
	root      *smcrypto.Certificate
	sign, enc *smcrypto.PrivateKey
	cert      *smcrypto.Certificate
	now       time.Time
}

func newParty(t testing.TB) *party {
	t.Helper()
	x := &party{p: smcrypto.Default(), now: time.Now().Truncate(time.Millisecond)}
	key := func() *smcrypto.PrivateKey {
		k, err := x.p.GenerateKey()
		require.NoError(t, err)
		return k
	}
	ca, err := smcrypto.NewAuthority(key(), smcrypto.Subject{CommonName: "authority"}, x.now.Add(-time.Hour), x.now.Add(time.Hour))
	require.NoError(t, err)
	x.root, x.sign, x.enc = ca.Cert, key(), key()
	x.cert, err = ca.Issue(x.sign.Public(), smcrypto.Subject{CommonName: "sign", Organization: "H1MSP"}, smcrypto.UsageSign, x.now.Add(-time.Hour), x.now.Add(time.Hour))
	require.NoError(t, err)
	return x
}

func (x *party) seal(t testing.TB, dir string, root evidence.Digest, volume int64) (string, dataset.Envelope, dataset.Delivery) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "sealed")
	e, d, err := dataset.Seal(dataset.SealConfig{Provider: x.p,
		Terms:     dataset.Terms{Kind: dataset.Release, Project: "P2026-001", Institute: "INST1", Hospital: "H1MSP", Number: 1, Sequence: 1, Root: root},
		Recipient: x.enc.Public(), SealedAt: x.now, Expiry: x.now.Add(time.Hour), Certificate: x.cert.DER(), VolumeSize: volume,
		Sign: func(msg []byte) ([]byte, error) { return x.p.Sign(x.sign, msg) }}, dir, out)
	require.NoError(t, err)
	return out, e, d
}

func (x *party) open(t testing.TB, sealed string, b []byte, change func(*dataset.OpenConfig)) (dataset.Manifest, string, error) {
	t.Helper()
	e, d, err := dataset.ParseEnvelope(b)
	require.NoError(t, err)
	key, err := e.Verify(x.p, d, []*smcrypto.Certificate{x.root})
	if err != nil {
		return dataset.Manifest{}, "", err
	}
	c := dataset.OpenConfig{Provider: x.p, Hospital: key, Key: x.enc.Public().Fingerprint(), Now: x.now,
		Decrypt: func(b []byte) ([]byte, error) { return x.p.Decrypt(x.enc, b) },
		Volume:  func(i int) (io.ReadCloser, error) { return os.Open(filepath.Join(sealed, dataset.VolumeName(i))) }}
	if change != nil {
		change(&c)
	}
	dir := filepath.Join(t.TempDir(), "opened")
	m, err := dataset.Open(c, d, dir)
	return m, dir, err
}

func TestSealAndOpen(t *testing.T) {
	x := newParty(t)
	dir, _, root := build(t, 2000)
	for _, volume := range []int64{0, 4 << 10, 1 << 10} {
		sealed, e, d := x.seal(t, dir, root, volume)
		if volume > 0 {
			require.Greater(t, len(d.Volumes), 1)
		}
		list, err := os.ReadDir(sealed)
		require.NoError(t, err)
		assert.Len(t, list, len(d.Volumes), "nothing open is left behind")
		b, err := e.Encode()
		require.NoError(t, err)
		m, opened, err := x.open(t, sealed, b, nil)
		require.NoError(t, err)
		assert.EqualValues(t, 4000, m.Rows)
		want, err := os.ReadFile(filepath.Join(dir, "tables", "subjects.csv"))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(opened, "tables", "subjects.csv"))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestOpenRefuses(t *testing.T) {
	x := newParty(t)
	dir, _, root := build(t, 1000)
	sealed, e, d := x.seal(t, dir, root, 2<<10)
	b, err := e.Encode()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*dataset.OpenConfig)
		want   error
	}{
		"another institute's key": {func(c *dataset.OpenConfig) { c.Key = [32]byte{1} }, smcrypto.ErrGrantMismatch},
		"after the term":          {func(c *dataset.OpenConfig) { c.Now = x.now.Add(2 * time.Hour) }, smcrypto.ErrGrantExpired},
		"too large":               {func(c *dataset.OpenConfig) { c.Limit = 100 }, dataset.ErrLimit},
		"volumes exchanged": {func(c *dataset.OpenConfig) {
			c.Volume = func(i int) (io.ReadCloser, error) {
				return os.Open(filepath.Join(sealed, dataset.VolumeName((i+1)%len(d.Volumes))))
			}
		}, nil},
		"a volume cut off": {func(c *dataset.OpenConfig) {
			open := c.Volume
			c.Volume = func(i int) (io.ReadCloser, error) {
				f, err := open(i)
				return struct {
					io.Reader
					io.Closer
				}{io.LimitReader(f, 500), f}, err
			}
		}, smcrypto.ErrTruncated},
		"a bit": {func(c *dataset.OpenConfig) {
			c.Volume = func(i int) (io.ReadCloser, error) {
				b, err := os.ReadFile(filepath.Join(sealed, dataset.VolumeName(i)))
				b[len(b)-30] ^= 1
				return io.NopCloser(bytes.NewReader(b)), err
			}
		}, smcrypto.ErrAuthentication},
		"no volume": {func(c *dataset.OpenConfig) {
			c.Volume = func(int) (io.ReadCloser, error) { return nil, os.ErrNotExist }
		}, os.ErrNotExist},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := x.open(t, sealed, b, c.change)
			require.Error(t, err)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			}
		})
	}
	t.Run("a delivery that nobody signed", func(t *testing.T) {
		forged := e
		forged.Delivery = bytes.Replace(e.Delivery, []byte(`"sequence":1`), []byte(`"sequence":2`), 1)
		require.NotEqual(t, e.Delivery, forged.Delivery)
		b, err := forged.Encode()
		require.NoError(t, err)
		_, _, err = x.open(t, sealed, b, nil)
		require.ErrorIs(t, err, dataset.ErrUntrusted)
	})
	t.Run("of another authority", func(t *testing.T) {
		y := newParty(t)
		y.enc, y.now = x.enc, x.now
		_, _, err := y.open(t, sealed, b, nil)
		require.ErrorIs(t, err, dataset.ErrUntrusted)
	})
	t.Run("another root than signed", func(t *testing.T) {
		sealed, e, _ := x.seal(t, dir, evidence.Digest{1}, 0)
		b, err := e.Encode()
		require.NoError(t, err)
		_, _, err = x.open(t, sealed, b, nil)
		require.ErrorIs(t, err, dataset.ErrAltered)
	})
}

// FuzzUnpack changes the archive within the compression, where a change is not noticed by a
// checksum.
func FuzzUnpack(f *testing.F) {
	dir, _, _ := build(f, 5)
	var packed bytes.Buffer
	require.NoError(f, dataset.Pack(dir, &packed))
	zip, err := gzip.NewReader(&packed)
	require.NoError(f, err)
	archive, err := io.ReadAll(zip)
	require.NoError(f, err)
	f.Add(archive)
	f.Add(archive[:len(archive)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, archive []byte) {
		var b bytes.Buffer
		zip, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
		require.NoError(t, err)
		_, err = zip.Write(archive)
		require.NoError(t, errors.Join(err, zip.Close()))
		out := filepath.Join(t.TempDir(), "x")
		err = dataset.Unpack(&b, out, 1<<20)
		if err == nil {
			_, _, err = dataset.Verify(out)
		}
		if err != nil && !errors.Is(err, dataset.ErrMalformed) && !errors.Is(err, dataset.ErrLimit) && !errors.Is(err, dataset.ErrAltered) {
			t.Fatalf("an error of no kind: %v", err)
		}
	})
}

func FuzzEnvelope(f *testing.F) {
	x := newParty(f)
	dir, _, root := build(f, 5)
	_, e, _ := x.seal(f, dir, root, 0)
	b, err := e.Encode()
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"delivery":"e30=","signature":"","certificate":""}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, d, err := dataset.ParseEnvelope(b)
		if err != nil {
			return
		}
		if _, err := e.Verify(x.p, d, []*smcrypto.Certificate{x.root}); err != nil {
			require.ErrorIs(t, err, dataset.ErrUntrusted)
		}
	})
}

func TestThePackedFormIsStable(t *testing.T) {
	dir, _, _ := build(t, 50)
	var a, b bytes.Buffer
	require.NoError(t, dataset.Pack(dir, &a))
	require.NoError(t, dataset.Pack(dir, &b))
	assert.Equal(t, a.Bytes(), b.Bytes())
	// Something behind the archive is no part of it.
	junk := make([]byte, 64)
	_, err := rand.Read(junk)
	require.NoError(t, err)
	err = dataset.Unpack(bytes.NewReader(append(a.Bytes(), junk...)), filepath.Join(t.TempDir(), "x"), 0)
	require.ErrorIs(t, err, dataset.ErrMalformed)
}
