package wire

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/evidence"
)

// Version is the version of the envelope and of the stream that this package writes.
const Version = 1

// RequestDomain is put before the canonical bytes of a request when it is signed, so that
// a signature made for anything else never fits a request.
const RequestDomain = "emrbridge/delivery-request/v1\n"

// Limits of a request.
const (
	MaxRequest = 32 << 10 // encoded signed request, bytes
	MaxRecords = evidence.MaxRequestRecords
	MaxKinds   = 64

	maxName = 64
)

// Request asks the owner for the records of an access request that is on the ledger.
type Request struct {
	Version   uint8          `cbor:"0,keyasint"`
	Requester string         `cbor:"1,keyasint"` // MSP id of the hospital that asks
	Owner     string         `cbor:"2,keyasint"` // MSP id of the hospital that is asked
	Access    evidence.Nonce `cbor:"3,keyasint"` // id of the access request on the ledger
	// Records limits this delivery to some records of the request, ascending and without
	// doubles, so that a broken transfer can be resumed. Empty means all.
	Records []evidence.RecordID `cbor:"4,keyasint"`
	// Kinds limits the delivery to record kinds. Empty means all.
	Kinds []string `cbor:"5,keyasint"`
	// Nonce makes the envelope unique; the owner takes each only once.
	Nonce    evidence.Nonce `cbor:"6,keyasint"`
	IssuedAt int64          `cbor:"7,keyasint"` // Unix milliseconds
}

// SignedRequest is a request with the requester's signature: SM2 with SM3, DER, default
// user id, over RequestDomain and the canonical bytes. The signature stands although the
// channel is mutually authenticated, because a proxy that ends TLS in front of the owner
// would otherwise be able to speak for every hospital.
type SignedRequest struct {
	Request   []byte `cbor:"0,keyasint"`
	Signature []byte `cbor:"1,keyasint"`
}

// Validate reports a request that no owner may serve.
func (r Request) Validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: delivery request: %s", ErrMalformed, what) }
	switch {
	case r.Version != Version:
		return bad(fmt.Sprintf("version %d, %d is known", r.Version, Version))
	case !validName(r.Requester) || !validName(r.Owner):
		return bad("requester or owner missing")
	case r.Access.IsZero() || r.Nonce.IsZero() || r.IssuedAt <= 0:
		return bad("access id, nonce or time missing")
	case len(r.Records) > MaxRecords:
		return bad(fmt.Sprintf("%d records, %d are allowed", len(r.Records), MaxRecords))
	case len(r.Kinds) > MaxKinds:
		return bad(fmt.Sprintf("%d kinds, %d are allowed", len(r.Kinds), MaxKinds))
	}
	for i, id := range r.Records {
		if i > 0 && bytes.Compare(r.Records[i-1][:], id[:]) >= 0 {
			return bad("records doubled or out of order")
		}
	}
	for _, k := range r.Kinds {
		if !validName(k) {
			return bad("kind")
		}
	}
	return nil
}

func validName(s string) bool { return s != "" && len(s) <= maxName && utf8.ValidString(s) }

// Canonical returns the canonical bytes of the request.
func (r Request) Canonical() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return marshal(r, MaxRequest)
}

// RequestSigningBytes returns what the signature of a request covers.
func RequestSigningBytes(canonical []byte) []byte {
	return append([]byte(RequestDomain), canonical...)
}

// Encode returns the bytes of the signed request, as they travel.
func (s SignedRequest) Encode() ([]byte, error) { return marshal(s, MaxRequest) }

// ParseRequest reads a signed request without checking its signature.
func ParseRequest(b []byte) (SignedRequest, Request, error) {
	var s SignedRequest
	var r Request
	if err := unmarshal(b, &s, MaxRequest); err != nil {
		return s, r, err
	}
	if len(s.Signature) < 8 || len(s.Signature) > 80 {
		return s, r, fmt.Errorf("%w: signature of %d bytes", ErrMalformed, len(s.Signature))
	}
	if err := unmarshal(s.Request, &r, MaxRequest); err != nil {
		return s, r, err
	}
	return s, r, r.Validate()
}
