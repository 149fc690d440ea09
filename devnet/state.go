package devnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

const (
	loopback     = "127.0.0.1"
	channelID    = "emr"
	contractName = "emrbridge"
	stateFile    = "network.json"
	stateFormat  = 1
	domain       = "emr.test"
)

// ErrNoNetwork means that the folder holds no network.
var ErrNoNetwork = errors.New("no network here")

// state is network.json: what a network is, fixed when it is made.
type state struct {
	Format    int             `json:"format"`
	Created   time.Time       `json:"created"`
	Fabric    string          `json:"fabric_module_version"`
	Channel   string          `json:"channel"`
	Contract  string          `json:"contract"`
	PackageID string          `json:"package_id,omitempty"`
	Ready     bool            `json:"ready"` // the first bring-up reached its end
	Settings  settings        `json:"settings"`
	Hospitals []hospitalState `json:"hospitals"`
	Orderers  []ordererState  `json:"orderers"`
}

type hospitalState struct {
	Number         int    `json:"number"`
	MSPID          string `json:"msp_id"`
	Name           string `json:"name"`
	PeerPort       int    `json:"peer_port"`
	ChaincodePort  int    `json:"peer_chaincode_port"` // opened by every peer, unused with contracts as a service
	OperationsPort int    `json:"peer_operations_port"`
	ContractPort   int    `json:"contract_port"`
}

type ordererState struct {
	ID             int    `json:"id"`
	MSPID          string `json:"msp_id"`
	Port           int    `json:"port"`
	AdminPort      int    `json:"admin_port"`
	OperationsPort int    `json:"operations_port"`
}

// newState allots the ports of a new network.
func newState(s settings) (*state, error) {
	ports, err := allotPorts(3*s.Orderers + 4*s.Hospitals)
	if err != nil {
		return nil, err
	}
	next := func() int { p := ports[0]; ports = ports[1:]; return p }
	st := &state{
		Format: stateFormat, Created: time.Now().UTC().Truncate(time.Second),
		Channel: channelID, Contract: contractName, Settings: s,
	}
	for i := 1; i <= s.Orderers; i++ {
		st.Orderers = append(st.Orderers, ordererState{
			ID: i, MSPID: fmt.Sprintf("Orderer%dMSP", i), Port: next(), AdminPort: next(), OperationsPort: next(),
		})
	}
	for i := 1; i <= s.Hospitals; i++ {
		st.Hospitals = append(st.Hospitals, hospitalState{
			Number: i, MSPID: fmt.Sprintf("H%dMSP", i), Name: fmt.Sprintf("Hospital %d", i),
			PeerPort: next(), ChaincodePort: next(), OperationsPort: next(), ContractPort: next(),
		})
	}
	return st, nil
}

// checkPorts reports every port of the network that is taken.
func (s *state) checkPorts() error {
	var faults []error
	check := func(role string, port int) { faults = append(faults, checkPort(role, port)) }
	for _, o := range s.Orderers {
		check(o.name(), o.Port)
		check(o.name()+"'s administration", o.AdminPort)
		check(o.name()+"'s operations", o.OperationsPort)
	}
	for _, h := range s.Hospitals {
		check(h.peerName(), h.PeerPort)
		check(h.peerName()+"'s chaincode listener", h.ChaincodePort)
		check(h.peerName()+"'s operations", h.OperationsPort)
		check(h.contractProcess(), h.ContractPort)
	}
	return errors.Join(faults...)
}

func (s *state) save(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return fsatomic.WriteFile(filepath.Join(dir, stateFile), append(b, '\n'), 0o600)
}

func loadState(dir string) (*state, error) {
	path := filepath.Join(dir, stateFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: make one with devnet up", dir, ErrNoNetwork)
	}
	if err != nil {
		return nil, fmt.Errorf("network state: %w", err)
	}
	var s state
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w: remove the network with down --purge", path, err)
	}
	if s.Format != stateFormat || len(s.Hospitals) == 0 || len(s.Orderers) == 0 {
		return nil, fmt.Errorf("%s has format %d, this program reads %d: remove the network with down --purge", path, s.Format, stateFormat)
	}
	return &s, nil
}

func (o ordererState) name() string   { return fmt.Sprintf("orderer%d", o.ID) }
func (o ordererState) domain() string { return fmt.Sprintf("o%d.%s", o.ID, domain) }
func (o ordererState) dir(root string) string {
	return filepath.Join(root, "orderers", fmt.Sprintf("o%d", o.ID))
}

func (h hospitalState) peerName() string        { return fmt.Sprintf("peer%d", h.Number) }
func (h hospitalState) contractProcess() string { return fmt.Sprintf("contract%d", h.Number) }
func (h hospitalState) domain() string          { return fmt.Sprintf("h%d.%s", h.Number, domain) }
func (h hospitalState) dir(root string) string {
	return filepath.Join(root, "hospitals", fmt.Sprintf("h%d", h.Number))
}

func address(port int) string { return loopback + ":" + strconv.Itoa(port) }
