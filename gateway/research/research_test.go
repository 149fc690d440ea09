package research_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway"
	"github.com/emrbridge/emrbridge/gateway/research"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/depot"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a proxy hospital with two callers: hospital H2MSP and the institute of project P1.
type rig struct {
	t        *testing.T
	pool     *x509.CertPool
	ca       *x509.Certificate
	caKey    *ecdsa.PrivateKey
	depot    *depot.Depot
	base     string
	keys     map[string]evidence.Digest
	mu       sync.Mutex
	accept   error
	limited  bool
	envelope []byte
	delivery dataset.Delivery
	sealed   string
}

func (r *rig) pair(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(r.t, err)
	issuer, signer := r.ca, r.caKey
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	if issuer == nil {
		tmpl.IsCA, tmpl.BasicConstraintsValid, issuer, signer = true, true, tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, issuer, &key.PublicKey, signer)
	require.NoError(r.t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(r.t, err)
	if r.ca == nil {
		r.ca, r.caKey = cert, key
	}
	r.keys[name] = gateway.KeyOf(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: cert}
}

// Allow implements research.Limiter.
func (r *rig) Allow(context.Context, string) (bool, time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.limited, time.Second, nil
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, keys: map[string]evidence.Digest{}, pool: x509.NewCertPool()}
	r.pair("ca")
	r.pool.AddCert(r.ca)
	var err error
	r.depot, err = depot.Open(filepath.Join(t.TempDir(), "depot"), 0)
	require.NoError(t, err)
	h, err := research.NewHandler(research.Config{Depot: r.depot, Limit: r,
		Hospital: func(_ context.Context, msp string, key evidence.Digest) error {
			if msp != "H2MSP" || key != r.keys["H2MSP"] {
				return research.ErrCaller
			}
			return nil
		},
		Institute: func(_ context.Context, project string, key evidence.Digest) error {
			if project != "INST1.P1" || key != r.keys["INST1"] {
				return research.ErrCaller
			}
			return nil
		},
		Accept: func(context.Context, dataset.Envelope, dataset.Delivery) error { return r.accept }})
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{r.pair("H1MSP")}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: r.pool}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	r.base = srv.URL
	r.seal()
	return r
}

// seal makes a delivery of several volumes.
func (r *rig) seal() {
	t := r.t
	p, now := smcrypto.Default(), time.Now()
	key := func() *smcrypto.PrivateKey {
		k, err := p.GenerateKey()
		require.NoError(t, err)
		return k
	}
	ca, err := smcrypto.NewAuthority(key(), smcrypto.Subject{CommonName: "authority"}, now.Add(-time.Hour), now.Add(time.Hour))
	require.NoError(t, err)
	sign := key()
	cert, err := ca.Issue(sign.Public(), smcrypto.Subject{CommonName: "s", Organization: "H2MSP"}, smcrypto.UsageSign, now.Add(-time.Hour), now.Add(time.Hour))
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "package")
	b, err := dataset.NewBuilder(dir, dataset.Manifest{Kind: dataset.Release, Project: "INST1.P1", Institute: "INST1", Hospital: "H2MSP", Sequence: 1, Created: now}, dataset.Salts{1})
	require.NoError(t, err)
	noise := make([]byte, 40<<10)
	_, err = rand.Read(noise)
	require.NoError(t, err)
	require.NoError(t, b.Document("noise.bin", "application/octet-stream", "", noise))
	_, root, err := b.Finish()
	require.NoError(t, err)
	r.sealed = filepath.Join(t.TempDir(), "sealed")
	e, d, err := dataset.Seal(dataset.SealConfig{Provider: p, Terms: dataset.Terms{Kind: dataset.Release, Project: "INST1.P1", Institute: "INST1", Hospital: "H2MSP", Number: 2, Sequence: 1, Root: root},
		Recipient: key().Public(), SealedAt: now, Expiry: now.Add(time.Hour), Certificate: cert.DER(), VolumeSize: 16 << 10,
		Sign: func(m []byte) ([]byte, error) { return p.Sign(sign, m) }}, dir, r.sealed)
	require.NoError(t, err)
	require.Len(t, d.Volumes, 3)
	r.delivery = d
	r.envelope, err = e.Encode()
	require.NoError(t, err)
}

func (r *rig) volume(i int) (io.ReadSeekCloser, error) {
	return os.Open(filepath.Join(r.sealed, dataset.VolumeName(i)))
}

func (r *rig) client(name string) *research.Client {
	c, err := research.NewInstituteClient(r.base, r.pair(name), r.pool)
	require.NoError(r.t, err)
	r.t.Cleanup(c.Close)
	return c
}

func code(t *testing.T, err error) string {
	var refused *research.RefusedError
	require.ErrorAs(t, err, &refused)
	return refused.Code
}

func TestPutAndFetch(t *testing.T) {
	ctx, r := t.Context(), newRig(t)
	hospital, institute := r.client("H2MSP"), r.client("INST1")
	list, err := institute.List(ctx, "INST1.P1")
	require.NoError(t, err)
	assert.Empty(t, list)
	require.NoError(t, hospital.Put(ctx, r.envelope, r.delivery, r.volume))
	require.NoError(t, hospital.Put(ctx, r.envelope, r.delivery, func(int) (io.ReadSeekCloser, error) { return nil, errors.New("nothing is sent twice") }))
	list, err = institute.List(ctx, "INST1.P1")
	require.NoError(t, err)
	require.Len(t, list, 1)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	var last int64
	out, err := institute.Fetch(ctx, list[0].Place, dir, func(have, of int64) {
		assert.GreaterOrEqual(t, have, last)
		assert.Equal(t, r.delivery.Size(), of)
		last = have
	})
	require.NoError(t, err)
	assert.Equal(t, r.delivery.Size(), last)
	for i := range r.delivery.Volumes {
		want, err := os.ReadFile(filepath.Join(r.sealed, dataset.VolumeName(i)))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(out, dataset.VolumeName(i)))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	// A fetch goes on where it broke off.
	path := filepath.Join(out, dataset.VolumeName(1))
	require.NoError(t, os.Truncate(path, 1000))
	_, err = institute.Fetch(ctx, list[0].Place, dir, nil)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, r.delivery.Volumes[1].Size, info.Size())
}

func TestAnUploadGoesOnWhereItBrokeOff(t *testing.T) {
	ctx, r := t.Context(), newRig(t)
	place := depot.PlaceOf(r.delivery)
	s, err := r.depot.Begin(r.envelope)
	require.NoError(t, err)
	assert.False(t, s.Complete)
	b, err := os.ReadFile(filepath.Join(r.sealed, dataset.VolumeName(1)))
	require.NoError(t, err)
	n, err := r.depot.Append(place, 1, 0, bytes.NewReader(b[:777]))
	require.NoError(t, err)
	assert.EqualValues(t, 777, n)
	_, err = r.depot.Append(place, 1, 0, bytes.NewReader(b))
	var offset *depot.OffsetError
	require.ErrorAs(t, err, &offset)
	assert.EqualValues(t, 777, offset.Have)
	list, err := r.depot.List("INST1.P1")
	require.NoError(t, err)
	assert.Empty(t, list, "what is not complete is not shown")
	require.NoError(t, r.client("H2MSP").Put(ctx, r.envelope, r.delivery, r.volume))
	list, err = r.depot.List("INST1.P1")
	require.NoError(t, err)
	assert.Len(t, list, 1)
	require.NoError(t, r.depot.Remove(place))
	_, err = r.depot.Envelope(place)
	require.ErrorIs(t, err, depot.ErrNotFound)
}

func TestTheDepotKeepsWhatWasSignedOnly(t *testing.T) {
	r := newRig(t)
	place := depot.PlaceOf(r.delivery)
	_, err := r.depot.Append(place, 0, 0, bytes.NewReader(nil))
	require.ErrorIs(t, err, depot.ErrNotFound, "no envelope yet")
	_, err = r.depot.Begin(r.envelope)
	require.NoError(t, err)
	_, err = r.depot.Append(place, 0, 0, bytes.NewReader(make([]byte, r.delivery.Volumes[0].Size)))
	require.ErrorIs(t, err, depot.ErrAltered)
	_, err = r.depot.Append(place, 0, 0, bytes.NewReader(make([]byte, r.delivery.Volumes[0].Size+1)))
	require.ErrorIs(t, err, depot.ErrLimit)
	_, err = r.depot.Append(place, 7, 0, bytes.NewReader(nil))
	require.ErrorIs(t, err, depot.ErrNotFound)
	first := r.envelope
	r.seal()
	_, err = r.depot.Begin(r.envelope)
	require.ErrorIs(t, err, depot.ErrConflict)
	_, err = r.depot.Begin(first)
	require.NoError(t, err)
	for _, p := range [][3]string{{"..", "H2MSP", "release-000001"}, {"P", "../x", "release-000001"}, {"P", "H", "release-1"}, {"P", "H", "other-000001"}, {"P", "H", ""}, {"P", "H", "release-000000"}} {
		_, err := depot.ParsePlace(p[0], p[1], p[2])
		require.ErrorIs(t, err, depot.ErrNotFound, "%v", p)
	}
	small, err := depot.Open(filepath.Join(t.TempDir(), "small"), 1000)
	require.NoError(t, err)
	_, err = small.Begin(first)
	require.ErrorIs(t, err, depot.ErrLimit)
}

func TestWhoMayDoWhat(t *testing.T) {
	ctx, r := t.Context(), newRig(t)
	stranger, hospital := r.client("stranger"), r.client("H2MSP")
	assert.Equal(t, research.CodeCaller, code(t, stranger.Put(ctx, r.envelope, r.delivery, r.volume)))
	require.NoError(t, hospital.Put(ctx, r.envelope, r.delivery, r.volume))
	_, err := stranger.List(ctx, "INST1.P1")
	assert.Equal(t, research.CodeCaller, code(t, err))
	_, err = hospital.List(ctx, "INST1.P1")
	assert.Equal(t, research.CodeCaller, code(t, err), "a hospital gets no parts, not even its own")
	_, err = hospital.Fetch(ctx, depot.PlaceOf(r.delivery), t.TempDir(), nil)
	require.Error(t, err)
	institute := r.client("INST1")
	assert.Equal(t, research.CodeCaller, code(t, institute.Put(ctx, r.envelope, r.delivery, r.volume)))
	_, err = institute.List(ctx, "INST1.P2")
	assert.Equal(t, research.CodeCaller, code(t, err))
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o700))
	_, err = institute.Fetch(ctx, depot.Place{Project: "INST1.P1", Hospital: "H2MSP", Kind: dataset.Release, Sequence: 2}, dir, nil)
	assert.Equal(t, research.CodeNotFound, code(t, err))
	r.accept = errors.New("the ledger knows no such release")
	assert.Equal(t, research.CodeRefused, code(t, hospital.Put(ctx, r.envelope, r.delivery, r.volume)))
	r.mu.Lock()
	r.limited = true
	r.mu.Unlock()
	_, err = r.client("INST1").List(ctx, "INST1.P1")
	require.ErrorIs(t, err, research.ErrTransfer)
	assert.Equal(t, research.CodeRate, code(t, err))
}

func TestHostileRequests(t *testing.T) {
	r := newRig(t)
	c := r.client("H2MSP")
	for _, x := range []struct {
		method, path string
		body         []byte
		status       int
	}{
		{"PUT", "INST1.P1/H2MSP/release-000001", []byte("{"), 400},
		{"PUT", "INST1.P1/H2MSP/release-000002", r.envelope, 400},
		{"PUT", "INST1.P1/H2MSP/release-000001/1?offset=-1", nil, 400},
		{"PUT", "INST1.P1/H2MSP/release-000001/0?offset=0", nil, 404},
		{"PUT", "INST1.P1/H2MSP/release-000001/1?offset=0", nil, 404},
		{"PUT", "INST1.P1/H2MSP/..%2F..%2Fx", nil, 404},
		{"GET", "..%2F..", nil, 403},
		{"DELETE", "INST1.P1", nil, 405},
		{"PUT", "INST1.P1/H2MSP/release-000001/1?offset=0", make([]byte, research.MaxPiece+1), 413},
	} {
		req, err := http.NewRequestWithContext(t.Context(), x.method, r.base+research.Path+x.path, bytes.NewReader(x.body))
		require.NoError(t, err)
		res, err := c.HTTP.Do(req)
		if err != nil && x.status == 413 {
			continue // the connection may be cut while the body is still being sent
		}
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, res.Body)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, x.status, res.StatusCode, "%s %s", x.method, x.path)
	}
}
