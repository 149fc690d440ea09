package evidence

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// StatementVersion is the version of the statement form that this package writes.
const StatementVersion = 1

// SigningDomain is put before the canonical bytes of a statement when it is signed, so
// that a signature made for anything else never fits a statement.
const SigningDomain = "emrbridge/statement/v1\n"

// Kind says what a statement does.
type Kind string

// Kinds of statement.
const (
	KindRegisterMember  Kind = "register-member"
	KindSetMemberStatus Kind = "set-member-status" // signed by the consortium authority
	KindRegisterPatient Kind = "register-patient"  // T_R
	KindAnchorBatch     Kind = "anchor-batch"      // header of many T_M
	KindGrantConsent    Kind = "grant-consent"
	KindRevokeConsent   Kind = "revoke-consent"
	KindRequestAccess   Kind = "request-access"
	KindDecideAccess    Kind = "decide-access"
	KindDeliver         Kind = "deliver"
	KindConfirm         Kind = "confirm"
	KindReviewEmergency Kind = "review-emergency"
	KindDestroyKey      Kind = "destroy-key"
	KindLinkTag         Kind = "link-tag"
	KindUnlinkTag       Kind = "unlink-tag"

	// About research; who signs is said with the body.
	KindRegisterInstitute  Kind = "register-institute"
	KindSetInstituteStatus Kind = "set-institute-status"
	KindApplyProject       Kind = "apply-project"
	KindDecideProject      Kind = "decide-project"
	KindCloseProject       Kind = "close-project"
	KindRecordRelease      Kind = "record-release"
	KindWithdrawSubjects   Kind = "withdraw-subjects"
	KindConfirmDeletion    Kind = "confirm-deletion"
	KindReidentify         Kind = "reidentify"
)

// Body is the content of a statement. Each kind has one type of body.
type Body interface {
	Kind() Kind
	// Validate reports a body that no contract may accept, whatever the ledger holds.
	Validate() error
}

// Statement is what a hospital says to the consortium. Its canonical bytes are signed.
type Statement struct {
	Version  uint8           `cbor:"0,keyasint"`
	Kind     Kind            `cbor:"1,keyasint"`
	Actor    string          `cbor:"2,keyasint"` // MSP id of the hospital that speaks; an institute's id, or "authority"
	Nonce    Nonce           `cbor:"3,keyasint"`
	IssuedAt int64           `cbor:"4,keyasint"` // Unix milliseconds
	Body     cbor.RawMessage `cbor:"5,keyasint"`
}

// Signed is a statement with its signature: SM2 with SM3, DER (GB/T 35276), default user
// id, over SigningDomain and the canonical bytes.
type Signed struct {
	Statement []byte `cbor:"0,keyasint"`
	Signature []byte `cbor:"1,keyasint"`
}

// NewStatement puts a body into a statement.
func NewStatement(actor string, nonce Nonce, issuedAt int64, body Body) (Statement, error) {
	if err := body.Validate(); err != nil {
		return Statement{}, err
	}
	raw, err := marshal(body)
	if err != nil {
		return Statement{}, err
	}
	return Statement{Version: StatementVersion, Kind: body.Kind(), Actor: actor, Nonce: nonce, IssuedAt: issuedAt, Body: raw}, nil
}

// Canonical returns the canonical bytes of the statement.
func (s Statement) Canonical() ([]byte, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	return marshal(s)
}

func (s Statement) validate() error {
	switch {
	case s.Version != StatementVersion:
		return fmt.Errorf("%w: statement version %d, %d is known", ErrMalformed, s.Version, StatementVersion)
	case !validMSP(s.Actor):
		return fmt.Errorf("%w: statement names no valid member", ErrMalformed)
	case s.Nonce.IsZero():
		return fmt.Errorf("%w: statement has no nonce", ErrMalformed)
	case s.IssuedAt <= 0:
		return fmt.Errorf("%w: statement has no time", ErrMalformed)
	case len(s.Body) == 0:
		return fmt.Errorf("%w: statement has no body", ErrMalformed)
	}
	return nil
}

// ParseStatement reads canonical bytes.
func ParseStatement(b []byte) (Statement, error) {
	var s Statement
	if err := unmarshal(b, &s); err != nil {
		return Statement{}, err
	}
	return s, s.validate()
}

// DecodeBody reads the body of the statement into body, a pointer to the type that
// belongs to the statement's kind, and validates it.
func (s Statement) DecodeBody(body Body) error {
	if s.Kind != body.Kind() {
		return fmt.Errorf("%w: statement of kind %q where %q is wanted", ErrMalformed, s.Kind, body.Kind())
	}
	if err := unmarshal(s.Body, body); err != nil {
		return err
	}
	return body.Validate()
}

// SigningBytes returns what the signature of a statement covers, given its canonical
// bytes.
func SigningBytes(canonical []byte) []byte {
	return append([]byte(SigningDomain), canonical...)
}

// Encode returns the canonical bytes of the signed statement, as they travel.
func (s Signed) Encode() ([]byte, error) { return marshal(s) }

// ParseSigned reads a signed statement without checking its signature.
func ParseSigned(b []byte) (Signed, Statement, error) {
	var s Signed
	if err := unmarshal(b, &s); err != nil {
		return Signed{}, Statement{}, err
	}
	if len(s.Signature) < 8 || len(s.Signature) > 80 {
		return Signed{}, Statement{}, fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(s.Signature))
	}
	st, err := ParseStatement(s.Statement)
	return s, st, err
}

// Registration reads a signed registration without checking its signature.
func (s Signed) Registration() (Statement, RegisterMember, error) {
	var body RegisterMember
	st, err := ParseStatement(s.Statement)
	if err != nil {
		return Statement{}, RegisterMember{}, err
	}
	if err := st.DecodeBody(&body); err != nil {
		return Statement{}, RegisterMember{}, err
	}
	return st, body, nil
}
