package devnet

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixedState is a network of the default size whose ports count up from 7001.
func fixedState(t *testing.T, s settings) *state {
	t.Helper()
	st := &state{Format: stateFormat, Channel: channelID, Contract: contractName, Settings: s}
	port := 7000
	next := func() int { port++; return port }
	for i := 1; i <= s.Orderers; i++ {
		st.Orderers = append(st.Orderers, ordererState{ID: i, MSPID: fmt.Sprintf("Orderer%dMSP", i), Port: next(), AdminPort: next(), OperationsPort: next()})
	}
	for i := 1; i <= s.Hospitals; i++ {
		st.Hospitals = append(st.Hospitals, hospitalState{
			Number: i, MSPID: fmt.Sprintf("H%dMSP", i), Name: fmt.Sprintf("Hospital %d", i),
			PeerPort: next(), ChaincodePort: next(), OperationsPort: next(), ContractPort: next(),
		})
	}
	return st
}

func TestChannelConfigGolden(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Options
	}{
		{"configtx_majority.yaml", Options{}},
		{"configtx_any_5.yaml", Options{Hospitals: 5, Orderers: 7, Endorsement: EndorseAny, BlockInterval: 50 * time.Millisecond, BlockMessages: 500}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := newSettings(tc.o)
			require.NoError(t, err)
			got, err := channelConfig("/net", fixedState(t, s))
			require.NoError(t, err)
			golden := filepath.Join("testdata", tc.name)
			if *update {
				require.NoError(t, os.WriteFile(golden, got, 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got))
		})
	}
}

// The figures behind these choices are in the comments of configtx.go; a change here costs throughput.
func TestChannelPoliciesNameSignaturesNotOrganisationsInTurn(t *testing.T) {
	s, err := newSettings(Options{Hospitals: 6})
	require.NoError(t, err)
	st := fixedState(t, s)
	for name, p := range applicationSection("/net", st)["Policies"].(map[string]policy) {
		if name != "Admins" {
			assert.Equal(t, "Signature", p.Type, name)
		}
	}
	assert.Equal(t, "OutOf(4, 'H1MSP.peer', 'H2MSP.peer', 'H3MSP.peer', 'H4MSP.peer', 'H5MSP.peer', 'H6MSP.peer')", endorsementPolicy(st).Rule)
	st.Settings.Endorsement = EndorseAny
	assert.Contains(t, endorsementPolicy(st).Rule, "OR('H1MSP.peer'")
}

func TestSettingsRefuseWhatCannotWork(t *testing.T) {
	_, err := newSettings(Options{})
	require.NoError(t, err)
	for name, o := range map[string]Options{
		"hospitals is 3":       {Hospitals: 3},
		"hospitals is 11":      {Hospitals: 11},
		"orderers is 3":        {Orderers: 3},
		"orderers is 8":        {Orderers: 8},
		`endorsement is "all"`: {Endorsement: "all"},
		"block interval is":    {BlockInterval: time.Millisecond},
		"block messages is -1": {BlockMessages: -1},
	} {
		_, err := newSettings(o)
		require.ErrorIs(t, err, ErrOptions, name)
		require.ErrorContains(t, err, name)
	}
	_, err = newSettings(Options{Hospitals: 1, Orderers: 1})
	require.ErrorContains(t, err, "hospitals is 1")
	require.ErrorContains(t, err, "orderers is 1", "every fault at once")
}

func TestSettingsAgree(t *testing.T) {
	s, err := newSettings(Options{Hospitals: 5})
	require.NoError(t, err)
	assert.NoError(t, s.agree(Options{}, "d"), "nothing asked, nothing to disagree about")
	assert.NoError(t, s.agree(Options{Hospitals: 5, LogSpec: "debug"}, "d"))
	err = s.agree(Options{Hospitals: 4, Endorsement: EndorseAny}, "d")
	require.ErrorIs(t, err, ErrOptions)
	assert.ErrorContains(t, err, "hospitals 5, not 4")
	assert.ErrorContains(t, err, "endorsement majority, not any")
	assert.ErrorContains(t, err, "--purge", "the cure")
}

func TestEditConfigKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	require.NoError(t, os.WriteFile(from, []byte("peer: {id: jdoe, gossip: {bootstrap: x, keep: 3s}}\nvm:\n"), 0o600))
	require.NoError(t, editConfig(from, to, map[string]any{"peer.gossip.bootstrap": "y", "vm.endpoint": "", "new.deep.key": 1}))
	b, err := os.ReadFile(to)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, yaml.Unmarshal(b, &got))
	assert.Equal(t, map[string]any{
		"peer": map[string]any{"id": "jdoe", "gossip": map[string]any{"bootstrap": "y", "keep": "3s"}},
		"vm":   map[string]any{"endpoint": ""},
		"new":  map[string]any{"deep": map[string]any{"key": 1}},
	}, got)
}

func TestContractPackageIsTheSameForAll(t *testing.T) {
	pkg, id, err := contractPackage("emrbridge")
	require.NoError(t, err)
	again, sameID, err := contractPackage("emrbridge")
	require.NoError(t, err)
	assert.Equal(t, pkg, again)
	assert.Equal(t, id, sameID)
	assert.Regexp(t, `^emrbridge:[0-9a-f]{64}$`, id)
}

func TestBuilderPrograms(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, writeBuilder(root))
	run := func(env, name string, args ...string) error {
		cmd := exec.Command(filepath.Join(root, "builder", "bin", name), args...)
		cmd.Env = append(baseEnv(), env)
		return cmd.Run()
	}
	meta := t.TempDir()
	detect := func(text string) error {
		require.NoError(t, os.WriteFile(filepath.Join(meta, "metadata.json"), []byte(text), 0o600))
		return run("", "detect", "unused", meta)
	}
	assert.NoError(t, detect(`{"type":"ccaas","label":"emrbridge"}`))
	assert.NoError(t, detect(`{"label":"x", "type": "ccaas"}`))
	assert.Error(t, detect(`{"type":"golang","label":"emrbridge"}`))
	assert.NoError(t, run("", "build", "a", "b", "c"))

	connection := filepath.Join(root, "connection.json")
	require.NoError(t, os.WriteFile(connection, []byte(`{"address":"here"}`), 0o600))
	release := t.TempDir()
	require.NoError(t, run(envConnection+"="+connection, "release", "unused", release))
	b, err := os.ReadFile(filepath.Join(release, "chaincode", "server", "connection.json"))
	require.NoError(t, err)
	assert.Equal(t, `{"address":"here"}`, string(b))
	assert.Error(t, run(envConnection+"=/missing", "release", "unused", t.TempDir()))
}

func TestProcessesInheritNoFabricSettings(t *testing.T) {
	t.Setenv("CORE_PEER_LOCALMSPID", "OtherMSP")
	t.Setenv("ORDERER_GENERAL_LOCALMSPID", "OtherMSP")
	for _, v := range baseEnv() {
		assert.NotContains(t, v, "OtherMSP")
	}
}
