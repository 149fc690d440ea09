package desensitize

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/emmansun/gmsm/sm3"
	"go.yaml.in/yaml/v3"
)

// Language is the version of the policy language that this package reads.
const Language = "emrbridge-deid/1"

// Format is what a set of rules is for.
type Format string

// Formats of records, and the two kinds of content that all formats hold.
const (
	HL7v2    Format = "hl7v2"
	FHIR     Format = "fhir"
	CDA      Format = "cda"
	FreeText Format = "text"       // selectors are types of identifiers, or *
	Attached Format = "attachment" // selectors are media types: application/pdf, image/*, *
)

var formats = []Format{HL7v2, FHIR, CDA, FreeText, Attached}

// Policy says what becomes of every value of a record. Policies are read-only once parsed
// and then safe for concurrent use.
type Policy struct {
	// Language is the version of the language: emrbridge-deid/1.
	Language string `yaml:"language" json:"language"`
	// Name names the policy: lower-case letters, digits and hyphens.
	Name string `yaml:"name" json:"name"`
	// Version is the policy's own version; any change of a rule needs a new one.
	Version string    `yaml:"version" json:"version"`
	Title   Bilingual `yaml:"title" json:"title"`
	// Basis are the laws and standards that the policy follows, with their clauses.
	Basis []string `yaml:"basis,omitempty" json:"basis,omitempty"`
	// Release is true for policies under which data leave the hospital: a default of keep is
	// refused in them.
	Release bool `yaml:"release" json:"release"`
	// Labels is the language of the labels in free text: zh (default) or en.
	Labels string `yaml:"labels,omitempty" json:"labels,omitempty"`
	// ShiftDays bounds date shifts; default 183.
	ShiftDays int `yaml:"shiftDays,omitempty" json:"shiftDays,omitempty"`
	// Formats are the rules. A format without rules is refused by its walker.
	Formats map[Format]*RuleSet `yaml:"formats" json:"formats"`

	digest [32]byte
}

// Bilingual is a text in English and Chinese.
type Bilingual struct {
	EN string `yaml:"en" json:"en"`
	ZH string `yaml:"zh" json:"zh"`
}

// RuleSet are the rules of one format. The first rule that selects a value decides, so the
// particular stands before the general.
type RuleSet struct {
	// Default is what happens to values that no rule selects; "" means redact.
	Default Method `yaml:"default,omitempty" json:"default,omitempty"`
	Rules   []Rule `yaml:"rules" json:"rules"`
}

// Rule selects values and says what becomes of them.
type Rule struct {
	// Name names the rule in reports; default is its selector.
	Name string `yaml:"name,omitempty" json:"name,omitempty"`
	// Select is the selector in the language of the format (see the packages of the walkers).
	Select string `yaml:"select" json:"select"`
	// Where is a condition on the value and its surroundings.
	Where  string `yaml:"where,omitempty" json:"where,omitempty"`
	Method Method `yaml:"method" json:"method"`
	Params `yaml:",inline"`
}

// Label is how reports name the rule.
func (r *Rule) Label() string {
	switch {
	case r == nil:
		return DefaultRule
	case r.Name != "":
		return r.Name
	case r.Where != "":
		return r.Select + " where " + r.Where
	}
	return r.Select
}

// MaxPolicyBytes is the size limit of a policy file.
const MaxPolicyBytes = 1 << 20

// Limits of a policy.
const (
	maxRules        = 2000
	maxSelector     = 512 // bytes of a selector or condition
	defaultShift    = 183 // days
	maxShiftDays    = 3650
	maxSubstitution = 4 << 10
)

// PolicyError lists everything that is wrong with a policy.
type PolicyError struct {
	Policy string   // its name, "" if it has none
	Faults []string // each names the place: formats.fhir.rules[3]: …
}

func (e *PolicyError) Error() string {
	name := e.Policy
	if name == "" {
		name = "without a name"
	}
	return fmt.Sprintf("policy %s: %s", name, strings.Join(e.Faults, "; "))
}

// ReadPolicy reads a policy of at most MaxPolicyBytes in YAML. The error is a *PolicyError
// that lists all faults at once, or one of reading.
func ReadPolicy(r io.Reader) (*Policy, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxPolicyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return ParsePolicy(data)
}

// ParsePolicy is ReadPolicy for bytes in memory.
func ParsePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicyBytes {
		return nil, &PolicyError{Faults: []string{fmt.Sprintf("more than %d bytes", MaxPolicyBytes)}}
	}
	p := &Policy{}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(p)
	var types *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
		return nil, &PolicyError{Faults: []string{"the policy is empty"}}
	case errors.As(err, &types):
		e := &PolicyError{Policy: p.Name}
		for _, f := range types.Errors {
			e.Faults = append(e.Faults, plainFault(f))
		}
		return nil, e
	case err != nil:
		return nil, &PolicyError{Faults: []string{plainFault(err.Error())}}
	}
	if err := dec.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, &PolicyError{Policy: p.Name, Faults: []string{"there is a second document behind the policy"}}
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return p, nil
}

// plainFault takes names of Go types out of a message of the YAML decoder.
func plainFault(s string) string {
	s = strings.TrimPrefix(s, "yaml: ")
	return strings.NewReplacer(" in type desensitize.Policy", "", " in type desensitize.RuleSet", "", " in type desensitize.Rule", "",
		" in type desensitize.Bilingual", "", "field ", "key ", " not found", " is unknown").Replace(s)
}

// Check finds all faults of a policy that was built in memory, fills its defaults in and
// computes its digest. ParsePolicy has called it. Selectors are checked by the walkers.
func (p *Policy) Check() error {
	e := &PolicyError{Policy: p.Name}
	bad := func(when bool, format string, args ...any) {
		if when {
			e.Faults = append(e.Faults, fmt.Sprintf(format, args...))
		}
	}
	bad(p.Language != Language, "language must be %s", Language)
	bad(!plainName(p.Name), "name must be 1 to 64 lower-case letters, digits and hyphens")
	bad(p.Version == "" || len(p.Version) > 32, "version is missing or longer than 32 bytes")
	bad(p.Title.EN == "" || p.Title.ZH == "", "title needs en and zh")
	bad(p.Labels != "" && p.Labels != "zh" && p.Labels != "en", "labels must be zh or en")
	bad(p.ShiftDays < 0 || p.ShiftDays > maxShiftDays, "shiftDays must be 1 to %d", maxShiftDays)
	bad(len(p.Formats) == 0, "formats: there are no rules")
	for f := range p.Formats {
		bad(!slices.Contains(formats, f), "formats.%s is unknown; known are %s", f, join(formats))
	}
	for _, f := range formats {
		if set := p.Formats[f]; set != nil {
			e.Faults = append(e.Faults, p.checkSet(f, set)...)
		}
	}
	if len(e.Faults) > 0 {
		return e
	}
	if p.ShiftDays == 0 {
		p.ShiftDays = defaultShift
	}
	if p.Labels == "" {
		p.Labels = "zh"
	}
	canonical, err := p.Canonical()
	if err != nil {
		return err
	}
	p.digest = sm3.Sum(canonical)
	return nil
}

func (p *Policy) checkSet(f Format, set *RuleSet) []string {
	var out []string
	if set.Default == "" {
		set.Default = Redact
	}
	place := "formats." + string(f)
	if p.Release && set.Default == Keep {
		out = append(out, place+".default: keep lets out whatever no rule names; a release policy fails closed")
	}
	if set.Default != Keep && set.Default != Redact {
		out = append(out, place+".default must be redact or keep")
	}
	if len(set.Rules) > maxRules {
		return append(out, fmt.Sprintf("%s: more than %d rules", place, maxRules))
	}
	for i := range set.Rules {
		for _, fault := range set.Rules[i].faults(f) {
			out = append(out, fmt.Sprintf("%s.rules[%d]: %s", place, i, fault))
		}
	}
	return out
}

func (r *Rule) faults(f Format) []string {
	out := r.Params.faults(r.Method)
	if r.Select == "" || len(r.Select) > maxSelector {
		out = append(out, fmt.Sprintf("select is missing or longer than %d bytes", maxSelector))
	}
	if len(r.Where) > maxSelector {
		out = append(out, fmt.Sprintf("where is longer than %d bytes", maxSelector))
	}
	if r.With != nil && len(*r.With) > maxSubstitution {
		out = append(out, fmt.Sprintf("with is longer than %d bytes", maxSubstitution))
	}
	if f == FreeText {
		if r.Select != "*" && !slices.Contains(identifierTypes, Type(r.Select)) {
			out = append(out, fmt.Sprintf("select: %q is no type of identifier", r.Select))
		}
		if r.Method == Scrub {
			out = append(out, "scrub stands for the rules of text and cannot be one of them")
		}
	}
	if f == Attached && r.Method != Scrub && r.Method != Redact && r.Method != Keep {
		out = append(out, "attachments can be kept, redacted or scrubbed")
	}
	return out
}

func plainName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// Canonical returns the bytes over which the digest is made: compact JSON of the policy with
// its defaults filled in, so that comments and layout of the YAML do not count.
func (p *Policy) Canonical() ([]byte, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("policy %s: %w", p.Name, err)
	}
	return b, nil
}

// Digest is the SM3 of the canonical form. It is anchored with each release.
func (p *Policy) Digest() [32]byte { return p.digest }

// DigestText is the digest as people write it: sm3: and hexadecimal digits.
func (p *Policy) DigestText() string { return "sm3:" + hex.EncodeToString(p.digest[:]) }

// Rules returns the rules of a format; ok is false where the policy has none, and the format
// must be refused.
func (p *Policy) Rules(f Format) (set *RuleSet, ok bool) {
	set = p.Formats[f]
	return set, set != nil
}
