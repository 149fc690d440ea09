package evidence

import (
	"fmt"
	"reflect"
	"sync"

	"github.com/fxamacker/cbor/v2"
)

// MaxStatement is the largest canonical statement accepted, in bytes.
const MaxStatement = 64 << 10

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
		MaxNestedLevels: 6, MaxArrayElements: 1024, MaxMapPairs: 64, TextUnmarshaler: cbor.TextUnmarshalerNone,
	}.DecMode()
	if err != nil {
		panic(err) // constant options: cannot fail
	}
	return enc, dec
})

// marshal returns the canonical bytes of a value of this package.
func marshal(v any) ([]byte, error) {
	enc, _ := codec()
	b, err := enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("evidence: encode %T: %w", v, err)
	}
	if len(b) > MaxStatement {
		return nil, fmt.Errorf("%w: %T of %d bytes, the limit is %d", ErrMalformed, v, len(b), MaxStatement)
	}
	return b, nil
}

// unmarshal reads canonical bytes into v, a pointer, and refuses others.
func unmarshal(b []byte, v any) error {
	what := reflect.TypeOf(v).Elem().Name()
	if len(b) > MaxStatement {
		return fmt.Errorf("%w: %s of %d bytes, the limit is %d", ErrMalformed, what, len(b), MaxStatement)
	}
	enc, dec := codec()
	if err := dec.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s is not the expected CBOR", ErrMalformed, what)
	}
	again, err := enc.Marshal(v)
	if err != nil || string(again) != string(b) {
		return fmt.Errorf("%w: %s is not in canonical form", ErrMalformed, what)
	}
	return nil
}
