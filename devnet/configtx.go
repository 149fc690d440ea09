package devnet

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

const profileName = "EMR"

// The ordering knobs that matter with BFT, which ignores BatchTimeout and PreferredMaxBytes.
const (
	absoluteMaxBytes = 10 << 20
	// requestForwardTimeout exceeds the latency under load: a shorter one has every request forwarded to
	// the leader and verified a second time.
	requestForwardTimeout = "5s"
	// leaderHeartbeatTimeout bounds the gap after a leader's death to 3–4 s; 1 s stalls a busy network.
	leaderHeartbeatTimeout = "3s"
)

type policy struct {
	Type string `yaml:"Type"`
	Rule string `yaml:"Rule"`
}

type node = map[string]any

// channelConfig is the configtx.yaml for the channel's genesis block. Paths in it are relative to the
// network's folder root.
func channelConfig(root string, s *state) ([]byte, error) {
	profile := node{
		"Policies":     channelPolicies(s),
		"Capabilities": node{"V3_0": true},
		"Orderer":      ordererSection(root, s),
		"Application":  applicationSection(root, s),
	}
	b, err := yaml.Marshal(node{"Profiles": node{profileName: profile}})
	if err != nil {
		return nil, fmt.Errorf("channel configuration: %w", err)
	}
	return b, nil
}

// Readers and writers are named in one signature policy at each level: with the usual "ANY Writers" each
// organisation tried verifies the same signature again, which halves the throughput.
func channelPolicies(s *state) map[string]policy {
	members := anyOf(append(s.hospitalMSPs(), s.ordererMSPs()...), "member")
	return map[string]policy{"Readers": members, "Writers": members, "Admins": majorityAdmins()}
}

func applicationSection(root string, s *state) node {
	hospitals := anyOf(s.hospitalMSPs(), "member")
	var orgs []any
	for _, h := range s.Hospitals {
		orgs = append(orgs, node{
			"Name": h.MSPID, "ID": h.MSPID, "MSPDir": filepath.Join(h.dir(root), "msp"), "Policies": orgPolicies(h.MSPID, "peer"),
			// Anchor peers let the gossip of one hospital find the peers of the others.
			"AnchorPeers": []node{{"Host": loopback, "Port": h.PeerPort}},
		})
	}
	return node{
		"Organizations": orgs,
		"Capabilities":  node{"V2_5": true},
		"Policies": map[string]policy{
			"Readers": hospitals, "Writers": hospitals, "Admins": majorityAdmins(),
			"Endorsement": endorsementPolicy(s), "LifecycleEndorsement": majorityOf(s.hospitalMSPs(), "peer"),
		},
	}
}

func ordererSection(root string, s *state) node {
	var orgs, consenters []any
	for _, o := range s.Orderers {
		dir := o.dir(root)
		orgs = append(orgs, node{
			"Name": o.MSPID, "ID": o.MSPID, "MSPDir": filepath.Join(dir, "org-msp"), "Policies": orgPolicies(o.MSPID, "member"),
			"OrdererEndpoints": []string{address(o.Port)},
		})
		consenters = append(consenters, node{
			"ID": o.ID, "Host": loopback, "Port": o.Port, "MSPID": o.MSPID,
			"Identity":      filepath.Join(dir, "msp", "signcerts", "cert.pem"),
			"ClientTLSCert": filepath.Join(dir, "tls", "tls.crt"), "ServerTLSCert": filepath.Join(dir, "tls", "tls.crt"),
		})
	}
	members := anyOf(s.ordererMSPs(), "member")
	return node{
		"OrdererType": "BFT", "Organizations": orgs, "ConsenterMapping": consenters, "MaxChannels": 0,
		"BatchTimeout": "2s",
		"BatchSize": node{
			"MaxMessageCount": s.Settings.BlockMessages, "AbsoluteMaxBytes": absoluteMaxBytes, "PreferredMaxBytes": absoluteMaxBytes,
		},
		"SmartBFT":     smartBFT(s),
		"Capabilities": node{"V2_0": true},
		"Policies": map[string]policy{
			"Readers": members, "Writers": members, "Admins": majorityAdmins(), "BlockValidation": members,
		},
	}
}

func smartBFT(s *state) node {
	return node{
		"RequestBatchMaxInterval": s.Settings.BlockInterval.String(),
		"RequestForwardTimeout":   requestForwardTimeout,
		"LeaderHeartbeatTimeout":  leaderHeartbeatTimeout,
		"RequestComplainTimeout":  "60s", "RequestAutoRemoveTimeout": "3m0s", "ViewChangeResendInterval": "5s",
		"ViewChangeTimeout": "20s", "CollectTimeout": "1s", "LeaderHeartbeatCount": 10,
		"IncomingMessageBufferSize": 2000, "RequestPoolSize": 100_000, "LeaderRotation": 0,
	}
}

// endorsementPolicy decides which hospitals' peers must agree on a transaction's result.
func endorsementPolicy(s *state) policy {
	if s.Settings.Endorsement == EndorseAny {
		return anyOf(s.hospitalMSPs(), "peer")
	}
	return majorityOf(s.hospitalMSPs(), "peer")
}

func orgPolicies(mspID, endorser string) map[string]policy {
	one := func(role string) policy { return anyOf([]string{mspID}, role) }
	return map[string]policy{
		"Readers": one("member"), "Writers": one("member"), "Admins": one("admin"), "Endorsement": one(endorser),
	}
}

func majorityAdmins() policy { return policy{Type: "ImplicitMeta", Rule: "MAJORITY Admins"} }

func anyOf(msps []string, role string) policy {
	return policy{Type: "Signature", Rule: "OR(" + principals(msps, role) + ")"}
}

func majorityOf(msps []string, role string) policy {
	return policy{Type: "Signature", Rule: fmt.Sprintf("OutOf(%d, %s)", len(msps)/2+1, principals(msps, role))}
}

func principals(msps []string, role string) string {
	quoted := make([]string, len(msps))
	for i, m := range msps {
		quoted[i] = "'" + m + "." + role + "'"
	}
	return strings.Join(quoted, ", ")
}

func (s *state) hospitalMSPs() []string {
	out := make([]string, len(s.Hospitals))
	for i, h := range s.Hospitals {
		out[i] = h.MSPID
	}
	return out
}

func (s *state) ordererMSPs() []string {
	out := make([]string, len(s.Orderers))
	for i, o := range s.Orderers {
		out[i] = o.MSPID
	}
	return out
}
