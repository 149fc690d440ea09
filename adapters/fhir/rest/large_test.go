package rest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
	"github.com/emrbridge/emrbridge/record"
)

// spool keeps bodies in memory and counts those that were not let go.
type spool struct {
	bytes.Buffer
	open *int
	fail error
}

func (s *spool) Write(p []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	return s.Buffer.Write(p)
}
func (s *spool) Abort() {}
func (s *spool) Finish() (index.Body, error) {
	*s.open++
	return &body{s}, nil
}

type body struct{ s *spool }

func (b *body) ID() string       { return "00112233445566778899aabbccddeeff" }
func (b *body) Size() int64      { return int64(b.s.Len()) }
func (b *body) Digest() [32]byte { return sm3.Sum(b.s.Bytes()) }
func (b *body) Discard()         { *b.s.open-- }
func (b *body) Reader() (io.ReadSeekCloser, error) {
	return struct {
		*bytes.Reader
		io.Closer
	}{bytes.NewReader(b.s.Bytes()), io.NopCloser(nil)}, nil
}

func spooled(open *int, fail error) func(*rest.Config) {
	return func(c *rest.Config) {
		c.SpoolFrom, c.MaxBody = 1000, 1<<20
		c.Spool = func() (rest.Spool, error) { return &spool{open: open, fail: fail}, nil }
	}
}

// TestLargeResources: whichever way a resource takes, the answer is the same.
func TestLargeResources(t *testing.T) {
	long := strings.Repeat("QUJD", 30_000)
	for name, c := range map[string]struct {
		path, text string
		status     int
		spooled    bool
	}{
		"binary":       {"Binary", `{"resourceType":"Binary","id":"b","contentType":"image/png","data":"` + long + `"}`, 201, true},
		"document":     {"DocumentReference", ` {"resourceType":"DocumentReference","id":"b","status":"current","content":[{"attachment":{"contentType":"a/b","data":"` + long + `","size":90000}}]}` + "\n", 201, true},
		"wrong size":   {"DocumentReference", `{"resourceType":"DocumentReference","id":"b","status":"current","content":[{"attachment":{"contentType":"a/b","data":"` + long + `","size":1}}]}`, 422, false},
		"escaped":      {"Binary", `{"resourceType":"Binary","id":"b","contentType":"image/png","data":"` + long + `\u003d"}`, 422, false},
		"long text":    {"Basic", `{"resourceType":"Basic","id":"b","code":{"text":"` + long + `"}}`, 201, false},
		"broken":       {"Binary", `{"resourceType":"Binary","id":"b","contentType":"image/png","data":"` + long, 400, false},
		"another type": {"Basic", `{"resourceType":"Binary","id":"b","contentType":"image/png","data":"` + long + `"}`, 400, false},
		"too long":     {"Binary", `{"resourceType":"Binary","id":"b","contentType":"image/png","data":"` + strings.Repeat(long, 10) + `"}`, 413, false},
	} {
		t.Run(name, func(t *testing.T) {
			open := 0
			var kept []rest.Refused
			at := fixedClock()
			large := newServer(t, func(cfg *rest.Config) { spooled(&open, nil)(cfg); quarantine(&kept)(cfg); cfg.Now = at })
			whole := newServer(t, func(cfg *rest.Config) { cfg.MaxBody = 1 << 20; cfg.Now = at })
			got, want := large.do("PUT", "/"+c.path+"/b", c.text), whole.do("PUT", "/"+c.path+"/b", c.text)
			require.Equal(t, c.status, got.Code, got.Body)
			assert.Equal(t, want.Code, got.Code)
			assert.Equal(t, want.Body.String(), got.Body.String())
			assert.Equal(t, want.Header(), got.Header())
			assert.Zero(t, open, "no body is left")
			if c.status == 422 {
				require.Len(t, kept, 1)
				assert.Equal(t, c.text, string(kept[0].Raw))
			}
			if !c.spooled {
				return
			}
			s := large.submitted[0]
			require.Empty(t, s.Raw)
			assert.Equal(t, c.text, s.Body.(*body).s.String(), "the bytes as received")
			assert.Equal(t, whole.submitted[0].Record, s.Record)
			assert.Less(t, len(s.Skeleton), 1000)
			assert.Equal(t, record.NewIDFromDigest(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: s.Sender, ControlID: s.ControlID}, s.Body.Digest()), s.Record)
			_, err := fhir.Parse(s.Skeleton, fhir.Limits{})
			require.NoError(t, err)
			got = large.do("PUT", "/"+c.path+"/b", c.text, "Prefer", "return=minimal")
			assert.Equal(t, http.StatusOK, got.Code)
			assert.Zero(t, got.Body.Len())
		})
	}
}

func TestLargeResourceThatCannotBeKept(t *testing.T) {
	open := 0
	s := newServer(t, spooled(&open, errors.New("disk full")))
	text := `{"resourceType":"Binary","contentType":"image/png","data":"` + strings.Repeat("QUJD", 1000) + `"}`
	require.Equal(t, http.StatusServiceUnavailable, s.do("POST", "/Binary", text).Code)
	s = newServer(t, spooled(&open, nil))
	s.fail = errors.New("no bus")
	require.Equal(t, http.StatusServiceUnavailable, s.do("POST", "/Binary", text).Code)
	require.Zero(t, open)
}

func fixedClock() func() time.Time {
	at := time.Now()
	return func() time.Time { return at }
}

func quarantine(kept *[]rest.Refused) func(*rest.Config) {
	return func(c *rest.Config) {
		c.Quarantine = func(_ context.Context, r rest.Refused) error { *kept = append(*kept, r); return nil }
	}
}
