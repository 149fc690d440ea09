package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/hip"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// What the archive of the platform's service keeps: documents by their number, persons by
// the first of theirs.
const (
	archivedDocument = "ClinicalDocument"
	archivedPerson   = "Person"

	tokenNumber = "number" // a number of the patient or the visit
	tokenType   = "type"
	tokenAuthor = "author"

	linkCharset = "charset"
)

// Bounds of one answer.
const (
	maxArchived      = 100
	maxArchivedBytes = 32 << 20
)

// hipArchive finds the documents and persons that came in over the platform's service. It
// keeps keyed digests of what they can be found by, and opens the content from the sealed
// records; see package bridge/view.
type hipArchive struct {
	own    index.Store
	number uint16
	msp    string
	zone   *time.Location
	submit func(context.Context, hip.Submission) error
	now    func() time.Time
}

// take makes a submission durable and findable.
func (a *hipArchive) take(ctx context.Context, m hip.Submission) error {
	e, ok := a.entry(m)
	if !ok {
		return a.submit(ctx, m)
	}
	current, err := a.own.Current(ctx, e.Type, e.ID)
	switch {
	case err == nil && current.Record == e.Record:
		return a.submit(ctx, m) // sent again
	case err == nil:
		e.Version = current.Version + 1
	case !errors.Is(err, index.ErrNotFound):
		return err
	}
	s := index.Submission{Record: e.Record, Raw: m.Raw, Sender: m.Sender, ControlID: m.ControlID, Kind: m.Kind, RoutingHint: m.RoutingHint, ReceivedAt: m.ReceivedAt}
	if err := a.own.Reserve(ctx, s, []index.Entry{e}); err != nil {
		if errors.Is(err, index.ErrConflict) { // the same at the same time: the other one makes it findable
			return a.submit(ctx, m)
		}
		return err
	}
	after := context.WithoutCancel(ctx)
	if err := a.submit(ctx, m); err != nil {
		return errors.Join(err, a.own.Abandon(after, e.Record))
	}
	return a.own.Commit(after, e.Record)
}

// entry says how a submission is found; ok is false for what is not.
func (a *hipArchive) entry(m hip.Submission) (e index.Entry, ok bool) {
	e = index.Entry{Version: 1, Updated: a.now().UTC(), Method: "POST", Part: -1, Links: map[string]string{linkCharset: m.Charset},
		Record: record.NewID(record.Origin{HospitalNumber: a.number, HospitalMSP: a.msp, Sender: m.Sender, ControlID: m.ControlID, Payload: m.Raw})}
	numbers := m.Numbers
	switch {
	case m.Document != nil:
		d := m.Document
		e.Type, e.ID = archivedDocument, documentNumber(d)
		e.Tokens = append(e.Tokens, index.Token{Parameter: tokenType, Value: d.Code.Code})
		for _, p := range d.Authors {
			e.Tokens = append(e.Tokens, index.Token{Parameter: tokenAuthor, Value: p.ID.Extension})
		}
		if d.Encounter != nil {
			numbers = slices.Concat(numbers, d.Encounter.IDs)
		}
		if t, err := hl7.ParseTime(d.Time, a.zone); err == nil {
			e.From = t.Time()
			e.To = e.From.Add(time.Second)
		}
	case m.Patient != nil && len(numbers) > 0:
		e.Type, e.ID = archivedPerson, numbers[0].String()
	default:
		return e, false
	}
	for _, id := range numbers {
		if t := (index.Token{Parameter: tokenNumber, System: id.Root, Value: id.Extension}); id.Extension != "" && !slices.Contains(e.Tokens, t) {
			e.Tokens = append(e.Tokens, t)
		}
	}
	return e, e.ID != ""
}

func documentNumber(d *cda.Document) string {
	if d.ID.Extension != "" {
		return d.ID.Extension
	}
	return d.ID.Root
}

// again submits what was reserved and not committed before a crash.
func (a *hipArchive) again(ctx context.Context, s index.Submission) error {
	m := hip.Submission{Raw: s.Raw, Sender: s.Sender, ControlID: s.ControlID, Kind: s.Kind, RoutingHint: s.RoutingHint,
		ReceivedAt: s.ReceivedAt, MediaType: cda.MediaType}
	if strings.HasPrefix(s.Kind, "PRPA_") {
		m.MediaType, m.Charset = hip.MediaType, "UTF-8"
	}
	return a.submit(ctx, m)
}

func tokens(ids []cda.ID) []index.Token {
	out := make([]index.Token, len(ids))
	for i, id := range ids {
		out[i] = index.Token{Parameter: tokenNumber, System: id.Root, Value: id.Extension}
	}
	return out
}

// Documents implements hip.Archive.
func (a *hipArchive) Documents(ctx context.Context, q hip.DocumentQuery) ([]hip.Found, error) {
	page, err := a.own.Search(ctx, a.question(q))
	if err != nil {
		return nil, err
	}
	var out []hip.Found
	size := 0
	for _, e := range page.Entries {
		raw, err := a.own.Payload(ctx, e.Record)
		if errors.Is(err, index.ErrGone) || errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		d, err := cda.Parse(raw, cda.ReadOptions{AnyNamespace: true, Encoding: safexml.Encoding{Default: e.Links[linkCharset], Force: e.Links[linkCharset] != ""}})
		if err != nil {
			return nil, fmt.Errorf("cda archive: %w", err)
		}
		if size += len(raw); q.Content && size > maxArchivedBytes && len(out) > 0 {
			break
		}
		f := hip.Found{Document: d}
		if q.Content {
			f.Content = raw
		}
		out = append(out, f)
	}
	return out, nil
}

// question translates a query of the platform.
func (a *hipArchive) question(q hip.DocumentQuery) index.Query {
	ask := index.Query{Type: archivedDocument, Sort: "-date", Limit: maxArchived}
	if q.DocumentID != "" {
		ask.IDs = []string{q.DocumentID}
	}
	for _, ids := range [][]cda.ID{q.Patient, q.Visits} {
		if len(ids) > 0 {
			ask.Tokens = append(ask.Tokens, tokens(ids))
		}
	}
	if len(q.Types) > 0 {
		var types []index.Token
		for _, t := range q.Types {
			types = append(types, index.Token{Parameter: tokenType, Value: t})
		}
		ask.Tokens = append(ask.Tokens, types)
	}
	if q.Author != "" {
		ask.Tokens = append(ask.Tokens, []index.Token{{Parameter: tokenAuthor, Value: q.Author}})
	}
	if r, ok := a.period(q.From, q.To); ok {
		ask.Dates = []index.Range{r}
	}
	return ask
}

// period reads the bounds of a query; ok is false where there are none that can be read.
func (a *hipArchive) period(from, to string) (r index.Range, ok bool) {
	if t, err := hl7.ParseTime(from, a.zone); err == nil && from != "" {
		r.From, ok = t.Time(), true
	}
	if t, err := hl7.ParseTime(to, a.zone); err == nil && to != "" {
		r.To, ok = t.Time().Add(time.Second), true
		if t.Precision <= record.Day {
			r.To = t.Time().AddDate(0, 0, 1)
		}
	}
	return r, ok
}

// Patients implements hip.Registry.
func (a *hipArchive) Patients(ctx context.Context, q hip.PatientQuery) ([]cda.Patient, error) {
	if len(q.IDs) == 0 {
		return nil, nil // names are not indexed
	}
	page, err := a.own.Search(ctx, index.Query{Type: archivedPerson, Tokens: [][]index.Token{tokens(q.IDs)}, Limit: maxArchived})
	if err != nil {
		return nil, err
	}
	var out []cda.Patient
	for _, e := range page.Entries {
		raw, err := a.own.Payload(ctx, e.Record)
		if errors.Is(err, index.ErrGone) || errors.Is(err, index.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p, err := hip.PatientOf(raw, safexml.Limits{})
		if err != nil {
			return nil, fmt.Errorf("cda archive: %w", err)
		}
		if q.Name == "" || p.Name == q.Name {
			out = append(out, p)
		}
	}
	return out, nil
}
