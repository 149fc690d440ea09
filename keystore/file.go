package keystore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Names of the files in a keystore directory (mode 0700, files 0600).
const (
	masterName   = "master.json"
	secretsName  = "secrets.bin"
	patientsName = "patients.db"
	lockName     = "lock"

	maxSecretsFile = 4 << 20
)

// identityKeySize is the size of HMAC-SM3 keys, in bytes.
const identityKeySize = 32

// CreateOptions describe a new keystore.
type CreateOptions struct {
	// Number and MSPID are the hospital's, as registered in the consortium. Required.
	Number uint16
	MSPID  string
	// IdentityKey is the 32-byte consortium identity key; nil draws a fresh one. All
	// hospitals must hold the same: hand it on with WrapIdentityKey.
	IdentityKey []byte
	// KDF is zero for DefaultKDF.
	KDF KDF
}

func (o *CreateOptions) validate() error {
	if o.Number == 0 || o.MSPID == "" || len(o.MSPID) > smcrypto.MaxMSPIDLength {
		return fmt.Errorf("%w: a keystore needs a hospital number and an MSP id of 1 to %d bytes", ErrLimit, smcrypto.MaxMSPIDLength)
	}
	if n := len(o.IdentityKey); n != 0 && n != identityKeySize {
		return fmt.Errorf("%w: identity key must be %d bytes", ErrLimit, identityKeySize)
	}
	if o.KDF == (KDF{}) {
		o.KDF = DefaultKDF()
	}
	return o.KDF.validate()
}

// File is Custody in a directory, everything sealed under a passphrase. One process
// at a time may have it open.
//
// Lock order: mu, then the caches' own. State-changing operations that must not
// overlap a key derivation (rotation, destruction, import) hold mu exclusively.
type File struct {
	dir  string
	id   []byte
	lock *os.File

	mu       sync.RWMutex
	closed   bool
	keys     subkeys
	secrets  *secrets
	sign     *smcrypto.PrivateKey
	encrypt  *smcrypto.PrivateKey
	hospital Hospital
	patients *patientDB
}

var _ Custody = (*File)(nil)

// Create makes a keystore in dir, which must not exist or be empty, and opens it.
// The hospital's key pairs are added with GenerateHospitalKeys or ImportHospitalKeys.
// A crash leaves no half keystore: the directory appears in one rename.
func Create(ctx context.Context, dir string, passphrase []byte, opts CreateOptions) (*File, error) {
	if err := errors.Join(opts.validate(), checkPassphrase(passphrase)); err != nil {
		return nil, err
	}
	sec, err := newSecrets(opts)
	if err != nil {
		return nil, err
	}
	defer sec.zero()
	err = buildDir(dir, func(tmp string) error { return writeNew(ctx, tmp, passphrase, opts, sec) })
	if err != nil {
		return nil, err
	}
	return Open(ctx, dir, passphrase)
}

// buildDir fills a private temporary directory beside dir and renames it to dir.
func buildDir(dir string, fill func(tmp string) error) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fmt.Errorf("%w: %s is not empty", ErrExists, dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("keystore: look into %s: %w", dir, err)
	}
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("keystore: make %s: %w", parent, err)
	}
	tmp, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+".new-") // mode 0700
	if err != nil {
		return fmt.Errorf("keystore: make temporary directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	if err := fill(tmp); err != nil {
		return err
	}
	if err := fsatomic.SyncDir(tmp); err != nil {
		return err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return fmt.Errorf("%w: cannot move the new keystore to %s: %w", ErrExists, dir, err)
	}
	return fsatomic.SyncDir(parent)
}

func writeNew(ctx context.Context, tmp string, passphrase []byte, opts CreateOptions, sec *secrets) error {
	id, err := randomBytes(16)
	if err != nil {
		return err
	}
	master, err := randomBytes(masterSize)
	if err != nil {
		return err
	}
	defer smcrypto.Zero(master)
	head, err := wrapMaster(id, master, passphrase, opts.KDF)
	if err != nil {
		return err
	}
	keys, err := deriveSubkeys(master, id)
	if err != nil {
		return err
	}
	defer keys.zero()
	raw, err := head.encode()
	if err != nil {
		return err
	}
	sealed, err := sec.seal(keys.secrets, id)
	if err != nil {
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(tmp, masterName), raw, 0o600); err != nil {
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(tmp, secretsName), sealed, 0o600); err != nil {
		return err
	}
	return createPatientDB(ctx, filepath.Join(tmp, patientsName), id)
}

// Open opens the keystore in dir. Errors: ErrPermissions with the command that cures
// it, ErrLocked, ErrPassphrase, ErrCorrupt.
func Open(ctx context.Context, dir string, passphrase []byte) (f *File, err error) {
	if err := checkPermissions(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(filepath.Join(dir, lockName))
	if err != nil {
		return nil, err
	}
	f = &File{dir: dir, lock: lock}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.release())
			f = nil
		}
	}()
	if err := dropLeftovers(dir); err != nil {
		return f, err
	}
	return f, f.load(ctx, passphrase, modeWrite)
}

// load opens secrets and rows with the passphrase.
func (f *File) load(ctx context.Context, passphrase []byte, mode string) error {
	if err := f.unlock(passphrase); err != nil {
		return err
	}
	sealed, err := readSmall(filepath.Join(f.dir, secretsName), maxSecretsFile)
	if err != nil {
		return err
	}
	sec, err := openSecrets(f.keys.secrets, f.id, sealed)
	if err != nil {
		return err
	}
	if err := f.adopt(sec); err != nil {
		return err
	}
	f.patients, err = openPatientDB(ctx, filepath.Join(f.dir, patientsName), mode, f.id, f.keys.patients)
	return err
}

func (f *File) unlock(passphrase []byte) error {
	head, err := readMaster(f.dir)
	if err != nil {
		return err
	}
	master, err := head.unwrap(passphrase)
	if err != nil {
		return err
	}
	defer smcrypto.Zero(master)
	f.id = head.ID
	f.keys, err = deriveSubkeys(master, head.ID)
	return err
}

func readMaster(dir string) (masterFile, error) {
	raw, err := readSmall(filepath.Join(dir, masterName), 64<<10)
	if err != nil {
		return masterFile{}, err
	}
	return parseMaster(raw)
}

func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrCorrupt, path, limit)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("keystore: %w", err)
	}
	return b, nil
}

// checkPermissions looks at the directory and at every file in it.
func checkPermissions(dir string) error {
	wrap := func(err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keystore: %s: %w", dir, err)
		}
		return fmt.Errorf("%w: %w; cure: chmod 700 %q && chmod 600 %q/*", ErrPermissions, err, dir, dir)
	}
	if err := fsatomic.CheckPrivate(dir); err != nil {
		return wrap(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("keystore: %w", err)
	}
	for _, e := range entries {
		if err := fsatomic.CheckPrivate(filepath.Join(dir, e.Name())); err != nil {
			return wrap(err)
		}
	}
	return nil
}

// adopt makes sec current: it parses the keys and certificates inside.
func (f *File) adopt(sec *secrets) error {
	h := Hospital{Number: sec.Number, MSPID: sec.MSPID}
	sign, err := parseOptionalKey(sec.SigningKey)
	if err != nil {
		return err
	}
	encrypt, err := parseOptionalKey(sec.EncryptKey)
	if err != nil {
		return err
	}
	if sign != nil {
		h.SigningKey = sign.Public()
	}
	if encrypt != nil {
		h.EncryptionKey = encrypt.Public()
	}
	if h.SigningCert, err = parseOptionalCert(sec.SigningCert); err != nil {
		return err
	}
	if h.EncryptionCert, err = parseOptionalCert(sec.EncryptCert); err != nil {
		return err
	}
	f.sign.Destroy()
	f.encrypt.Destroy()
	if f.secrets != nil {
		f.secrets.zero()
	}
	f.secrets, f.sign, f.encrypt, f.hospital = sec, sign, encrypt, h
	return nil
}

func parseOptionalKey(scalar []byte) (*smcrypto.PrivateKey, error) {
	if len(scalar) == 0 {
		return nil, nil
	}
	return smcrypto.NewPrivateKey(scalar)
}

func parseOptionalCert(der []byte) (*smcrypto.Certificate, error) {
	if len(der) == 0 {
		return nil, nil
	}
	return smcrypto.ParseCertificate(der)
}

// replaceSecrets applies change to a copy, writes it durably, then makes it current.
// The caller holds mu exclusively.
func (f *File) replaceSecrets(change func(*secrets) error) error {
	next := f.secrets.clone()
	if err := change(next); err != nil {
		next.zero()
		return err
	}
	sealed, err := next.seal(f.keys.secrets, f.id)
	if err != nil {
		next.zero()
		return err
	}
	if err := fsatomic.WriteFile(filepath.Join(f.dir, secretsName), sealed, 0o600); err != nil {
		next.zero()
		return err
	}
	return f.adopt(next)
}

// ChangePassphrase wraps the master secret anew; the keys stay as they are. Backups
// made earlier open with the passphrase they were made under.
func (f *File) ChangePassphrase(_ context.Context, old, next []byte, kdf KDF) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	if kdf == (KDF{}) {
		kdf = DefaultKDF()
	}
	if err := errors.Join(kdf.validate(), checkPassphrase(next)); err != nil {
		return err
	}
	head, err := readMaster(f.dir)
	if err != nil {
		return err
	}
	master, err := head.unwrap(old)
	if err != nil {
		return err
	}
	defer smcrypto.Zero(master)
	head, err = wrapMaster(f.id, master, next, kdf)
	if err != nil {
		return err
	}
	raw, err := head.encode()
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(filepath.Join(f.dir, masterName), raw, 0o600)
}

// Close waits for running operations, overwrites the keys and releases the lock.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed = true
	return f.release()
}

func (f *File) release() error {
	var err error
	if f.patients != nil {
		err = f.patients.close()
	}
	f.sign.Destroy()
	f.encrypt.Destroy()
	if f.secrets != nil {
		f.secrets.zero()
	}
	f.keys.zero()
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

// Erase destroys a whole keystore: the wrapped master secret is overwritten first,
// which makes every other file unreadable, then all files are removed. The keystore
// must not be open. Copies and backups elsewhere are not touched.
func Erase(dir string) error {
	if err := checkPermissions(dir); err != nil {
		return err
	}
	if _, err := os.Lstat(filepath.Join(dir, masterName)); err != nil {
		return fmt.Errorf("keystore: %s holds no keystore: %w", dir, err)
	}
	lock, err := lockDir(filepath.Join(dir, lockName))
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := overwrite(filepath.Join(dir, masterName)); err != nil {
		return err
	}
	for _, name := range []string{masterName, secretsName, patientsName, patientsName + "-wal", patientsName + "-shm", lockName} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("keystore: erase: %w", err)
		}
	}
	return fsatomic.SyncDir(dir)
}

// overwrite replaces a file's bytes in place by random ones.
func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("keystore: erase: %w", err)
	}
	info, err := f.Stat()
	if err == nil {
		var junk []byte
		if junk, err = randomBytes(int(info.Size())); err == nil {
			_, err = f.WriteAt(junk, 0)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keystore: erase: %w", err)
	}
	return nil
}
