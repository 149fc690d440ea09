package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"

	"github.com/emrbridge/emrbridge/evidence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

// pair writes a self-signed certificate, which is its own CA, and returns its files.
func pair(t *testing.T) (cert, key string, loaded tls.Certificate, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
	loaded, err = tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	pool.AddCert(parsed)
	return cert, key, loaded, pool
}

func TestTheConfigurationIsChecked(t *testing.T) {
	cert, key, _, _ := pair(t)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	cases := []struct {
		name string
		env  map[string]string
		want []string // parts of the message; none: valid
	}{
		{"nothing", nil, []string{envID + " is not set", envAddress + " must be host:port"}},
		{"loopback without TLS", map[string]string{envID: "p:1", envAddress: "127.0.0.1:0"}, nil},
		{"localhost without TLS", map[string]string{envID: "p:1", envAddress: "localhost:0"}, nil},
		{"everywhere without TLS", map[string]string{envID: "p:1", envAddress: "0.0.0.0:9999"}, []string{"without TLS"}},
		{"all interfaces by an empty host", map[string]string{envID: "p:1", envAddress: ":9999"}, []string{"without TLS"}},
		{"everywhere, but permitted", map[string]string{envID: "p:1", envAddress: "0.0.0.0:9999", envTLSDisabled: "true"}, nil},
		{"TLS", map[string]string{envID: "p:1", envAddress: "0.0.0.0:9999", envKey: key, envCert: cert, envClientCA: cert}, nil},
		{"key without certificate", map[string]string{envID: "p:1", envAddress: "127.0.0.1:0", envKey: key}, []string{envCert}},
		{"CA without key", map[string]string{envID: "p:1", envAddress: "127.0.0.1:0", envClientCA: cert}, []string{envClientCA + " needs"}},
		{"CA missing", map[string]string{envID: "p:1", envAddress: "127.0.0.1:0", envKey: key, envCert: cert, envClientCA: "/nonexistent"}, []string{envClientCA}},
		{"CA empty", map[string]string{envID: "p:1", envAddress: "127.0.0.1:0", envKey: key, envCert: cert, envClientCA: empty}, []string{"no PEM certificate"}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := configFrom(environment(tc.env))
			if len(tc.want) == 0 {
				require.NoError(t, err)
				return
			}
			for _, want := range tc.want {
				assert.ErrorContains(t, err, want)
			}
		})
	}
}

func TestAnAddressInUseIsNamed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	err = run(t.Context(), environment(map[string]string{envID: "p:1", envAddress: listener.Addr().String()}), io.Discard)
	assert.ErrorContains(t, err, listener.Addr().String()+" is in use by another process")
}

// start runs the service and returns its address once it listens.
func start(t *testing.T, env map[string]string) (address string, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, environment(env), w) }()
	line, err := bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	words := strings.Fields(line)
	require.Greater(t, len(words), 4, line)
	return words[4], func() error {
		cancel()
		return <-done
	}
}

func dial(t *testing.T, address string, c *tls.Config) (peer.Chaincode_ConnectClient, func()) {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(c)))
	require.NoError(t, err)
	stream, err := peer.NewChaincodeClient(conn).Connect(t.Context())
	require.NoError(t, err)
	return stream, func() { _ = conn.Close() }
}

// The test plays the peer: it takes the registration, sends a transaction, and the service
// ends while the stream is still open.
func TestServesAPeerOverMutualTLS(t *testing.T) {
	cert, key, loaded, pool := pair(t)
	address, stop := start(t, map[string]string{
		envID: "emrbridge:abc", envAddress: "127.0.0.1:0", envKey: key, envCert: cert, envClientCA: cert,
	})
	stream, closeConn := dial(t, address, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{loaded}, MinVersion: tls.VersionTLS12})
	defer closeConn()
	register, err := stream.Recv()
	require.NoError(t, err)
	assert.Equal(t, peer.ChaincodeMessage_REGISTER, register.GetType())
	for _, kind := range []peer.ChaincodeMessage_Type{peer.ChaincodeMessage_REGISTERED, peer.ChaincodeMessage_READY} {
		require.NoError(t, stream.Send(&peer.ChaincodeMessage{Type: kind}))
	}
	input, err := proto.Marshal(&peer.ChaincodeInput{Args: [][]byte{[]byte("devnet:probe")}})
	require.NoError(t, err)
	require.NoError(t, stream.Send(&peer.ChaincodeMessage{Type: peer.ChaincodeMessage_TRANSACTION, Payload: input, Txid: "t1", ChannelId: "emr"}))
	done, err := stream.Recv()
	require.NoError(t, err)
	require.Equal(t, peer.ChaincodeMessage_COMPLETED, done.GetType(), "%s", done.GetPayload())
	var response peer.Response
	require.NoError(t, proto.Unmarshal(done.GetPayload(), &response))
	refusal, ok := evidence.ParseRefusal(response.GetMessage())
	require.True(t, ok, response.GetMessage())
	assert.Equal(t, evidence.CodeMalformed, refusal.Code)

	require.NoError(t, stop())
	_, err = stream.Recv()
	assert.Error(t, err)
}

func TestAStrangerIsNotServed(t *testing.T) {
	cert, key, _, pool := pair(t)
	_, _, stranger, _ := pair(t)
	address, stop := start(t, map[string]string{
		envID: "p:1", envAddress: "127.0.0.1:0", envKey: key, envCert: cert, envClientCA: cert,
	})
	for name, c := range map[string]*tls.Config{
		"no certificate": {RootCAs: pool, MinVersion: tls.VersionTLS12},
		"of another CA":  {RootCAs: pool, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{stranger}},
	} {
		conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(c)))
		require.NoError(t, err)
		stream, err := peer.NewChaincodeClient(conn).Connect(t.Context())
		if err == nil {
			_, err = stream.Recv()
		}
		assert.Error(t, err, name)
		require.NoError(t, conn.Close())
	}
	require.NoError(t, stop())
}
