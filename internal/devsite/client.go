package devsite

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/emrbridge/emrbridge/chainclient"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// signer signs statements with a key from a file: only the development network keeps
// signing keys like that.
type signer struct{ key *smcrypto.PrivateKey }

// Sign implements chainclient.Signer.
func (s signer) Sign(_ context.Context, msg []byte) ([]byte, error) {
	return smcrypto.Default().Sign(s.key, msg)
}

// Client opens a chain client that speaks for a hospital of the network.
func Client(ctx context.Context, n *devnet.Network, h devnet.Hospital, change func(*chainclient.Config)) (*chainclient.Client, error) {
	text, err := os.ReadFile(h.SignKey)
	if err != nil {
		return nil, fmt.Errorf("devsite: signing key: %w", err)
	}
	key, err := smcrypto.ParsePrivateKeyPEM(text)
	if err != nil {
		return nil, fmt.Errorf("devsite: signing key: %w", err)
	}
	cfg := chainclient.Config{Channel: n.Channel(), Contract: n.Contract(), MSPID: h.MSPID, CertPath: h.ClientCert, KeyPath: h.ClientKey}
	own, msps := peers(n, h)
	for _, p := range own {
		cfg.Peers = append(cfg.Peers, chainclient.Peer{Address: p.Addr, TLSCACertPath: p.TLSCA, ServerName: p.ServerName, MSPID: p.MSP})
	}
	cfg.Endorsers = msps
	if change != nil {
		change(&cfg)
	}
	return chainclient.Open(ctx, cfg, signer{key})
}

// Register puts the consortium's authority on the ledger if it is not there, and then the
// hospital, reached at endpoint.
func Register(ctx context.Context, n *devnet.Network, h devnet.Hospital, c *chainclient.Client) error {
	authority, err := derOf(n.ConsortiumCA())
	if err != nil {
		return err
	}
	if _, err := c.Bootstrap(ctx, authority); err != nil {
		return fmt.Errorf("devsite: authority: %w", err)
	}
	body, err := Registration(h, "https://127.0.0.1:1")
	if err != nil {
		return err
	}
	if _, err := c.Submit(ctx, body); err != nil {
		return fmt.Errorf("devsite: register %s: %w", h.MSPID, err)
	}
	return nil
}

// Registration is the statement with which a hospital of the network registers.
func Registration(h devnet.Hospital, endpoint string) (*evidence.RegisterMember, error) {
	sign, err := derOf(h.SignCert)
	if err != nil {
		return nil, err
	}
	enc, err := derOf(h.EncCert)
	if err != nil {
		return nil, err
	}
	tls, err := derOf(h.GatewayCert)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(tls)
	if err != nil {
		return nil, fmt.Errorf("devsite: gateway certificate: %w", err)
	}
	return &evidence.RegisterMember{
		Number: uint16(h.Number), Name: h.Name, SignCert: sign, EncryptCert: enc, Endpoint: endpoint,
		GatewayKey: sha256.Sum256(cert.RawSubjectPublicKeyInfo),
	}, nil
}

func derOf(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("devsite: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("devsite: %s is not PEM", path)
	}
	return block.Bytes, nil
}
