// Package resources reads records of all formats as lists of FHIR R4 resources whose
// references lead to each other by type and id, so that one de-identification and one table
// fit all of them. HL7 v2 is converted (package v2tofhir), FHIR is taken apart, and what has
// no map, such as CDA, is left to the caller.
package resources

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
	"github.com/emrbridge/emrbridge/record"
)

// Errors of the package hold no content.
var (
	// ErrFormat: the record is of a format that is not read as FHIR.
	ErrFormat = errors.New("resources: the record's format is not read as FHIR")
	// ErrMalformed: the payload is not what its media type says.
	ErrMalformed = errors.New("resources: the payload is malformed")
)

// maxDepth bounds the nesting of a resource.
const maxDepth = 64

// List is the resources of one record, decoded; numbers are json.Number.
type List []map[string]any

// Read reads a record. systems gives code and identifier systems of HL7 v2 namespaces; see
// v2tofhir.Options.
func Read(r *record.Record, systems map[string]string) (List, error) {
	media, _, _ := strings.Cut(strings.ToLower(r.MediaType), ";")
	switch strings.TrimSpace(media) {
	case hl7.MediaType:
		return message(r, systems)
	case fhir.MediaType, "application/json+fhir", "application/json":
		if _, err := fhir.Parse(r.Payload, fhir.Limits{MaxBytes: record.MaxPayload, MaxValues: 5_000_000}); err != nil {
			return nil, fmt.Errorf("%w: FHIR", ErrMalformed)
		}
		return Parse(r.Payload)
	}
	return nil, ErrFormat
}

// message converts an HL7 v2 payload.
func message(r *record.Record, systems map[string]string) (List, error) {
	policy := hl7.CharsetPolicy{}
	if cs, ok := hl7.CharsetByName(r.Charset); ok {
		policy = hl7.CharsetPolicy{Default: cs, Force: true}
	}
	text, _, err := policy.Decode(r.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: HL7 v2: charset", ErrMalformed)
	}
	msg, err := hl7.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: HL7 v2", ErrMalformed)
	}
	got, err := v2tofhir.Convert(msg, v2tofhir.Options{RecordID: r.ID.String(), Received: time.UnixMilli(r.ReceivedAt), Systems: systems})
	if err != nil {
		return nil, fmt.Errorf("%w: HL7 v2: %w", ErrMalformed, err)
	}
	b, err := json.Marshal(got.Bundle)
	if err != nil {
		return nil, fmt.Errorf("%w: HL7 v2", ErrMalformed)
	}
	return Parse(b)
}

// Parse reads one resource, or those of a Bundle, whose addresses become references by type
// and id.
func Parse(b []byte) (List, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var root map[string]any
	if err := dec.Decode(&root); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something follows the resource", ErrMalformed)
	}
	if root["resourceType"] != "Bundle" {
		if root["resourceType"] == nil {
			return nil, fmt.Errorf("%w: not a resource", ErrMalformed)
		}
		return List{root}, nil
	}
	return entries(root)
}

func entries(bundle map[string]any) (List, error) {
	var out List
	addresses := map[string]string{}
	list, _ := bundle["entry"].([]any)
	for i, e := range list {
		entry, _ := e.(map[string]any)
		r, ok := entry["resource"].(map[string]any)
		typ, _ := r["resourceType"].(string)
		if !ok || typ == "" {
			continue
		}
		id, _ := r["id"].(string)
		url, _ := entry["fullUrl"].(string)
		if id == "" {
			id = fmt.Sprintf("entry-%d", i)
			if u, ok := strings.CutPrefix(url, "urn:uuid:"); ok {
				id = u
			}
			r["id"] = id
		}
		if url != "" {
			addresses[url] = typ + "/" + id
		}
		out = append(out, r)
	}
	for _, r := range out {
		if err := resolve(r, addresses, 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// resolve replaces addresses of the Bundle by type and id.
func resolve(v any, addresses map[string]string, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: nested deeper than %d", ErrMalformed, maxDepth)
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := resolve(e, addresses, depth+1); err != nil {
				return err
			}
		}
	case map[string]any:
		if ref, ok := v["reference"].(string); ok && addresses[ref] != "" {
			v["reference"] = addresses[ref]
		}
		for _, e := range v {
			if err := resolve(e, addresses, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// Bundle writes the resources as one Bundle of type collection.
func (l List) Bundle() ([]byte, error) {
	list := make([]any, len(l))
	for i, r := range l {
		list[i] = map[string]any{"resource": r}
	}
	b, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "collection", "entry": list})
	if err != nil {
		return nil, fmt.Errorf("%w: cannot be written", ErrMalformed)
	}
	return b, nil
}

// Without returns the resources that are not of some types.
func (l List) Without(types ...string) List {
	var out List
	for _, r := range l {
		typ, _ := r["resourceType"].(string)
		skip := false
		for _, t := range types {
			skip = skip || t == typ
		}
		if !skip {
			out = append(out, r)
		}
	}
	return out
}

// Raw returns each resource as JSON.
func (l List) Raw() ([]json.RawMessage, error) {
	out := make([]json.RawMessage, len(l))
	for i, r := range l {
		b, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("%w: cannot be written", ErrMalformed)
		}
		out[i] = b
	}
	return out, nil
}
