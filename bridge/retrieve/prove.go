package retrieve

import (
	"context"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// failedCheck is the error of a check inside the opening of a record.
type failedCheck struct{ check Check }

func (e *failedCheck) Error() string { return "retrieve: check failed: " + string(e.check) }

// openAll proves the records one after another and hands them to the caller. Only an
// error of the caller is returned; then the rest is not opened.
func (j *job) openAll(ctx context.Context, delivered *evidence.Deliver) error {
	accountable := j.accountable(delivered)
	var stopped error
	for _, a := range j.anchors {
		r, shown := j.judge(ctx, a, accountable, stopped != nil)
		if !shown {
			continue
		}
		if stopped == nil {
			if err := j.each(&r); err != nil {
				stopped = fmt.Errorf("%w: %w", errCaller, err)
			}
		}
		if stopped != nil {
			r.Record = nil
		}
		j.out.Records = append(j.out.Records, r)
	}
	return stopped
}

// judge gives one record its verdict. shown is false for a record of a kind that was not
// asked for.
func (j *job) judge(ctx context.Context, a evidence.Anchor, accountable, stopped bool) (r Record, shown bool) {
	r = Record{ID: a.ID, Owner: j.owner.MSP, Verdict: evidence.Incomplete}
	if code, gone := j.absent[a.ID]; gone {
		r.Check, r.Absent = CheckAbsent, string(code)
		return r, true
	}
	s, grant := j.spools[a.ID], j.grants[a.ID]
	switch {
	case s == nil:
		r.Check = CheckAbsent
		return r, len(j.query.Kinds) == 0
	case stopped:
		return r, true
	case !s.digest.Equal(a.CipherHash):
		r.Verdict, r.Check = evidence.NotGenuine, CheckCiphertext
		return r, true
	case grant == nil:
		r.Check = CheckGrant
		return r, true
	case !accountable:
		r.Verdict, r.Check = evidence.NotGenuine, CheckDelivery
		return r, true
	}
	rec, proof, check := j.open(ctx, a, s, grant)
	if check != "" {
		r.Verdict, r.Check = evidence.NotGenuine, check
		return r, true
	}
	r.Verdict, r.Kind, r.Size, r.Record, r.Proof = evidence.Genuine, rec.Kind, int64(len(rec.Payload)), rec, proof
	return r, true
}

// open makes every check that needs the key.
func (j *job) open(ctx context.Context, a evidence.Anchor, s *spool, grant []byte) (*record.Record, *Proof, Check) {
	header, _, err := smcrypto.ReadHeader(s.reader())
	if err != nil || header.RecordID != a.ID || header.HospitalNumber != j.owner.Number ||
		header.MSPID != j.owner.MSP || header.Tag != a.Tag || header.SealedLength() != uint64(s.size) {
		return nil, nil, CheckHeader
	}
	if header.EMRLength > record.MaxPayload+1<<20 {
		return nil, nil, CheckRecord
	}
	terms := grantTerms(j.access, evidence.RequestAccess{Purpose: j.query.Purpose}, j.self, j.owner.MSP, a)
	key, err := smcrypto.OpenGrant(j.Provider, grant, smcrypto.Expected{Terms: terms, Owner: j.owner.Sign, Now: j.Now(),
		Decrypt: func(ct []byte) ([]byte, error) { return j.Custody.Decrypt(ctx, ct) }})
	if err != nil {
		return nil, nil, CheckGrant
	}
	defer clear(key[:])
	var rec *record.Record
	var signed []byte
	plain := &contents{buf: make([]byte, 0, header.EMRLength)}
	hash := [smcrypto.DigestSize]byte(a.CipherHash)
	opened, err := smcrypto.OpenStream(j.Provider, key, s.reader(), plain, smcrypto.Check{
		Signer: j.owner.Sign, Former: j.owner.sealers(header.SealedAt), CipherDigest: &hash,
		Statement: func(_ smcrypto.Header, digest [smcrypto.DigestSize]byte, _ []byte) ([]byte, error) {
			if rec, err = j.content(plain, a.ID); err != nil {
				return nil, err
			}
			signed, err = sealStatement(rec, digest).SigningBytes()
			return signed, err
		},
	})
	if err != nil {
		clear(plain.buf)
		return nil, nil, checkOf(err)
	}
	return rec, &Proof{EMR: opened.EMRDigest, Cipher: opened.CipherDigest, Signature: opened.Signature, Signed: signed,
		SealedAt: header.SealedAt, Tag: a.Tag}, ""
}

// contents takes a record as it is opened. Its memory is the record's, once: the payload is
// not copied out of it.
type contents struct {
	scan record.Scan
	buf  []byte // of the length that the header announces
}

// Write implements io.Writer.
func (c *contents) Write(p []byte) (int, error) {
	if len(c.buf)+len(p) > cap(c.buf) {
		return 0, record.ErrInvalid // the sealed record is longer than its header says
	}
	if _, err := c.scan.Write(p); err != nil {
		return 0, err
	}
	c.buf = append(c.buf, p...)
	return len(p), nil
}

// content reads the opened record and compares it with what was anchored.
func (j *job) content(c *contents, id evidence.RecordID) (*record.Record, error) {
	found, err := c.scan.Done()
	if err != nil || found.Record.ID != record.ID(id) || found.Record.HospitalMSP != j.owner.MSP {
		return nil, &failedCheck{CheckRecord}
	}
	if found.ID(j.owner.Number) != found.Record.ID {
		return nil, &failedCheck{CheckRecordID}
	}
	rec := found.Record
	rec.Payload = c.buf[int64(len(c.buf))-found.Size:]
	return rec, nil
}

// sealStatement is what the owner signed when it sealed a record.
func sealStatement(r *record.Record, digest evidence.Digest) evidence.SealStatement {
	return evidence.SealStatement{Record: evidence.RecordID(r.ID), Hospital: r.HospitalMSP, Kind: r.Kind,
		EventTime: r.EventTime.UnixMilli, Precision: uint8(r.EventTime.Precision), EMR: digest}
}

func checkOf(err error) Check {
	var failed *failedCheck
	switch {
	case errors.As(err, &failed):
		return failed.check
	case errors.Is(err, smcrypto.ErrInvalidSignature):
		return CheckSignature
	case errors.Is(err, smcrypto.ErrDigest):
		return CheckCiphertext
	case errors.Is(err, record.ErrInvalid):
		return CheckRecord
	}
	return CheckDecrypt
}
