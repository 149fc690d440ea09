package devnet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/devnet/internal/toolchain"
)

// gatewayConcurrency is above Fabric's 500, which counts calls that only wait for a commit.
const gatewayConcurrency = 20_000

// envConnection tells the builder of each peer where its hospital's connection.json lies, so that all
// hospitals share one contract package, and so one package id, while each runs its own contract process.
const envConnection = "EMRBRIDGE_CONTRACT_CONNECTION"

// writeNodeConfigs writes the configuration files that hold absolute paths. They are written at every
// start, so that a network's folder may be moved while it is down.
func writeNodeConfigs(root string, s *state, fabric toolchain.Fabric) error {
	if err := writeBuilder(root); err != nil {
		return err
	}
	for _, o := range s.Orderers {
		if err := editConfig(filepath.Join(fabric.SampleConfig, "orderer.yaml"),
			filepath.Join(o.dir(root), "orderer.yaml"), ordererConfig(root, o)); err != nil {
			return err
		}
	}
	for _, h := range s.Hospitals {
		if err := editConfig(filepath.Join(fabric.SampleConfig, "core.yaml"),
			filepath.Join(h.dir(root), "peer", "core.yaml"), peerConfig(root, h)); err != nil {
			return err
		}
		if err := writeConnection(root, h); err != nil {
			return err
		}
	}
	return nil
}

// ordererConfig is what differs from Fabric's sample orderer.yaml, by dotted path.
func ordererConfig(root string, o ordererState) map[string]any {
	dir := o.dir(root)
	cert, key, ca := tlsFiles(filepath.Join(dir, "tls"))
	mutual := node{"Enabled": true, "Certificate": cert, "PrivateKey": key, "RootCAs": []string{ca}, "ClientAuthRequired": true, "ClientRootCAs": []string{ca}}
	return map[string]any{
		"General.ListenAddress":             loopback,
		"General.ListenPort":                o.Port,
		"General.TLS":                       node{"Enabled": true, "Certificate": cert, "PrivateKey": key, "RootCAs": []string{ca}, "ClientAuthRequired": false},
		"General.Cluster.ClientCertificate": cert,
		"General.Cluster.ClientPrivateKey":  key,
		"General.Cluster.RootCAs":           []string{ca},
		// The other policy, "consensus", once left an orderer that had fallen behind on an overloaded
		// machine waiting for ever in its synchroniser, so that the death of one more stopped the channel.
		"General.Cluster.ReplicationPolicy": "simple",
		"General.BootstrapMethod":           "none",
		"General.LocalMSPID":                o.MSPID,
		"General.LocalMSPDir":               filepath.Join(dir, "msp"),
		"FileLedger.Location":               filepath.Join(dir, "ledger"),
		"Consensus.WALDir":                  filepath.Join(dir, "wal"),
		"Consensus.SnapDir":                 filepath.Join(dir, "snapshots"),
		"ChannelParticipation.Enabled":      true,
		"Admin.ListenAddress":               address(o.AdminPort),
		"Admin.TLS":                         mutual,
		"Operations.ListenAddress":          address(o.OperationsPort),
		"Operations.TLS":                    mutual,
		"Metrics.Provider":                  "prometheus",
	}
}

// peerConfig is what differs from Fabric's sample core.yaml, by dotted path.
func peerConfig(root string, h hospitalState) map[string]any {
	dir := filepath.Join(h.dir(root), "peer")
	cert, key, ca := tlsFiles(filepath.Join(dir, "tls"))
	return map[string]any{
		"peer.id":                      h.peerName(),
		"peer.networkId":               "emrbridge",
		"peer.listenAddress":           address(h.PeerPort),
		"peer.address":                 address(h.PeerPort),
		"peer.chaincodeListenAddress":  address(h.ChaincodePort),
		"peer.chaincodeAddress":        address(h.ChaincodePort),
		"peer.gossip.bootstrap":        address(h.PeerPort),
		"peer.gossip.externalEndpoint": address(h.PeerPort),
		"peer.gossip.endpoint":         address(h.PeerPort),
		// Endorsement by a majority waits until the peers know each other; the defaults suit wide networks
		// and make that half a minute.
		"peer.gossip.reconnectInterval":           "500ms",
		"peer.gossip.aliveTimeInterval":           "2s",
		"peer.gossip.aliveExpirationTimeout":      "10s",
		"peer.gossip.publishStateInfoInterval":    "2s",
		"peer.gossip.requestStateInfoInterval":    "4s",
		"peer.localMspId":                         h.MSPID,
		"peer.mspConfigPath":                      filepath.Join(dir, "msp"),
		"peer.fileSystemPath":                     filepath.Join(dir, "ledger"),
		"peer.tls.enabled":                        true,
		"peer.tls.cert.file":                      cert,
		"peer.tls.key.file":                       key,
		"peer.tls.rootcert.file":                  ca,
		"peer.tls.clientRootCAs.files":            []string{ca},
		"peer.limits.concurrency.gatewayService":  gatewayConcurrency,
		"peer.limits.concurrency.endorserService": gatewayConcurrency,
		"ledger.snapshots.rootDir":                filepath.Join(dir, "snapshots"),
		// The contract asks for no key's history, and each record would be indexed for it twice.
		"ledger.history.enableHistoryDatabase": false,
		// No Docker: without this the health check asks for it and fails.
		"vm.endpoint": "",
		"chaincode.externalBuilders": []node{{
			"name": "emrbridge", "path": filepath.Join(root, "builder"), "propagateEnvironment": []string{envConnection},
		}},
		"operations.listenAddress":           address(h.OperationsPort),
		"operations.tls.enabled":             true,
		"operations.tls.cert.file":           cert,
		"operations.tls.key.file":            key,
		"operations.tls.clientAuthRequired":  true,
		"operations.tls.clientRootCAs.files": []string{ca},
		"metrics.provider":                   "prometheus",
	}
}

func tlsFiles(dir string) (cert, key, ca string) {
	return filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key"), filepath.Join(dir, "ca.crt")
}

// editConfig copies a YAML file with some values set, given by dotted path.
func editConfig(from, to string, values map[string]any) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("node configuration: %w", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("node configuration: %s: %w", from, err)
	}
	for path, v := range values {
		set(doc, strings.Split(path, "."), v)
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		return fmt.Errorf("node configuration: %w", err)
	}
	return os.WriteFile(to, out, 0o600)
}

func set(m map[string]any, path []string, v any) {
	for _, key := range path[:len(path)-1] {
		child, ok := m[key].(map[string]any)
		if !ok {
			child = map[string]any{}
			m[key] = child
		}
		m = child
	}
	m[path[len(path)-1]] = v
}

// The three programs that Fabric calls for a contract package: which packages are ours, nothing to build,
// and how the peer reaches the contract.
var builderPrograms = map[string]string{
	"detect":  "#!/bin/sh\n# detect SOURCE METADATA\nexec grep -q '\"type\": *\"ccaas\"' \"$2/metadata.json\"\n",
	"build":   "#!/bin/sh\n# build SOURCE METADATA OUTPUT: a contract as a service is built elsewhere\nexit 0\n",
	"release": "#!/bin/sh\n# release OUTPUT RELEASE: this hospital's way to its own contract process\nset -e\nmkdir -p \"$2/chaincode/server\"\ncp \"$" + envConnection + "\" \"$2/chaincode/server/connection.json\"\n",
}

func writeBuilder(root string) error {
	dir := filepath.Join(root, "builder", "bin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("builder programs: %w", err)
	}
	for name, text := range builderPrograms {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			return fmt.Errorf("builder programs: %w", err)
		}
	}
	return nil
}

func connectionFile(root string, h hospitalState) string {
	return filepath.Join(h.dir(root), "contract", "connection.json")
}

// writeConnection tells a peer how to reach its contract process: mutual TLS, both under the hospital's
// own authority.
func writeConnection(root string, h hospitalState) error {
	cert, key, ca := tlsFiles(filepath.Join(h.dir(root), "peer", "tls"))
	texts := make([]string, 0, 3)
	for _, path := range []string{cert, key, ca} {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("contract connection: %w", err)
		}
		texts = append(texts, string(b))
	}
	b, err := json.Marshal(map[string]any{
		"address": address(h.ContractPort), "dial_timeout": "10s", "tls_required": true, "client_auth_required": true,
		"client_cert": texts[0], "client_key": texts[1], "root_cert": texts[2],
	})
	if err != nil {
		return err
	}
	return os.WriteFile(connectionFile(root, h), b, 0o600)
}
