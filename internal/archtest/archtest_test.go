package archtest_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/emrbridge/emrbridge/"

// rule bans imports. A pattern names a package below the module, or, with a trailing
// slash and three dots, a tree; patterns with a dot in the first part are foreign modules.
type rule struct {
	who    []string // packages that the rule binds
	except []string // packages among them that it spares
	ban    []string // imports that are banned
	allow  []string // imports among them that are allowed
	why    string
}

var rules = []rule{
	{
		who: []string{"record", "evidence", "smcrypto/..."}, ban: []string{"..."},
		allow: []string{"smcrypto/..."},
		why:   "the vocabulary of the system stands at the bottom and imports nothing local",
	},
	{
		who: []string{"policy"}, ban: []string{"..."}, allow: []string{"record"},
		why: "decisions are pure functions",
	},
	{
		who: []string{"desensitize/..."}, ban: []string{"..."},
		allow: []string{"record", "desensitize/...", "adapters/hl7", "adapters/fhir", "adapters/fhir/tree", "adapters/fhir/schema", "adapters/cda", "adapters/cda/safexml"},
		why:   "de-identification is a pure function over records; it reads them with the codecs that took them in",
	},
	{
		who: []string{"desensitize/leak"}, ban: []string{"desensitize/text"},
		why: "the leak gate is a second opinion: it shares no detector with what it checks",
	},
	{
		who: []string{"adapters/..."}, ban: []string{"..."}, allow: []string{"record", "adapters/...", "internal/fsatomic"},
		why: "an adapter knows its format and the record model, and hands on through an injected function; the file transports write safely",
	},
	{
		who: []string{"ferry/..."}, ban: []string{"..."}, allow: []string{"smcrypto", "ferry/...", "internal/fsatomic"},
		why: "the ferry carries what it does not understand, and is half of a protocol that others may build",
	},
	{
		who: []string{"keystore/..."}, ban: []string{"..."},
		allow: []string{"smcrypto", "keystore/...", "internal/fsatomic"},
		why:   "what holds the keys knows nothing of what they are used for",
	},
	{
		who: []string{"recordstore/..."}, ban: []string{"..."},
		allow: []string{"record", "evidence", "recordstore/...", "internal/fsatomic"},
		why:   "stores keep ciphertext and must be replaceable",
	},
	{
		who: []string{"patientindex"}, ban: []string{"..."}, allow: []string{"record", "evidence", "keystore", "internal/fsatomic"},
		why: "who is who depends on records and keyed digests alone, not on how they came",
	},
	{
		who: []string{"research/..."}, ban: []string{"..."}, allow: []string{"evidence", "smcrypto", "research/...", "internal/fsatomic"},
		why: "an institute works with these: they need nothing of a hospital",
	},
	{
		who: []string{"chaincode"}, ban: []string{"..."}, allow: []string{"evidence", "smcrypto", "policy"},
		why: "the contract runs in every hospital and must stay small enough to be read",
	},
	{
		who: []string{"chaincode"}, ban: []string{"time", "math/rand", "math/rand/v2", "crypto/rand", "net", "os"},
		why: "the contract is deterministic: no clock, no randomness, no world outside the ledger",
	},
	{
		who: []string{"audit/..."}, ban: []string{"bridge/...", "gateway/...", "chainclient/...", "guard/..."},
		why: "the verifier shares only formats with what it checks",
	},
	{
		who: []string{"..."}, except: []string{"chainclient/...", "chaincode/...", "devnet/...", "cmd/emrchaincode", "integration/...", "bench/..."},
		ban: []string{"github.com/hyperledger/..."},
		why: "Fabric stays behind the chain client",
	},
	{
		who: []string{"..."}, except: []string{"bridge/...", "devnet/...", "integration/...", "bench/..."},
		ban: []string{"github.com/nats-io/..."},
		why: "the bus stays behind bridge",
	},
	{
		who: []string{"..."}, except: []string{"guard/...", "integration/...", "bench/..."},
		ban: []string{"github.com/redis/...", "github.com/alicebob/..."},
		why: "Redis stays behind guard",
	},
	{
		who: []string{"..."}, except: []string{"smcrypto/...", "devnet/..."},
		ban: []string{"github.com/emmansun/...", "github.com/tjfoc/..."}, allow: []string{"github.com/emmansun/gmsm/sm3"},
		why: "SM2, SM4 and certificates are reached through the providers of smcrypto, which guard their inputs; SM3 is a digest without a key",
	},
	{
		who: []string{"..."}, except: []string{"cmd/...", "integration/...", "bench/..."}, ban: []string{"cmd/..."},
		why: "the commands are the composition root: nothing depends on them",
	},
	{
		who: []string{"..."}, except: []string{"cmd/...", "config", "internal/devsite", "demo", "integration/...", "bench/..."}, ban: []string{"config"},
		why: "packages get their settings as values from the composition root",
	},
	{
		who: []string{"bridge", "bridge/...", "gateway/...", "audit/...", "chainclient/...", "keystore/...", "recordstore/..."},
		ban: []string{"devnet/..."},
		why: "the product does not know the development network",
	},
}

type pkg struct {
	ImportPath string
	Imports    []string
}

func TestImportsGoDownward(t *testing.T) {
	for _, p := range list(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for _, r := range rules {
			if !matches(r.who, name) || matches(r.except, name) {
				continue
			}
			for _, imported := range p.Imports {
				target := strings.TrimPrefix(imported, module)
				if local := target != imported; banned(r, target, local) {
					t.Errorf("%s imports %s: %s", name, target, r.why)
				}
			}
		}
	}
}

func banned(r rule, target string, local bool) bool {
	ban := slices.ContainsFunc(r.ban, func(p string) bool {
		foreign := strings.Contains(strings.SplitN(p, "/", 2)[0], ".") && p != "..." || standard[p]
		return foreign != local && match(p, target)
	})
	return ban && !matches(r.allow, target)
}

// standard are the packages of the standard library that a rule names.
var standard = map[string]bool{
	"time": true, "math/rand": true, "math/rand/v2": true, "crypto/rand": true, "net": true, "os": true,
}

func TestNoGrabBags(t *testing.T) {
	for _, p := range list(t) {
		for part := range strings.SplitSeq(strings.TrimPrefix(p.ImportPath, module), "/") {
			require.NotContains(t, []string{"util", "utils", "common", "helpers", "global", "misc"}, part,
				"%s: name a package after what it does", p.ImportPath)
		}
	}
}

// The rules themselves are tested, so that a slip in a pattern cannot switch one off.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		from, to string
		local    bool
		want     bool
	}{
		{"record", "evidence", true, true}, {"smcrypto/smtest", "smcrypto", true, false}, {"policy", "record", true, false},
		{"adapters/hl7", "bridge/bus", true, true}, {"adapters/hl7/mllp", "adapters/hl7", true, false},
		{"chaincode", "time", false, true}, {"chaincode", "policy", true, false}, {"audit", "bridge/bus", true, true},
		{"gateway", "github.com/hyperledger/fabric-gateway/pkg/client", false, true},
		{"chainclient", "github.com/hyperledger/fabric-gateway/pkg/client", false, false},
		{"keystore", "github.com/emmansun/gmsm/sm2", false, true}, {"record", "github.com/emmansun/gmsm/sm3", false, false},
		{"guard", "github.com/emmansun/gmsm/sm3", false, false}, {"bridge/seal", "config", true, true}, {"cmd/emrbridge", "config", true, false}, {"gateway", "github.com/redis/go-redis/v9", false, true},
	} {
		hit := false
		for _, r := range rules {
			hit = hit || matches(r.who, c.from) && !matches(r.except, c.from) && banned(r, c.to, c.local)
		}
		require.Equal(t, c.want, hit, "%s → %s", c.from, c.to)
	}
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return match(p, name) })
}

func match(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return name == tree || strings.HasPrefix(name, tree+"/")
	}
	return name == pattern
}

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	require.NoError(t, err)
	var pkgs []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	require.NotEmpty(t, pkgs)
	return pkgs
}
