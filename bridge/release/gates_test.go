package release_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/research/fingerprint"
)

func TestGates(t *testing.T) {
	ctx := context.Background()
	t.Run("a leak refuses the release", func(t *testing.T) {
		c := newConsortium(t)
		c.fill()
		h := c.hospitals[0]
		h.leak = func(b []byte) bool { return bytes.Contains(b, []byte(`"id":"p4"`)) }
		s, err := h.releaser().Release(ctx, theProject, 1)
		require.ErrorIs(t, err, release.ErrLeak)
		assert.Equal(t, release.Planned, s.Stage)
		assert.Zero(t, c.recorded)
		h.change = func(cfg *release.Config) { cfg.HoldBack = true }
		s, err = h.releaser().Release(ctx, theProject, 1)
		require.NoError(t, err)
		assert.Equal(t, 2, s.Held["leak"])
		dir, _ := c.opened("H1MSP/release/1")
		assert.Len(t, column(t, dir, "tables/conditions.csv"), 18)
	})
	t.Run("too few for a group", func(t *testing.T) {
		c := newConsortium(t)
		c.fill()
		c.project.Model = "public"
		_, err := c.hospitals[0].releaser().Release(ctx, theProject, 1)
		require.ErrorIs(t, err, release.ErrRisk)
		assert.Zero(t, c.recorded)
	})
	t.Run("nobody", func(t *testing.T) {
		c := newConsortium(t)
		_, err := c.hospitals[0].releaser().Release(ctx, theProject, 1)
		require.ErrorIs(t, err, release.ErrNobody)
	})
	t.Run("a destroyed key", func(t *testing.T) {
		c := newConsortium(t)
		c.fill()
		h := c.hospitals[0]
		require.NoError(t, h.keys.DestroyPatient(ctx, keystore.Tag(h.tag(1))))
		s, err := h.releaser().Release(ctx, theProject, 1)
		require.NoError(t, err)
		assert.Equal(t, 9, s.Subjects)
		assert.Equal(t, 2, s.Held["key-destroyed"])
	})
	t.Run("the ledger is away", func(t *testing.T) {
		c := newConsortium(t)
		c.fill()
		c.down = errors.New("away")
		_, err := c.hospitals[0].releaser().Release(ctx, theProject, 1)
		require.Error(t, err)
		c.down = nil
		_, err = c.hospitals[0].releaser().Release(ctx, theProject, 1)
		require.NoError(t, err)
	})
	t.Run("kinds and fields", func(t *testing.T) {
		c := newConsortium(t)
		c.fill()
		c.consenting(4, func(k *policy.Consent) { k.Kinds = []string{"ADT^A01"} })
		c.project.Fields = []string{"Condition.code"}
		s, err := c.hospitals[0].releaser().Release(ctx, theProject, 1)
		require.NoError(t, err)
		assert.Equal(t, 9, s.Subjects, "the consent of patient 4 does not cover the records")
		dir, m := c.opened("H1MSP/release/1")
		for _, f := range m.Files {
			assert.NotContains(t, f.Name, "Observation")
		}
		b, err := os.ReadFile(filepath.Join(dir, "resources", "Condition.ndjson"))
		require.NoError(t, err)
		assert.NotContains(t, string(b), "Encounter/")
	})
}

func TestAfterTheProject(t *testing.T) {
	ctx, c := context.Background(), newConsortium(t)
	c.fill()
	r := c.hospitals[0].releaser()
	_, err := r.Release(ctx, theProject, 1)
	require.NoError(t, err)
	c.closed = errors.New("the term is over")
	c.project.NotAfter = c.now.Add(-time.Hour).UnixMilli()
	_, err = r.Release(ctx, theProject, 2)
	require.ErrorIs(t, err, release.ErrNotApproved)
	c.withdraw(3)
	c.now = c.now.Add(time.Minute)
	n, err := r.Notify(ctx, theProject)
	require.NoError(t, err, "who withdraws is still told of")
	assert.Equal(t, 1, n.Subjects)
	c.opened("H1MSP/notice/1")
}

func TestANoticeThatIsNotNeededAnyMore(t *testing.T) {
	ctx, c := context.Background(), newConsortium(t)
	c.fill()
	h := c.hospitals[0]
	_, err := h.releaser().Release(ctx, theProject, 1)
	require.NoError(t, err)
	c.withdraw(3)
	c.now = c.now.Add(time.Minute)
	h.change = func(cfg *release.Config) { cfg.Crash = func(step string) { panic(crash{step}) } }
	func() {
		defer func() { require.Equal(t, crash{"planned"}, recover()) }()
		_, _ = h.releaser().Notify(ctx, theProject)
	}()
	h.change = nil
	c.consenting(3, nil)
	for range 2 {
		n, err := h.releaser().Notify(ctx, theProject)
		require.NoError(t, err)
		assert.Nil(t, n)
	}
	assert.Empty(t, c.notices)
}

func TestACopyNamesItsRecipient(t *testing.T) {
	ctx, c := context.Background(), newConsortium(t)
	c.fill()
	h := c.hospitals[0]
	_, err := h.releaser().Release(ctx, theProject, 1)
	require.NoError(t, err)
	dir, _ := c.opened("H1MSP/release/1")
	key, err := h.keys.ProjectKey(ctx, theProject)
	require.NoError(t, err)
	var list []fingerprint.Candidate
	for _, name := range []string{"INST0", theInstitute, "INST2"} {
		list = append(list, fingerprint.Candidate{Recipient: name, Key: fingerprint.NewKey(key, name)})
	}
	b, err := os.ReadFile(filepath.Join(dir, "tables", "observations.csv"))
	require.NoError(t, err)
	lines := bytes.SplitAfter(b, []byte("\n"))
	found, err := fingerprint.Trace(bytes.NewReader(bytes.Join(lines[3:5], nil)), list)
	require.NoError(t, err)
	assert.True(t, found[0].Named)
	assert.Equal(t, theInstitute, found[0].Recipient)
	assert.False(t, found[1].Named)
}
