package local_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

const token = "0123456789abcdef0123456789abcdef"

// house answers as retrieval and desk would.
type house struct {
	mu      sync.Mutex
	query   retrieve.Query
	terms   retrieve.ConsentTerms
	result  retrieve.Result
	err     error
	revoked evidence.Nonce
	review  string
}

func (h *house) Retrieve(_ context.Context, q retrieve.Query) (retrieve.Result, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.query = q
	return h.result, h.err
}

func (h *house) Grant(_ context.Context, c retrieve.ConsentTerms) (evidence.Nonce, error) {
	h.terms = c
	return evidence.Nonce{7}, h.err
}

func (h *house) Revoke(_ context.Context, id evidence.Nonce) error { h.revoked = id; return h.err }

func (h *house) Emergencies(_ context.Context, size int, bookmark string) (evidence.Page[evidence.Access], error) {
	return evidence.Page[evidence.Access]{Items: []evidence.Access{{ID: evidence.Nonce{9}, Requester: "H2MSP"}}, Bookmark: fmt.Sprint(size, bookmark)}, h.err
}

func (h *house) Review(_ context.Context, id evidence.Nonce, justified bool, reviewer string) error {
	h.review = fmt.Sprint(id, justified, reviewer)
	return h.err
}

func serve(t *testing.T, h *house, change func(*local.Config)) (*local.Client, string) {
	t.Helper()
	c := local.Config{Retriever: h, Desk: h}
	if change != nil {
		change(&c)
	}
	s, err := local.NewServer(c)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "run", "emrbridge.sock")
	l, err := local.Listen(ctx, path)
	require.NoError(t, err)
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Serve(run, l) }()
	client := local.Dial(path, c.Token)
	t.Cleanup(func() {
		client.Close()
		cancel()
		assert.NoError(t, <-done)
	})
	return client, path
}

func TestRetrieve(t *testing.T) {
	rec := &record.Record{Kind: "ORU^R01", MediaType: "text/plain", Payload: []byte("MSH|一")}
	h := &house{result: retrieve.Result{Deliveries: []retrieve.Delivery{{Owner: "H1MSP", Request: evidence.Nonce{1}, Verdict: evidence.Genuine, Confirmed: true,
		Records: []retrieve.Record{{ID: evidence.RecordID{0, 1}, Owner: "H1MSP", Verdict: evidence.Genuine, Kind: "ORU^R01", Record: rec}}}},
		Timings: retrieve.Timings{Request: 60 * time.Millisecond, Total: 200 * time.Millisecond}}}
	c, _ := serve(t, h, nil)
	res, err := c.Retrieve(ctx, local.RetrieveRequest{Patient: local.Patient{ResidentID: "x"}, Kinds: []string{"ORU^R01"}, Payloads: true,
		Emergency: &local.Emergency{Reason: "coma", Staff: []string{"a", "b"}}})
	require.NoError(t, err)
	assert.Equal(t, keystore.Identity{ResidentID: "x"}, h.query.Patient)
	assert.Equal(t, []string{"a", "b"}, h.query.Emergency.Staff)
	require.Len(t, res.Deliveries, 1)
	assert.Equal(t, "MSH|一", string(res.Deliveries[0].Records[0].Payload))
	assert.Equal(t, 60.0, res.Timings.Consensus)
	res, err = c.Retrieve(ctx, local.RetrieveRequest{Patient: local.Patient{ResidentID: "x"}})
	require.NoError(t, err)
	assert.Empty(t, res.Deliveries[0].Records[0].Payload, "payloads only on demand")
	assert.Equal(t, 7, res.Deliveries[0].Records[0].Bytes)
}

// TestProofs hands the whole record and its proof to who asks for them, and to nobody else.
func TestProofs(t *testing.T) {
	rec := &record.Record{ModelVersion: record.ModelVersion, HospitalMSP: "H1MSP", Sender: "HIS|H1", ControlID: "1", Kind: "ORU^R01", MediaType: "text/plain", ReceivedAt: 1, Payload: []byte("MSH|一")}
	rec.ID = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: rec.HospitalMSP, Sender: rec.Sender, ControlID: rec.ControlID, Payload: rec.Payload})
	proof := &retrieve.Proof{EMR: evidence.Digest{1}, Cipher: evidence.Digest{2}, Signature: []byte("sig"), Signed: []byte("signed"), SealedAt: time.UnixMilli(3), Tag: evidence.Tag{4}}
	h := &house{result: retrieve.Result{Deliveries: []retrieve.Delivery{{Owner: "H1MSP", Records: []retrieve.Record{
		{Owner: "H1MSP", Verdict: evidence.Genuine, Record: rec, Proof: proof}, {Owner: "H1MSP", Verdict: evidence.Incomplete}}}}}}
	c, _ := serve(t, h, nil)
	res, err := c.Retrieve(ctx, local.RetrieveRequest{Patient: local.Patient{ResidentID: "x"}, Proofs: true})
	require.NoError(t, err)
	got := res.Deliveries[0].Records
	read, err := record.Parse(got[0].EMR)
	require.NoError(t, err)
	assert.Equal(t, rec, read)
	assert.Equal(t, proof.Signature, got[0].Proof.Signature)
	assert.Equal(t, proof.Cipher, got[0].Proof.Cipher)
	assert.True(t, proof.SealedAt.Equal(got[0].Proof.SealedAt))
	assert.Nil(t, got[1].Proof)
	res, err = c.Retrieve(ctx, local.RetrieveRequest{Patient: local.Patient{ResidentID: "x"}, Payloads: true})
	require.NoError(t, err)
	assert.Nil(t, res.Deliveries[0].Records[0].Proof)
	assert.Nil(t, res.Deliveries[0].Records[0].EMR)
}

func TestOutcomesKeepTheirMeaning(t *testing.T) {
	denied := &retrieve.DeniedError{Owner: "H1MSP", Request: evidence.Nonce{1}, Reason: "no-consent"}
	h := &house{err: denied, result: retrieve.Result{Deliveries: []retrieve.Delivery{{Owner: "H1MSP", Request: evidence.Nonce{1}, Err: denied}}}}
	c, _ := serve(t, h, nil)
	res, err := c.Retrieve(ctx, local.RetrieveRequest{})
	var status *local.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, http.StatusForbidden, status.Status)
	assert.Equal(t, local.CodeDenied, status.Code)
	require.Len(t, res.Deliveries, 1)
	assert.True(t, res.Deliveries[0].Denied)
	assert.Equal(t, "no-consent", res.Deliveries[0].Reason)
	for code, err := range map[string]error{
		local.CodeQuery: retrieve.ErrQuery, local.CodeNothing: retrieve.ErrNothing, local.CodeTransfer: retrieve.ErrTransfer,
		local.CodeUntrusted: retrieve.ErrUntrusted, local.CodeLimit: retrieve.ErrLimit, local.CodeInternal: errors.New("x"),
		local.CodeRefused: &evidence.Refusal{Code: evidence.CodeBadState},
	} {
		h.mu.Lock()
		h.err, h.result = fmt.Errorf("wrapped: %w", err), retrieve.Result{}
		h.mu.Unlock()
		_, err := c.Retrieve(ctx, local.RetrieveRequest{})
		require.ErrorAs(t, err, &status)
		assert.Equal(t, code, status.Code)
	}
}

func TestConsentsAndReviews(t *testing.T) {
	h := &house{}
	c, _ := serve(t, h, nil)
	end := time.UnixMilli(1_900_000_000_000).UTC()
	id, err := c.Grant(ctx, local.ConsentRequest{Patient: local.Patient{MSP: "H1MSP", Value: "42"}, Grantees: []string{"H2MSP"}, NotAfter: end})
	require.NoError(t, err)
	assert.Equal(t, evidence.Nonce{7}, id)
	assert.Equal(t, []evidence.Purpose{evidence.Treatment}, h.terms.Purposes)
	assert.Equal(t, end.UnixMilli(), h.terms.NotAfter)
	assert.Equal(t, "42", h.terms.Patient.Local.Value)
	require.NoError(t, c.Revoke(ctx, id))
	assert.Equal(t, id, h.revoked)
	page, err := c.Emergencies(ctx, 5, "b")
	require.NoError(t, err)
	assert.Equal(t, "5b", page.Bookmark)
	require.NoError(t, c.Review(ctx, page.Items[0].ID, local.ReviewRequest{Justified: true, Reviewer: "Q-1"}))
	assert.Equal(t, fmt.Sprint(evidence.Nonce{9}, true, "Q-1"), h.review)
}

func TestSocketIsForItsOwnerOnly(t *testing.T) {
	_, path := serve(t, &house{}, nil)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = local.Listen(ctx, path)
	require.ErrorContains(t, err, "another process serves")
	open := t.TempDir()
	require.NoError(t, os.Chmod(open, 0o755))
	_, err = local.Listen(ctx, filepath.Join(open, "s"))
	require.Error(t, err, "a folder that others may use")
	private := filepath.Join(t.TempDir(), "p")
	require.NoError(t, os.Mkdir(private, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(private, "s"), nil, 0o600))
	_, err = local.Listen(ctx, filepath.Join(private, "s"))
	require.ErrorContains(t, err, "no socket")
}

func TestSocketOfADeadProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s")
	l, err := local.Listen(ctx, path)
	require.NoError(t, err)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	l, err = local.Listen(ctx, path)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}

func TestTokenIsNeededOnTCP(t *testing.T) {
	h := &house{}
	_, err := local.NewServer(local.Config{Retriever: h, Desk: h, Token: "short"})
	require.Error(t, err)
	bare, err := local.NewServer(local.Config{Retriever: h, Desk: h})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorContains(t, bare.Serve(ctx, l), "needs a token")

	s, err := local.NewServer(local.Config{Retriever: h, Desk: h, Token: token})
	require.NoError(t, err)
	l, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	run, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Serve(run, l) }()
	for _, wrong := range []string{"", token + "x", strings.ToUpper(token)} {
		c := local.DialTCP(l.Addr().String(), wrong)
		_, err := c.Emergencies(ctx, 0, "")
		var status *local.StatusError
		require.ErrorAs(t, err, &status)
		assert.Equal(t, http.StatusUnauthorized, status.Status)
		c.Close()
	}
	c := local.DialTCP(l.Addr().String(), token)
	_, err = c.Emergencies(ctx, 0, "")
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String()+"/internal/v1/emergencies", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Origin", "https://evil.example")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	res.Body.Close()
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode, "pages in a browser are kept out")
	http.DefaultClient.CloseIdleConnections()
	c.Close()
	cancel()
	require.NoError(t, <-done)
}

func TestBodiesAreBoundedAndNeverQuoted(t *testing.T) {
	s, err := local.NewServer(local.Config{Retriever: &house{}, Desk: &house{}})
	require.NoError(t, err)
	for _, body := range []string{`{"patient":{"resident_id":"110101199003070011"}`, `{"patient":"110101199003070011"}`, `{} {}`, `{"surprise":1}`, `{"owners":["` + strings.Repeat("x", 300<<10) + `"]}`} {
		w := &recorder{header: http.Header{}}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/internal/v1/retrieve", strings.NewReader(body))
		require.NoError(t, err)
		s.Handler().ServeHTTP(w, r)
		assert.Equal(t, http.StatusBadRequest, w.status)
		assert.NotContains(t, w.body.String(), "110101")
	}
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func TestCallsAreLoggedWithoutPatientData(t *testing.T) {
	var log syncBuffer
	c, _ := serve(t, &house{}, func(c *local.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		c.Token = token
	})
	_, _ = c.Retrieve(ctx, local.RetrieveRequest{Patient: local.Patient{ResidentID: "110101199003070011"}})
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "msg=command") }, time.Second, 5*time.Millisecond)
	assert.Contains(t, log.String(), "uid ")
	assert.Contains(t, log.String(), "/internal/v1/retrieve")
	assert.NotContains(t, log.String(), "110101")
	assert.NotContains(t, log.String(), token)
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
