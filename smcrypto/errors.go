package smcrypto

import "errors"

// Errors of the primitives. They are wrapped with the failing step; test for
// them with errors.Is. No message ever carries key material or plaintext.
var (
	// ErrInvalidKey reports a key of wrong length, out of range, at infinity or off the curve.
	ErrInvalidKey = errors.New("smcrypto: invalid key")
	// ErrInvalidSignature reports a signature that is badly encoded, out of range or does not verify.
	ErrInvalidSignature = errors.New("smcrypto: invalid signature")
	// ErrInvalidCiphertext reports an SM2 ciphertext that is badly encoded or does not decrypt.
	ErrInvalidCiphertext = errors.New("smcrypto: invalid ciphertext")
	// ErrLimit reports an input larger or smaller than the documented bound.
	ErrLimit = errors.New("smcrypto: input outside its size limit")
	// ErrProvider reports that the library behind a provider failed or panicked.
	ErrProvider = errors.New("smcrypto: provider failure")
	// ErrSelfTest reports that a provider failed its known-answer test; it must not be used.
	ErrSelfTest = errors.New("smcrypto: self test failed")
)

// Errors of the sealed-record format.
var (
	// ErrMalformed reports bytes that are not a canonical sealed record, grant or blob.
	ErrMalformed = errors.New("smcrypto: malformed")
	// ErrUnsupported reports a format version or suite that this build does not know.
	ErrUnsupported = errors.New("smcrypto: unsupported version or suite")
	// ErrTruncated reports that the input ended before the length its header announces.
	ErrTruncated = errors.New("smcrypto: truncated")
	// ErrTrailing reports bytes after the end that the header announces.
	ErrTrailing = errors.New("smcrypto: trailing bytes")
	// ErrAuthentication reports that a segment's GCM tag does not verify: wrong key,
	// changed header, changed, moved, dropped or foreign segment.
	ErrAuthentication = errors.New("smcrypto: authentication failed")
	// ErrDigest reports that a digest differs from the expected one.
	ErrDigest = errors.New("smcrypto: digest mismatch")
	// ErrSource reports that the plaintext source gave other bytes on its second reading.
	ErrSource = errors.New("smcrypto: source changed while it was being sealed")
)

// Errors of key grants.
var (
	// ErrGrantMismatch reports a grant made for another request, record, recipient, purpose or ciphertext.
	ErrGrantMismatch = errors.New("smcrypto: grant does not match what was asked")
	// ErrGrantExpired reports a grant whose expiry has passed.
	ErrGrantExpired = errors.New("smcrypto: grant expired")
)

// Errors of certificates.
var (
	// ErrCertificate reports a certificate that is malformed or outside the SM2 profile.
	ErrCertificate = errors.New("smcrypto: invalid certificate")
	// ErrChain reports that no valid path leads from a certificate to a trusted root.
	ErrChain = errors.New("smcrypto: certificate chain refused")
	// ErrKeyUsage reports a certificate used for what its key usage does not allow.
	ErrKeyUsage = errors.New("smcrypto: certificate key usage refused")
)
