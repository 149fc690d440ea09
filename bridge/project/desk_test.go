package project_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	desk "github.com/emrbridge/emrbridge/bridge/project"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/research/project"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// chain is the ledger as one hospital has it.
type chain struct {
	*chaincodetest.Consortium
	me *chaincodetest.Member
}

func (c chain) Submit(_ context.Context, body evidence.Body) (evidence.Nonce, error) {
	_, id, err := c.me.Say(body)
	return id, err
}

func (c chain) Member(_ context.Context, msp string) (evidence.Member, error) {
	return chaincodetest.Ask[evidence.Member](c.Ledger, evidence.QueryMember, msp)
}

func (c chain) Institute(_ context.Context, id string) (evidence.Institute, error) {
	return chaincodetest.Ask[evidence.Institute](c.Ledger, evidence.QueryInstitute, id)
}

func (c chain) Project(_ context.Context, id string) (evidence.Project, error) {
	return chaincodetest.Ask[evidence.Project](c.Ledger, evidence.QueryProject, id)
}

func (c chain) Release(_ context.Context, id, msp string, n uint32) (evidence.Release, error) {
	return chaincodetest.Ask[evidence.Release](c.Ledger, evidence.QueryRelease, id, msp, strconv.Itoa(int(n)))
}

func (c chain) Releases(_ context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Release], error) {
	return chaincodetest.Ask[evidence.Page[evidence.Release]](c.Ledger, evidence.QueryReleases, id, strconv.Itoa(size), bookmark)
}

func (c chain) Withdrawals(_ context.Context, id string, size int, bookmark string) (evidence.Page[evidence.Withdrawal], error) {
	return chaincodetest.Ask[evidence.Page[evidence.Withdrawal]](c.Ledger, evidence.QueryWithdrawals, id, strconv.Itoa(size), bookmark)
}

// StaffDigest implements desk.Staff.
func (chain) StaffDigest(_ context.Context, id string) ([32]byte, error) {
	if id == "" {
		return [32]byte{}, errors.New("no identity")
	}
	return sha256.Sum256([]byte(id)), nil
}

// subjects knows one subject.
type subjects map[string]record.Patient

var errUnknown = errors.New("no such subject")

func (s subjects) Resolve(_ context.Context, _, name string) (record.Patient, error) {
	if p, ok := s[name]; ok {
		return p, nil
	}
	return record.Patient{}, errUnknown
}

type scene struct {
	chain
	institute *chaincodetest.Institute
	terms     evidence.ApplyProject
	desk      *desk.Desk
	log       *bytes.Buffer
}

func newScene(t *testing.T) *scene {
	t.Helper()
	c := chaincodetest.NewConsortium(t, 2)
	s := &scene{chain: chain{c, c.Members[0]}, institute: c.NewInstitute(t, "INST1"), log: &bytes.Buffer{}}
	require.NoError(t, c.Decree(s.me, s.institute.Registration()))
	s.terms = s.institute.Application("p1", s.me)
	require.NoError(t, s.institute.Say(s.me, s.terms))
	reader, err := project.NewReader(s.chain, []*smcrypto.Certificate{c.Authority.Cert}, nil, nil)
	require.NoError(t, err)
	s.desk, err = desk.NewDesk(desk.Config{MSP: "H1MSP", Ledger: s.chain, Projects: reader, Staff: s.chain,
		Subjects: subjects{"P-1": {Name: "测试患者"}}, Logger: slog.New(slog.NewTextHandler(s.log, nil))})
	require.NoError(t, err)
	return s
}

func (s *scene) view(t *testing.T) evidence.Project {
	t.Helper()
	p, err := s.Project(t.Context(), s.terms.ID)
	require.NoError(t, err)
	return p
}

func TestTheCommitteeDecides(t *testing.T) {
	s := newScene(t)
	two := []string{"C-1", "C-2"}
	for _, committee := range [][]string{nil, {"C-1"}, {"C-1", " C-1"}, {"C-1", ""}, {"C-1", "C-2", "C-1"}} {
		_, err := s.desk.Decide(t.Context(), desk.Decision{Project: s.terms.ID, Approved: true, Committee: committee})
		require.ErrorIs(t, err, desk.ErrPersons)
	}
	_, err := s.desk.Decide(t.Context(), desk.Decision{Project: s.terms.ID, Terms: evidence.Digest{1}, Approved: true, Committee: two})
	require.ErrorIs(t, err, desk.ErrChanged)
	_, err = s.desk.Decide(t.Context(), desk.Decision{Project: s.terms.ID, Committee: two})
	require.ErrorIs(t, err, desk.ErrRequest, "a refusal needs a reason")
	_, err = s.desk.Decide(t.Context(), desk.Decision{Project: "INST1.none", Approved: true, Committee: two})
	var refusal *evidence.Refusal
	require.ErrorAs(t, err, &refusal)

	_, err = s.desk.Decide(t.Context(), desk.Decision{Project: s.terms.ID, Approved: true, Committee: two})
	require.NoError(t, err)
	assert.Equal(t, s.terms.NotAfter, s.view(t).Parts[0].Decision.NotAfter)
	until := time.Now().Add(time.Hour)
	_, err = s.desk.Decide(t.Context(), desk.Decision{Project: s.terms.ID, Approved: true, Committee: two, NotAfter: until})
	require.NoError(t, err)
	assert.Equal(t, until.UnixMilli(), s.view(t).Parts[0].Decision.NotAfter)
	_, err = s.desk.Decide(t.Context(), desk.Decision{Project: s.terms.ID, Reason: "withdrawn", Committee: two})
	require.NoError(t, err)
	assert.Equal(t, evidence.ProjectRefused, s.view(t).State(time.Now().UnixMilli()))
	assert.NotContains(t, s.log.String(), "C-1")
}

func TestWhoASubjectIsComesAfterTheLedger(t *testing.T) {
	s := newScene(t)
	ask := desk.Lookup{Project: s.terms.ID, Subject: "P-1", Reason: "urgent-finding", Staff: []string{"D-1", "D-2"}}
	_, _, err := s.desk.Reidentify(t.Context(), ask)
	var refusal *evidence.Refusal
	require.ErrorAs(t, err, &refusal, "the contract knows of no release, so nobody is told")

	approval, err := s.institute.Approval(s.terms.ID)
	require.NoError(t, err)
	_, err = s.Submit(t.Context(), approval)
	require.NoError(t, err)
	_, err = s.Submit(t.Context(), s.institute.Release(s.terms, 1))
	require.NoError(t, err)
	one := ask
	one.Staff = one.Staff[:1]
	_, _, err = s.desk.Reidentify(t.Context(), one)
	require.ErrorIs(t, err, desk.ErrPersons)
	blank := ask
	blank.Subject = ""
	_, _, err = s.desk.Reidentify(t.Context(), blank)
	require.ErrorIs(t, err, desk.ErrRequest)
	idle := ask
	idle.Reason = ""
	_, _, err = s.desk.Reidentify(t.Context(), idle)
	require.ErrorIs(t, err, desk.ErrRequest)

	id, patient, err := s.desk.Reidentify(t.Context(), ask)
	require.NoError(t, err)
	assert.Equal(t, "测试患者", patient.Name)
	page, err := chaincodetest.Ask[evidence.Page[evidence.Reidentification]](s.Ledger, evidence.QueryReidentifications, s.terms.ID, "10", "")
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	assert.Equal(t, id, page.Items[0].ID)
	other := ask
	other.Subject = "P-2"
	_, _, err = s.desk.Reidentify(t.Context(), other)
	require.ErrorIs(t, err, errUnknown)
	for _, secret := range []string{"D-1", "P-1", "测试患者"} {
		assert.NotContains(t, s.log.String(), secret)
	}
}
