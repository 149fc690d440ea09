package retrievetest

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/chaincode/chaincodetest"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// vault is a keystore with the key pairs in it. Opening one takes a passphrase hash, which
// is slow on purpose, so all worlds of a test binary share the vaults of their hospitals.
type vault struct {
	custody       *keystore.File
	sign, encrypt *smcrypto.PrivateKey
}

var vaults = struct {
	sync.Mutex
	dir  string
	open map[string]*vault
}{open: map[string]*vault{}}

// VerifyTestMain runs the tests, looks for leaked goroutines and removes the vaults.
func VerifyTestMain(m goleak.TestingM) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("database/sql.(*DB).connectionOpener"),
		goleak.IgnoreAnyFunction("github.com/emrbridge/emrbridge/keystore.(*patientDB).commitLoop"),
		goleak.Cleanup(func(code int) {
			for _, v := range vaults.open {
				_ = v.custody.Close()
			}
			_ = os.RemoveAll(vaults.dir)
			os.Exit(code)
		}))
}

// vaultOf returns the vault of a hospital, the same in every world.
func vaultOf(t testing.TB, msp string, number uint16) *vault {
	t.Helper()
	vaults.Lock()
	defer vaults.Unlock()
	if v := vaults.open[msp]; v != nil {
		return v
	}
	var err error
	if vaults.dir == "" {
		vaults.dir, err = os.MkdirTemp("", "emrbridge-test-")
		require.NoError(t, err)
	}
	v := &vault{}
	v.sign, err = smcrypto.Default().GenerateKey()
	require.NoError(t, err)
	v.encrypt, err = smcrypto.Default().GenerateKey()
	require.NoError(t, err)
	sign, err := smcrypto.MarshalPrivateKeyPEM(v.sign)
	require.NoError(t, err)
	encrypt, err := smcrypto.MarshalPrivateKeyPEM(v.encrypt)
	require.NoError(t, err)
	ctx := context.Background()
	v.custody, err = keystore.Create(ctx, vaults.dir+"/"+msp, []byte("a passphrase for tests"),
		keystore.CreateOptions{Number: number, MSPID: msp, IdentityKey: bytes.Repeat([]byte{7}, 32), KDF: keystore.MinKDF()})
	require.NoError(t, err)
	require.NoError(t, v.custody.ImportHospitalKeys(ctx, keystore.HospitalKeys{SigningKey: sign, EncryptionKey: encrypt}))
	vaults.open[msp] = v
	return v
}

// adopt gives a member the keys of its vault, certified by the authority of its world.
func adopt(t testing.TB, c *chaincodetest.Consortium, m *chaincodetest.Member, v *vault) {
	t.Helper()
	m.SignKey, m.EncryptKey = v.sign, v.encrypt
	m.SignCert = chaincodetest.Issue(t, c.Authority, v.sign, m.MSP, smcrypto.UsageSign)
	m.EncryptCert = chaincodetest.Issue(t, c.Authority, v.encrypt, m.MSP, smcrypto.UsageEncipher)
}

// renewedCustody is the vault of a hospital that has renewed its signing key. The vaults
// are shared by all worlds of a test binary, so the new key stands beside them.
type renewedCustody struct {
	*keystore.File
	sign *smcrypto.PrivateKey
}

func (c renewedCustody) Sign(_ context.Context, msg []byte) ([]byte, error) {
	return smcrypto.Default().Sign(c.sign, msg)
}

func (h *Hospital) custody() custody {
	if h.renewed {
		return renewedCustody{h.Custody, h.SignKey}
	}
	return h.Custody
}

// custody is what owners and requesters need of a keystore.
type custody interface {
	retrieve.OwnerCustody
	retrieve.RequesterCustody
}

// Renew gives the hospital a new signing key with a new certificate, registers it and
// returns the old key. Owners and requesters made before keep signing with the old one.
func (h *Hospital) Renew() (old *smcrypto.PrivateKey) {
	h.t.Helper()
	key, err := smcrypto.Default().GenerateKey()
	require.NoError(h.t, err)
	old = h.SignKey
	h.SignKey, h.renewed = key, true
	h.SignCert = chaincodetest.Issue(h.t, h.world.Authority, key, h.MSP, smcrypto.UsageSign)
	h.register()
	return old
}
