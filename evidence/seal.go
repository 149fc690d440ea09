package evidence

import "fmt"

// SealDomain is put before the canonical bytes of a seal statement when it is signed.
const SealDomain = "emrbridge/seal/v1\n"

// SealStatement is what a hospital signs when it seals a record: whose record it is, what
// it is, when it happened, and h(EMR). The signature is SM2 with SM3, DER, default user
// id, over SigningBytes, and travels encrypted behind the record (EMR ‖ signature in the
// scheme). A signature over the bare digest would say nothing of whose it is.
type SealStatement struct {
	Record   RecordID `cbor:"0,keyasint"`
	Hospital string   `cbor:"1,keyasint"` // MSP id
	Kind     string   `cbor:"2,keyasint"` // kind of the record
	// EventTime and Precision are those of the record: Unix milliseconds, and
	// record.Precision as a number.
	EventTime int64  `cbor:"3,keyasint"`
	Precision uint8  `cbor:"4,keyasint"`
	EMR       Digest `cbor:"5,keyasint"` // SM3 of the record's canonical bytes
}

// SigningBytes returns what the signature covers: SealDomain and the canonical bytes.
func (s SealStatement) SigningBytes() ([]byte, error) {
	if !ValidMSP(s.Hospital) || !validText(s.Kind, 256) || s.Kind == "" || s.EMR.IsZero() {
		return nil, fmt.Errorf("%w: seal statement is incomplete", ErrMalformed)
	}
	b, err := marshal(s)
	if err != nil {
		return nil, err
	}
	return append([]byte(SealDomain), b...), nil
}
