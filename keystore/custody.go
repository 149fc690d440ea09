// Package keystore is key custody: the one place that holds a hospital's private
// keys, the consortium identity key and the patients' keys.
//
// [Custody] is what the rest of the system sees. The file implementation in this
// package keeps everything under a passphrase; a cryptographic device with the
// interface of GB/T 36322 (SDF) or a key management service can implement the same
// methods. The suite in keystoretest decides whether an implementation is one.
//
// docs/design/keys.md describes the key hierarchy, what destruction guarantees and
// what it does not.
package keystore

import (
	"context"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Tag is the opaque index key of a patient.
type Tag = [smcrypto.TagSize]byte

// RecordID is the id of a record.
type RecordID = [smcrypto.RecordIDSize]byte

// Token is sig_p, a patient's consortium identifier: a keyed digest.
type Token = [smcrypto.DigestSize]byte

// Custody holds keys and uses them. Keys never leave it, with two exceptions: the
// key of one record (K_r) and data keys, which the sealer needs. All methods are
// safe for concurrent use and return ErrClosed after Close. A method that changes
// state returns only after the change is durable.
type Custody interface {
	// Hospital tells whose custody this is, with public keys and certificates.
	Hospital(ctx context.Context) (Hospital, error)
	// Sign signs msg with the hospital's SM2 signing key: SM3, default user id, DER.
	Sign(ctx context.Context, msg []byte) ([]byte, error)
	// Decrypt decrypts an SM2 ciphertext (0x04 ‖ C1 ‖ C3 ‖ C2) with the encryption key.
	Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error)

	// PatientToken is sig_p of an identity. ErrIdentity: not a valid identity.
	PatientToken(ctx context.Context, id Identity) (Token, error)
	// RegistrationDigest is T_R's digest of identity number and insurance number.
	RegistrationDigest(ctx context.Context, pi, no string) ([smcrypto.DigestSize]byte, error)
	// Tag is the on-chain index key of a patient token.
	Tag(ctx context.Context, token Token) (Tag, error)
	// StaffDigest is the keyed digest of a staff identity, as shown on the ledger.
	StaffDigest(ctx context.Context, staffID string) ([smcrypto.DigestSize]byte, error)
	// IdentityCheck is a short value that is equal at all hospitals that hold the
	// same consortium identity key and reveals nothing about it.
	IdentityCheck(ctx context.Context) ([8]byte, error)

	// EnsurePatient returns the epoch that new records use. It makes a key if the
	// patient has none, and a new epoch if all earlier ones were destroyed, since a
	// patient whose records were erased may come back.
	EnsurePatient(ctx context.Context, tag Tag) (epoch uint32, created bool, err error)
	// RecordKey derives K_r. ErrNoKey: no such patient or epoch. ErrDestroyed: the
	// patient's key or this record's key was destroyed.
	RecordKey(ctx context.Context, tag Tag, epoch uint32, id RecordID) (smcrypto.Key, error)
	// RotatePatient starts a new epoch; older epochs stay readable.
	RotatePatient(ctx context.Context, tag Tag) (epoch uint32, err error)
	// ListEpochs lists a patient's epochs in ascending order, destroyed ones included.
	ListEpochs(ctx context.Context, tag Tag) ([]Epoch, error)
	// DestroyPatient erases all keys of a patient for good. Repeating it is no error.
	DestroyPatient(ctx context.Context, tag Tag) error
	// DestroyRecord erases the possibility to derive one record's key and leaves
	// the patient's other records readable. Repeating it is no error.
	DestroyRecord(ctx context.Context, tag Tag, epoch uint32, id RecordID) error

	// DataKey returns a key for data at rest and its version. Version 0 asks for
	// the current one; others serve to read what was written earlier.
	DataKey(ctx context.Context, use DataUse, version uint32) (uint32, smcrypto.Key, error)
	// RotateDataKey makes a new current version.
	RotateDataKey(ctx context.Context, use DataUse) (version uint32, err error)

	// Close overwrites the keys in memory and releases the store.
	Close() error
}

// Hospital is the public side of custody.
type Hospital struct {
	// Number is 1 to 65535, unique in the consortium.
	Number uint16
	// MSPID is the hospital's Fabric MSP id.
	MSPID string
	// SigningKey and EncryptionKey are the two SM2 public keys.
	SigningKey, EncryptionKey smcrypto.PublicKey
	// SigningCert and EncryptionCert are nil until certificates were imported.
	SigningCert, EncryptionCert *smcrypto.Certificate
}

// DataUse names what a data key is for.
type DataUse string

const (
	// UseQuarantine is for raw input that was rejected.
	UseQuarantine DataUse = "quarantine"
	// UseBus is for payloads at rest in the bus.
	UseBus DataUse = "bus"
)

// Epoch describes one generation of a patient's key.
type Epoch struct {
	Number uint32
	// Current is true for the epoch that new records use.
	Current bool
	// Destroyed is true when its key is gone.
	Destroyed bool
	// DestroyedRecords counts record keys that were destroyed one by one.
	DestroyedRecords int
}
