package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/cdaexample"
	"github.com/emrbridge/emrbridge/adapters/cda/hip"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// fakeIndex keeps entries in memory. What the archive does not use is missing on purpose.
type fakeIndex struct {
	index.Store
	reserved map[record.ID][]index.Entry
	visible  []index.Entry
	content  map[record.ID][]byte
}

func (f *fakeIndex) Reserve(_ context.Context, s index.Submission, e []index.Entry) error {
	f.reserved[s.Record], f.content[s.Record] = e, s.Raw
	return nil
}

func (f *fakeIndex) Commit(_ context.Context, id record.ID) error {
	f.visible = append(f.visible, f.reserved[id]...)
	delete(f.reserved, id)
	return nil
}

func (f *fakeIndex) Abandon(_ context.Context, id record.ID) error {
	delete(f.reserved, id)
	delete(f.content, id)
	return nil
}

func (f *fakeIndex) Current(_ context.Context, kind, id string) (index.Entry, error) {
	for _, e := range slices.Backward(f.visible) {
		if e.Type == kind && e.ID == id {
			return e, nil
		}
	}
	return index.Entry{}, index.ErrNotFound
}

func (f *fakeIndex) Search(_ context.Context, q index.Query) (p index.Page, err error) {
	for _, e := range f.visible {
		ok := e.Type == q.Type && (len(q.IDs) == 0 || slices.Contains(q.IDs, e.ID))
		for _, alternatives := range q.Tokens {
			ok = ok && slices.ContainsFunc(alternatives, func(t index.Token) bool { return slices.Contains(e.Tokens, t) })
		}
		for _, d := range q.Dates {
			ok = ok && !e.From.Before(d.From) && (d.To.IsZero() || e.From.Before(d.To))
		}
		if ok {
			p.Entries = append(p.Entries, e)
		}
	}
	return p, nil
}

func (f *fakeIndex) Payload(_ context.Context, id record.ID) ([]byte, error) {
	if b, ok := f.content[id]; ok {
		return b, nil
	}
	return nil, index.ErrGone
}

// What was registered is found again, by every way that the platform asks; what was not
// made durable is not, nor what was erased.
func TestPlatformArchive(t *testing.T) {
	store := &fakeIndex{reserved: map[record.ID][]index.Entry{}, content: map[record.ID][]byte{}}
	var fail error
	var sent []hip.Submission
	a := &hipArchive{own: store, number: 1, msp: "H1MSP", zone: hl7.ChinaStandardTime, now: time.Now,
		submit: func(_ context.Context, m hip.Submission) error { sent = append(sent, m); return fail }}
	ctx := t.Context()
	typ, _ := cda.TypeByCode("C0039")
	d := cdaexample.Document(typ, 1)
	raw, err := cda.Render(d, cda.Roots{})
	require.NoError(t, err)
	sub := hip.Submission{Raw: raw, Sender: "EMR", ControlID: "1", Kind: "C0039", MediaType: cda.MediaType, Charset: "UTF-8", Document: d,
		Numbers: append(slices.Concat(d.Patient.IDs, d.Patient.PersonIDs), cda.ID{Root: "2.16.156.10011.2.5.1.4", Extension: "P1"})}

	fail = errors.New("full")
	require.ErrorIs(t, a.take(ctx, sub), fail)
	require.Empty(t, store.reserved)
	fail = nil
	require.NoError(t, a.take(ctx, sub))
	require.NoError(t, a.take(ctx, sub), "sent again")
	require.Len(t, store.visible, 1)
	require.Len(t, sent, 3)

	found := func(q hip.DocumentQuery) int {
		t.Helper()
		got, err := a.Documents(ctx, q)
		require.NoError(t, err)
		for _, f := range got {
			require.Equal(t, d.ID, f.Document.ID)
			require.Equal(t, q.Content, f.Content != nil)
		}
		return len(got)
	}
	p1 := []cda.ID{{Root: "2.16.156.10011.2.5.1.4", Extension: "P1"}}
	require.Equal(t, 1, found(hip.DocumentQuery{DocumentID: d.ID.Extension, Content: true}))
	require.Equal(t, 1, found(hip.DocumentQuery{Patient: p1, Visits: d.Patient.IDs, Types: []string{"C0038", "C0039"}, Author: d.Authors[0].ID.Extension}))
	require.Equal(t, 1, found(hip.DocumentQuery{Patient: p1, From: "20231201", To: "20231227"}), "the last day is within")
	require.Zero(t, found(hip.DocumentQuery{Patient: p1, From: "20231228"}))
	require.Zero(t, found(hip.DocumentQuery{Patient: p1, Types: []string{"C0001"}}))
	require.Zero(t, found(hip.DocumentQuery{DocumentID: "0000"}))

	person := cda.Patient{IDs: p1, Name: "甲"}
	message := []byte(`<PRPA_IN201311UV02 xmlns="urn:hl7-org:v3"><controlActProcess><patient><id><item root="2.16.156.10011.2.5.1.4" extension="P1"/></id><patientPerson><name>甲</name></patientPerson></patient></controlActProcess></PRPA_IN201311UV02>`)
	require.NoError(t, a.take(ctx, hip.Submission{Raw: message, Sender: "EMR", ControlID: "2", Kind: "PRPA_IN201311UV02", MediaType: hip.MediaType, Patient: &person, Numbers: p1}))
	people, err := a.Patients(ctx, hip.PatientQuery{IDs: p1})
	require.NoError(t, err)
	require.Len(t, people, 1)
	require.Equal(t, "甲", people[0].Name)

	require.NoError(t, a.again(ctx, index.Submission{Raw: message, Kind: "PRPA_IN201311UV02"}))
	require.Equal(t, hip.MediaType, sent[len(sent)-1].MediaType)
	clear(store.content)
	require.Zero(t, found(hip.DocumentQuery{DocumentID: d.ID.Extension}), "erased")
}
