package projects_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/projects"
	"github.com/emrbridge/emrbridge/research/institute"
	"github.com/emrbridge/emrbridge/research/institute/institutetest"
	"github.com/emrbridge/emrbridge/research/project"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// chain is the ledger as the proxy hospital, H1MSP, has it.
type chain struct {
	*chaincodetest.Consortium
	away atomic.Bool
}

func ask[T any](c *chain, function string, args ...string) (T, error) {
	if c.away.Load() {
		var v T
		return v, errors.New("no peer answers")
	}
	return chaincodetest.Ask[T](c.Ledger, function, args...)
}

func (c *chain) Member(_ context.Context, msp string) (evidence.Member, error) {
	return ask[evidence.Member](c, evidence.QueryMember, msp)
}

func (c *chain) Institute(_ context.Context, id string) (evidence.Institute, error) {
	return ask[evidence.Institute](c, evidence.QueryInstitute, id)
}

func (c *chain) Institutes(context.Context) ([]evidence.Institute, error) {
	return ask[[]evidence.Institute](c, evidence.QueryInstitutes)
}

func (c *chain) Project(_ context.Context, id string) (evidence.Project, error) {
	return ask[evidence.Project](c, evidence.QueryProject, id)
}

func (c *chain) Projects(_ context.Context, party string, size int, bookmark string) (evidence.Page[evidence.Project], error) {
	return ask[evidence.Page[evidence.Project]](c, evidence.QueryProjects, party, strconv.Itoa(size), bookmark)
}

func (c *chain) Release(_ context.Context, id, msp string, n uint32) (evidence.Release, error) {
	return ask[evidence.Release](c, evidence.QueryRelease, id, msp, strconv.Itoa(int(n)))
}

func (c *chain) Releases(_ context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Release], error) {
	return ask[evidence.Page[evidence.Release]](c, evidence.QueryReleases, id, strconv.Itoa(size), bookmark)
}

func (c *chain) Withdrawals(_ context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Withdrawal], error) {
	return ask[evidence.Page[evidence.Withdrawal]](c, evidence.QueryWithdrawals, id, strconv.Itoa(size), bookmark)
}

// carry submits as the proxy hospital.
func (c *chain) carry(_ context.Context, signed evidence.Signed) (projects.Receipt, error) {
	st, err := evidence.ParseStatement(signed.Statement)
	if err != nil {
		return projects.Receipt{}, err
	}
	raw, err := signed.Encode()
	if err != nil {
		return projects.Receipt{}, err
	}
	_, tx, err := c.Submit("H1MSP", chaincodetest.Transactions[st.Kind], [][]byte{raw}, nil)
	return projects.Receipt{TxID: tx, Nonce: st.Nonce}, err
}

type limit struct {
	ok  bool
	err error
}

func (l *limit) Allow(context.Context, string) (bool, time.Duration, error) {
	return l.ok, time.Second, l.err
}

// scene is a proxy hospital that serves, and institutes that may call it.
type scene struct {
	*chain
	authority *institute.Authority
	limit     *limit
	url       string
	now       time.Time
}

func newScene(t *testing.T) *scene {
	t.Helper()
	c := &chain{Consortium: chaincodetest.NewConsortium(t, 2)}
	s := &scene{chain: c, authority: institutetest.Authority(t, c.Authority), limit: &limit{ok: true}, now: time.Now()}
	h, err := projects.NewHandler(projects.Config{Ledger: c, Verify: s.reader(t, c).VerifyInstitute, Carry: c.carry, Limit: s.limit,
		Now: func() time.Time { return s.now }})
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(s.authority.TLS)
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s.url = srv.URL
	return s
}

func (s *scene) reader(t *testing.T, ledger project.Ledger) *project.Reader {
	t.Helper()
	r, err := project.NewReader(ledger, []*smcrypto.Certificate{s.Authority.Cert}, nil, nil)
	require.NoError(t, err)
	return r
}

// admit makes an institute with its folder; register puts it on the ledger.
func (s *scene) admit(t *testing.T, id string, register bool) (*institute.Folder, *projects.Client) {
	t.Helper()
	f, err := institute.Create(filepath.Join(t.TempDir(), id), institute.About{ID: id, Name: id})
	require.NoError(t, err)
	requests, err := institute.ReadRequests(f.Dir)
	require.NoError(t, err)
	a, err := s.authority.Admit(id, id, requests, time.Now())
	require.NoError(t, err)
	out := filepath.Join(t.TempDir(), "admission")
	require.NoError(t, a.Write(out))
	require.NoError(t, f.Import(out, time.Now()))
	if register {
		_, err = s.carry(t.Context(), a.Registration)
		require.NoError(t, err)
	}
	pair, _, err := f.TLS()
	require.NoError(t, err)
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, InsecureSkipVerify: true}, //nolint:gosec // the test server's own certificate
		DialContext:     (&net.Dialer{}).DialContext,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return f, &projects.Client{HTTP: &http.Client{Transport: transport}, Base: s.url}
}

func (s *scene) apply(t *testing.T, f *institute.Folder, c *projects.Client, name string) evidence.ApplyProject {
	t.Helper()
	body := s.NewInstitute(t, f.ID).Application(name, s.Members[0], s.Members[1])
	signed, err := f.Sign(body, time.Now())
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), signed)
	require.NoError(t, err)
	return body
}

func refusedWith(t *testing.T, err error, code string) {
	t.Helper()
	var r *projects.RefusedError
	require.ErrorAs(t, err, &r)
	assert.Equal(t, code, r.Code)
}

func TestAnInstituteAppliesAndReadsThroughItsProxy(t *testing.T) {
	s := newScene(t)
	f, c := s.admit(t, "INST1", true)
	terms := s.apply(t, f, c, "p1")
	r := s.reader(t, c)
	p, err := r.Project(t.Context(), terms.ID)
	require.NoError(t, err)
	assert.Equal(t, terms.Purpose, p.Terms.Purpose)
	assert.Equal(t, "H1MSP", p.Proxy.ID)
	list, err := c.Projects(t.Context(), "", 10, "")
	require.NoError(t, err)
	require.Len(t, list.Items, 1)

	h1 := s.Members[0]
	approval := evidence.DecideProject{Project: terms.ID, Terms: p.TermsDigest, Approved: true, Committee: []evidence.Digest{{1}, {2}}, NotAfter: terms.NotAfter}
	_, _, err = h1.Say(approval)
	require.NoError(t, err)
	cert, err := f.EncryptionCertificate()
	require.NoError(t, err)
	release := s.NewInstitute(t, "INST1").Release(terms, 1)
	release.Recipient = smcrypto.Default().SM3(cert.DER())
	_, _, err = h1.Say(release)
	require.NoError(t, err)
	digest := evidence.SubjectsDigest([]string{"a"})
	_, _, err = h1.Say(evidence.WithdrawSubjects{Project: terms.ID, Sequence: 1, Subjects: digest, Count: 1, Reason: "consent-withdrawn", DueBy: time.Now().Add(time.Hour).UnixMilli()})
	require.NoError(t, err)

	releases, err := r.Releases(t.Context(), terms.ID)
	require.NoError(t, err)
	require.Len(t, releases, 1)
	one, err := r.Release(t.Context(), terms.ID, "H1MSP", 1)
	require.NoError(t, err)
	assert.Equal(t, releases[0], one)
	_, err = r.Release(t.Context(), terms.ID, "H1MSP", 2)
	refusedWith(t, err, projects.CodeNotFound)

	signed, err := f.Sign(evidence.ConfirmDeletion{Project: terms.ID, Hospital: "H1MSP", Sequence: 1, Subjects: digest, Count: 1, Method: "erased"}, time.Now())
	require.NoError(t, err)
	_, err = c.Submit(t.Context(), signed)
	require.NoError(t, err)
	notices, err := r.Withdrawals(t.Context(), terms.ID)
	require.NoError(t, err)
	require.NotNil(t, notices[0].Confirmed)
	_, err = c.Submit(t.Context(), signed)
	refusedWith(t, err, string(evidence.CodeReplayed))
}

func TestStrangersAndOthersAreRefused(t *testing.T) {
	s := newScene(t)
	f1, c1 := s.admit(t, "INST1", true)
	f2, c2 := s.admit(t, "INST2", true)
	_, stranger := s.admit(t, "INST3", false)
	terms := s.apply(t, f1, c1, "p1")

	_, err := stranger.Project(t.Context(), terms.ID)
	refusedWith(t, err, projects.CodeCaller)
	for _, call := range []func() error{
		func() error { _, err := c2.Project(t.Context(), terms.ID); return err },
		func() error { _, err := c2.Releases(t.Context(), terms.ID, 10, ""); return err },
		func() error { _, err := c2.Withdrawals(t.Context(), terms.ID, 10, ""); return err },
		func() error { _, err := c2.Release(t.Context(), terms.ID, "H1MSP", 1); return err },
		func() error { _, err := c2.Institute(t.Context(), "INST1"); return err },
	} {
		refusedWith(t, call(), projects.CodeForeign)
	}
	closing, err := f1.Sign(evidence.CloseProject{Project: terms.ID, Reason: "done"}, time.Now())
	require.NoError(t, err)
	_, err = c2.Submit(t.Context(), closing)
	refusedWith(t, err, projects.CodeForeign)
	foreign, err := f2.Sign(evidence.CloseProject{Project: terms.ID, Reason: "done"}, time.Now())
	require.NoError(t, err)
	_, err = c2.Submit(t.Context(), foreign)
	refusedWith(t, err, string(evidence.CodeUnauthorized))
	odd, err := f2.Sign(evidence.RevokeConsent{Consent: evidence.Nonce{1}}, time.Now())
	require.NoError(t, err)
	_, err = c2.Submit(t.Context(), odd)
	refusedWith(t, err, projects.CodeKind)
	_, err = c1.Project(t.Context(), "INST1.x/y")
	require.Error(t, err)
	_, err = c1.Member(t.Context(), "../projects")
	require.Error(t, err)

	raw, err := s.authority.Sign(evidence.SetInstituteStatus{Institute: "INST1", Status: evidence.MemberSuspended, Reason: "audit"}, time.Now())
	require.NoError(t, err)
	_, err = s.carry(t.Context(), raw)
	require.NoError(t, err)
	s.now = s.now.Add(time.Minute)
	_, err = c1.Project(t.Context(), terms.ID)
	refusedWith(t, err, projects.CodeCaller)
}

func TestBadRequestsAndMissingNeighbours(t *testing.T) {
	s := newScene(t)
	_, c := s.admit(t, "INST1", true)
	for name, body := range map[string][]byte{"empty": nil, "junk": []byte("junk"), "huge": make([]byte, 1<<20)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+projects.StatementsPath, bytes.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/vnd.emrbridge.statement")
		res, err := c.HTTP.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		assert.Equal(t, http.StatusBadRequest, res.StatusCode, name)
	}
	s.limit.ok = false
	_, err := c.Projects(t.Context(), "", 10, "")
	refusedWith(t, err, projects.CodeRate)
	s.limit.ok, s.limit.err = true, errors.New("redis is away")
	_, err = c.Projects(t.Context(), "", 10, "")
	refusedWith(t, err, projects.CodeGuard)
	s.limit.err = nil
	s.away.Store(true)
	_, err = c.Projects(t.Context(), "", 10, "")
	refusedWith(t, err, projects.CodeLedger)
	_, err = (&projects.Client{HTTP: c.HTTP, Base: "http://x"}).Projects(t.Context(), "", 10, "")
	require.ErrorIs(t, err, projects.ErrTransfer)
	_, err = projects.NewHandler(projects.Config{})
	require.Error(t, err)
}
