package local_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/project"
	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/record"
	projects "github.com/emrbridge/emrbridge/research/project"
)

// committee answers as the desk for research projects.
type committee struct {
	decision project.Decision
	lookup   project.Lookup
	err      error
}

func (c *committee) Decide(_ context.Context, d project.Decision) (evidence.Nonce, error) {
	c.decision = d
	return evidence.Nonce{1}, c.err
}

func (c *committee) Reidentify(_ context.Context, l project.Lookup) (evidence.Nonce, record.Patient, error) {
	c.lookup = l
	return evidence.Nonce{2}, record.Patient{Name: "测试患者"}, c.err
}

func TestProjects(t *testing.T) {
	k := &committee{}
	var log bytes.Buffer
	c, _ := serve(t, &house{}, func(c *local.Config) { c.Projects, c.Logger = k, slog.New(slog.NewTextHandler(&log, nil)) })
	until := time.Date(2027, 6, 30, 0, 0, 0, 0, time.UTC)
	id, err := c.Decide(ctx, "INST1.p1", local.DecisionRequest{Approved: true, Committee: []string{"E-1", "E-2"}, Terms: evidence.Digest{3}, NotAfter: until})
	require.NoError(t, err)
	assert.Equal(t, evidence.Nonce{1}, id)
	assert.Equal(t, project.Decision{Project: "INST1.p1", Terms: evidence.Digest{3}, Approved: true, Committee: []string{"E-1", "E-2"}, NotAfter: until}, k.decision)
	_, err = c.Decide(ctx, "INST1.p1", local.DecisionRequest{Reason: "no", Committee: []string{"E-1", "E-2"}})
	require.NoError(t, err)
	assert.True(t, k.decision.NotAfter.IsZero() && k.decision.Terms.IsZero())

	who, err := c.Reidentify(ctx, "INST1.p1", local.LookupRequest{Subject: "S-1", Reason: "urgent-finding", Finding: evidence.Digest{4}, Staff: []string{"D-1", "D-2"}})
	require.NoError(t, err)
	assert.Equal(t, "测试患者", who.Patient.Name)
	assert.Equal(t, project.Lookup{Project: "INST1.p1", Subject: "S-1", Reason: "urgent-finding", Finding: evidence.Digest{4}, Staff: []string{"D-1", "D-2"}}, k.lookup)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "a", who, "b", local.LookupRequest{Subject: "S-1"}, "c", local.DecisionRequest{Committee: []string{"E-1"}})
	for _, secret := range []string{"S-1", "D-1", "E-1", "测试患者"} {
		assert.NotContains(t, log.String(), secret)
	}

	for cause, want := range map[error]int{
		&evidence.Refusal{Code: evidence.CodeNotFound, Message: "m"}: http.StatusNotFound, &evidence.Refusal{Code: evidence.CodeExpired}: http.StatusConflict,
		project.ErrPersons: http.StatusBadRequest, project.ErrRequest: http.StatusBadRequest, project.ErrChanged: http.StatusConflict,
		release.ErrUnknownSubject: http.StatusNotFound, projects.ErrUntrusted: http.StatusBadGateway, errors.New("x"): http.StatusInternalServerError,
	} {
		k.err = cause
		var status *local.StatusError
		_, err = c.Decide(ctx, "INST1.p1", local.DecisionRequest{})
		require.ErrorAs(t, err, &status)
		assert.Equal(t, want, status.Status, "%v", cause)
		_, err = c.Reidentify(ctx, "INST1.p1", local.LookupRequest{})
		require.ErrorAs(t, err, &status)
		assert.Equal(t, want, status.Status, "%v", cause)
	}
	bare, _ := serve(t, &house{}, nil)
	_, err = bare.Decide(ctx, "INST1.p1", local.DecisionRequest{})
	var status *local.StatusError
	require.ErrorAs(t, err, &status)
	assert.Equal(t, local.CodeAbsent, status.Code)
}
