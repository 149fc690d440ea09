package v2tofhir_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
)

// entry is an entry of a Bundle as a reader sees it.
type entry struct {
	FullURL  string         `json:"fullUrl"`
	Resource map[string]any `json:"resource"`
}

// convert parses a message, converts it and checks what holds of every Bundle.
func convert(text string, o v2tofhir.Options) (*v2tofhir.Result, []entry, error) {
	msg, err := hl7.Parse([]byte(text))
	if err != nil {
		return nil, nil, err
	}
	r, err := v2tofhir.Convert(msg, o)
	if err != nil {
		return nil, nil, err
	}
	b, err := json.Marshal(r.Bundle)
	if err != nil {
		return nil, nil, fmt.Errorf("not JSON: %w", err)
	}
	entries, err := checkBundle(b)
	return r, entries, err
}

// checkBundle reads a Bundle and reports what may never be: no JSON, an entry twice, a
// reference that leads nowhere, an empty value.
func checkBundle(b []byte) ([]entry, error) {
	var doc struct {
		Entry []entry `json:"entry"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, e := range doc.Entry {
		if known[e.FullURL] {
			return nil, fmt.Errorf("%s stands twice", e.FullURL)
		}
		known[e.FullURL] = true
	}
	for _, e := range doc.Entry {
		if err := checkValue(e.Resource, fmt.Sprint(e.Resource["resourceType"]), known); err != nil {
			return nil, err
		}
	}
	return doc.Entry, nil
}

func checkValue(v any, at string, known map[string]bool) error {
	switch v := v.(type) {
	case map[string]any:
		if len(v) == 0 {
			return fmt.Errorf("%s: empty object", at)
		}
		if ref, ok := v["reference"].(string); ok && !known[ref] {
			return fmt.Errorf("%s: %s leads nowhere", at, ref)
		}
		for k, inner := range v {
			if err := checkValue(inner, at+"."+k, known); err != nil {
				return err
			}
		}
	case []any:
		if len(v) == 0 {
			return fmt.Errorf("%s: empty list", at)
		}
		for i, inner := range v {
			if err := checkValue(inner, fmt.Sprintf("%s[%d]", at, i), known); err != nil {
				return err
			}
		}
	case string:
		if strings.TrimSpace(v) == "" {
			return fmt.Errorf("%s: empty string", at)
		}
	case nil:
		return fmt.Errorf("%s: null", at)
	}
	return nil
}
