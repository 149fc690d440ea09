package desensitize_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
)

const small = `
language: emrbridge-deid/1
name: small
version: "1"
title: {en: small, zh: 小}
release: true
formats:
  fhir:
    rules:
      - {select: Patient.name, method: redact}
`

func TestShippedPolicies(t *testing.T) {
	require.Equal(t, []string{"gbt39725-agreement", "gbt39725-public", "limited-dataset", "safe-harbor"}, desensitize.Shipped())
	seen := map[string]bool{}
	for _, name := range desensitize.Shipped() {
		p, err := desensitize.ShippedPolicy(name)
		require.NoError(t, err, name)
		require.Equal(t, name, p.Name)
		require.True(t, p.Release)
		require.NotEmpty(t, p.Basis)
		require.Regexp(t, `^sm3:[0-9a-f]{64}$`, p.DigestText())
		require.False(t, seen[p.DigestText()])
		seen[p.DigestText()] = true
		for _, f := range []desensitize.Format{desensitize.FHIR, desensitize.FreeText, desensitize.Attached} {
			set, ok := p.Rules(f)
			require.True(t, ok, "%s: %s", name, f)
			require.Equal(t, desensitize.Redact, set.Default)
		}
	}
	_, err := desensitize.ShippedPolicy("../policy")
	require.ErrorContains(t, err, "shipped are")
}

// TestDigest: the digest is over what the policy says, not over how it is laid out.
func TestDigest(t *testing.T) {
	digest := func(s string) string {
		p, err := desensitize.ParsePolicy([]byte(s))
		require.NoError(t, err)
		return p.DigestText()
	}
	want := digest(small)
	require.Equal(t, want, digest("# a comment\n"+strings.Replace(small, "{select: Patient.name, method: redact}", "method: redact\n        select: \"Patient.name\"", 1)))
	require.Equal(t, want, digest(strings.Replace(small, "    rules:", "    default: redact\n    rules:", 1)), "a default written out")
	require.NotEqual(t, want, digest(strings.Replace(small, "redact", "scrub", 1)))
	require.NotEqual(t, want, digest(strings.Replace(small, `"1"`, `"2"`, 1)))
}

func TestPolicyFaults(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"empty":    {"", []string{"the policy is empty"}},
		"no yaml":  {"{", []string{"did not find expected node content"}},
		"list":     {"- a", []string{"cannot unmarshal"}},
		"two":      {small + "---\na: b\n", []string{"a second document"}},
		"unknown":  {small + "extra: 1\n", []string{"extra"}},
		"language": {strings.Replace(small, "deid/1", "deid/9", 1), []string{"language must be emrbridge-deid/1"}},
		"all at once": {`
name: Bad Name
release: true
labels: fr
formats:
  fhir:
    default: keep
    rules:
      - {select: a, method: erase}
      - {method: generalise, to: nothing}
      - {select: a, method: perturb}
      - {select: a, method: mask, first: -1, days: 3}
      - {select: a, method: pseudonymise, length: 4, prefix: "a b", of: me}
      - {select: a, method: perturb, span: 1, range: x, round: 29}
  text:
    rules:
      - {select: nothing, method: redact}
      - {select: name, method: scrub}
  attachment:
    rules: [{select: "*", method: mask}]
  docx: {rules: []}
`, []string{
			"language must be", "name must be", "version is missing", "title needs", "labels must be", "formats.docx is unknown", "formats.fhir.default: keep",
			`rules[0]: method "erase"`, "rules[1]: to must be one of", "rules[1]: select is missing", "rules[2]: span", "rules[3]: days has no meaning", "rules[3]: first and last", "rules[4]: length",
			"rules[4]: prefix", "rules[4]: of must be", "rules[5]: range", "rules[5]: round", "formats.text.rules[0]", "formats.text.rules[1]", "attachments can be kept, redacted or scrubbed",
		}},
		"large": {strings.Repeat("#", desensitize.MaxPolicyBytes+1), []string{"more than"}},
	} {
		_, err := desensitize.ParsePolicy([]byte(c.in))
		var e *desensitize.PolicyError
		require.ErrorAs(t, err, &e, name)
		for _, want := range c.want {
			require.Contains(t, strings.Join(e.Faults, "\n"), want, name)
		}
	}
	_, err := desensitize.ReadPolicy(broken{})
	require.ErrorIs(t, err, errBroken)
}

var errBroken = errors.New("broken")

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

func TestJobRefused(t *testing.T) {
	p, err := desensitize.ParsePolicy([]byte(strings.Replace(small, "method: redact", "method: encrypt", 1)))
	require.NoError(t, err)
	project := newProject(t, "P1", 1)
	for _, c := range []desensitize.JobConfig{{}, {Policy: p}, {Policy: p, Project: project}, {Policy: &desensitize.Policy{}, Project: project}} {
		_, err := desensitize.NewJob(c)
		require.ErrorIs(t, err, desensitize.ErrJob)
	}
	p, err = desensitize.ShippedPolicy("safe-harbor")
	require.NoError(t, err)
	_, err = desensitize.NewJob(desensitize.JobConfig{Policy: p, Project: project})
	require.ErrorContains(t, err, "the day to count ages at is missing")
	_, err = desensitize.NewJob(desensitize.JobConfig{Policy: p, Project: project, AsOf: time.Unix(1, 0)})
	require.NoError(t, err)
}

func TestCondition(t *testing.T) {
	values := map[string][]string{".5": {"MR"}, "OBX-2": {"ED"}, ".4": {"a", "b"}, ".9": nil}
	get := func(name string) []string { return values[name] }
	for in, want := range map[string]bool{
		"": true, ".5 = 'MR'": true, ".5 != 'MR'": false, ".5 in ('PI', 'MR')": true, "OBX-2 in ('RP')": false, "exists(.9)": false, "exists(.5) and not exists(.9)": true,
		"startsWith(.5, 'M') or .5 = 'x'": true, "contains(.4, 'b')": true, "(.5 = 'x' or .5 = 'MR') and .4 = 'b'": true, ".4 != 'b'": false, ".9 != 'b'": true, "not not .5 = 'MR'": true,
	} {
		c, err := desensitize.ParseCondition(in, nil)
		require.NoError(t, err, in)
		require.Equal(t, want, c.Holds(get), in)
	}
	for _, in := range []string{".5", ".5 =", ".5 = MR", "'a' = 'b'", "(.5 = 'a'", ".5 = 'a' x", ".5 in 'a'", "exists", "exists(.5", "startsWith(.5)", ".5 = 'a", "=", strings.Repeat("(", 99), "bad = 'x'"} {
		_, err := desensitize.ParseCondition(in, func(name string) bool { return name != "bad" })
		require.ErrorContains(t, err, "where:", in)
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(small))
	for _, name := range desensitize.Shipped() {
		data, _ := desensitize.ShippedSource(name)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := desensitize.ParsePolicy(data); err == nil {
			require.NotEqual(t, [32]byte{}, p.Digest())
		}
	})
}

func FuzzCondition(f *testing.F) {
	f.Add(".5 = 'MR' and (exists(OBX-2) or not startsWith(.4, 'x'))")
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := desensitize.ParseCondition(s, nil); err == nil {
			c.Holds(func(string) []string { return []string{"x"} })
		}
	})
}
