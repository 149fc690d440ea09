package keystore_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/keystore/keystoretest"
	"github.com/emrbridge/emrbridge/smcrypto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var passphrase = []byte("correct horse battery staple")

func options() keystore.CreateOptions {
	return keystore.CreateOptions{Number: 1, MSPID: "H1MSP", KDF: keystore.MinKDF()}
}

// create makes a keystore with hospital keys; the caller closes it.
func create(t testing.TB) (*keystore.File, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	f, err := keystore.Create(t.Context(), dir, passphrase, options())
	require.NoError(t, err)
	require.NoError(t, f.GenerateHospitalKeys(t.Context()))
	return f, dir
}

func TestConformance(t *testing.T) {
	keystoretest.Run(t, func(t *testing.T) keystore.Custody {
		f, _ := create(t)
		return f
	})
}

func TestEverythingSurvivesReopening(t *testing.T) {
	f, dir := create(t)
	ctx := t.Context()
	tag, id := keystore.Tag{1}, keystore.RecordID{0, 1, 2}
	_, _, err := f.EnsurePatient(ctx, tag)
	require.NoError(t, err)
	key, err := f.RecordKey(ctx, tag, 1, id)
	require.NoError(t, err)
	gone := keystore.RecordID{0, 1, 3}
	require.NoError(t, f.DestroyRecord(ctx, tag, 1, gone))
	before, err := f.Hospital(ctx)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	f, err = keystore.Open(ctx, dir, passphrase)
	require.NoError(t, err)
	defer func() { assert.NoError(t, f.Close()) }()
	after, err := f.Hospital(ctx)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	again, err := f.RecordKey(ctx, tag, 1, id)
	require.NoError(t, err)
	assert.True(t, key.Equal(again))
	_, err = f.RecordKey(ctx, tag, 1, gone)
	assert.ErrorIs(t, err, keystore.ErrDestroyed)
}

func TestOpenRefusesLoosePermissions(t *testing.T) {
	for _, name := range []string{".", "master.json", "secrets.bin", "patients.db"} {
		t.Run(name, func(t *testing.T) {
			f, dir := create(t)
			require.NoError(t, f.Close())
			mode := fs.FileMode(0o640)
			if name == "." {
				mode = 0o750
			}
			require.NoError(t, os.Chmod(filepath.Join(dir, name), mode))
			_, err := keystore.Open(t.Context(), dir, passphrase)
			require.ErrorIs(t, err, keystore.ErrPermissions)
			assert.Contains(t, err.Error(), "chmod")
		})
	}
}

func TestFilesArePrivate(t *testing.T) {
	f, dir := create(t)
	_, _, err := f.EnsurePatient(t.Context(), keystore.Tag{1})
	require.NoError(t, err)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		assert.Zero(t, info.Mode().Perm()&0o077, path)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestWrongPassphraseAndWeakSettings(t *testing.T) {
	f, dir := create(t)
	require.NoError(t, f.Close())
	_, err := keystore.Open(t.Context(), dir, []byte("incorrect horse"))
	assert.ErrorIs(t, err, keystore.ErrPassphrase)

	fresh := filepath.Join(t.TempDir(), "k")
	_, err = keystore.Create(t.Context(), fresh, []byte("short"), options())
	assert.ErrorIs(t, err, keystore.ErrLimit)
	weak := options()
	weak.KDF = keystore.KDF{Time: 1, MemoryKiB: 1024, Threads: 1}
	_, err = keystore.Create(t.Context(), fresh, passphrase, weak)
	assert.ErrorIs(t, err, keystore.ErrLimit)
	assert.NoDirExists(t, fresh)

	// Parameters lowered in the file are refused before they are used.
	path := filepath.Join(dir, "master.json")
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(raw, []byte("19456"), []byte("8"), 1), 0o600))
	_, err = keystore.Open(t.Context(), dir, passphrase)
	assert.ErrorIs(t, err, keystore.ErrLimit)
}

func TestTamperedFilesAreRefused(t *testing.T) {
	flip := func(at float64) func([]byte) []byte {
		return func(b []byte) []byte { b[int(float64(len(b)-1)*at)] ^= 1; return b }
	}
	cut := func(b []byte) []byte { return b[:len(b)/2] }
	for name, test := range map[string]struct {
		file   string
		change func([]byte) []byte
		want   error
	}{
		"secrets start":  {"secrets.bin", flip(0), keystore.ErrCorrupt},
		"secrets middle": {"secrets.bin", flip(0.5), keystore.ErrCorrupt},
		"secrets end":    {"secrets.bin", flip(1), keystore.ErrCorrupt},
		"secrets cut":    {"secrets.bin", cut, keystore.ErrCorrupt},
		"secrets empty":  {"secrets.bin", func([]byte) []byte { return nil }, keystore.ErrCorrupt},
		"master cut":     {"master.json", cut, keystore.ErrCorrupt},
		"master more passes": {"master.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"time": 2`), []byte(`"time": 3`), 1)
		}, keystore.ErrPassphrase},
		"database cut": {"patients.db", cut, keystore.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			f, dir := create(t)
			require.NoError(t, f.Close())
			path := filepath.Join(dir, test.file)
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, test.change(raw), 0o600))
			_, err = keystore.Open(t.Context(), dir, passphrase)
			assert.ErrorIs(t, err, test.want)
		})
	}
}

func TestFilesOfTwoKeystoresDoNotMix(t *testing.T) {
	a, dirA := create(t)
	b, dirB := create(t)
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())
	for _, name := range []string{"secrets.bin", "patients.db"} {
		raw, err := os.ReadFile(filepath.Join(dirB, name))
		require.NoError(t, err)
		old, err := os.ReadFile(filepath.Join(dirA, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dirA, name), raw, 0o600))
		_, err = keystore.Open(t.Context(), dirA, passphrase)
		assert.ErrorIs(t, err, keystore.ErrCorrupt, name)
		require.NoError(t, os.WriteFile(filepath.Join(dirA, name), old, 0o600))
	}
}

func TestOneProcessAtATime(t *testing.T) {
	f, dir := create(t)
	_, err := keystore.Open(t.Context(), dir, passphrase)
	assert.ErrorIs(t, err, keystore.ErrLocked)
	assert.ErrorIs(t, keystore.Erase(dir), keystore.ErrLocked)
	require.NoError(t, f.Close())
	f, err = keystore.Open(t.Context(), dir, passphrase)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

func TestCreateRefusesAnOccupiedDirectory(t *testing.T) {
	f, dir := create(t)
	require.NoError(t, f.Close())
	_, err := keystore.Create(t.Context(), dir, passphrase, options())
	assert.ErrorIs(t, err, keystore.ErrExists)
	f, err = keystore.Open(t.Context(), dir, passphrase)
	require.NoError(t, err, "the keystore in the way is untouched")
	require.NoError(t, f.Close())
}

func TestChangePassphrase(t *testing.T) {
	f, dir := create(t)
	ctx := t.Context()
	next := []byte("another long passphrase")
	assert.ErrorIs(t, f.ChangePassphrase(ctx, []byte("not the old one"), next, keystore.MinKDF()), keystore.ErrPassphrase)
	assert.ErrorIs(t, f.ChangePassphrase(ctx, passphrase, []byte("x"), keystore.MinKDF()), keystore.ErrLimit)
	require.NoError(t, f.ChangePassphrase(ctx, passphrase, next, keystore.MinKDF()))
	before, err := f.Hospital(ctx)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, err = keystore.Open(ctx, dir, passphrase)
	assert.ErrorIs(t, err, keystore.ErrPassphrase)
	f, err = keystore.Open(ctx, dir, next)
	require.NoError(t, err)
	after, err := f.Hospital(ctx)
	require.NoError(t, err)
	assert.Equal(t, before.SigningKey, after.SigningKey)
	require.NoError(t, f.Close())
}

func TestErase(t *testing.T) {
	f, dir := create(t)
	require.NoError(t, f.Close())
	require.NoError(t, keystore.Erase(dir))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
	_, err = keystore.Open(t.Context(), dir, passphrase)
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.Error(t, keystore.Erase(dir), "nothing there any more")
}

// A crash between two writes is a directory that holds the earlier file beside
// left-over temporary ones.
func TestLeftoversOfACrashDoNoHarm(t *testing.T) {
	f, dir := create(t)
	require.NoError(t, f.Close())
	left := []string{".secrets.bin.tmp-123", ".master.json.tmp-9", "snapshot-77"}
	for _, name := range left {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
	}
	f, err := keystore.Open(context.Background(), dir, passphrase)
	require.NoError(t, err)
	for _, name := range left {
		assert.NoFileExists(t, filepath.Join(dir, name))
	}
	require.NoError(t, f.Close())
}

func TestHospitalKeysAndCertificates(t *testing.T) {
	ctx := t.Context()
	p := smcrypto.Default()
	caKey, err := p.GenerateKey()
	require.NoError(t, err)
	from, to := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	ca, err := smcrypto.NewAuthority(caKey, smcrypto.Subject{CommonName: "root"}, from, to)
	require.NoError(t, err)

	f, _ := create(t)
	defer func() { assert.NoError(t, f.Close()) }()
	assert.ErrorIs(t, f.GenerateHospitalKeys(ctx), keystore.ErrExists)
	signReq, encReq, err := f.SigningRequests(ctx, smcrypto.Subject{Organization: "第一医院", CommonName: "H1"})
	require.NoError(t, err)
	issue := func(req []byte, usage smcrypto.Usage) []byte {
		pub, subject, err := smcrypto.ParseCertificateRequest(p, req)
		require.NoError(t, err)
		cert, err := ca.Issue(pub, subject, usage, from, to)
		require.NoError(t, err)
		return cert.PEM()
	}
	sign, enc := issue(signReq, smcrypto.UsageSign), issue(encReq, smcrypto.UsageEncipher)
	assert.ErrorIs(t, f.ImportCertificates(ctx, enc, nil), smcrypto.ErrCertificate, "other key")
	assert.ErrorIs(t, f.ImportCertificates(ctx, issue(signReq, smcrypto.UsageEncipher), nil), smcrypto.ErrKeyUsage)
	require.NoError(t, f.ImportCertificates(ctx, sign, enc))
	h, err := f.Hospital(ctx)
	require.NoError(t, err)
	assert.Equal(t, "第一医院", h.SigningCert.Organization())
	assert.NoError(t, smcrypto.VerifyChain(p, h.EncryptionCert, nil, []*smcrypto.Certificate{ca.Cert}, time.Now(), smcrypto.UsageEncipher))
}

func TestImportHospitalKeys(t *testing.T) {
	ctx := t.Context()
	newPEM := func() (*smcrypto.PrivateKey, []byte) {
		k, err := smcrypto.Tjfoc().GenerateKey()
		require.NoError(t, err)
		pem, err := smcrypto.MarshalPrivateKeyPEM(k)
		require.NoError(t, err)
		return k, pem
	}
	sign, signPEM := newPEM()
	_, encPEM := newPEM()
	f, err := keystore.Create(ctx, filepath.Join(t.TempDir(), "k"), passphrase, options())
	require.NoError(t, err)
	defer func() { assert.NoError(t, f.Close()) }()
	_, err = f.Sign(ctx, []byte("m"))
	assert.ErrorIs(t, err, keystore.ErrNoKey)
	in := keystore.HospitalKeys{SigningKey: signPEM, EncryptionKey: encPEM}
	assert.ErrorIs(t, f.ImportHospitalKeys(ctx, keystore.HospitalKeys{SigningKey: signPEM, EncryptionKey: signPEM}), keystore.ErrLimit)
	assert.ErrorIs(t, f.ImportHospitalKeys(ctx, keystore.HospitalKeys{SigningKey: []byte("x"), EncryptionKey: encPEM}), smcrypto.ErrInvalidKey)
	require.NoError(t, f.ImportHospitalKeys(ctx, in))
	assert.ErrorIs(t, f.ImportHospitalKeys(ctx, in), keystore.ErrExists)
	in.Replace = true
	require.NoError(t, f.ImportHospitalKeys(ctx, in))
	h, err := f.Hospital(ctx)
	require.NoError(t, err)
	assert.Equal(t, sign.Public(), h.SigningKey)
}

func TestIdentityKeyTransfer(t *testing.T) {
	ctx := t.Context()
	a, _ := create(t)
	defer func() { assert.NoError(t, a.Close()) }()
	b, _ := create(t)
	defer func() { assert.NoError(t, b.Close()) }()
	ha, err := a.Hospital(ctx)
	require.NoError(t, err)
	hb, err := b.Hospital(ctx)
	require.NoError(t, err)
	wrapped, err := a.WrapIdentityKey(ctx, hb.EncryptionKey)
	require.NoError(t, err)

	assert.ErrorIs(t, b.ImportIdentityKey(ctx, wrapped, hb.SigningKey), smcrypto.ErrInvalidSignature, "other sender")
	assert.ErrorIs(t, a.ImportIdentityKey(ctx, wrapped, ha.SigningKey), smcrypto.ErrInvalidSignature, "other recipient")
	require.NoError(t, b.ImportIdentityKey(ctx, wrapped, ha.SigningKey))
	ca, err := a.IdentityCheck(ctx)
	require.NoError(t, err)
	cb, err := b.IdentityCheck(ctx)
	require.NoError(t, err)
	assert.Equal(t, ca, cb)

	_, _, err = a.EnsurePatient(ctx, keystore.Tag{1})
	require.NoError(t, err)
	other, _ := create(t)
	defer func() { assert.NoError(t, other.Close()) }()
	ho, err := other.Hospital(ctx)
	require.NoError(t, err)
	wrapped, err = other.WrapIdentityKey(ctx, ha.EncryptionKey)
	require.NoError(t, err)
	assert.ErrorIs(t, a.ImportIdentityKey(ctx, wrapped, ho.SigningKey), keystore.ErrExists)
}
