package devnet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"
	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/devnet/internal/toolchain"
)

// TestNetwork brings up the real network once, four hospitals and four orderers, and treats it badly.
// Each part leaves it whole for the next.
func TestNetwork(t *testing.T) {
	net := &trial{dir: filepath.Join(t.TempDir(), "net"), contract: buildTestContract(t)}
	net.up(t)
	t.Cleanup(func() { assert.NoError(t, net.Down(context.Background(), true)) })
	for _, part := range []struct {
		name string
		test func(*testing.T, *trial)
	}{
		{"every process is healthy", testHealthy},
		{"a second up changes nothing", testSecondUp},
		{"transactions reach every hospital", testTransactions},
		{"one hospital alone is not a majority", testMajority},
		{"identities verify", testIdentities},
		{"institutions talk over mutual TLS", testGatewayTLS},
		{"a contract process dies", testContractKilled},
		{"a peer dies", testPeerKilled},
		{"the leader dies", testLeaderKilled},
		{"down and up is the same network", testRestart},
		{"the supervisor is killed", testSupervisorKilled},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.test(t, net) }) {
			t.FailNow()
		}
	}
	pids := net.pids(t)
	require.NoError(t, net.Down(t.Context(), true))
	assert.NoDirExists(t, net.dir)
	for _, pid := range pids {
		assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "pid %d", pid)
	}
}

// trial is the network under test and what it takes to start it again.
type trial struct {
	*Network
	dir, contract string
	output        bytes.Buffer
}

func (tr *trial) up(t *testing.T) {
	t.Helper()
	tr.output.Reset()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // Fabric may have to be built first
	defer cancel()
	n, err := Up(ctx, Options{Dir: tr.dir, ContractBin: tr.contract, Progress: &tr.output})
	require.NoError(t, err, tr.output.String())
	tr.Network = n
	t.Log("\n" + tr.output.String())
}

func (tr *trial) pids(t *testing.T) []int {
	t.Helper()
	st, err := tr.Status(t.Context())
	require.NoError(t, err)
	pids := []int{st.Supervisor}
	for _, p := range st.Processes {
		require.NotZero(t, p.PID, p.Name)
		pids = append(pids, p.PID)
	}
	return pids
}

// put commits a value as a hospital, and fails the test if that takes longer than limit.
func (tr *trial) put(t *testing.T, hospital int, key, value string, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		err := tr.invoke(hospital, func(c *client.Contract) error {
			_, err := c.SubmitWithContext(ctx, "put", client.WithArguments(key, value))
			return err
		})
		if err == nil {
			return
		}
		require.NoError(t, ctx.Err(), "put %s: %v", key, err)
		time.Sleep(100 * time.Millisecond)
	}
}

func (tr *trial) get(t *testing.T, hospital int, key string) string {
	t.Helper()
	var out []byte
	require.NoError(t, tr.invoke(hospital, func(c *client.Contract) (err error) {
		out, err = c.EvaluateWithContext(t.Context(), "get", client.WithArguments(key))
		return err
	}))
	return string(out)
}

func (tr *trial) invoke(hospital int, do func(*client.Contract) error) error {
	conn, gw, err := tr.Hospitals()[hospital-1].connect()
	if err != nil {
		return err
	}
	err = do(gw.GetNetwork(tr.Channel()).GetContract(tr.Contract()))
	return errors.Join(err, gw.Close(), conn.Close())
}

func (tr *trial) requireEverywhere(t *testing.T, key, value string) {
	t.Helper()
	for _, h := range tr.Hospitals() {
		require.Eventually(t, func() bool { return tr.get(t, h.Number, key) == value }, 30*time.Second, 50*time.Millisecond, h.MSPID)
	}
}

func buildTestContract(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "testcontract")
	out, err := exec.Command("go", "build", "-o", path, "./internal/testcontract").CombinedOutput()
	require.NoError(t, err, string(out))
	t.Setenv(toolchain.EnvContract, "")
	return path
}

func testHealthy(t *testing.T, tr *trial) {
	require.Eventually(t, func() bool {
		st, err := tr.Status(t.Context())
		require.NoError(t, err)
		return st.OK() && st.Leader != "" && len(st.Processes) == 12
	}, 20*time.Second, 100*time.Millisecond)
	var table bytes.Buffer
	require.NoError(t, printStatus(t.Context(), &table, tr.Network, false))
	assert.Contains(t, table.String(), "leader")
	assert.Equal(t, 12, strings.Count(table.String(), " healthy "))
	for _, h := range tr.Hospitals() {
		height, err := tr.Height(t.Context(), h.Number)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, height, uint64(3), "genesis, approvals, commit")
		size, err := tr.LedgerBytes(h.Number)
		require.NoError(t, err)
		assert.Positive(t, size)
	}
}

func testSecondUp(t *testing.T, tr *trial) {
	before := tr.pids(t)
	var out bytes.Buffer
	second, err := Up(t.Context(), Options{Dir: tr.dir, Progress: &out})
	require.NoError(t, err)
	assert.Contains(t, out.String(), "already running")
	assert.Equal(t, tr.Hospitals(), second.Hospitals())
	assert.Equal(t, before, tr.pids(t))
	_, err = Up(t.Context(), Options{Dir: tr.dir, Hospitals: 5})
	require.ErrorIs(t, err, ErrOptions)
}

func testTransactions(t *testing.T, tr *trial) {
	tr.put(t, 1, "k", "v", 20*time.Second)
	tr.requireEverywhere(t, "k", "v")
}

// A client that finds one willing hospital must not be able to write: the peers refuse at validation.
func testMajority(t *testing.T, tr *trial) {
	var code peer.TxValidationCode
	require.NoError(t, tr.invoke(1, func(c *client.Contract) error {
		proposal, err := c.NewProposal("put", client.WithArguments("alone", "1"), client.WithEndorsingOrganizations("H1MSP"))
		if err != nil {
			return err
		}
		tx, err := proposal.EndorseWithContext(t.Context())
		if err != nil {
			return err
		}
		commit, err := tx.SubmitWithContext(t.Context())
		if err != nil {
			return err
		}
		status, err := commit.StatusWithContext(t.Context())
		if err == nil {
			code = status.Code
		}
		return err
	}))
	assert.Equal(t, peer.TxValidationCode_ENDORSEMENT_POLICY_FAILURE, code)
	assert.Empty(t, tr.get(t, 1, "alone"))
}

func testIdentities(t *testing.T, tr *trial) {
	root := readSM2(t, tr.ConsortiumCA())
	for _, h := range tr.Hospitals() {
		for _, path := range []string{h.SignCert, h.EncCert} {
			cert := readSM2(t, path)
			assert.NoError(t, cert.CheckSignatureFrom(root), path)
			assert.Equal(t, []string{h.MSPID}, cert.Subject.Organization)
			assert.Equal(t, h.Name, cert.Subject.CommonName)
		}
		for _, path := range []string{h.SignKey, h.EncKey, h.ClientKey, h.GatewayKey, tr.IdentityKeyFile()} {
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path)
		}
	}
	b, err := os.ReadFile(tr.IdentityKeyFile())
	require.NoError(t, err)
	key, err := hex.DecodeString(strings.TrimSpace(string(b)))
	require.NoError(t, err)
	assert.Len(t, key, 32)
}

func readSM2(t *testing.T, path string) *smx509.Certificate {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	block, _ := pem.Decode(b)
	require.NotNil(t, block, path)
	cert, err := smx509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	return cert
}

func testGatewayTLS(t *testing.T, tr *trial) {
	config := func(h Hospital) *tls.Config {
		pair, err := tls.LoadX509KeyPair(h.GatewayCert, h.GatewayKey)
		require.NoError(t, err)
		ca, err := os.ReadFile(h.GatewayCA)
		require.NoError(t, err)
		pool := x509.NewCertPool()
		require.True(t, pool.AppendCertsFromPEM(ca))
		return &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
			RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
		}
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.Organization[0]))
	}))
	srv.TLS = config(tr.Hospitals()[0])
	srv.StartTLS()
	defer srv.Close()
	c := http.Client{Transport: &http.Transport{TLSClientConfig: config(tr.Hospitals()[1]), DisableKeepAlives: true}}
	resp, err := c.Get(srv.URL)
	require.NoError(t, err)
	var body bytes.Buffer
	_, err = body.ReadFrom(resp.Body)
	require.NoError(t, errors.Join(err, resp.Body.Close()))
	assert.Equal(t, "H2MSP", body.String())
}

func testContractKilled(t *testing.T, tr *trial) {
	require.NoError(t, tr.Kill(t.Context(), "contract1"))
	st, err := tr.Status(t.Context())
	require.NoError(t, err)
	assert.False(t, st.OK())
	require.NoError(t, tr.Start(t.Context(), "contract1"))
	tr.put(t, 1, "contract", "back", 20*time.Second)
}

func testPeerKilled(t *testing.T, tr *trial) {
	require.NoError(t, tr.Kill(t.Context(), "peer2"))
	tr.put(t, 1, "peer", "without", 30*time.Second)
	require.NoError(t, tr.Start(t.Context(), "peer2"))
	require.Eventually(t, func() bool { return tr.get(t, 2, "peer") == "without" }, 30*time.Second, 100*time.Millisecond, "it catches up")
}

func testLeaderKilled(t *testing.T, tr *trial) {
	before, err := tr.Leader(t.Context())
	require.NoError(t, err)
	require.NoError(t, tr.Kill(t.Context(), before.Process))
	start := time.Now()
	tr.put(t, 1, "leader", "dead", time.Minute)
	t.Logf("first commit %.1f s after the leader was killed", time.Since(start).Seconds())
	require.Eventually(t, func() bool {
		after, err := tr.Leader(t.Context())
		return err == nil && after.Process != before.Process
	}, 30*time.Second, 100*time.Millisecond)
	require.NoError(t, tr.Start(t.Context(), before.Process))
	tr.put(t, 2, "leader", "back", time.Minute)
	tr.requireEverywhere(t, "leader", "back")
}

func testRestart(t *testing.T, tr *trial) {
	hospitals, orderers := tr.Hospitals(), tr.Orderers()
	require.NoError(t, tr.Down(t.Context(), false))
	require.False(t, tr.Running())
	require.ErrorIs(t, tr.Start(t.Context(), "peer1"), ErrNotRunning)
	loaded, err := Load(t.Context(), tr.dir)
	require.NoError(t, err)
	require.False(t, loaded.Running())
	tr.up(t)
	assert.Equal(t, hospitals, tr.Hospitals())
	assert.Equal(t, orderers, tr.Orderers())
	tr.requireEverywhere(t, "leader", "back")
	tr.put(t, 3, "after", "restart", 30*time.Second)
}

func testSupervisorKilled(t *testing.T, tr *trial) {
	pids := tr.pids(t)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGKILL))
	for _, pid := range pids[1:] {
		require.Eventually(t, func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }, 5*time.Second, 20*time.Millisecond, "pid %d", pid)
	}
	require.NoError(t, tr.Down(t.Context(), false))
	tr.up(t)
	tr.requireEverywhere(t, "after", "restart")
	tr.put(t, 4, "after", "kill", 30*time.Second)
}
