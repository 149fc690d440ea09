package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/gateway"
	"github.com/emrbridge/emrbridge/gateway/research"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/policy"
	"github.com/emrbridge/emrbridge/research/dataset"
	"github.com/emrbridge/emrbridge/research/depot"
	"github.com/emrbridge/emrbridge/research/project"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// deleteWithin is how long an institute has to delete what a notice names.
const deleteWithin = 30 * 24 * time.Hour

// releaseLedger lets package release read and tell the ledger.
type releaseLedger struct {
	chain *chainclient.Client
	read  *project.Reader
	trust *retrieve.Trust
	msp   string
}

// sexes of the ledger's terms in GB/T 2261.1.
var sexes = map[string]string{"male": "1", "female": "2"}

// Project implements release.Ledger.
func (l releaseLedger) Project(ctx context.Context, id string) (release.Project, error) {
	p, err := l.read.Project(ctx, id)
	if err != nil {
		return release.Project{}, err
	}
	t := p.Terms
	part, _ := p.Part(l.msp)
	c := release.Criteria{Diagnoses: t.Cohort.Diagnoses, MinAge: int(t.Cohort.AgeFrom), MaxAge: int(t.Cohort.AgeTo), Sex: sexes[t.Cohort.Sex],
		From: t.Cohort.From, Kinds: t.Cohort.Kinds}
	if t.Cohort.To != 0 {
		c.To = t.Cohort.To + 1 // the ledger's end is included
	}
	return release.Project{
		ID: p.ID, Institute: p.Institute, Recipient: p.By.Encrypt, Proxy: t.Proxy, Criteria: c, Fields: t.Fields, Model: string(t.Sharing),
		Policy: t.Policy.Digest, MinGroup: int(t.MinGroup), NotAfter: t.Ends(),
		Closed: p.MayRelease(l.msp, time.Now().UnixMilli()), NextRelease: part.Releases + 1, NextNotice: part.Notices + 1,
	}, nil
}

// Consents implements release.Ledger.
func (l releaseLedger) Consents(ctx context.Context, tag evidence.Tag) ([]policy.Consent, error) {
	return l.trust.Consents(ctx, tag, nil)
}

// Released implements release.Ledger.
func (l releaseLedger) Released(ctx context.Context, id string, sequence uint32) (*release.Entry, release.Receipt, error) {
	r, err := l.read.Release(ctx, id, l.msp, sequence)
	if chainclient.IsNotFound(err) {
		return nil, release.Receipt{}, nil
	}
	if err != nil {
		return nil, release.Receipt{}, err
	}
	return &release.Entry{Project: id, Sequence: sequence, Root: r.Terms.Root, Delivery: r.Terms.Package}, release.Receipt{Signed: &r.Signed}, nil
}

// Record implements release.Ledger.
func (l releaseLedger) Record(ctx context.Context, e release.Entry) (release.Receipt, error) {
	by, err := l.read.Institute(ctx, e.Institute)
	if err != nil {
		return release.Receipt{}, err
	}
	return l.submit(ctx, evidence.RecordRelease{
		Project: e.Project, Sequence: e.Sequence, Root: e.Root, Package: e.Delivery, Recipient: by.EncryptCert, Rows: e.Rows, Subjects: e.Subjects,
		Policy: e.PolicyDigest, Risk: evidence.Risk{K: e.K, MaxPermille: e.MaxRisk, AveragePermille: e.AverageRisk}, Gate: true,
	})
}

func (l releaseLedger) submit(ctx context.Context, body evidence.Body) (release.Receipt, error) {
	c, err := l.chain.Submit(ctx, body)
	if err != nil {
		return release.Receipt{}, err
	}
	return release.Receipt{TxID: c.TxID, Signed: &c.Signed}, nil
}

// Noticed implements release.Ledger.
func (l releaseLedger) Noticed(ctx context.Context, n release.Notice) (bool, release.Receipt, error) {
	list, err := l.read.Withdrawals(ctx, n.Project)
	if err != nil {
		return false, release.Receipt{}, err
	}
	for _, w := range list {
		if w.Hospital != l.msp || w.Terms.Sequence != n.Sequence {
			continue
		}
		if w.Terms.Subjects != evidence.SubjectsDigest(n.Subjects) {
			return false, release.Receipt{}, fmt.Errorf("the ledger has another notice %d of this hospital for %s", n.Sequence, n.Project)
		}
		return true, release.Receipt{Signed: &w.Signed}, nil
	}
	return false, release.Receipt{}, nil
}

// Notify implements release.Ledger.
func (l releaseLedger) Notify(ctx context.Context, n release.Notice) (release.Receipt, error) {
	return l.submit(ctx, evidence.WithdrawSubjects{Project: n.Project, Sequence: n.Sequence, Subjects: evidence.SubjectsDigest(n.Subjects),
		Count: uint32(len(n.Subjects)), Reason: "consent-withdrawn", DueBy: time.Now().Add(deleteWithin).UnixMilli()})
}

// indexTags tells under which tags a person's records lie.
type indexTags struct{ *patientindex.Index }

// Tags implements release.Patients.
func (x indexTags) Tags(ctx context.Context, tag evidence.Tag) ([]evidence.Tag, error) {
	p, err := x.ByTag(ctx, tag)
	if errors.Is(err, patientindex.ErrUnknown) {
		return []evidence.Tag{tag}, nil
	}
	if err != nil {
		return nil, err
	}
	tags := []evidence.Tag{p.Tag}
	for _, t := range p.Tags {
		if t.Tag != p.Tag {
			tags = append(tags, t.Tag)
		}
	}
	return tags, nil
}

// carrier brings parts to the proxy hospital, or into the own depot where this is it.
type carrier struct {
	msp    string
	depot  *depot.Depot
	trust  *retrieve.Trust
	client *gateway.Client
}

// Carry implements release.Carrier.
func (c carrier) Carry(ctx context.Context, proxy string, envelope []byte, d dataset.Delivery, open func(int) (io.ReadSeekCloser, error)) error {
	if proxy == c.msp {
		return c.keep(envelope, d, open)
	}
	to, err := c.trust.Active(ctx, proxy)
	if err != nil {
		return err
	}
	http, base, err := c.client.HTTP(to)
	if err != nil {
		return err
	}
	return (&research.Client{HTTP: http, Base: base}).Put(ctx, envelope, d, open)
}

// keep puts a part into the own depot.
func (c carrier) keep(envelope []byte, d dataset.Delivery, open func(int) (io.ReadSeekCloser, error)) error {
	s, err := c.depot.Begin(envelope)
	if err != nil {
		return err
	}
	for i, v := range d.Volumes {
		if s.Sizes[i] == v.Size {
			continue
		}
		if err := c.keepVolume(depot.PlaceOf(d), i, s.Sizes[i], open); err != nil {
			return err
		}
	}
	return nil
}

func (c carrier) keepVolume(p depot.Place, i int, have int64, open func(int) (io.ReadSeekCloser, error)) error {
	f, err := open(i)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Seek(have, io.SeekStart); err != nil {
		return err
	}
	_, err = c.depot.Append(p, i, have, f)
	return err
}

// partChecks are what the proxy hospital asks before it keeps a part or hands it over.
type partChecks struct {
	msp      string
	read     *project.Reader
	trust    *retrieve.Trust
	provider smcrypto.Provider
	roots    []*smcrypto.Certificate
}

// hospital lets the active member with this gateway key in.
func (c partChecks) hospital(ctx context.Context, msp string, key evidence.Digest) error {
	party, err := c.trust.Active(ctx, msp)
	if err == nil && !party.GatewayKey.Equal(key) {
		err = gateway.ErrPeerKey
	}
	if err != nil {
		return fmt.Errorf("%w: %w", research.ErrCaller, err)
	}
	return nil
}

// institute lets the institute of a project in whose proxy this hospital is.
func (c partChecks) institute(ctx context.Context, id string, key evidence.Digest) error {
	if !evidence.ValidProject(id) {
		return research.ErrCaller
	}
	p, err := c.read.Project(ctx, id)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", research.ErrCaller, err)
	case p.Terms.Proxy != c.msp || !p.By.Active || p.By.TLSKey.IsZero() || !p.By.TLSKey.Equal(key):
		return research.ErrCaller
	}
	return nil
}

// accept compares a delivery with the ledger: the hospital signed it, the project's proxy is
// this hospital, and a release is anchored with this root and this delivery.
func (c partChecks) accept(ctx context.Context, e dataset.Envelope, d dataset.Delivery) error {
	if _, err := e.Verify(c.provider, d, c.roots); err != nil {
		return err
	}
	p, err := c.read.Project(ctx, d.Project)
	if err != nil {
		return err
	}
	if p.Terms.Proxy != c.msp || p.Institute != d.Institute {
		return errors.New("the delivery is for another proxy hospital or institute")
	}
	if d.Kind == dataset.Notice {
		return c.notice(ctx, d)
	}
	r, err := c.read.Release(ctx, d.Project, d.Hospital, d.Sequence)
	if err != nil {
		return err
	}
	if r.Terms.Root != d.Root || r.Terms.Package != e.Digest(c.provider) {
		return errors.New("the ledger shows another release under this number")
	}
	return nil
}

// notice requires that the ledger shows the notice, so that nobody fills the depot.
func (c partChecks) notice(ctx context.Context, d dataset.Delivery) error {
	list, err := c.read.Withdrawals(ctx, d.Project)
	if err != nil {
		return err
	}
	for _, w := range list {
		if w.Hospital == d.Hospital && w.Terms.Sequence == d.Sequence {
			return nil
		}
	}
	return errors.New("the ledger shows no such notice")
}
