package chaincode

import (
	"sync"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// maxCachedCertificates bounds the cache: two for each member of a large consortium.
const maxCachedCertificates = 1024

// certificates remembers parsed certificates by the SM3 digest of their bytes. Parsing
// depends on the bytes alone, so a full or an empty cache gives the same answers.
type certificates struct {
	mu     sync.Mutex
	parsed map[evidence.Digest]*smcrypto.Certificate
}

func (c *certificates) parse(der []byte) (*smcrypto.Certificate, error) {
	digest := evidence.Digest(smcrypto.Default().SM3(der))
	c.mu.Lock()
	cert := c.parsed[digest]
	c.mu.Unlock()
	if cert != nil {
		return cert, nil
	}
	cert, err := smcrypto.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parsed == nil || len(c.parsed) >= maxCachedCertificates {
		c.parsed = make(map[evidence.Digest]*smcrypto.Certificate)
	}
	c.parsed[digest] = cert
	return cert, nil
}
