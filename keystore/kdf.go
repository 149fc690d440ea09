package keystore

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"golang.org/x/crypto/argon2"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// KDF holds the argon2id parameters (RFC 9106) that turn a passphrase into the
// key-encryption key.
type KDF struct {
	// Time is the number of passes, 2 to 16. Default 3.
	Time uint32 `json:"time"`
	// MemoryKiB is the memory, 19456 (19 MiB) to 1048576 (1 GiB). Default 65536.
	MemoryKiB uint32 `json:"memory_kib"`
	// Threads is the parallelism, 1 to 16. Default 2.
	Threads uint8 `json:"threads"`
}

// DefaultKDF takes about 0.1 s on one core.
func DefaultKDF() KDF { return KDF{Time: 3, MemoryKiB: 64 << 10, Threads: 2} }

// MinKDF is the weakest that Create and Open accept.
func MinKDF() KDF { return KDF{Time: 2, MemoryKiB: 19 << 10, Threads: 1} }

// validate bounds both ends: below, a stolen file would be guessed quickly; above,
// an altered file would exhaust memory before its tag can be checked.
func (k KDF) validate() error {
	low := MinKDF()
	switch {
	case k.Time < low.Time || k.Time > 16,
		k.MemoryKiB < low.MemoryKiB || k.MemoryKiB > 1<<20,
		k.Threads < 1 || k.Threads > 16:
		return fmt.Errorf("%w: argon2id parameters outside time 2-16, memory 19 MiB-1 GiB, threads 1-16", ErrLimit)
	}
	return nil
}

// MinPassphrase and MaxPassphrase bound a passphrase, in bytes.
const (
	MinPassphrase = 12
	MaxPassphrase = 1024
)

func checkPassphrase(p []byte) error {
	if len(p) < MinPassphrase || len(p) > MaxPassphrase {
		return fmt.Errorf("%w: passphrase must be %d to %d bytes", ErrLimit, MinPassphrase, MaxPassphrase)
	}
	return nil
}

const (
	masterVersion = 1
	masterSize    = 32
	masterDomain  = "emrbridge/keystore/master/v1\x00"
)

// masterFile is master.json: how to get from the passphrase to the master secret.
// Everything but Wrapped is authenticated together with it.
type masterFile struct {
	Version int    `json:"version"`
	ID      []byte `json:"id"`
	KDF     KDF    `json:"argon2id"`
	Salt    []byte `json:"salt"`
	Wrapped []byte `json:"wrapped,omitempty"`
}

func (m masterFile) aad() []byte {
	m.Wrapped = nil
	b, err := json.Marshal(m)
	if err != nil {
		panic("keystore: master header does not encode") // plain struct, cannot happen
	}
	return append([]byte(masterDomain), b...)
}

func (m masterFile) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("keystore: encode master file: %w", err)
	}
	return append(b, '\n'), nil
}

func parseMaster(b []byte) (masterFile, error) {
	var m masterFile
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil || dec.More() {
		return m, fmt.Errorf("%w: master file is not valid JSON of this format", ErrCorrupt)
	}
	if m.Version != masterVersion {
		return m, fmt.Errorf("%w: master file version %d is unknown", ErrCorrupt, m.Version)
	}
	if len(m.ID) != 16 || len(m.Salt) != 16 || len(m.Wrapped) != smcrypto.BlobOverhead+masterSize {
		return m, fmt.Errorf("%w: master file has fields of wrong length", ErrCorrupt)
	}
	return m, m.KDF.validate()
}

// wrapMaster seals the master secret under a fresh salt.
func wrapMaster(id, master, passphrase []byte, kdf KDF) (masterFile, error) {
	m := masterFile{Version: masterVersion, ID: id, KDF: kdf, Salt: make([]byte, 16)}
	if _, err := rand.Read(m.Salt); err != nil {
		return m, fmt.Errorf("keystore: draw salt: %w", err)
	}
	kek, err := m.kek(passphrase)
	if err != nil {
		return m, err
	}
	defer smcrypto.Zero(kek[:])
	m.Wrapped, err = smcrypto.SealBlob(smcrypto.Default(), kek, m.aad(), master)
	return m, err
}

// unwrap returns the 32-byte master secret; the caller zeroes it.
func (m masterFile) unwrap(passphrase []byte) ([]byte, error) {
	kek, err := m.kek(passphrase)
	if err != nil {
		return nil, err
	}
	defer smcrypto.Zero(kek[:])
	master, err := smcrypto.OpenBlob(smcrypto.Default(), kek, m.aad(), m.Wrapped)
	if err != nil {
		return nil, ErrPassphrase
	}
	return master, nil
}

func (m masterFile) kek(passphrase []byte) (smcrypto.Key, error) {
	if err := m.KDF.validate(); err != nil {
		return smcrypto.Key{}, err
	}
	raw := argon2.IDKey(passphrase, m.Salt, m.KDF.Time, m.KDF.MemoryKiB, m.KDF.Threads, smcrypto.KeySize)
	defer smcrypto.Zero(raw)
	return smcrypto.ParseKey(raw)
}

// subkeys are derived from the master secret, one per use.
type subkeys struct {
	secrets, patients, backup smcrypto.Key
}

func deriveSubkeys(master, id []byte) (k subkeys, err error) {
	for _, d := range []struct {
		to   *smcrypto.Key
		info string
	}{
		{&k.secrets, "emrbridge/keystore/secrets-key/v1"},
		{&k.patients, "emrbridge/keystore/patients-key/v1"},
		{&k.backup, "emrbridge/keystore/backup-key/v1"},
	} {
		raw, err := smcrypto.HKDF(smcrypto.Default(), master, id, d.info, smcrypto.KeySize)
		if err != nil {
			return k, err
		}
		*d.to, err = smcrypto.ParseKey(raw)
		smcrypto.Zero(raw)
		if err != nil {
			return k, err
		}
	}
	return k, nil
}

func (k *subkeys) zero() {
	smcrypto.Zero(k.secrets[:])
	smcrypto.Zero(k.patients[:])
	smcrypto.Zero(k.backup[:])
}
