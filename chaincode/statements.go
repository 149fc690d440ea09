package chaincode

import (
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// said is a statement that reached the contract, with its bytes as they came.
type said struct {
	evidence.Statement
	signed evidence.Signed
	raw    []byte
	member evidence.Member // who speaks; empty for the authority and for a first registration
}

// effect is what a handler did, for the event and the answer.
type effect struct {
	ref     string // request, consent or member that the statement refers to
	owner   string // the other member concerned
	count   uint32
	payload []byte
}

// hear reads the statement of a transaction that takes nothing else.
func (t *tx) hear(body evidence.Body) (*said, error) {
	if len(t.args) != 1 {
		return nil, refuse(evidence.CodeMalformed, "%d arguments, one signed statement is wanted", len(t.args))
	}
	return parse(t.args[0], body)
}

// parse reads a signed statement and its body. Nothing is verified yet.
func parse(raw []byte, body evidence.Body) (*said, error) {
	signed, st, err := evidence.ParseSigned(raw)
	if err != nil {
		return nil, malformed(err)
	}
	if err := st.DecodeBody(body); err != nil {
		return nil, malformed(err)
	}
	return &said{Statement: st, signed: signed, raw: raw}, nil
}

// stated makes a transaction of a handler for the statements of active members. It admits
// the statement: canonical, by the submitter, an active member, signed with the registered
// key, issued within the window, with a nonce never used before.
func stated[B any, P interface {
	*B
	evidence.Body
}](handle func(*tx, *said, B) (effect, error)) transaction {
	return func(t *tx) ([]byte, error) {
		var body B
		s, err := t.hearAny(P(&body))
		if err != nil {
			return nil, err
		}
		if err := t.admit(s); err != nil {
			return nil, err
		}
		done, err := handle(t, s, body)
		if err != nil {
			return nil, err
		}
		if s.Kind == evidence.KindAnchorBatch {
			return t.finishWith(s, batchKey(s.member.Info.Number, s.Nonce), s.raw, done)
		}
		return t.finish(s, nonceKey(s.member.Info.Number, s.Nonce), done)
	}
}

// hearAny is hear, except that a batch may bring its entries as second argument.
func (t *tx) hearAny(body evidence.Body) (*said, error) {
	if body.Kind() == evidence.KindAnchorBatch && len(t.args) == 2 {
		return parse(t.args[0], body)
	}
	return t.hear(body)
}

// admit checks everything about a member's statement that does not depend on its kind.
func (t *tx) admit(s *said) error {
	if s.Actor != t.submitter {
		return refuse(evidence.CodeUnauthorized, "a statement of %s was submitted by %s", s.Actor, t.submitter)
	}
	member, err := t.activeMember(s.Actor)
	if err != nil {
		return err
	}
	s.member = member
	if err := t.verify(s, member.Info.SignCert); err != nil {
		return err
	}
	return t.fresh(s, member.Info.Number)
}

// verify checks the signature under a certificate whose chain was checked when it was
// registered; its validity is checked against the time of this transaction.
func (t *tx) verify(s *said, der []byte) error {
	cert, err := t.certs.parse(der)
	if err != nil {
		return refuse(evidence.CodeBadSignature, "the signing certificate cannot be read: %v", err)
	}
	if now := t.stamp.AsTime(); now.Before(cert.NotBefore()) || now.After(cert.NotAfter()) {
		return refuse(evidence.CodeBadSignature, "the signing certificate of %s is not valid at the time of the transaction: register a new one", s.Actor)
	}
	if err := smcrypto.Default().Verify(cert.PublicKey(), evidence.SigningBytes(s.signed.Statement), s.signed.Signature); err != nil {
		return refuse(evidence.CodeBadSignature, "the signature does not verify under the registered certificate of %s", s.Actor)
	}
	return nil
}

// fresh refuses a statement from another time and a nonce that its actor used before, for
// whatever kind of statement.
func (t *tx) fresh(s *said, number uint16) error {
	if distance(s.IssuedAt, t.now) > evidence.StatementWindow {
		return refuse(evidence.CodeStale, "the statement was issued %d s away from the time of the transaction, %d s are allowed: check the clock, sign again",
			distance(s.IssuedAt, t.now)/1000, evidence.StatementWindow/1000)
	}
	used, err := t.getAll([]string{nonceKey(number, s.Nonce), batchKey(number, s.Nonce)})
	if err != nil {
		return err
	}
	if len(used[0]) > 0 || len(used[1]) > 0 {
		return refuse(evidence.CodeReplayed, "the nonce %s was used before", s.Nonce)
	}
	return nil
}

// finish spends the nonce under its key, sets the event and returns the payload.
func (t *tx) finish(s *said, spent string, done effect) ([]byte, error) {
	return t.finishWith(s, spent, present, done)
}

// finishWith is finish for a statement that spends its nonce by being stored: the header of
// a batch.
func (t *tx) finishWith(s *said, key string, value []byte, done effect) ([]byte, error) {
	if err := t.put(key, value); err != nil {
		return nil, err
	}
	err := t.emit(evidence.Event{Kind: s.Kind, Actor: s.Actor, ID: s.Nonce, Ref: done.ref, Owner: done.owner, Count: done.count})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Kind, err)
	}
	return done.payload, nil
}

// distance is |a−b| of two times, both positive.
func distance(a, b int64) int64 {
	if a > b {
		return a - b
	}
	return b - a
}
