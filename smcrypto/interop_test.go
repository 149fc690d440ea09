package smcrypto

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Made with OpenSSL 3.0.19 and a throw-away key:
//
//	openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:SM2
//	openssl dgst -sm3 -sign key.pem -sigopt distid:1234567812345678 message
//	openssl pkeyutl -encrypt -pubin -inkey pub.pem -in plaintext -pkeyopt digest:sm3
const (
	opensslKey       = "7ec3696c43515a27ebfc6260b74e3d7be9e4c14b7af7aed6b41cd6fa485efba4"
	opensslSignature = "3046022100c6218b94859ac6310f33444b461e926660d056386e2f80f5291dae4ce131f719022100f8afe282f8bc45cb4f8276a212d589dfe9a8daf0ee15bf037cd7f814ae54029b"
	opensslCipher    = "3081820221009fb00a284c132ee25f0d6aab2846af5c8e0b94b9a4724dda6dd23ac4d1cd8d23022037d6b94513718511c66081787a360dbf9b8374428206bb8c4589c6b736a6d3c904201e8a4ea47cac2209a41c67e0478d6287d44f2504488ced5ff8601abdcbdf3c430419c47062be2cef07a67e993db059dc8977095e173fb2d93594c5"
)

func TestOpenSSLInterop(t *testing.T) {
	key, err := NewPrivateKey(unhex(opensslKey))
	require.NoError(t, err)
	eachProvider(t, func(t *testing.T, p Provider) {
		assert.NoError(t, p.Verify(key.Public(), []byte("emrbridge interop"), unhex(opensslSignature)))
		ct, err := CiphertextFromASN1(unhex(opensslCipher))
		require.NoError(t, err)
		plain, err := p.Decrypt(key, ct)
		require.NoError(t, err)
		assert.Equal(t, "sixteen byte key and more", string(plain))
	})
}
