package msfhir

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emmansun/gmsm/sm3"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize"
	walker "github.com/emrbridge/emrbridge/desensitize/fhir"
)

// Options are what a configuration does not say.
type Options struct {
	// Project keys date shifts, noise and pseudonyms.
	Project *desensitize.Project
	// Cipher serves the method encrypt; a configuration that encrypts needs one.
	Cipher desensitize.Cipher
	// AsOf is the day at which ages are counted.
	AsOf time.Time
	// Scope names the file or folder for the date shift scopes of these names.
	Scope string
	// Pseudonym asks a service for a pseudonym; nil: those of the project.
	Pseudonym func(domain, value string) string
}

// Walker de-identifies by a configuration. It is safe for concurrent use.
type Walker struct {
	cfg     *Config
	opt     Options
	project *desensitize.Project
	inner   *walker.Walker
}

// labels are the codes of the original, in its order.
var labels = []walker.Label{
	{System: observationValue, Code: "REDACTED", Display: "redacted", Methods: []desensitize.Method{desensitize.Redact}},
	{System: observationValue, Code: "CRYTOHASH", Display: "cryptographic hash function", Methods: []desensitize.Method{desensitize.CryptoHash}},
	{System: observationValue, Code: "MASKED", Display: "masked", Methods: []desensitize.Method{desensitize.Encrypt}},
	{Code: "PERTURBED", Display: "exact value is replaced with another exact value", Methods: []desensitize.Method{desensitize.Perturb, desensitize.DateShift}},
	{Code: "SUBSTITUTED", Display: "exact value is replaced with a predefined value", Methods: []desensitize.Method{desensitize.Substitute}},
	{Code: "GENERALIZED", Display: "exact value is replaced with a general value", Methods: []desensitize.Method{desensitize.Generalise}},
	{System: observationValue, Code: "PSEUDED", Display: "pseudonymized", Methods: []desensitize.Method{desensitize.Pseudonymise}},
}

const observationValue = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"

// New returns a walker. The error is an *Error where a path is not understood or the options
// do not fit the configuration.
func New(cfg *Config, opt Options) (*Walker, error) {
	if opt.Project == nil {
		return nil, &Error{[]string{"a project with a key is needed"}}
	}
	if opt.Cipher == nil && slices.ContainsFunc(cfg.rules, func(r rule) bool { return r.method == "encrypt" }) {
		return nil, &Error{[]string{"the configuration encrypts and there is no key to encrypt with"}}
	}
	job, err := cfg.job(opt)
	if err != nil {
		return nil, err
	}
	w := &Walker{cfg: cfg, opt: opt, project: opt.Project}
	custom := walker.CustomConfig{Labels: labels, Default: w.newAction(&rule{path: desensitize.DefaultRule, method: "keep"})}
	for i := range cfg.rules {
		custom.Rules = append(custom.Rules, walker.Custom{Select: cfg.rules[i].path, Action: w.newAction(&cfg.rules[i])})
	}
	inner, faults := walker.NewCustom(job, custom)
	if len(faults) > 0 {
		e := &Error{}
		for _, f := range faults {
			e.Faults = append(e.Faults, fmt.Sprintf("fhirPathRules[%d]: path: %v", f.Index, f.Err))
		}
		return nil, e
	}
	w.inner = inner
	return w, nil
}

// job wraps the configuration in a policy, so that its digest tells what was applied.
func (c *Config) job(opt Options) (*desensitize.Job, error) {
	digest := sm3.Sum(c.source)
	p := &desensitize.Policy{
		Language: desensitize.Language, Name: "microsoft-fhir", Version: hex.EncodeToString(digest[:8]),
		Title: desensitize.Bilingual{EN: "configuration of Microsoft's FHIR anonymizer", ZH: "微软 FHIR 去标识化工具配置"},
		Formats: map[desensitize.Format]*desensitize.RuleSet{
			desensitize.FHIR: {Default: desensitize.Keep},
		},
	}
	if err := p.Check(); err != nil {
		return nil, err
	}
	return desensitize.NewJob(desensitize.JobConfig{Policy: p, Project: opt.Project, Cipher: opt.Cipher, AsOf: opt.AsOf})
}

// Check reports what is wrong with the paths of a configuration without options.
func (c *Config) Check() error {
	for i := range c.rules {
		if err := walker.CheckSelector(c.rules[i].path); err != nil {
			return &Error{[]string{fmt.Sprintf("fhirPathRules[%d]: path: %v", i, err)}}
		}
	}
	return nil
}

// Record de-identifies one resource or Bundle. Where a rule does not fit a value, the
// configuration decides: the error wraps ErrProcessing, or the resource becomes empty.
func (w *Walker) Record(ctx context.Context, data, subject []byte, known *desensitize.Known, report *desensitize.Report) ([]byte, error) {
	out, err := w.inner.Record(ctx, data, subject, known, report)
	if err == nil || !w.cfg.skip || !errors.Is(err, ErrProcessing) {
		return out, err
	}
	root, parseErr := fhir.Parse(data, fhir.Limits{})
	if parseErr != nil {
		return nil, err
	}
	return []byte(`{"resourceType":"` + root.Get("resourceType").Str() + `","meta":{"security":[{"system":"` + observationValue +
		`","code":"REDACTED","display":"redacted"}]}}`), nil
}
