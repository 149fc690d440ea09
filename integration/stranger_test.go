package integration_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to change the owner's store behind its back

	"github.com/emrbridge/emrbridge/bridge/retrieve/wire"
	"github.com/emrbridge/emrbridge/gateway"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// TestStrangersAreRefused: hospital 4 has certificates of the consortium's authorities, but
// is not registered. It asks in its own name and in that of a member; others have no
// certificate, or one that they made themselves.
func TestStrangersAreRefused(t *testing.T) {
	s, member := w.up(t, 1, nil), w.up(t, 2, nil)
	stranger := w.net.Hospitals()[3]
	cert, err := tls.LoadX509KeyPair(stranger.GatewayCert, stranger.GatewayKey)
	require.NoError(t, err)
	for name, requester := range map[string]string{"in its own name": stranger.MSPID, "in the name of a member": member.hospital.MSPID} {
		t.Run(name, func(t *testing.T) {
			resp, err := s.call(t, &tls.Config{Certificates: []tls.Certificate{cert}}, envelope(t, requester, s.hospital.MSPID, stranger.SignKey))
			require.NoError(t, err)
			defer resp.Body.Close()
			var problem struct{ Code string }
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&problem))
			assert.Equal(t, http.StatusForbidden, resp.StatusCode)
			assert.Equal(t, string(gateway.CodeCaller), problem.Code)
		})
	}
	for name, certs := range map[string][]tls.Certificate{"no certificate": nil, "a certificate of its own making": {selfMade(t, stranger.MSPID)}} {
		t.Run(name, func(t *testing.T) {
			resp, err := s.call(t, &tls.Config{Certificates: certs}, envelope(t, stranger.MSPID, s.hospital.MSPID, stranger.SignKey))
			if err == nil {
				resp.Body.Close()
			}
			require.Error(t, err, "no handshake without a certificate of the authority")
		})
	}
}

// call posts an envelope to the hospital's gateway.
func (s *site) call(t *testing.T, cfg *tls.Config, body []byte) (*http.Response, error) {
	t.Helper()
	ca, err := os.ReadFile(s.hospital.GatewayCA)
	require.NoError(t, err)
	cfg.RootCAs = x509.NewCertPool()
	require.True(t, cfg.RootCAs.AppendCertsFromPEM(ca))
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Config.Gateway.Endpoint+gateway.DeliveriesPath, bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/vnd.emrbridge.request")
	return client.Do(req)
}

// envelope is a well-formed request, signed with the key in a file.
func envelope(t *testing.T, requester, owner, keyFile string) []byte {
	t.Helper()
	r := wire.Request{Version: 1, Requester: requester, Owner: owner, IssuedAt: time.Now().UnixMilli()}
	_, err := rand.Read(r.Nonce[:])
	require.NoError(t, err)
	_, err = rand.Read(r.Access[:])
	require.NoError(t, err)
	canonical, err := r.Canonical()
	require.NoError(t, err)
	text, err := os.ReadFile(keyFile)
	require.NoError(t, err)
	key, err := smcrypto.ParsePrivateKeyPEM(text)
	require.NoError(t, err)
	signature, err := smcrypto.Default().Sign(key, wire.RequestSigningBytes(canonical))
	require.NoError(t, err)
	b, err := wire.SignedRequest{Request: canonical, Signature: signature}.Encode()
	require.NoError(t, err)
	return b
}

// selfMade is a certificate that says what a member's says, but that nobody else signed.
func selfMade(t *testing.T, msp string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{msp}, CommonName: "gateway"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, DNSNames: []string{"127.0.0.1"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// flipBit changes one bit of a record's ciphertext behind the back of the store.
func flipBit(t *testing.T, dir, id string) {
	t.Helper()
	raw, err := hex.DecodeString(id)
	require.NoError(t, err)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "records.db")+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	defer db.Close()
	var at int64
	var data []byte
	ctx := context.Background() // also while the test ends
	require.NoError(t, db.QueryRowContext(ctx, `SELECT body.at, body.data FROM item JOIN body ON body.at = item.blob << 12 WHERE item.id = ?`, raw).Scan(&at, &data))
	data[len(data)/2] ^= 1
	_, err = db.ExecContext(ctx, `UPDATE body SET data = ? WHERE at = ?`, data, at)
	require.NoError(t, err)
}
