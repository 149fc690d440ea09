package patientindex_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

func TestMain(m *testing.M) {
	if crashChild() {
		return
	}
	goleak.VerifyTestMain(m)
}

// testKeys stands for a keystore: keyed digests, and the check of resident numbers.
type testKeys struct{ key string }

func (k testKeys) digest(parts ...string) (d [32]byte) {
	h := hmac.New(sha256.New, []byte(k.key))
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	h.Sum(d[:0])
	return d
}

func (k testKeys) PatientToken(_ context.Context, id keystore.Identity) (keystore.Token, error) {
	if id.ResidentID != "" {
		normal, err := keystore.NormalizeResidentID(id.ResidentID)
		return k.digest("resident", normal), err
	}
	if id.Local.Value == "" || len(id.Local.Value) > 128 {
		return keystore.Token{}, keystore.ErrIdentity
	}
	return k.digest("local", id.Local.MSPID, id.Local.Authority, id.Local.Type, id.Local.Value), nil
}

func (k testKeys) Tag(_ context.Context, token keystore.Token) (t keystore.Tag, err error) {
	d := k.digest("tag", string(token[:]))
	copy(t[:], d[:])
	return t, nil
}

func (k testKeys) RegistrationDigest(_ context.Context, pi, no string) ([32]byte, error) {
	return k.digest("registration", pi, no), nil
}

// resident makes valid resident numbers that differ by n.
func resident(n int) record.Identifier {
	base := fmt.Sprintf("110101199003%05d", 7000+n)
	sum := 0
	for i, w := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(base[i]-'0') * w
	}
	return record.Identifier{Type: record.ResidentID, Value: base + string("10X98765432"[sum%11])}
}

func local(v string) record.Identifier {
	return record.Identifier{Authority: "H1", Type: record.LocalPatient, Value: v}
}

func visit(v string) record.Identifier {
	return record.Identifier{Authority: "H1", Type: record.InpatientNo, Value: v}
}

func medical(v string) record.Identifier {
	return record.Identifier{Authority: "H1", Type: record.MedicalNo, Value: v}
}

// clinic is an index with records that are numbered as they come.
type clinic struct {
	t *testing.T
	*patientindex.Index
	n int
}

func open(t *testing.T, dir string) *patientindex.Index {
	t.Helper()
	x, err := patientindex.Open(t.Context(), dir, patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}})
	require.NoError(t, err)
	return x
}

func newClinic(t *testing.T) *clinic {
	t.Helper()
	c := &clinic{t: t, Index: open(t, filepath.Join(t.TempDir(), "patients"))}
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func (c *clinic) evidence(ids ...record.Identifier) patientindex.Evidence {
	c.n++
	return patientindex.Evidence{Record: recordNo(c.n), Event: "ADT^A08", At: int64(c.n), Identifiers: ids}
}

func recordNo(n int) record.ID { return record.ID{0, 1, byte(n >> 16), byte(n >> 8), byte(n)} }

// see observes a record, twice, since everything is delivered twice sooner or later.
func (c *clinic) see(ids ...record.Identifier) patientindex.Filing {
	c.t.Helper()
	e := c.evidence(ids...)
	f, err := c.Observe(c.t.Context(), e)
	require.NoError(c.t, err)
	again, err := c.Observe(c.t.Context(), e)
	require.NoError(c.t, err)
	require.Equal(c.t, f, again)
	return f
}

// merge carries out an A40, twice.
func (c *clinic) merge(survivor, prior []record.Identifier) patientindex.Filing {
	c.t.Helper()
	return c.message(patientindex.Merge{Event: "A40", Survivor: survivor, Prior: prior})
}

func (c *clinic) message(m patientindex.Merge) patientindex.Filing {
	c.t.Helper()
	e := c.evidence(m.Survivor...)
	e.Event = "ADT^" + m.Event
	f, err := c.Merge(c.t.Context(), e, m)
	require.NoError(c.t, err)
	again, err := c.Merge(c.t.Context(), e, m)
	require.NoError(c.t, err)
	if len(f.Links)+len(f.Incidents) > 0 {
		require.Equal(c.t, f, again)
	}
	return f
}

func (c *clinic) person(ids ...record.Identifier) patientindex.Person {
	c.t.Helper()
	p, err := c.Resolve(c.t.Context(), ids)
	require.NoError(c.t, err)
	return p
}

func tagsOf(p patientindex.Person) (out []evidence.Tag) {
	for _, t := range p.Tags {
		out = append(out, t.Tag)
	}
	return out
}

func ids(list ...record.Identifier) []record.Identifier { return list }

func TestALocalNumberFollowsItsResidentNumber(t *testing.T) {
	c := newClinic(t)
	both := c.see(local("P1"), resident(1))
	alone := c.see(local("P1"))
	assert.Equal(t, both.Tag, alone.Tag)
	assert.Equal(t, both.Registration, alone.Registration, "one T_R for one tag")
	assert.Empty(t, both.Links, "nothing was sealed under the local number")
	assert.Equal(t, both.Tag, c.see(visit("Z1"), local("P1")).Tag)
	assert.Equal(t, both.Tag, c.see(visit("Z1")).Tag, "the visit is the patient's")
	assert.NotEqual(t, both.Tag, c.see(local("P2")).Tag)
}

func TestAResidentNumberThatComesLaterJoins(t *testing.T) {
	c := newClinic(t)
	before := c.see(local("P1"))
	joined := c.see(local("P1"), resident(1))
	require.NotEqual(t, before.Tag, joined.Tag)
	require.Len(t, joined.Links, 1)
	assert.Equal(t, before.Tag, joined.Links[0].From)
	assert.Equal(t, joined.Tag, joined.Links[0].To)
	assert.Equal(t, before.Tag, c.see(local("P1")).Tag, "records stay where their own number puts them: an undone join misfiles nothing")
	p := c.person(local("P1"))
	assert.Equal(t, joined.Tag, p.Tag, "the resident number stands for the person")
	assert.ElementsMatch(t, []evidence.Tag{before.Tag, joined.Tag}, tagsOf(p))
}

func TestTwoResidentNumbersForOneLocalNumberAreAnIncident(t *testing.T) {
	c := newClinic(t)
	first := c.see(local("P1"), resident(1))
	second := c.see(local("P1"), resident(2))
	assert.Equal(t, []patientindex.Code{patientindex.Conflict}, second.Incidents)
	assert.NotEqual(t, first.Tag, second.Tag)
	doubtful := c.see(local("P1"))
	assert.NotContains(t, []evidence.Tag{first.Tag, second.Tag}, doubtful.Tag, "doubt separates")
	assert.Empty(t, c.see(local("P1"), resident(2)).Incidents, "told once")
	assert.Equal(t, first.Tag, c.see(local("P1"), resident(1)).Tag)

	incidents, err := c.Incidents(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, incidents, 1)
	assert.Equal(t, second.Tag, incidents[0].Tag)

	settled := c.merge(ids(resident(2)), ids(local("P1")))
	require.Len(t, settled.Links, 1)
	assert.Empty(t, settled.Incidents)
	assert.Equal(t, second.Tag, c.person(local("P1")).Tag)

	third := c.see(local("P1"), resident(3))
	assert.Equal(t, []patientindex.Code{patientindex.Conflict}, third.Incidents, "settled, and contradicted again")
	assert.Len(t, c.person(local("P1")).Tags, 1, "doubt separates, also from whom it was settled for")
	assert.NotEqual(t, doubtful.Tag, c.see(local("P1")).Tag)
}

func TestWhatProvesNothingJoinsNothing(t *testing.T) {
	c := newClinic(t)
	junk := record.Identifier{Type: record.OtherID, Value: "0"}
	family := record.Identifier{Authority: "YB", Type: record.InsuranceNo, Value: "F1"}
	a := c.see(local("P1"), resident(1), junk, family)
	b := c.see(local("P2"), resident(2), junk, family)
	assert.NotEqual(t, a.Tag, b.Tag)
	assert.Empty(t, b.Incidents)
	assert.NotEqual(t, a.Tag, c.see(family).Tag)
	assert.Equal(t, c.see(junk).Tag, c.see(junk).Tag, "alone it still is a name")
	bad := record.Identifier{Type: record.ResidentID, Value: "110105194912310021"}
	assert.Equal(t, b.Tag, c.see(bad, local("P2")).Tag, "a bad check digit is passed over")
}

func TestAPlaceholderNumberJoinsNobody(t *testing.T) {
	c := newClinic(t)
	a := c.see(local("P1"), medical("000000"))
	b := c.see(local("P2"), medical("000000"))
	assert.NotEqual(t, a.Tag, b.Tag)
	assert.Equal(t, []patientindex.Code{patientindex.Ambiguous}, b.Incidents)
	for i := range 5 {
		f := c.see(local(fmt.Sprint("Q", i)), medical("000000"), resident(10+i))
		assert.Empty(t, f.Links)
		assert.Len(t, c.person(resident(10+i)).Tags, 1)
	}
	alone := c.see(medical("000000"))
	assert.NotContains(t, []evidence.Tag{a.Tag, b.Tag}, alone.Tag)
}

func TestMergeAndUndo(t *testing.T) {
	for name, undo := range map[string]func(c *clinic, of record.ID) patientindex.Filing{
		"A37": func(c *clinic, _ record.ID) patientindex.Filing {
			return c.message(patientindex.Merge{Event: "A37", Survivor: ids(local("P1")), Prior: ids(local("P2")), Undo: true})
		},
		"A37 the other way round": func(c *clinic, _ record.ID) patientindex.Filing {
			return c.message(patientindex.Merge{Event: "A37", Survivor: ids(local("P2")), Prior: ids(local("P1")), Undo: true})
		},
		"by record": func(c *clinic, of record.ID) patientindex.Filing {
			f, err := c.Unmerge(c.t.Context(), c.evidence(), patientindex.Merge{Event: "unmerge", Of: of})
			require.NoError(c.t, err)
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			one, two := c.see(local("P1")).Tag, c.see(local("P2")).Tag
			merged := c.merge(ids(local("P1")), ids(local("P2")))
			of := recordNo(c.n)
			require.Equal(t, one, merged.Tag)
			require.Len(t, merged.Links, 1)
			assert.Equal(t, [2]evidence.Tag{two, one}, [2]evidence.Tag{merged.Links[0].From, merged.Links[0].To})
			assert.Equal(t, one, c.person(local("P2")).Tag)
			assert.Equal(t, two, c.see(local("P2")).Tag, "sealed where its own number puts it")

			undone := undo(c, of)
			require.NoError(t, undone.Refused())
			require.Len(t, undone.Links, 1)
			assert.True(t, undone.Links[0].Undo)
			assert.Equal(t, two, undone.Links[0].From)
			assert.Greater(t, undone.Links[0].Order, merged.Links[0].Order)
			assert.Equal(t, two, c.person(local("P2")).Tag)
			assert.Len(t, c.person(local("P1")).Tags, 1)
			history, err := c.History(t.Context(), two)
			require.NoError(t, err)
			require.Len(t, history, 1, "what was undone stays in the history")
			assert.False(t, history[0].UndoneBy.IsZero())

			var refused *patientindex.RefusedError
			require.ErrorAs(t, undo(c, of).Refused(), &refused)
			assert.Equal(t, patientindex.MergeUnknown, refused.Code)

			assert.Len(t, c.merge(ids(local("P1")), ids(local("P2"))).Links, 1, "and may be merged again")
		})
	}
}

func TestRefusedMergesChangeNothing(t *testing.T) {
	p := func(n int) []record.Identifier { return ids(local(fmt.Sprint("P", n))) }
	for name, test := range map[string]struct {
		before          [][2]int // survivor, prior
		survivor, prior []record.Identifier
		want            patientindex.Code
	}{
		"self":                                  {nil, p(1), p(1), patientindex.MergeSelf},
		"self beside others":                    {nil, ids(local("P1"), visit("Z1")), p(1), patientindex.MergeSelf},
		"self and a number that proves nothing": {nil, p(1), ids(local("P1"), record.Identifier{Type: record.OtherID, Value: "x"}), patientindex.MergeSelf},
		"reversed":                              {[][2]int{{1, 2}}, p(2), p(1), patientindex.MergeReversed},
		"circular":                              {[][2]int{{2, 1}, {3, 2}}, p(1), p(3), patientindex.MergeCircular},
		"circular by way of three":              {[][2]int{{2, 1}, {3, 2}, {4, 3}}, p(1), p(4), patientindex.MergeCircular},
		"no prior":                              {nil, p(1), nil, patientindex.MergeIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClinic(t)
			for i := range 4 {
				c.see(p(i + 1)...)
			}
			for _, m := range test.before {
				require.NoError(t, c.merge(p(m[0]), p(m[1])).Refused())
			}
			before, err := c.Changes(t.Context(), 0, 100, false)
			require.NoError(t, err)
			f := c.message(patientindex.Merge{Event: "A40", Survivor: test.survivor, Prior: test.prior})
			var refused *patientindex.RefusedError
			require.ErrorAs(t, f.Refused(), &refused)
			assert.Equal(t, test.want, refused.Code)
			assert.Empty(t, f.Links)
			assert.False(t, f.Tag.IsZero(), "the message is sealed all the same")
			after, err := c.Changes(t.Context(), 0, 100, false)
			require.NoError(t, err)
			assert.Equal(t, before, after)
		})
	}
}

func TestAReversedMergeIsRefusedAlsoWhenBothHaveTheResidentNumber(t *testing.T) {
	c := newClinic(t)
	require.NoError(t, c.merge(ids(local("P1"), resident(1)), ids(local("P2"), resident(1))).Refused())
	var refused *patientindex.RefusedError
	require.ErrorAs(t, c.merge(ids(local("P2"), resident(1)), ids(local("P1"), resident(1))).Refused(), &refused)
	assert.Equal(t, patientindex.MergeReversed, refused.Code)
}

func TestTheResidentNumberStaysOnTop(t *testing.T) {
	c := newClinic(t)
	c.see(local("P1"))
	with := c.see(local("P2"), resident(2))
	f := c.merge(ids(local("P1")), ids(local("P2")))
	require.Len(t, f.Links, 1)
	assert.Equal(t, with.Tag, f.Links[0].To, "others ask by the resident number")
	assert.Equal(t, with.Tag, c.person(local("P1")).Tag)
}

func TestMergeOfTwoResidents(t *testing.T) {
	c := newClinic(t)
	a := c.see(local("P1"), resident(1))
	b := c.see(local("P2"), resident(2))
	f := c.merge(ids(local("P1")), ids(local("P2")))
	assert.Equal(t, []patientindex.Code{patientindex.MergeResidents}, f.Incidents, "carried out, and told")
	require.NoError(t, f.Refused())
	require.Len(t, f.Links, 1)
	assert.Equal(t, [2]evidence.Tag{b.Tag, a.Tag}, [2]evidence.Tag{f.Links[0].From, f.Links[0].To})

	// One of several numbers of a resident goes alone.
	c.see(local("P3"), resident(3))
	c.see(local("P4"), resident(3))
	f = c.merge(ids(local("P1")), ids(local("P4")))
	require.Len(t, f.Links, 1)
	assert.Equal(t, c.see(resident(3)).Tag, c.person(local("P3")).Tag, "the other number stays")
	assert.Equal(t, a.Tag, c.person(local("P4")).Tag)
}

func TestMergesOfAccountsAndVisitsLeavePersonsAlone(t *testing.T) {
	c := newClinic(t)
	c.see(local("P1"))
	c.see(local("P2"))
	for _, event := range []string{"A35", "A41", "A42", "A44", "A45", "A49", "A50", "ADT^A41"} {
		f := c.message(patientindex.Merge{Event: event, Survivor: ids(local("P1")), Prior: ids(local("P2"))})
		assert.Empty(t, f.Links, event)
		assert.Empty(t, f.Incidents, event)
	}
}

func TestAMessageWithSeveralMerges(t *testing.T) {
	c := newClinic(t)
	e := c.evidence(local("P1"))
	f, err := c.Merge(t.Context(), e,
		patientindex.Merge{Event: "ADT^A40", Subject: "patient", Survivor: ids(local("P1")), Prior: ids(local("P2"))},
		patientindex.Merge{Event: "ADT^A40", Subject: "patient", Survivor: ids(local("P1")), Prior: ids(local("P1"))},
		patientindex.Merge{Event: "ADT^A40", Subject: "visit", Survivor: ids(local("P1")), Prior: ids(local("P9"))},
		patientindex.Merge{Event: "ADT^A40", Subject: "patient", Survivor: ids(local("P1")), Prior: ids(local("P3"))})
	require.NoError(t, err)
	assert.Len(t, f.Links, 2, "one that is refused does not spoil the others")
	assert.Equal(t, []patientindex.Code{patientindex.MergeSelf}, f.Incidents)
	assert.Len(t, c.person(local("P3")).Tags, 3)
	again, err := c.Merge(t.Context(), e)
	require.NoError(t, err)
	assert.Equal(t, f, again)
}

func TestPriorWithoutAuthorityIsThatOfTheSurvivor(t *testing.T) {
	c := newClinic(t)
	two := c.see(local("P2")).Tag
	f := c.merge(ids(local("P1")), ids(record.Identifier{Type: record.LocalPatient, Value: "P2"}))
	require.Len(t, f.Links, 1)
	assert.Equal(t, two, f.Links[0].From)
}

func TestChainsAndStarsHaveTheirBounds(t *testing.T) {
	c := newClinic(t)
	for i := range evidence.MaxLinkDepth {
		require.NoError(t, c.merge(ids(local(fmt.Sprint("C", i+1))), ids(local(fmt.Sprint("C", i)))).Refused(), i)
	}
	var refused *patientindex.RefusedError
	require.ErrorAs(t, c.merge(ids(local("C17")), ids(local("C16"))).Refused(), &refused)
	assert.Equal(t, patientindex.TooMany, refused.Code)
}

func TestJoinUndoneStaysUndone(t *testing.T) {
	c := newClinic(t)
	alone := c.see(local("P1"))
	joined := c.see(local("P1"), resident(1))
	of := recordNo(c.n)
	f, err := c.Unmerge(t.Context(), c.evidence(), patientindex.Merge{Event: "unmerge", Of: of})
	require.NoError(t, err)
	require.Len(t, f.Links, 1)
	assert.Equal(t, alone.Tag, f.Tag)
	again := c.see(local("P1"), resident(1))
	assert.Empty(t, again.Links, "the same evidence does not join again by itself")
	assert.Equal(t, joined.Tag, again.Tag)
	assert.Equal(t, alone.Tag, c.person(local("P1")).Tag)
}

func TestNothingPersonalIsAtRest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "patients")
	c := &clinic{t: t, Index: open(t, dir)}
	c.see(local("SECRET-NUMBER-1"), resident(1), medical("SECRET-NUMBER-2"))
	c.merge(ids(local("SECRET-NUMBER-1")), ids(local("SECRET-NUMBER-3")))
	require.NoError(t, c.Close())
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		assert.NotContains(t, string(b), "SECRET-NUMBER", f)
		assert.NotContains(t, string(b), resident(1).Value, f)
		info, err := os.Stat(f)
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, f)
	}
	m := patientindex.Merge{Survivor: ids(local("SECRET-NUMBER-1"))}
	assert.NotContains(t, fmt.Sprint(m.LogValue(), c.evidence(local("SECRET-NUMBER-1")).LogValue()), "SECRET")
}

func TestOpening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "patients")
	_, err := patientindex.Open(t.Context(), dir, patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}, ReadOnly: true})
	require.Error(t, err)
	c := &clinic{t: t, Index: open(t, dir)}
	tag := c.see(local("P1")).Tag
	_, err = patientindex.Open(t.Context(), dir, patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}})
	require.ErrorIs(t, err, patientindex.ErrInUse)
	beside, err := patientindex.Open(t.Context(), dir, patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}, ReadOnly: true})
	require.NoError(t, err)
	p, err := beside.Resolve(t.Context(), ids(local("P1")))
	require.NoError(t, err)
	assert.Equal(t, tag, p.Tag)
	_, err = beside.Observe(t.Context(), c.evidence(local("P9")))
	require.ErrorIs(t, err, patientindex.ErrReadOnly)
	_, err = beside.Resolve(t.Context(), ids(local("P9")))
	require.ErrorIs(t, err, patientindex.ErrUnknown)
	_, err = beside.Observe(t.Context(), c.evidence())
	require.ErrorIs(t, err, patientindex.ErrUnnamed)
	require.NoError(t, beside.Close())
	require.NoError(t, c.Close())
	_, err = c.Observe(t.Context(), c.evidence(local("P1")))
	require.ErrorIs(t, err, patientindex.ErrClosed)
	_, err = patientindex.Open(t.Context(), dir, patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"other"}})
	require.ErrorIs(t, err, patientindex.ErrCorrupt)
	require.NoError(t, os.WriteFile(filepath.Join(dir, patientindex.FileName), []byte(strings.Repeat("not a database ", 100)), 0o600))
	_, err = patientindex.Open(t.Context(), dir, patientindex.Options{HospitalMSP: "H1MSP", Keys: testKeys{"k"}})
	require.ErrorIs(t, err, patientindex.ErrCorrupt)
}

func TestManyAtOnceAgree(t *testing.T) {
	c := newClinic(t)
	const workers, persons = 16, 20
	tags := make([][persons]evidence.Tag, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range persons {
				f, err := c.Observe(context.Background(), patientindex.Evidence{Record: recordNo(1000 + w*persons + i),
					Identifiers: ids(local(fmt.Sprint("P", i)), resident(i))})
				if assert.NoError(t, err) {
					tags[w][i] = f.Tag
				}
			}
		})
	}
	wg.Wait()
	for w := range workers {
		require.Equal(t, tags[0], tags[w])
	}
}

func TestMergeMetadata(t *testing.T) {
	m := patientindex.Merge{Event: "A40", Survivor: ids(local("P1")), Prior: ids(local("P2")), Of: recordNo(1)}
	text, err := m.MarshalJSON()
	require.NoError(t, err)
	back, err := patientindex.MergesOf(&record.Record{Metadata: map[string]string{"merge": string(text), "merge.2": string(text), "merge.move": string(text), "merge.account": "{"}})
	require.NoError(t, err)
	require.Equal(t, []patientindex.Merge{m, m, m}, back)
	back, err = patientindex.MergesOf(&record.Record{})
	require.NoError(t, err)
	require.Empty(t, back)
	for _, bad := range []string{"{", "[]", `{"of":"x"}`, `{"survivor":[` + strings.TrimSuffix(strings.Repeat(`{"type":"a","value":"b"},`, 40), ",") + `]}`, strings.Repeat(" ", 70_000)} {
		_, err := patientindex.MergesOf(&record.Record{Metadata: map[string]string{"merge": bad}})
		require.ErrorIs(t, err, patientindex.ErrMerge)
	}
}
