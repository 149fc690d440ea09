package guard

import (
	"crypto/hmac"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"

	"github.com/emmansun/gmsm/sm3"
)

// Prefixes of the names in Redis. The rest of a name is 16 keyed bytes in base64url.
const (
	prefixLedger = "emr:c:"
	prefixNonce  = "emr:n:"
	prefixRate   = "emr:r:"
	prefixMarker = "emr:m:"
)

// secret makes names and values that mean nothing without the key.
type secret struct{ key []byte }

// mac returns the first 16 bytes of HMAC-SM3 over the domain and length-prefixed parts.
func (s secret) mac(domain string, parts ...[]byte) (out [16]byte) {
	h := hmac.New(sm3.New, s.key)
	write := func(p []byte) {
		var n [4]byte
		binary.BigEndian.PutUint32(n[:], uint32(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	write([]byte("emrbridge/guard/v1/" + domain))
	for _, p := range parts {
		write(p)
	}
	copy(out[:], h.Sum(nil))
	return out
}

func (s secret) name(prefix string, parts ...[]byte) string {
	mac := s.mac(prefix, parts...)
	return prefix + base64.RawURLEncoding.EncodeToString(mac[:])
}

// fingerprint is what the ledger keeps of a message's content: equal for equal content
// under one name, and otherwise without meaning.
type fingerprint [16]byte

func (s secret) fingerprint(name string, digest [32]byte) fingerprint {
	return s.mac("content", []byte(name), digest[:])
}

// seal makes the value of a ledger entry: the fingerprint and its authentication.
func (s secret) seal(name string, f fingerprint) string {
	tag := s.mac("value", []byte(name), f[:])
	return string(f[:]) + string(tag[:])
}

// open reads the value of a ledger entry. Values that no guard with this key wrote for this
// name are refused.
func (s secret) open(name, value string) (f fingerprint, ok bool) {
	if len(value) != 2*len(f) {
		return f, false
	}
	copy(f[:], value)
	tag := s.mac("value", []byte(name), f[:])
	return f, subtle.ConstantTimeCompare(tag[:], []byte(value[len(f):])) == 1
}
