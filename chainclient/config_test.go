package chainclient

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/emrbridge/emrbridge/evidence"
)

func TestConfigNamesAllFaultsAtOnce(t *testing.T) {
	err := Config{
		Endorsers: []string{"H1MSP", "H1MSP"}, EndorsersNeeded: 3, BatchMax: 6000, InFlight: -1, MaxPending: 1,
		Patience: time.Hour, BatchWait: -1, Peers: []Peer{{Address: "nowhere"}},
	}.Validate()
	require.Error(t, err)
	for _, part := range []string{"MSPID is missing", "CertPath", "KeyPath", "Peers[0].Address", "Peers[0].MSPID", "Peers[0].TLSCACertPath",
		"names an organisation twice", "EndorsersNeeded is 3", "BatchMax is 6000", "InFlight is -1", "MaxPending is 1", "Patience is 1h", "BatchWait is negative"} {
		assert.ErrorContains(t, err, part)
	}
	require.ErrorContains(t, Config{}.Validate(), "no Peers")
	require.ErrorContains(t, Config{}.Validate(), "no Endorsers")
	_, err = Open(t.Context(), Config{}, signerStub{})
	require.Error(t, err)
}

func TestConfigDefaults(t *testing.T) {
	for members, need := range map[int]int{1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 10: 6} {
		c := Config{Endorsers: make([]string, members)}.WithDefaults()
		assert.Equal(t, need, c.EndorsersNeeded, "majority of %d", members)
	}
	c := Config{}.WithDefaults()
	assert.Equal(t, "emr", c.Channel)
	assert.Equal(t, evidence.ContractName, c.Contract)
	assert.Equal(t, 500, c.BatchMax)
}

func TestOpenChecksFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string, perm os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), perm))
		require.NoError(t, os.Chmod(path, perm))
		return path
	}
	cfg := Config{MSPID: "H1MSP", CertPath: file("c", "no certificate", 0o644), KeyPath: file("k", "SECRET", 0o644),
		Endorsers: []string{"H1MSP"}, Peers: []Peer{{Address: "127.0.0.1:1", MSPID: "H1MSP", TLSCACertPath: file("ca", "none", 0o644)}}}
	_, err := Open(t.Context(), cfg, signerStub{})
	require.ErrorContains(t, err, "not a certificate")
	_, err = dial(cfg.Peers[0], time.Minute)
	require.ErrorContains(t, err, "holds no certificate")
}

func TestErrorsSayWhatToDo(t *testing.T) {
	refusal := &evidence.Refusal{Code: evidence.CodeConflict, Message: "taken"}
	tx := TxError{Kind: evidence.KindDeliver, TxID: "ab12", Nonce: evidence.Nonce{1}, Err: refusal}
	for _, tc := range []struct {
		err                         error
		retriable, poison, notFound bool
	}{
		{err: nil},
		{err: &EndorseError{tx}},
		{err: &PoisonError{Refusal: refusal}, poison: true},
		{err: fmt.Errorf("x: %w", &CommitError{Code: peer.TxValidationCode_MVCC_READ_CONFLICT}), retriable: true},
		{err: &CommitError{Code: peer.TxValidationCode_BAD_PAYLOAD}},
		{err: &SubmitError{TxError{Err: errDown}}, retriable: true},
		{err: &SubmitError{TxError{Err: status.Error(codes.ResourceExhausted, "received message larger than max (2 vs. 1)")}}},
		{err: &SubmitError{TxError{Err: status.Error(codes.InvalidArgument, "x")}}},
		{err: ErrClosed, retriable: true},
		{err: context.DeadlineExceeded, retriable: true},
		{err: context.Canceled},
		{err: &evidence.Refusal{Code: evidence.CodeStale}, retriable: true},
		{err: &QueryError{Err: &evidence.Refusal{Code: evidence.CodeNotFound}}, notFound: true},
		{err: ErrOtherLedger},
	} {
		assert.Equal(t, tc.retriable, IsRetriable(tc.err), tc.err)
		assert.Equal(t, tc.poison, IsPoison(tc.err), tc.err)
		assert.Equal(t, tc.notFound, IsNotFound(tc.err), tc.err)
	}
	text := (&EndorseError{tx}).Error()
	for _, part := range []string{"endorsement", "deliver", "ab12", tx.Nonce.String(), "taken"} {
		assert.Contains(t, text, part)
	}
	assert.True(t, strings.Contains((&UnknownError{TxError: tx}).Error(), "outcome unknown"))
}

func TestQueries(t *testing.T) {
	bubble(t, nil, func(t *testing.T, f *fixture) {
		_, err := f.Member(t.Context(), "H9MSP")
		require.True(t, IsNotFound(err))
		f.links[0].onEvaluate = func(string) ([]byte, error) { return []byte("nonsense"), nil }
		_, err = f.Members(t.Context())
		var q *QueryError
		require.ErrorAs(t, err, &q)
		assert.Equal(t, evidence.QueryMembers, q.Query)
		_, err = f.Anchors(t.Context(), evidence.Tag{}, 501, "")
		require.ErrorContains(t, err, "page of 501")
	})
}

func TestAllFollowsBookmarks(t *testing.T) {
	pages := map[string]evidence.Page[int]{
		"": {Items: []int{1, 2}, Bookmark: "a"}, "a": {Items: nil, Bookmark: "b"}, "b": {Items: []int{3}},
	}
	ask := func(_ context.Context, size int, bookmark string) (evidence.Page[int], error) {
		assert.Equal(t, evidence.MaxPageSize, size)
		return pages[bookmark], nil
	}
	var got []int
	for n, err := range All(t.Context(), ask) {
		require.NoError(t, err)
		got = append(got, n)
	}
	assert.Equal(t, []int{1, 2, 3}, got)
	pages["b"] = evidence.Page[int]{Items: []int{3}, Bookmark: "b"}
	got = nil
	for n := range All(t.Context(), ask) {
		got = append(got, n)
	}
	assert.Equal(t, []int{1, 2, 3}, got, "a peer cannot keep us in a loop")
	for _, err := range All(t.Context(), func(context.Context, int, string) (evidence.Page[int], error) {
		return evidence.Page[int]{}, errBroken
	}) {
		require.ErrorIs(t, err, errBroken)
	}
}
