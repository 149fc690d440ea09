package smcrypto

import (
	"crypto/cipher"
	"crypto/rand"
	"fmt"
	"io"
)

// Blob format: version 1 ‖ salt [16] ‖ SM4-GCM ciphertext and tag. Key and nonce
// of each blob are HKDF-SM3(key, salt, "emrbridge/blob/v1"), 16 and 12 bytes, so one
// data key may seal any number of blobs without counting nonces.
const (
	blobVersion = 1
	blobSalt    = 16
	blobDomain  = "emrbridge/blob/v1"
	// BlobOverhead is what SealBlob adds, in bytes.
	BlobOverhead = 1 + blobSalt + SegmentOverhead
	// MaxBlob bounds the plaintext of a blob, in bytes.
	MaxBlob = 256 << 20
)

// SealBlob encrypts small data at rest (quarantine, key files, bus payloads) under
// a data key, bound to aad. aad is not stored; OpenBlob needs the same.
func SealBlob(p Provider, key Key, aad, plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxBlob {
		return nil, fmt.Errorf("%w: blob exceeds %d bytes", ErrLimit, MaxBlob)
	}
	out := make([]byte, 1+blobSalt, BlobOverhead+len(plaintext))
	out[0] = blobVersion
	if _, err := io.ReadFull(rand.Reader, out[1:]); err != nil {
		return nil, fmt.Errorf("smcrypto: draw blob salt: %w", err)
	}
	aead, nonce, err := blobCipher(p, key, out[1:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(out, nonce, plaintext, aad), nil
}

// OpenBlob undoes SealBlob. It returns ErrMalformed, ErrUnsupported or ErrAuthentication.
func OpenBlob(p Provider, key Key, aad, blob []byte) ([]byte, error) {
	if len(blob) < BlobOverhead || len(blob) > BlobOverhead+MaxBlob {
		return nil, fmt.Errorf("%w: blob length", ErrMalformed)
	}
	if blob[0] != blobVersion {
		return nil, fmt.Errorf("%w: blob version %d", ErrUnsupported, blob[0])
	}
	aead, nonce, err := blobCipher(p, key, blob[1:1+blobSalt])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nonce, blob[1+blobSalt:], aad)
	if err != nil {
		return nil, fmt.Errorf("%w: blob", ErrAuthentication)
	}
	return plain, nil
}

func blobCipher(p Provider, key Key, salt []byte) (cipher.AEAD, []byte, error) {
	if key.isZero() {
		return nil, nil, fmt.Errorf("%w: data key is all zero", ErrInvalidKey)
	}
	okm, err := HKDF(p, key[:], salt, blobDomain, KeySize+12)
	if err != nil {
		return nil, nil, err
	}
	sub, err := ParseKey(okm[:KeySize])
	if err != nil {
		return nil, nil, err
	}
	aead, err := p.NewGCM(sub)
	return aead, okm[KeySize:], err
}
