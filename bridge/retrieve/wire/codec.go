package wire

import (
	"errors"
	"fmt"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// ErrMalformed reports bytes that are not a request envelope or a delivery stream.
var ErrMalformed = errors.New("wire: malformed")

// codec holds the encoder and decoder of canonical bytes (RFC 8949 §4.2.1). They are
// safe for concurrent use.
var codec = sync.OnceValues(func() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{
		Sort: cbor.SortBytewiseLexical, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, NilContainers: cbor.NilContainerAsEmpty,
		TextMarshaler: cbor.TextMarshalerNone,
	}.EncMode()
	if err != nil {
		panic(err) // constant options: cannot fail
	}
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		TagsMd: cbor.TagsForbidden, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels: 4, MaxArrayElements: 1024, MaxMapPairs: 16, TextUnmarshaler: cbor.TextUnmarshalerNone,
	}.DecMode()
	if err != nil {
		panic(err) // constant options: cannot fail
	}
	return enc, dec
})

func marshal(v any, limit int) ([]byte, error) {
	enc, _ := codec()
	b, err := enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("wire: encode %T: %w", v, err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: %T of %d bytes, the limit is %d", ErrMalformed, v, len(b), limit)
	}
	return b, nil
}

// unmarshal reads canonical bytes into v, a pointer, and refuses others.
func unmarshal(b []byte, v any, limit int) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %T of %d bytes, the limit is %d", ErrMalformed, v, len(b), limit)
	}
	enc, dec := codec()
	if err := dec.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %T is not the expected CBOR", ErrMalformed, v)
	}
	again, err := enc.Marshal(v)
	if err != nil || string(again) != string(b) {
		return fmt.Errorf("%w: %T is not in canonical form", ErrMalformed, v)
	}
	return nil
}
