package mapping

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Parse reads the text of a document that stands alone or extends the embedded one. The
// error is Faults.
func Parse(text []byte) (*Document, error) {
	return parse(text, func(name string) (*body, error) {
		return nil, fmt.Errorf("%q cannot be reached from here; only default can be extended", name)
	})
}

// Load reads a document from a file. What the file extends is found beside it. The error
// is Faults where the file could be read.
func Load(path string) (*Document, error) {
	b, faults, err := loadBody(path, 1)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return finish(*b)
}

// loadBody reads a file and what it extends.
func loadBody(path string, depth int) (*body, Faults, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping: %w (emrbridge hl7 mapping example shows one)", err)
	}
	if info.Size() > MaxDocument {
		return nil, Faults{{Key: "file", Problem: fmt.Sprintf("%d bytes; a mapping has at most %d", info.Size(), MaxDocument)}}, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping: %w", err)
	}
	b, faults := parseBody(text, func(name string) (*body, error) {
		if depth >= maxExtends {
			return nil, fmt.Errorf("more than %d files extend one another", maxExtends)
		}
		if filepath.IsAbs(name) || !filepath.IsLocal(name) {
			return nil, errors.New("a document extends default or a file beside it")
		}
		base, faults, err := loadBody(filepath.Join(filepath.Dir(path), name), depth+1)
		if err == nil && len(faults) > 0 {
			err = fmt.Errorf("%s has faults of its own: %s", name, faults[0])
		}
		return base, err
	})
	return b, faults, nil
}

func parse(text []byte, find func(name string) (*body, error)) (*Document, error) {
	b, faults := parseBody(text, find)
	if len(faults) > 0 {
		return nil, faults
	}
	return finish(*b)
}

// parseBody reads a file and lays it over what it extends.
func parseBody(text []byte, find func(name string) (*body, error)) (*body, Faults) {
	r := &bodyReader{}
	top := r.tree(text)
	if top == nil {
		return nil, r.faults
	}
	b := r.read(top)
	if b.extends != "" {
		base, err := r.base(b.extends, find)
		if err != nil {
			r.faults = append(r.faults, Fault{Line: r.extendsLine, Key: "extends", Problem: err.Error()})
		} else {
			b = overlay(base, b)
		}
	}
	if len(r.faults) > 0 {
		// Faults of the whole would only repeat those of the parts.
		return b, sorted(r.faults)
	}
	if _, faults := compile(b); len(faults) > 0 {
		return b, sorted(faults)
	}
	return b, nil
}

func (r *bodyReader) base(name string, find func(string) (*body, error)) (*body, error) {
	if name == "default" {
		return &Default().body, nil
	}
	return find(name)
}

// bodyReader reads the keys of a document.
type bodyReader struct {
	reader
	b           body
	extendsLine int
}

// The forms of names. Metadata names go into records and are kept short and plain.
var (
	nameForm     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,39}$`)
	versionForm  = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,19}$`)
	metadataForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)
	codeForm     = regexp.MustCompile(`^[A-Z][A-Z0-9]{2}$`)
)

// reserved are the names of metadata that the mapper sets itself.
var reserved = map[string]bool{"unread": true, "patients": true, hl7.MergeKey: true}

func (r *bodyReader) read(top *yaml.Node) *body {
	b := &r.b
	b.lines = map[string]int{}
	seen := map[string]bool{}
	once := func(name string, f func(v *yaml.Node, key string)) func(*yaml.Node, string) {
		return func(v *yaml.Node, key string) { seen[name], b.lines[name] = true, v.Line; f(v, key) }
	}
	r.object(top, "", map[string]func(*yaml.Node, string){
		"format": once("format", func(v *yaml.Node, key string) {
			if v.Value != fmt.Sprint(Format) {
				r.fault(v, key, "is not %d, the format that this program reads", Format)
			}
		}),
		"name":        once("name", func(v *yaml.Node, key string) { b.Name = r.formed(v, key, nameForm) }),
		"version":     once("version", func(v *yaml.Node, key string) { b.Version = r.formed(v, key, versionForm) }),
		"description": func(v *yaml.Node, key string) { r.text(v, key) },
		"extends": func(v *yaml.Node, key string) {
			b.extends, r.extendsLine = r.text(v, key), v.Line
		},
		"zone":        func(v *yaml.Node, key string) { b.Zone = r.zone(v, key) },
		"charset":     func(v *yaml.Node, key string) { b.Charset = r.charset(v, key) },
		"time-forms":  r.timeForms,
		"identifiers": r.identifiers,
		"patient":     r.patient,
		"tables":      r.tables,
		"events":      r.events,
		"merges":      r.merges,
	})
	for _, name := range []string{"format", "name", "version"} {
		if !seen[name] {
			r.faults = append(r.faults, Fault{Key: name, Problem: "is missing"})
		}
	}
	return b
}

func (r *bodyReader) formed(v *yaml.Node, key string, form *regexp.Regexp) string {
	s := r.text(v, key)
	if s != "" && !form.MatchString(s) {
		r.fault(v, key, "%q does not have the form %s", s, form)
	}
	return s
}

func (r *bodyReader) zone(v *yaml.Node, key string) string {
	s := r.text(v, key)
	if _, err := time.LoadLocation(s); err != nil || s == "Local" {
		r.fault(v, key, "%q is no time zone; write for example Asia/Shanghai", s)
	}
	return s
}

func (r *bodyReader) charset(v *yaml.Node, key string) string {
	s := r.text(v, key)
	if _, ok := hl7.CharsetByName(s); !ok {
		r.fault(v, key, "%q is no charset; write for example GB18030 or UTF-8", s)
	}
	return s
}

func (r *bodyReader) timeForms(v *yaml.Node, key string) {
	r.b.TimeForms = []timeForm{}
	texts, at := r.list(v, key)
	if len(texts) > maxSources {
		r.fault(v, key, "more than %d forms", maxSources)
		return
	}
	for i, text := range texts {
		f, err := parseTimeForm(text)
		if err != nil {
			r.fault(at[i], key, "%q: %v", text, err)
		}
		r.b.TimeForms = append(r.b.TimeForms, f)
	}
}

// identifierTypes are the types that numbers may have.
var identifierTypes = []record.IdentifierType{record.ResidentID, record.InsuranceNo, record.InpatientNo, record.OutpatientNo,
	record.HealthCard, record.MedicalNo, record.Passport, record.TravelPermit, record.LocalPatient, record.OtherID}

func (r *bodyReader) identifierType(v *yaml.Node, key string) record.IdentifierType {
	t := record.IdentifierType(r.text(v, key))
	if !slices.Contains(identifierTypes, t) {
		list := make([]string, len(identifierTypes))
		for i, known := range identifierTypes {
			list[i] = string(known)
		}
		r.fault(v, key, "%q is no type of number; known are %s", t, strings.Join(list, ", "))
	}
	return t
}

func (r *bodyReader) identifiers(n *yaml.Node, key string) {
	types := func(into *map[string]*string, form func(string) string) func(*yaml.Node, string) {
		return func(v *yaml.Node, key string) {
			*into = map[string]*string{}
			for _, e := range r.pairs(v, key) {
				name := form(e.name)
				if _, twice := (*into)[name]; twice {
					r.fault(e.key, join(key, e.name), "stands here a second time in another case")
				}
				if isNull(e.val) {
					(*into)[name] = nil
					continue
				}
				t := string(r.identifierType(e.val, join(key, e.name)))
				(*into)[name] = &t
			}
		}
	}
	asIs := func(s string) string { return s }
	r.object(n, key, map[string]func(*yaml.Node, string){
		"fields":          r.fields,
		"types":           types(&r.b.Types, upper),
		"authorities":     types(&r.b.Authorities, asIs),
		"authority-types": types(&r.b.AuthorityTypes, asIs),
	})
}

// fields reads the places of a patient's numbers.
func (r *bodyReader) fields(n *yaml.Node, key string) {
	if n.Kind != yaml.SequenceNode {
		r.fault(n, key, "a list of places is wanted here")
		return
	}
	r.b.Fields = []field{}
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", key, i+1)
		f := field{}
		r.object(item, at, map[string]func(*yaml.Node, string){
			"path": func(v *yaml.Node, key string) {
				f.Path = r.text(v, key)
				src, err := parseSource(f.Path, false)
				if err != nil || src.fixed || src.path.Component > 0 || src.path.Repetition > 0 {
					r.fault(v, key, "%q is no field; write it as in PID-3, or PV1-19 if PV1-2.1 = I", f.Path)
				}
				f.source = src
			},
			"type":    func(v *yaml.Node, key string) { f.Type = r.identifierType(v, key) },
			"untyped": func(v *yaml.Node, key string) { f.Untyped = r.identifierType(v, key) },
			"detect":  func(v *yaml.Node, key string) { f.Detect = r.flag(v, key) },
		})
		if f.Path == "" {
			r.fault(item, at, "has no path")
		}
		r.b.Fields = append(r.b.Fields, f)
	}
}

// patientFacts are the facts of the patient and how they are read.
var patientFacts = map[string]string{"name": "name", "birth-date": "date", "gender": "text"}

func (r *bodyReader) patient(n *yaml.Node, key string) {
	r.b.Patient = map[string]*fact{}
	known := map[string]func(*yaml.Node, string){}
	for name, as := range patientFacts {
		known[name] = func(v *yaml.Node, key string) { r.b.Patient[name] = r.fact(v, key, as) }
	}
	r.object(n, key, known)
}

func (r *bodyReader) tables(n *yaml.Node, key string) {
	r.b.Tables = map[string]*table{}
	for _, e := range r.pairs(n, key) {
		at := join(key, e.name)
		if !metadataForm.MatchString(e.name) {
			r.fault(e.key, at, "the name of a table has the form %s", metadataForm)
		}
		if isNull(e.val) {
			r.b.Tables[e.name] = nil
			continue
		}
		t := &table{}
		r.object(e.val, at, map[string]func(*yaml.Node, string){
			"target":   func(v *yaml.Node, key string) { t.Target = r.text(v, key) },
			"unmapped": func(v *yaml.Node, key string) { t.Unmapped = r.unmapped(v, key) },
			"codes":    func(v *yaml.Node, key string) { t.Codes = r.codes(v, key) },
		})
		r.b.Tables[e.name] = t
	}
}

func (r *bodyReader) unmapped(v *yaml.Node, key string) string {
	s := r.text(v, key)
	if s != "keep" && s != "drop" && (len(s) < 2 || s[0] != '=') {
		r.fault(v, key, "%q is not keep, drop or =CODE", s)
	}
	return s
}

func (r *bodyReader) codes(n *yaml.Node, key string) map[string]*string {
	out := map[string]*string{}
	for _, e := range r.pairs(n, key) {
		name := upper(e.name)
		if _, twice := out[name]; twice {
			r.fault(e.key, join(key, e.name), "stands here a second time in another case")
		}
		if isNull(e.val) {
			out[name] = nil
			continue
		}
		s := r.text(e.val, join(key, e.name))
		out[name] = &s
	}
	return out
}

// upper is the form in which codes are compared.
func upper(s string) string { return strings.ToUpper(strings.TrimSpace(s)) }
