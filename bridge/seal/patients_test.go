package seal_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/seal"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// newIndexed is a world with a patient index.
func newIndexed(t *testing.T) (*world, *patientindex.Index) {
	t.Helper()
	w := newWorld(t)
	index, err := patientindex.Open(t.Context(), filepath.Join(t.TempDir(), "patients"), patientindex.Options{HospitalMSP: "H1MSP", Keys: w.keys})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, index.Close()) })
	w.h = seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: w.keys, Store: w.store, Patients: index})
	return w, index
}

func number(kind record.IdentifierType, value string) record.Identifier {
	return record.Identifier{Authority: "H1", Type: kind, Value: value}
}

// handled seals a record and returns all that the stage hands on.
func (w *world) handled(t *testing.T, r *record.Record) (seal.Stored, []bus.Message) {
	t.Helper()
	out, err := w.h.Handle(t.Context(), messageOf(t, r))
	require.NoError(t, err)
	s, err := seal.ParseStored(out[0].Body)
	require.NoError(t, err)
	return s, out[1:]
}

func merging(control, text string, ids ...record.Identifier) *record.Record {
	r := sample(control, ids...)
	r.Kind, r.Metadata = "ADT^A40", map[string]string{patientindex.MetadataKey: text}
	return r
}

func TestLinksTravelWithTheRecordThatBringsThem(t *testing.T) {
	w, _ := newIndexed(t)
	before, _ := w.handled(t, sample("1", number(record.LocalPatient, "P1")))
	r := sample("2", number(record.LocalPatient, "P1"), number(record.ResidentID, goodResident))
	joined, told := w.handled(t, r)
	require.Len(t, joined.Links, 1)
	assert.Empty(t, told)
	assert.Equal(t, [2]evidence.Tag{before.Entry.Tag, joined.Entry.Tag}, [2]evidence.Tag{joined.Links[0].From, joined.Links[0].To})
	again, _ := w.handled(t, r)
	assert.Equal(t, joined, again, "a message that comes again says the same")
	after, _ := w.handled(t, sample("3", number(record.LocalPatient, "P1")))
	assert.Equal(t, before.Registration, after.Registration, "one T_R for one tag")
	assert.Empty(t, after.Links)
}

func TestMergesThatAreRefusedAreSealedAndTold(t *testing.T) {
	w, index := newIndexed(t)
	const self = `{"event":"ADT^A40","survivor":[{"authority":"H1","type":"local-patient","value":"P1"}],"prior":[{"authority":"H1","type":"local-patient","value":"P1"}]}`
	for code, text := range map[patientindex.Code]string{patientindex.MergeSelf: self, patientindex.MergeUnreadable: "{"} {
		r := merging("refused "+string(code), text, number(record.LocalPatient, "P1"))
		s, told := w.handled(t, r)
		assert.Empty(t, s.Links)
		require.Len(t, told, 1)
		assert.Equal(t, stage.Incident, told[0].Meta.Stage)
		assert.Equal(t, string(code), told[0].Meta.Code)
		_, err := w.store.Stat(t.Context(), r.ID)
		require.NoError(t, err, "it is evidence all the same")
	}
	changes, err := index.Changes(t.Context(), 0, 10, false)
	require.NoError(t, err)
	assert.Empty(t, changes)
}

// A record that comes again after a merge that was carried out since must not speak against it.
func TestAMessageThatComesAgainTeachesNothing(t *testing.T) {
	w, index := newIndexed(t)
	other := number(record.ResidentID, "110105194912310046")
	w.handled(t, sample("1", number(record.LocalPatient, "P1"), number(record.ResidentID, goodResident)))
	conflict := sample("2", number(record.LocalPatient, "P1"), other)
	_, told := w.handled(t, conflict)
	require.Len(t, told, 1)
	settle := `{"event":"ADT^A40","survivor":[{"type":"resident-id","value":"` + goodResident + `"}],"prior":[{"authority":"H1","type":"local-patient","value":"P1"}]}`
	w.handled(t, merging("3", settle, number(record.ResidentID, goodResident)))
	before, err := index.Resolve(t.Context(), []record.Identifier{number(record.LocalPatient, "P1")})
	require.NoError(t, err)
	require.Len(t, before.Tags, 2)
	w.handled(t, conflict)
	after, err := index.Resolve(t.Context(), []record.Identifier{number(record.LocalPatient, "P1")})
	require.NoError(t, err)
	assert.Equal(t, before, after)
}

func TestRecordsWithoutAPatientStandAlone(t *testing.T) {
	w, _ := newIndexed(t)
	a, _ := w.handled(t, sample("1"))
	b, _ := w.handled(t, sample("2"))
	assert.NotEqual(t, a.Entry.Tag, b.Entry.Tag)
	again, _ := w.handled(t, sample("1"))
	assert.Equal(t, a, again)
	weak, _ := w.handled(t, sample("3", number(record.ResidentID, "110105194912310021")))
	assert.False(t, weak.Registration.IsZero())
}

// failingIndex is an index whose disk is full.
type failingIndex struct{ err error }

func (f failingIndex) Observe(context.Context, patientindex.Evidence) (patientindex.Filing, error) {
	return patientindex.Filing{}, f.err
}

func (f failingIndex) Merge(context.Context, patientindex.Evidence, ...patientindex.Merge) (patientindex.Filing, error) {
	return patientindex.Filing{}, f.err
}

func (f failingIndex) Filed(context.Context, record.ID, evidence.Tag) (patientindex.Filing, error) {
	return patientindex.Filing{}, f.err
}

func TestAnIndexThatIsAwayHoldsUpTheStageAndBlamesNoItem(t *testing.T) {
	w := newWorld(t)
	for _, cause := range []error{patientindex.ErrFull, patientindex.ErrClosed, patientindex.ErrCorrupt} {
		h := seal.New(seal.Deps{HospitalNumber: 1, HospitalMSP: "H1MSP", Custody: w.keys, Store: w.store, Patients: failingIndex{cause}})
		_, err := h.Handle(t.Context(), messageOf(t, sample("1")))
		var away *stage.UnavailableError
		require.ErrorAs(t, err, &away)
		require.Equal(t, seal.NeighbourPatients, away.Neighbour)
		require.True(t, errors.Is(err, cause))
	}
}

func TestRebuildRepeatsWhatRecordsSay(t *testing.T) {
	w, index := newIndexed(t)
	w.handled(t, sample("1", number(record.LocalPatient, "P1")))
	w.handled(t, sample("2", number(record.LocalPatient, "P1"), number(record.ResidentID, goodResident)))
	gone, _ := w.handled(t, sample("3", number(record.LocalPatient, "P9")))
	require.NoError(t, w.keys.DestroyPatient(t.Context(), gone.Entry.Tag))
	want, err := index.Resolve(t.Context(), []record.Identifier{number(record.LocalPatient, "P1")})
	require.NoError(t, err)
	o := patientindex.Options{HospitalMSP: "H1MSP", Keys: w.keys}
	dir := filepath.Join(t.TempDir(), "anew")
	var done seal.Rebuilt
	require.NoError(t, patientindex.Rebuild(t.Context(), dir, o, func(ctx context.Context, x *patientindex.Index) (err error) {
		done, err = seal.Rebuilder{Custody: w.keys, Store: w.store, Patients: x}.Run(ctx)
		return err
	}))
	assert.Equal(t, seal.Rebuilt{Records: 2, Erased: 1}, done)
	anew, err := patientindex.Open(t.Context(), dir, o)
	require.NoError(t, err)
	defer anew.Close()
	got, err := anew.Resolve(t.Context(), []record.Identifier{number(record.LocalPatient, "P1")})
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

// FuzzParseStored reads any body of emr.stored: what is accepted encodes to the same bytes.
func FuzzParseStored(f *testing.F) {
	entry := evidence.Entry{ID: evidence.RecordID{0, 1}, Tag: evidence.Tag{2}, CipherHash: evidence.Digest{3}, Pointer: []byte{4}}
	f.Add(seal.Stored{Entry: entry, Registration: evidence.Digest{9}}.Encode())
	f.Add(seal.Stored{Entry: entry, Links: []patientindex.Link{{From: evidence.Tag{1}, To: evidence.Tag{2}, Order: 3, Undo: true}, {From: evidence.Tag{5}, To: evidence.Tag{2}, Order: 4}}}.Encode())
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := seal.ParseStored(b)
		if err != nil {
			require.ErrorIs(t, err, evidence.ErrMalformed)
			return
		}
		require.Equal(t, b, s.Encode())
	})
}
