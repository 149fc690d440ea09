package bus

import (
	"fmt"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Cipher seals bodies before they reach a server and opens them again. aad binds a body to
// its subject and headers. Implementations are safe for concurrent use.
type Cipher interface {
	Seal(aad, plain []byte) ([]byte, error)
	Open(aad, sealed []byte) ([]byte, error)
}

// sm4Cipher seals with SM4-GCM under a data key.
type sm4Cipher struct {
	provider smcrypto.Provider
	key      smcrypto.Key
	older    []smcrypto.Key
}

// NewCipher returns the cipher for bodies: SM4-GCM under the current data key of the bus,
// with a fresh key and nonce for each body (smcrypto.SealBlob). Bodies sealed under one of
// the older keys still open, so that a rotation needs no empty bus.
func NewCipher(p smcrypto.Provider, key smcrypto.Key, older ...smcrypto.Key) Cipher {
	return sm4Cipher{provider: p, key: key, older: older}
}

func (c sm4Cipher) Seal(aad, plain []byte) ([]byte, error) {
	return smcrypto.SealBlob(c.provider, c.key, aad, plain)
}

func (c sm4Cipher) Open(aad, sealed []byte) ([]byte, error) {
	plain, err := smcrypto.OpenBlob(c.provider, c.key, aad, sealed)
	for _, k := range c.older {
		if err == nil {
			break
		}
		plain, err = smcrypto.OpenBlob(c.provider, k, aad, sealed)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, err)
	}
	return plain, nil
}
