package devnet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/emrbridge/emrbridge/devnet/internal/supervisor"
	"github.com/emrbridge/emrbridge/devnet/internal/toolchain"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// specsFile keeps the command lines of the last start, so that another process can start single nodes again.
const specsFile = "processes.json"

// logFormat is Fabric's own without the terminal colours.
const logFormat = "%{time:2006-01-02T15:04:05.000Z07:00} %{level:.4s} [%{module}] %{message}"

const (
	roleOrderer  = "orderer"
	rolePeer     = "peer"
	roleContract = "contract"
)

// processSpecs lists every process of the network.
func processSpecs(root string, s *state, fabric toolchain.Fabric, contract, logSpec string) map[string]supervisor.Spec {
	specs := map[string]supervisor.Spec{}
	logging := []string{"FABRIC_LOGGING_SPEC=" + logSpec, "FABRIC_LOGGING_FORMAT=" + logFormat}
	add := func(name, path, dir string, args []string, env ...string) {
		specs[name] = supervisor.Spec{
			Name: name, Path: path, Args: args, Dir: dir, Log: logPath(root, name), Env: append(append(baseEnv(), logging...), env...),
		}
	}
	for _, o := range s.Orderers {
		dir := o.dir(root)
		add(o.name(), fabric.Path("orderer"), dir, nil, "FABRIC_CFG_PATH="+dir)
	}
	for _, h := range s.Hospitals {
		dir := filepath.Join(h.dir(root), "peer")
		add(h.peerName(), fabric.Path("peer"), dir, []string{"node", "start"},
			"FABRIC_CFG_PATH="+dir, envConnection+"="+connectionFile(root, h))
		cert, key, ca := tlsFiles(filepath.Join(h.dir(root), "contract"))
		add(h.contractProcess(), contract, filepath.Dir(cert), nil,
			"CHAINCODE_ID="+s.PackageID, "CHAINCODE_SERVER_ADDRESS="+address(h.ContractPort),
			"CHAINCODE_TLS_DISABLED=false", "CHAINCODE_TLS_CERT="+cert, "CHAINCODE_TLS_KEY="+key, "CHAINCODE_TLS_CLIENT_CA="+ca)
	}
	return specs
}

// baseEnv passes on only what a program needs to run: settings of another Fabric network in the caller's
// environment (CORE_…, ORDERER_…) must not leak into this one.
func baseEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "GOMAXPROCS", "GOGC", "GOMEMLIMIT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func logPath(root, name string) string { return filepath.Join(root, "logs", name+".log") }

func (n *Network) saveSpecs() error {
	b, err := json.MarshalIndent(n.specs, "", " ")
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(filepath.Join(n.dir, specsFile), b, 0o600)
}

func (n *Network) readSpec(name string) (supervisor.Spec, error) {
	b, err := os.ReadFile(filepath.Join(n.dir, specsFile))
	if err != nil {
		return supervisor.Spec{}, fmt.Errorf("start %s: %w", name, err)
	}
	var specs map[string]supervisor.Spec
	if err := json.Unmarshal(b, &specs); err != nil {
		return supervisor.Spec{}, fmt.Errorf("start %s: %s: %w", name, specsFile, err)
	}
	spec, ok := specs[name]
	if !ok {
		return supervisor.Spec{}, fmt.Errorf("start %s: %w", name, supervisor.ErrUnknown)
	}
	return spec, nil
}

// processNames lists all processes, orderers first.
func (s *state) processNames() []string {
	var names []string
	for _, o := range s.Orderers {
		names = append(names, o.name())
	}
	for _, h := range s.Hospitals {
		names = append(names, h.peerName())
	}
	for _, h := range s.Hospitals {
		names = append(names, h.contractProcess())
	}
	return names
}
