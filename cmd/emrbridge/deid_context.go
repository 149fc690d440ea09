package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/emrbridge/emrbridge/desensitize"
)

// texts is a JSON value that people write as one string, a number, a list, or null.
type texts []string

// UnmarshalJSON implements json.Unmarshaler. Objects in a list give their name.
func (t *texts) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	return t.add(v)
}

func (t *texts) add(v any) error {
	switch v := v.(type) {
	case nil:
	case string:
		*t = append(*t, v)
	case json.Number:
		*t = append(*t, v.String())
	case []any:
		for _, e := range v {
			if err := t.add(e); err != nil {
				return err
			}
		}
	case map[string]any:
		return t.add(v["name"])
	default:
		return errors.New("expected a text, a number or a list of them")
	}
	return nil
}

// relatives are the people around the patient, as objects or bare names.
type relatives struct{ names, phones, addresses texts }

// UnmarshalJSON implements json.Unmarshaler.
func (r *relatives) UnmarshalJSON(data []byte) error {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil {
		list = []json.RawMessage{data}
	}
	for _, item := range list {
		var person struct {
			Name    texts `json:"name"`
			Phone   texts `json:"phone"`
			Address texts `json:"address"`
		}
		if json.Unmarshal(item, &person) == nil {
			r.names, r.phones, r.addresses = append(r.names, person.Name...), append(r.phones, person.Phone...), append(r.addresses, person.Address...)
			continue
		}
		var name texts
		if err := json.Unmarshal(item, &name); err != nil {
			return err
		}
		r.names = append(r.names, name...)
	}
	return nil
}

// deidContext is one line of --context: what a structured header would say of a text.
type deidContext struct {
	File         string    `json:"file"`
	PatientName  texts     `json:"patient_name"`
	Aliases      texts     `json:"aliases"`
	IDNumber     texts     `json:"id_number"`
	InsuranceNo  texts     `json:"insurance_no"`
	BirthDate    texts     `json:"birth_date"`
	Phone        texts     `json:"phone"`
	Email        texts     `json:"email"`
	Address      texts     `json:"address"`
	Employer     texts     `json:"employer"`
	AdmissionNo  texts     `json:"admission_no"`
	OutpatientNo texts     `json:"outpatient_no"`
	RecordNo     texts     `json:"record_no"`
	ExamNo       texts     `json:"exam_no"`
	Relatives    relatives `json:"relatives"`
	Doctors      texts     `json:"doctors"`
	Nurses       texts     `json:"nurses"`
	Hospital     texts     `json:"hospital"`
}

// LogValue keeps the people out of logs.
func (*deidContext) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// known is the context in the words of the engine.
func (c *deidContext) known() *desensitize.Known {
	if c == nil {
		return nil
	}
	k := &desensitize.Known{}
	for t, values := range map[desensitize.Type][]texts{
		desensitize.Name: {c.PatientName, c.Aliases}, desensitize.IDCard: {c.IDNumber, c.InsuranceNo}, desensitize.BirthDate: {c.BirthDate},
		desensitize.Phone: {c.Phone, c.Relatives.phones, c.Email}, desensitize.Address: {c.Address, c.Relatives.addresses}, desensitize.Employer: {c.Employer},
		desensitize.RecordNo: {c.AdmissionNo, c.OutpatientNo, c.RecordNo, c.ExamNo}, desensitize.Hospital: {c.Hospital},
	} {
		for _, list := range values {
			for _, v := range list {
				k.Add(t, v)
			}
		}
	}
	for _, v := range c.Relatives.names {
		k.AddRelative(v)
	}
	for _, v := range append(c.Doctors, c.Nurses...) {
		k.AddStaff(v)
	}
	return k
}

// deidContexts are the contexts by file name.
type deidContexts map[string]*deidContext

// readContexts reads a file of JSON lines. Errors name the line, never its content.
func readContexts(path string) (deidContexts, error) {
	out := deidContexts{}
	if path == "" {
		return out, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewReader(f)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > maxContextLine {
			return nil, fmt.Errorf("%s:%d: the line is longer than %d bytes", path, n, maxContextLine)
		}
		if line = bytes.TrimSpace(bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))); len(line) > 0 {
			c := &deidContext{}
			if jsonErr := json.Unmarshal(line, c); jsonErr != nil {
				return nil, fmt.Errorf("%s:%d: not a JSON object with the fields of a context (see --help)", path, n)
			}
			if c.File == "" {
				return nil, fmt.Errorf(`%s:%d: "file" is missing: it says which input the line is about`, path, n)
			}
			out[filepath.ToSlash(filepath.Clean(c.File))] = c
		}
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

const maxContextLine = 1 << 20

// of finds the context of an input: by its path as given, by its path below a folder that was
// given, or by its name alone.
func (c deidContexts) of(in deidInput) *deidContext {
	for _, name := range []string{in.path, in.out, filepath.Base(in.path)} {
		if found := c[filepath.ToSlash(filepath.Clean(name))]; found != nil {
			return found
		}
	}
	return nil
}
