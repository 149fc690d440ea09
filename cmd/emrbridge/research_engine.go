package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/bridge/release"
	"github.com/emrbridge/emrbridge/bridge/release/resources"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/engine"
	"github.com/emrbridge/emrbridge/desensitize/leak"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// deidentifier is the de-identification of releases for one project.
type deidentifier struct {
	policy  *desensitize.Policy
	project *desensitize.Project
	cipher  desensitize.Cipher
	engine  *engine.Engine // built by Prepare
}

// deidentifier returns the de-identification of a project under its key.
func (s *site) deidentifier(p release.Project, key [32]byte) (release.Deidentifier, error) {
	policy, err := s.policyOf(p.Policy)
	if err != nil {
		return nil, err
	}
	project, err := desensitize.NewProject(desensitize.ProjectConfig{ID: p.ID, Key: key[:], Copy: []byte(p.Institute)})
	if err != nil {
		return nil, err
	}
	c, err := newFieldCipher(s.provider, key[:])
	if err != nil {
		return nil, err
	}
	return &deidentifier{policy: policy, project: project, cipher: c}, nil
}

// Prepare implements release.Deidentifier.
func (d *deidentifier) Prepare(rare func(code string) bool) (err error) {
	d.engine, err = engine.New(engine.Config{Policy: d.policy, Project: d.project, Cipher: d.cipher, AsOf: time.Now(), Rare: rare})
	return err
}

// record de-identifies one record and passes it through the leak gate.
func (d *deidentifier) record(ctx context.Context, format desensitize.Format, data []byte, s release.Subject) ([]byte, error) {
	out, _, err := d.engine.Record(ctx, format, data, engine.Input{Subject: s.Key[:]})
	var leaked *leak.Found
	switch {
	case err == nil:
		return out, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &leaked):
		return nil, fmt.Errorf("%w: %w", release.ErrLeak, err)
	}
	return nil, fmt.Errorf("%w: %w", release.ErrUnfit, err)
}

// policyOf finds the policy that a project names by digest: one that comes with the program,
// or one in the hospital's folder.
func (s *site) policyOf(want evidence.Digest) (*desensitize.Policy, error) {
	for _, name := range desensitize.Shipped() {
		p, err := desensitize.ShippedPolicy(name)
		if err == nil && evidence.Digest(p.Digest()).Equal(want) {
			return p, nil
		}
	}
	dir := s.config.Research.Policies
	if dir == "" {
		return nil, fmt.Errorf("no policy of the program has the digest %s that the project names: put the policy into a folder and name it in research.policies", want)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		p, err := desensitize.ParsePolicy(text)
		if err == nil && evidence.Digest(p.Digest()).Equal(want) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("no policy of the program or in %s has the digest %s that the project names", dir, want)
}

// Policy implements release.Deidentifier.
func (d *deidentifier) Policy() (string, evidence.Digest) { return d.policy.Name, d.policy.Digest() }

// Facts implements release.Deidentifier.
func (d *deidentifier) Facts(_ context.Context, r *record.Record) (release.Facts, error) {
	list, err := resources.Read(r, nil)
	if errors.Is(err, resources.ErrFormat) {
		return release.Facts{Diagnoses: resources.DocumentDiagnoses(r.Payload), Region: resources.Birthplace(r.Patient)}, nil
	}
	if err != nil {
		return release.Facts{}, fmt.Errorf("%w: %w", release.ErrUnfit, err)
	}
	f := release.Facts{Diagnoses: list.Diagnoses(), Region: list.Region()}
	if f.Region == "" {
		f.Region = resources.Birthplace(r.Patient)
	}
	return f, nil
}

// Deidentify implements release.Deidentifier.
func (d *deidentifier) Deidentify(ctx context.Context, r *record.Record, s release.Subject) ([]json.RawMessage, error) {
	list, err := resources.Read(r, nil)
	if errors.Is(err, resources.ErrFormat) {
		return d.document(ctx, r, s)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", release.ErrUnfit, err)
	}
	// What no map covers, and how the message came, does not leave.
	in, err := list.Without("Basic", "OperationOutcome", "MessageHeader", "Provenance").Bundle()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", release.ErrUnfit, err)
	}
	out, err := d.record(ctx, desensitize.FHIR, in, s)
	if err != nil {
		return nil, err
	}
	clean, err := resources.Parse(out)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", release.ErrUnfit, err)
	}
	return clean.Raw()
}

// document puts a de-identified CDA document into a DocumentReference.
func (d *deidentifier) document(ctx context.Context, r *record.Record, s release.Subject) ([]json.RawMessage, error) {
	if !strings.Contains(r.MediaType, "xml") {
		return nil, fmt.Errorf("%w: media type", release.ErrUnfit)
	}
	out, err := d.record(ctx, desensitize.CDA, r.Payload, s)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(map[string]any{"resourceType": "DocumentReference", "id": r.ID.String(), "status": "current",
		"subject": map[string]any{"reference": "Patient/self"},
		"content": []any{map[string]any{"attachment": map[string]any{"contentType": "text/xml; charset=utf-8", "data": out}}}})
	if err != nil {
		return nil, fmt.Errorf("%w: document", release.ErrUnfit)
	}
	return []json.RawMessage{b}, nil
}

// fieldCipher encrypts single values for policies that say so: SM4-GCM under a key of the
// project that stays in the hospitals.
type fieldCipher struct {
	p   smcrypto.Provider
	key smcrypto.Key
}

func newFieldCipher(p smcrypto.Provider, project []byte) (*fieldCipher, error) {
	b, err := smcrypto.HKDF(p, project, nil, "emrbridge/research/fields/v1", smcrypto.KeySize)
	if err != nil {
		return nil, err
	}
	key, err := smcrypto.ParseKey(b)
	return &fieldCipher{p, key}, err
}

// Encrypt implements desensitize.Cipher.
func (c *fieldCipher) Encrypt(plain []byte) (string, error) {
	blob, err := smcrypto.SealBlob(c.p, c.key, []byte("research field"), plain)
	return base64.RawURLEncoding.EncodeToString(blob), err
}
