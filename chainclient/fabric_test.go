package chainclient_test

import (
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// sm2Signer signs with a hospital's key from the network's files.
type sm2Signer struct{ key *smcrypto.PrivateKey }

func (s sm2Signer) Sign(_ context.Context, msg []byte) ([]byte, error) {
	return smcrypto.Default().Sign(s.key, msg)
}

// derOf reads the first PEM block of a file.
func derOf(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	block, _ := pem.Decode(raw)
	require.NotNil(t, block, path)
	return block.Bytes
}

// open returns a client of hospital number h (from 1) with all peers, its own first.
func open(t *testing.T, n *devnet.Network, h int) *chainclient.Client {
	t.Helper()
	return openWith(t, n, h, func(*chainclient.Config) {})
}

func openWith(t *testing.T, n *devnet.Network, h int, change func(*chainclient.Config)) *chainclient.Client {
	t.Helper()
	hospitals := n.Hospitals()
	own := hospitals[h-1]
	cfg := chainclient.Config{
		Channel: n.Channel(), Contract: n.Contract(), MSPID: own.MSPID, CertPath: own.ClientCert, KeyPath: own.ClientKey,
		BatchWait: 50 * time.Millisecond, EndorseTimeout: 5 * time.Second,
	}
	for i := range hospitals {
		p := hospitals[(h-1+i)%len(hospitals)]
		cfg.Peers = append(cfg.Peers, chainclient.Peer{Address: p.PeerEndpoint, TLSCACertPath: p.PeerTLSCA, ServerName: p.PeerTLSHostOverride, MSPID: p.MSPID})
		cfg.Endorsers = append(cfg.Endorsers, p.MSPID)
	}
	change(&cfg)
	raw, err := os.ReadFile(own.SignKey)
	require.NoError(t, err)
	key, err := smcrypto.ParsePrivateKeyPEM(raw)
	require.NoError(t, err)
	c, err := chainclient.Open(t.Context(), cfg, sm2Signer{key})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func register(t *testing.T, c *chainclient.Client, h devnet.Hospital) {
	t.Helper()
	_, err := c.Submit(t.Context(), evidence.RegisterMember{
		Number: uint16(h.Number), Name: h.Name, SignCert: derOf(t, h.SignCert), EncryptCert: derOf(t, h.EncCert),
		Endpoint: "https://" + h.Domain, GatewayKey: evidence.Digest{1},
	})
	require.NoError(t, err)
	m, err := c.Member(t.Context(), h.MSPID)
	require.NoError(t, err)
	assert.Equal(t, uint16(h.Number), m.Info.Number)
	assert.Equal(t, evidence.MemberActive, m.Status)
}

func randomEntries(t *testing.T, hospital byte, n int) []evidence.Entry {
	t.Helper()
	entries := make([]evidence.Entry, n)
	for i := range entries {
		e := &entries[i]
		e.Pointer = []byte{byte(i >> 8), byte(i)}
		for _, b := range [][]byte{e.ID[2:], e.Tag[:], e.CipherHash[:]} {
			_, err := rand.Read(b)
			require.NoError(t, err)
		}
		e.ID[1] = hospital
	}
	return entries
}

// anchorAll adds all entries and waits for all answers.
func anchorAll(t *testing.T, a *chainclient.Anchorer, entries []evidence.Entry) ([]chainclient.Receipt, []error) {
	t.Helper()
	receipts, errs := make([]chainclient.Receipt, len(entries)), make([]error, len(entries))
	done := make(chan struct{}, len(entries)) // callbacks must not block
	for i, e := range entries {
		require.NoError(t, a.Add(t.Context(), e, func(r chainclient.Receipt, err error) {
			receipts[i], errs[i] = r, err
			done <- struct{}{}
		}))
	}
	for range entries {
		<-done
	}
	return receipts, errs
}

// TestFabric runs on a real consortium: four orderers, four peers, the contract.
func TestFabric(t *testing.T) {
	n, err := devnet.Up(t.Context(), devnet.Options{Dir: filepath.Join(t.TempDir(), "net")})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, n.Down(context.Background(), true)) })
	c := open(t, n, 1)
	_, err = c.Bootstrap(t.Context(), derOf(t, n.ConsortiumCA()))
	require.NoError(t, err)
	other := open(t, n, 2)
	t.Run("members register", func(t *testing.T) {
		register(t, c, n.Hospitals()[0])
		register(t, other, n.Hospitals()[1])
	})
	t.Run("refusals are typed", func(t *testing.T) { testRefusals(t, c) })
	t.Run("a batch of 500 is one transaction", func(t *testing.T) { testBatch(t, c) })
	t.Run("poison is isolated", func(t *testing.T) { testPoison(t, c) })
	t.Run("one hospital reads what another wrote", func(t *testing.T) { testReadYourPartner(t, c, other) })
	t.Run("events continue after a restart", func(t *testing.T) { testEvents(t, c) })
	t.Run("the own peer is killed", func(t *testing.T) { testFailover(t, n, c) })
	t.Run("the own peer hangs", func(t *testing.T) { testHang(t, n) })
}

func testRefusals(t *testing.T, c *chainclient.Client) {
	_, err := c.Submit(t.Context(), evidence.RevokeConsent{Consent: evidence.Nonce{1}})
	r, ok := chainclient.RefusalOf(err)
	require.True(t, ok, err)
	assert.Equal(t, evidence.CodeNotFound, r.Code)
	var e *chainclient.EndorseError
	require.ErrorAs(t, err, &e)
	assert.False(t, e.Nonce.IsZero())
	_, err = c.Anchor(t.Context(), evidence.Tag{1}, evidence.RecordID{0, 1})
	assert.True(t, chainclient.IsNotFound(err), err)
	_, err = c.BlockByTx(t.Context(), strings.Repeat("0", 64))
	var q *chainclient.QueryError
	require.ErrorAs(t, err, &q)
	first, err := c.Submit(t.Context(), evidence.RegisterPatient{Tag: evidence.Tag{7}, Digest: evidence.Digest{7}})
	require.NoError(t, err)
	_, err = c.SubmitSigned(t.Context(), first.Signed)
	r, ok = chainclient.RefusalOf(err)
	require.True(t, ok, err)
	assert.Equal(t, evidence.CodeReplayed, r.Code)
}

func testBatch(t *testing.T, c *chainclient.Client) {
	entries := randomEntries(t, 1, 500)
	a := c.NewAnchorer()
	defer func() { require.NoError(t, a.Close(t.Context())) }()
	begin := time.Now()
	receipts, errs := anchorAll(t, a, entries)
	require.NoError(t, errors.Join(errs...))
	t.Logf("500 entries anchored in %s", time.Since(begin).Round(time.Millisecond))
	for _, r := range receipts {
		assert.Equal(t, receipts[0].TxID, r.TxID)
		assert.False(t, r.Duplicate)
	}
	b, err := c.BlockByTx(t.Context(), receipts[0].TxID)
	require.NoError(t, err)
	assert.Equal(t, receipts[0].Block, b.Number)
	txs, err := c.WriteSet(t.Context(), b.Number)
	require.NoError(t, err)
	for _, tx := range txs {
		if tx.ID == receipts[0].TxID {
			assert.GreaterOrEqual(t, len(tx.Writes), 1001, "anchor and guard of each, and the header")
			assert.Equal(t, "H1MSP", tx.Creator)
			require.NotNil(t, tx.Event)
			assert.Equal(t, uint32(500), tx.Event.Count)
		}
	}
	t.Logf("block of %d bytes, %.1f for each record", b.Size, float64(b.Size)/500)
	held, err := c.Anchor(t.Context(), entries[3].Tag, entries[3].ID)
	require.NoError(t, err)
	assert.True(t, held.Equal(entries[3]))
	header, err := c.Batch(t.Context(), 1, receipts[0].Batch)
	require.NoError(t, err)
	assert.Equal(t, uint32(500), header.Header.Count)
	receipts, errs = anchorAll(t, a, entries[:10])
	require.NoError(t, errors.Join(errs...))
	assert.True(t, receipts[0].Duplicate)
}

func testPoison(t *testing.T, c *chainclient.Client) {
	entries := randomEntries(t, 1, 50)
	a := c.NewAnchorer()
	defer func() { require.NoError(t, a.Close(t.Context())) }()
	_, err := a.Anchor(t.Context(), entries[7])
	require.NoError(t, err)
	entries[7].CipherHash[0]++ // other content
	entries[9].ID[1] = 2       // another hospital's id
	entries[11].ID[0] = 0xff   // nobody's
	_, errs := anchorAll(t, a, entries)
	for i, err := range errs {
		poison := i == 7 || i == 9 || i == 11
		assert.Equal(t, poison, chainclient.IsPoison(err), "%d: %v", i, err)
		assert.Equal(t, poison, err != nil, "%d: %v", i, err)
	}
}

func testReadYourPartner(t *testing.T, c, other *chainclient.Client) {
	commit, err := c.Submit(t.Context(), evidence.RegisterPatient{Tag: evidence.Tag{9}, Digest: evidence.Digest{9}})
	require.NoError(t, err)
	begin := time.Now()
	require.NoError(t, other.WaitBlock(t.Context(), commit.Block))
	t.Logf("the other peer had the block after %s", time.Since(begin).Round(time.Millisecond))
	list, err := other.Patient(t.Context(), evidence.Tag{9})
	require.NoError(t, err)
	require.Len(t, list, 1)
	assert.Equal(t, commit.Signed, list[0].Signed)
	members, err := other.Members(t.Context())
	require.NoError(t, err)
	assert.Len(t, members, 2)
}

var errStop = errors.New("stop here")

func testEvents(t *testing.T, c *chainclient.Client) {
	cp := chainclient.NewFileCheckpoint(filepath.Join(t.TempDir(), "events.json"))
	last, err := c.Submit(t.Context(), evidence.RegisterPatient{Tag: evidence.Tag{11}, Digest: evidence.Digest{9}})
	require.NoError(t, err)
	var once []string
	require.ErrorIs(t, c.Events(t.Context(), chainclient.NewFileCheckpoint(filepath.Join(t.TempDir(), "x")), chainclient.Handler{
		Tx: func(_ context.Context, tx chainclient.Tx) error {
			once = append(once, tx.ID)
			if tx.ID == last.TxID {
				return errStop
			}
			return nil
		}}), errStop)
	var pieces []string
	for len(pieces) == 0 || pieces[len(pieces)-1] != last.TxID {
		taken := 0
		err := c.Events(t.Context(), cp, chainclient.Handler{Tx: func(_ context.Context, tx chainclient.Tx) error {
			if taken == 3 {
				return errStop
			}
			taken++
			pieces = append(pieces, tx.ID)
			if tx.Valid {
				assert.NotNil(t, tx.Event)
			}
			return nil
		}, Block: func(context.Context, chainclient.Block) error {
			if pieces != nil && pieces[len(pieces)-1] == last.TxID {
				return errStop
			}
			return nil
		}})
		require.ErrorIs(t, err, errStop)
	}
	assert.Equal(t, once, pieces)
}

func testFailover(t *testing.T, n *devnet.Network, c *chainclient.Client) {
	a := c.NewAnchorer()
	defer func() { require.NoError(t, a.Close(t.Context())) }()
	entries := randomEntries(t, 1, 2000)
	killed := make(chan error, 1)
	time.AfterFunc(150*time.Millisecond, func() { killed <- n.Kill(context.Background(), n.Hospitals()[0].PeerProcess) })
	begin := time.Now()
	_, errs := anchorAll(t, a, entries)
	require.NoError(t, errors.Join(errs...))
	require.NoError(t, <-killed)
	t.Logf("2000 entries while the peer is killed: %s", time.Since(begin).Round(time.Millisecond))
	commit, err := c.Submit(t.Context(), evidence.RegisterPatient{Tag: evidence.Tag{12}, Digest: evidence.Digest{9}})
	require.NoError(t, err)
	assert.NotEqual(t, "H1MSP", commit.Peer)
	require.NoError(t, c.Ready(t.Context()))
	require.NoError(t, n.Start(t.Context(), n.Hospitals()[0].PeerProcess))
	receipts, errs := anchorAll(t, a, entries[:100])
	require.NoError(t, errors.Join(errs...))
	for _, r := range receipts {
		assert.True(t, r.Duplicate, "all 2000 are there")
	}
}

func testHang(t *testing.T, n *devnet.Network) {
	c := open(t, n, 1) // a fresh client is at its own peer
	commit, err := c.Submit(t.Context(), evidence.RegisterPatient{Tag: evidence.Tag{13}, Digest: evidence.Digest{9}})
	require.NoError(t, err)
	assert.Equal(t, "H1MSP", commit.Peer)
	process := n.Hospitals()[0].PeerProcess
	require.NoError(t, n.Signal(t.Context(), process, syscall.SIGSTOP))
	defer func() { require.NoError(t, n.Signal(t.Context(), process, syscall.SIGCONT)) }()
	begin := time.Now()
	commit, err = c.Submit(t.Context(), evidence.RegisterPatient{Tag: evidence.Tag{14}, Digest: evidence.Digest{9}})
	require.NoError(t, err)
	assert.NotEqual(t, "H1MSP", commit.Peer)
	t.Logf("one transaction with a peer that hangs: %s", time.Since(begin).Round(time.Millisecond))
}
