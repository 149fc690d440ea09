// Package devsite turns a hospital of the development network into a ready installation:
// a folder with a configuration, a keystore that holds the hospital's keys, and a
// passphrase. The demo, the benchmarks, the tests and `emrbridge init` share it. A real
// hospital does the same steps by hand, as docs/guide tells.
package devsite

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/config"
	"github.com/emrbridge/emrbridge/devnet"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/keystore"
)

// ConfigName is the name of the configuration file in a site's folder.
const ConfigName = "emrbridge.yaml"

// Options for Write. Change may alter the configuration before it is written.
type Options struct {
	Dir    string // folder of the site; must be empty or not exist
	Change func(*config.Config)
}

// Write makes the site of a hospital and returns the path of its configuration.
func Write(ctx context.Context, n *devnet.Network, hospital devnet.Hospital, o Options) (string, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return "", fmt.Errorf("devsite: %w", err)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return "", fmt.Errorf("devsite: %s is not empty; name another folder, or remove it", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("devsite: %w", err)
	}
	c, err := siteConfig(ctx, n, hospital, dir)
	if err != nil {
		return "", err
	}
	if o.Change != nil {
		o.Change(c)
	}
	if err := writeKeys(ctx, n, hospital, c); err != nil {
		return "", err
	}
	return writeConfig(c, dir)
}

func siteConfig(ctx context.Context, n *devnet.Network, h devnet.Hospital, dir string) (*config.Config, error) {
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, err
	}
	c := config.Default()
	c.Hospital = config.Hospital{Number: uint16(h.Number), MSP: h.MSPID, Name: h.Name, Zone: "Asia/Shanghai"}
	c.DataDir = filepath.Join(dir, "data")
	c.Keystore = config.Keystore{Dir: filepath.Join(c.DataDir, "keys"), PassphraseFile: filepath.Join(dir, "passphrase")}
	c.HL7.Listeners = []config.Listener{{Name: "his", Addr: ports[0], Charset: "GB18030"}}
	c.Chain.Channel, c.Chain.Contract = n.Channel(), n.Contract()
	c.Chain.Cert, c.Chain.Key, c.Chain.Authority = h.ClientCert, h.ClientKey, n.ConsortiumCA()
	c.Chain.Peers, c.Chain.Endorsers = peers(n, h)
	c.Chain.EndorsersNeeded = len(c.Chain.Endorsers)/2 + 1
	c.Gateway.Addr, c.Gateway.Endpoint = ports[1], "https://"+ports[1]
	c.Gateway.Cert, c.Gateway.Key, c.Gateway.CA = h.GatewayCert, h.GatewayKey, h.GatewayCA
	c.Gateway.Socket = filepath.Join(c.DataDir, "emrbridge.sock")
	c.Store.Dir = filepath.Join(c.DataDir, "store")
	c.Observe.Addr = ports[2]
	return &c, nil
}

// peers lists the hospital's own peer first; the others take over when it fails.
func peers(n *devnet.Network, own devnet.Hospital) (list []config.ChainPeer, msps []string) {
	for _, h := range n.Hospitals() {
		p := config.ChainPeer{Addr: h.PeerEndpoint, TLSCA: h.PeerTLSCA, ServerName: h.PeerTLSHostOverride, MSP: h.MSPID}
		if h.Number == own.Number {
			list = append([]config.ChainPeer{p}, list...)
		} else {
			list = append(list, p)
		}
		msps = append(msps, h.MSPID)
	}
	return list, msps
}

func writeKeys(ctx context.Context, n *devnet.Network, h devnet.Hospital, c *config.Config) error {
	var secret [24]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return fmt.Errorf("devsite: %w", err)
	}
	passphrase := []byte(hex.EncodeToString(secret[:]))
	if err := fsatomic.WriteFile(c.Keystore.PassphraseFile, append(passphrase, '\n'), 0o600); err != nil {
		return err
	}
	text, err := os.ReadFile(n.IdentityKeyFile())
	if err != nil {
		return fmt.Errorf("devsite: identity key: %w", err)
	}
	identity, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf("devsite: identity key: %w", err)
	}
	ks, err := keystore.Create(ctx, c.Keystore.Dir, passphrase, keystore.CreateOptions{
		Number: uint16(h.Number), MSPID: h.MSPID, IdentityKey: identity, KDF: keystore.MinKDF(),
	})
	if err != nil {
		return err
	}
	defer ks.Close()
	return importKeys(ctx, ks, h)
}

func writeConfig(c *config.Config, dir string) (string, error) {
	var out bytes.Buffer
	out.WriteString("# Written for the development network. `emrbridge config example` explains every key.\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c); err != nil {
		return "", fmt.Errorf("devsite: %w", err)
	}
	path := filepath.Join(dir, ConfigName)
	if err := fsatomic.WriteFile(path, out.Bytes(), 0o600); err != nil {
		return "", err
	}
	if _, err := config.Load(path); err != nil {
		return "", fmt.Errorf("devsite: the written configuration is faulty:\n%w", err)
	}
	return path, nil
}

// freePorts returns loopback addresses that nobody listens on.
func freePorts(ctx context.Context, n int) ([]string, error) {
	out := make([]string, n)
	for i := range out {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("devsite: %w", err)
		}
		defer l.Close()
		out[i] = l.Addr().String()
	}
	return out, nil
}

// importKeys brings the SM2 pairs that the network's authority certified into a keystore.
func importKeys(ctx context.Context, ks *keystore.File, h devnet.Hospital) error {
	var keys keystore.HospitalKeys
	for path, to := range map[string]*[]byte{
		h.SignKey: &keys.SigningKey, h.EncKey: &keys.EncryptionKey,
		h.SignCert: &keys.SigningCert, h.EncCert: &keys.EncryptionCert,
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("devsite: %w", err)
		}
		*to = text
	}
	return ks.ImportHospitalKeys(ctx, keys)
}
