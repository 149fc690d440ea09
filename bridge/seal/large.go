package seal

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Large bodies. The message has the envelope, the body waits in a claim file: envelope and
// body are read one after the other, twice, and the ciphertext goes into the store as it
// is made. Memory is a few segments, whatever the size.
//
// The claim is removed once the store has the record, and the message then goes on: if the
// process dies in between, the message comes again, finds the record in the store, and
// needs the claim no more. For the same reason the store is asked first.

// largeAtOnce is how many large bodies are sealed at a time: each keeps a disk busy.
const largeAtOnce = 2

// bodies is where large bodies wait; claims.Store has it.
type bodies interface {
	Open(id string) (*claims.Reader, error)
	Remove(id string) error
}

// large is Handle for a record whose body waits in a claim file.
func (h *handler) large(ctx context.Context, m bus.Message) ([]bus.Message, error) {
	ref, r, err := h.readLarge(m)
	if err != nil {
		return nil, err
	}
	item, p, known, err := h.known(ctx, r)
	if err != nil {
		return nil, err
	}
	if !known {
		if p, err = who(ctx, h.d.Custody, h.d.Patients, r); err != nil {
			return nil, custodyError(ctx, err)
		}
		if item, err = h.sealLarge(ctx, ref, r, p.tag); err != nil {
			return nil, err
		}
	}
	if err := h.d.Claims.Remove(ref.Claim); err != nil {
		return nil, stage.Retry(CodeClaim, err)
	}
	meta := m.Meta
	meta.Claim = "" // the body of emr.stored is no reference
	return handOn(meta, item, p, h.d.Now()), nil
}

// readLarge reads reference and envelope. Nothing is rejected here: the body was
// acknowledged and lies where nobody else can read it.
func (h *handler) readLarge(m bus.Message) (claims.Reference, *record.Record, error) {
	if h.d.Claims == nil {
		return claims.Reference{}, nil, stage.Park(CodeClaim, errors.New("this process has no folder of claims"))
	}
	ref, err := claims.ParseReference(m.Body)
	if err != nil || ref.Claim != m.Meta.Claim {
		return ref, nil, stage.Park(CodeUnreadable, errors.Join(claims.ErrReference, err))
	}
	r, size, err := record.ParsePrefix(ref.Head)
	switch {
	case err != nil:
		return ref, nil, stage.Park(CodeUnreadable, err)
	case size != ref.Size:
		return ref, nil, stage.Park(CodeUnreadable, fmt.Errorf("%w: it speaks of %d bytes, the envelope of %d", claims.ErrReference, ref.Size, size))
	}
	return ref, r, h.own(m, r)
}

// sealLarge seals envelope and body into the store.
func (h *handler) sealLarge(ctx context.Context, ref claims.Reference, r *record.Record, tag evidence.Tag) (recordstore.Item, error) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-ctx.Done():
		return recordstore.Item{}, ctx.Err()
	}
	body, err := h.d.Claims.Open(ref.Claim)
	if err != nil {
		return recordstore.Item{}, claimError(err)
	}
	defer func() { _ = body.Close() }()
	if body.Size() != ref.Size {
		return recordstore.Item{}, stage.Park(CodeClaim, fmt.Errorf("%w: %d bytes where %d are due", claims.ErrDamaged, body.Size(), ref.Size))
	}
	header, key, err := h.prepare(ctx, r, tag)
	if err != nil {
		return recordstore.Item{}, err
	}
	emr := &canonical{ctx: ctx, prefix: ref.Head, body: body}
	sign := &signer{ctx: ctx, custody: h.d.Custody, record: r}
	pr, pw := io.Pipe()
	sealed := make(chan error, 1)
	go func() {
		_, err := smcrypto.SealStream(h.d.Provider, key, header, emr, sign.sign, pw)
		_ = pw.CloseWithError(err) // never fails
		sealed <- err
	}()
	item, _, err := h.d.Store.PutStream(ctx, draftOf(r, header), pr)
	_ = pr.Close() // ends the sealer if the store did not read on
	sealErr := <-sealed
	switch {
	case err == nil:
		return item, nil
	case ctx.Err() != nil:
		return recordstore.Item{}, ctx.Err()
	case sealErr == nil || errors.Is(sealErr, io.ErrClosedPipe):
		return recordstore.Item{}, h.storeError(ctx, err)
	case emr.err != nil:
		return recordstore.Item{}, claimError(emr.err)
	}
	return recordstore.Item{}, sign.verdict(sealErr)
}

// claimError sorts errors of a claim: one that is gone or altered stays so.
func claimError(err error) error {
	if errors.Is(err, claims.ErrMissing) || errors.Is(err, claims.ErrDamaged) || errors.Is(err, claims.ErrKey) {
		return stage.Park(CodeClaim, err)
	}
	return stage.Retry(CodeClaim, err)
}

// canonical reads the canonical bytes of a record: prefix, then body.
type canonical struct {
	ctx    context.Context
	prefix []byte
	body   io.ReadSeeker
	pos    int64
	err    error // of the body
}

// Read implements io.Reader.
func (c *canonical) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	if c.pos < int64(len(c.prefix)) {
		n := copy(p, c.prefix[c.pos:])
		c.pos += int64(n)
		return n, nil
	}
	n, err := c.body.Read(p)
	c.pos += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		c.err = err
	}
	return n, err
}

// Seek implements io.Seeker for what sealing asks: where it is, and back to the beginning.
func (c *canonical) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence == io.SeekEnd {
		return 0, errors.New("seal: a record is read from its beginning")
	}
	if whence == io.SeekStart {
		if _, err := c.body.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		c.pos = 0
	}
	return c.pos, nil
}
