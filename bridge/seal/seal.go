// Package seal is the third hop: it makes EMR_en of the scheme and puts it into the store.
//
//	emr.normalized (EMR) ─▶ who is it ─▶ K_r ─▶ sign, encrypt ─▶ store ─▶ emr.stored (T_M, T_R)
//
// The steps, for each record:
//
//  1. The canonical bytes are read back, and must belong to the id they travel under.
//  2. The patient index says to whom the record belongs, learns from its numbers and carries
//     out merges. A merge holds up the stage (see the runtime in package bridge), so that what
//     came before it is filed before it. What the ledger is to be told goes along.
//  3. Custody derives the patient's tag and the digest of T_R, and makes K_p if the patient
//     is new. Nothing here needs the ledger, so a ledger outage never stops sealing: T_R goes
//     along to the anchor stage, which registers the patient before the record.
//  4. K_r is derived, the seal statement signed, EMR ‖ signature encrypted.
//  5. The store takes the sealed bytes unless the id is taken; it answers with what is there.
//     A record that is sealed again after a crash has other ciphertext (fresh nonces), so what
//     the store already holds is what is anchored, and the new ciphertext is thrown away.
//  6. The entry of what the store holds goes on.
//
// Invariant: an entry on emr.stored names bytes that the store has on disk.
package seal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Name is the name of the stage.
const Name = "seal"

// Neighbours of the stage, as readiness names them.
const (
	NeighbourKeystore = "keystore"
	NeighbourStore    = "record store"
	NeighbourPatients = "patient index"
)

// Reason codes.
const (
	CodeUnreadable   = "UNREADABLE"
	CodeIDMismatch   = "ID_MISMATCH"
	CodeForeign      = "FOREIGN_HOSPITAL"
	CodeKeyDestroyed = "KEY_DESTROYED"
	CodeIdentity     = "NO_IDENTITY"
	CodeSeal         = "SEAL_FAILED"
	CodeStore        = "STORE_REFUSES"
	CodeClaim        = "CLAIM_MISSING" // the body of a large record is gone or damaged
)

// custody is the part of key custody that sealing uses; keystore.Custody has it.
type custody interface {
	Sign(ctx context.Context, msg []byte) ([]byte, error)
	PatientToken(ctx context.Context, id keystore.Identity) (keystore.Token, error)
	Tag(ctx context.Context, token keystore.Token) (keystore.Tag, error)
	RegistrationDigest(ctx context.Context, pi, no string) ([smcrypto.DigestSize]byte, error)
	EnsurePatient(ctx context.Context, tag keystore.Tag) (epoch uint32, created bool, err error)
	RecordKey(ctx context.Context, tag keystore.Tag, epoch uint32, id keystore.RecordID) (smcrypto.Key, error)
}

// store is the part of the record store that sealing uses.
type store interface {
	Put(ctx context.Context, d recordstore.Draft, data []byte) (recordstore.Item, bool, error)
	PutStream(ctx context.Context, d recordstore.Draft, r io.Reader) (recordstore.Item, bool, error)
	Stat(ctx context.Context, id record.ID) (recordstore.Item, error)
	Stats(ctx context.Context) (recordstore.Stats, error)
}

// Deps is what the stage needs.
type Deps struct {
	HospitalNumber uint16
	HospitalMSP    string
	Custody        custody
	Store          store
	// Patients is the patient index; without one each number stands for itself.
	Patients patients
	Claims   bodies            // nil: records with large bodies are parked
	Provider smcrypto.Provider // nil: the default one
	Now      func() time.Time  // nil: time.Now
}

// New returns the handler of the stage.
func New(d Deps) stage.Handler {
	if d.Provider == nil {
		d.Provider = smcrypto.Default()
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return &handler{d: d, slots: make(chan struct{}, largeAtOnce)}
}

type handler struct {
	d     Deps
	slots chan struct{} // taken by large bodies being sealed
}

// Handle implements stage.Handler.
func (h *handler) Handle(ctx context.Context, m bus.Message) ([]bus.Message, error) {
	if m.Meta.Claim != "" {
		return h.large(ctx, m)
	}
	r, err := h.read(m)
	if err != nil {
		return nil, err
	}
	item, p, known, err := h.known(ctx, r)
	if err != nil {
		return nil, err
	}
	if known {
		return handOn(m.Meta, item, p, h.d.Now()), nil
	}
	if p, err = who(ctx, h.d.Custody, h.d.Patients, r); err != nil {
		return nil, custodyError(ctx, err)
	}
	draft, sealed, err := h.seal(ctx, r, m.Body, p.tag)
	if err != nil {
		return nil, err
	}
	if item, _, err = h.d.Store.Put(ctx, draft, sealed); err != nil {
		return nil, h.storeError(ctx, err)
	}
	return handOn(m.Meta, item, p, h.d.Now()), nil
}

// known finds a record that the store has already: the message comes again after a crash.
// The patient index must not learn from it anew, since a merge may have come in between.
func (h *handler) known(ctx context.Context, r *record.Record) (recordstore.Item, patient, bool, error) {
	item, err := h.d.Store.Stat(ctx, r.ID)
	if errors.Is(err, recordstore.ErrNotFound) {
		return item, patient{}, false, nil
	}
	if err != nil {
		return item, patient{}, false, h.storeError(ctx, err)
	}
	p, err := filed(ctx, h.d.Custody, h.d.Patients, r, item.Tag)
	if err != nil {
		return item, p, false, custodyError(ctx, err)
	}
	return item, p, true, nil
}

// handOn hands on what the store holds, and tells what the patient index found amiss.
func handOn(meta topology.Meta, item recordstore.Item, p patient, now time.Time) []bus.Message {
	out := []bus.Message{storedMessage(meta, item, p, now)}
	for _, code := range p.incidents {
		told := out[0].Meta
		told.Stage, told.Code = stage.Incident, string(code)
		out = append(out, bus.Message{Subject: topology.Trail, Meta: told})
	}
	return out
}

// storedMessage is the message about what the store holds.
func storedMessage(meta topology.Meta, item recordstore.Item, p patient, now time.Time) bus.Message {
	meta.Stage, meta.Code, meta.Tag, meta.At = stage.Stored, "", item.Tag.String(), now.Truncate(time.Millisecond)
	meta.Barrier = false
	return bus.Message{Subject: topology.Stored, Meta: meta,
		Body: Stored{Entry: item.Entry(), Registration: p.registration, Links: p.links}.Encode()}
}

func (h *handler) read(m bus.Message) (*record.Record, error) {
	r, err := record.Parse(m.Body)
	if err != nil {
		return nil, stage.Reject(CodeUnreadable, err)
	}
	return r, h.own(m, r)
}

// own refuses a record that does not belong under this id or in this hospital.
func (h *handler) own(m bus.Message, r *record.Record) error {
	switch {
	case r.ID != m.Meta.Record:
		return stage.Park(CodeIDMismatch, fmt.Errorf("record %s travels as %s", r.ID, m.Meta.Record))
	case r.HospitalMSP != h.d.HospitalMSP || r.ID.HospitalNumber() != h.d.HospitalNumber:
		return stage.Park(CodeForeign, fmt.Errorf("record of %s, number %d", r.HospitalMSP, r.ID.HospitalNumber()))
	}
	return nil
}

func (h *handler) seal(ctx context.Context, r *record.Record, emr []byte, tag evidence.Tag) (recordstore.Draft, []byte, error) {
	none := recordstore.Draft{}
	header, key, err := h.prepare(ctx, r, tag)
	if err != nil {
		return none, nil, err
	}
	sign := signer{ctx: ctx, custody: h.d.Custody, record: r}
	sealed, err := smcrypto.Seal(h.d.Provider, key, header, emr, sign.sign)
	if err != nil {
		return none, nil, sign.verdict(err)
	}
	draft := draftOf(r, header)
	draft.CipherHash = sealed.CipherDigest
	return draft, sealed.Bytes, nil
}

// prepare makes the header and derives K_r.
func (h *handler) prepare(ctx context.Context, r *record.Record, tag evidence.Tag) (smcrypto.Header, smcrypto.Key, error) {
	epoch, _, err := h.d.Custody.EnsurePatient(ctx, tag)
	if err != nil {
		return smcrypto.Header{}, smcrypto.Key{}, custodyError(ctx, err)
	}
	key, err := h.d.Custody.RecordKey(ctx, tag, epoch, keystore.RecordID(r.ID))
	if err != nil {
		return smcrypto.Header{}, smcrypto.Key{}, custodyError(ctx, err)
	}
	return smcrypto.Header{RecordID: r.ID, HospitalNumber: h.d.HospitalNumber, MSPID: h.d.HospitalMSP, Tag: tag, Epoch: epoch,
		SealedAt: h.d.Now().Truncate(time.Millisecond)}, key, nil
}

// draftOf is what the store is told, but for the digest of the ciphertext.
func draftOf(r *record.Record, header smcrypto.Header) recordstore.Draft {
	return recordstore.Draft{ID: r.ID, Tag: header.Tag, Kind: r.Kind, Epoch: header.Epoch, SealedAt: header.SealedAt.UnixMilli()}
}

// signer signs the seal statement of one record and keeps custody's errors apart from
// those of sealing.
type signer struct {
	ctx     context.Context
	custody custody
	record  *record.Record
	err     error
}

func (s *signer) sign(digest [smcrypto.DigestSize]byte) (sig []byte, err error) {
	msg, err := statementOf(s.record, digest)
	if err != nil {
		return nil, err
	}
	sig, s.err = s.custody.Sign(s.ctx, msg)
	return sig, s.err
}

// verdict sorts an error of sealing.
func (s *signer) verdict(err error) error {
	switch {
	case s.err != nil:
		return custodyError(s.ctx, s.err)
	case errors.Is(err, smcrypto.ErrProvider), errors.Is(err, smcrypto.ErrSource):
		return stage.Retry(CodeSeal, err)
	}
	return stage.Park(CodeSeal, err)
}

// custodyError sorts errors of custody: those of the item apart from those of the keystore.
func custodyError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, keystore.ErrIdentity), errors.Is(err, keystore.ErrLimit):
		return stage.Park(CodeIdentity, err)
	case errors.Is(err, keystore.ErrDestroyed):
		return stage.Park(CodeKeyDestroyed, err)
	case errors.Is(err, keystore.ErrNoKey):
		return stage.Retry(CodeSeal, err)
	case patientindex.Failed(err):
		return stage.Unavailable(NeighbourPatients, err)
	}
	return stage.Unavailable(NeighbourKeystore, err)
}

// storeError sorts errors of the store. One that says nothing of its kind is the item's if
// the store otherwise answers, and the store's if it does not.
func (h *handler) storeError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, recordstore.ErrTooLarge), errors.Is(err, recordstore.ErrInvalid):
		return stage.Park(CodeStore, err)
	case errors.Is(err, recordstore.ErrMismatch), errors.Is(err, recordstore.ErrUncertain):
		return stage.Retry(CodeStore, err)
	case errors.Is(err, recordstore.ErrFull), errors.Is(err, recordstore.ErrClosed), errors.Is(err, recordstore.ErrReadOnly):
		return stage.Unavailable(NeighbourStore, err)
	}
	if _, e := h.d.Store.Stats(ctx); e != nil {
		return stage.Unavailable(NeighbourStore, err)
	}
	return stage.Retry(CodeStore, err)
}
