package institute

import (
	"bytes"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"go.yaml.in/yaml/v3"

	"github.com/emrbridge/emrbridge/evidence"
)

//go:embed example.yaml
var example []byte

// Example returns a documented application that a project can start from.
func Example() []byte { return bytes.Clone(example) }

// MaxApplication bounds the text of an application, in bytes; MaxAttachment a file that an
// application names by its digest.
const (
	MaxApplication = 256 << 10
	MaxAttachment  = 256 << 20
)

// document is the text of an application. example.yaml explains every key.
type document struct {
	ID        string   `yaml:"id"`
	Proxy     string   `yaml:"proxy"`
	Hospitals []string `yaml:"hospitals"`
	Purpose   string   `yaml:"purpose"`
	Zone      string   `yaml:"zone"`
	Until     string   `yaml:"until"`
	Ethics    struct {
		Board  string `yaml:"board"`
		Number string `yaml:"number"`
		Until  string `yaml:"until"`
		Letter string `yaml:"letter"`
	} `yaml:"ethics"`
	Protocol string `yaml:"protocol"`
	Cohort   struct {
		Diagnoses []string `yaml:"diagnoses"`
		Age       struct {
			From uint8 `yaml:"from"`
			To   uint8 `yaml:"to"`
		} `yaml:"age"`
		Sex    string `yaml:"sex"`
		Period struct {
			From string `yaml:"from"`
			To   string `yaml:"to"`
		} `yaml:"period"`
		Kinds []string `yaml:"kinds"`
	} `yaml:"cohort"`
	Fields   []string `yaml:"fields"`
	Sharing  string   `yaml:"sharing"`
	Policy   string   `yaml:"policy"`
	MinGroup uint32   `yaml:"min_group"`
}

// Sources resolves what an application names.
type Sources struct {
	// Dir is what relative paths count from.
	Dir string
	// Policy returns the name with version, and the digest, of a de-identification policy.
	Policy func(name string) (evidence.DeidPolicy, error)
}

// ParseApplication reads the text of an application, strictly, and reports all its faults.
func ParseApplication(text []byte, s Sources) (evidence.ApplyProject, error) {
	if len(text) > MaxApplication {
		return evidence.ApplyProject{}, fmt.Errorf("research/institute: an application of %d bytes, %d are allowed", len(text), MaxApplication)
	}
	d := document{Zone: "Asia/Shanghai"}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil {
		return evidence.ApplyProject{}, fmt.Errorf("research/institute: application: %w", err)
	}
	if err := dec.Decode(new(document)); !errors.Is(err, io.EOF) {
		return evidence.ApplyProject{}, errors.New("research/institute: application: one document is wanted")
	}
	return d.body(s)
}

// body turns the document into the statement's body.
func (d *document) body(s Sources) (evidence.ApplyProject, error) {
	zone, err := time.LoadLocation(d.Zone)
	if err != nil || d.Zone == "" {
		return evidence.ApplyProject{}, fmt.Errorf("research/institute: zone: %q is no time zone; Asia/Shanghai is one", d.Zone)
	}
	var faults []error
	day := func(key, value string, end bool) int64 {
		at, err := dayOf(value, zone, end)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
		return at
	}
	digest := func(key, value string) evidence.Digest {
		sum, err := DigestOf(s.Dir, value)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", key, err))
		}
		return sum
	}
	b := evidence.ApplyProject{
		ID: d.ID, Proxy: d.Proxy, Hospitals: d.Hospitals, Purpose: strings.TrimSpace(d.Purpose), NotAfter: day("until", d.Until, true),
		Ethics: evidence.Ethics{Board: d.Ethics.Board, Number: d.Ethics.Number,
			NotAfter: day("ethics.until", d.Ethics.Until, true), Document: digest("ethics.letter", d.Ethics.Letter)},
		Protocol: digest("protocol", d.Protocol),
		Cohort:   evidence.Cohort{Diagnoses: d.Cohort.Diagnoses, AgeFrom: d.Cohort.Age.From, AgeTo: d.Cohort.Age.To, Sex: d.Cohort.Sex, Kinds: d.Cohort.Kinds},
		Fields:   d.Fields, Sharing: evidence.Sharing(d.Sharing), MinGroup: d.MinGroup,
	}
	if d.Cohort.Period.From != "" {
		b.Cohort.From = day("cohort.period.from", d.Cohort.Period.From, false)
	}
	if d.Cohort.Period.To != "" {
		b.Cohort.To = day("cohort.period.to", d.Cohort.Period.To, true)
	}
	if b.Policy, err = s.Policy(d.Policy); err != nil {
		faults = append(faults, fmt.Errorf("policy: %w", err))
	}
	if len(faults) == 0 {
		if err := b.Validate(); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return evidence.ApplyProject{}, fmt.Errorf("research/institute: application: %w", err)
	}
	return b, nil
}

// dayOf reads a day, YYYY-MM-DD, and returns its first or its last millisecond.
func dayOf(text string, zone *time.Location, end bool) (int64, error) {
	at, err := time.ParseInLocation(time.DateOnly, text, zone)
	if err != nil {
		return 0, errors.New("a day is wanted, as 2027-06-30")
	}
	if end {
		return at.AddDate(0, 0, 1).UnixMilli() - 1, nil
	}
	return at.UnixMilli(), nil
}

// DigestOf reads a digest, "sm3:" and 64 hexadecimal digits, or computes the SM3 of a file,
// whose path counts from dir.
func DigestOf(dir, name string) (evidence.Digest, error) {
	var sum evidence.Digest
	if digits, ok := strings.CutPrefix(name, "sm3:"); ok {
		raw, err := hex.DecodeString(digits)
		if err != nil || len(raw) != len(sum) {
			return sum, errors.New("sm3: and 64 hexadecimal digits are wanted")
		}
		return evidence.Digest(raw), nil
	}
	if name == "" {
		return sum, errors.New("a file, or sm3: and its digest, is wanted")
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	f, err := os.Open(name)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	hash := sm3.New()
	n, err := io.Copy(hash, io.LimitReader(f, MaxAttachment+1))
	if err != nil {
		return sum, err
	}
	if n > MaxAttachment {
		return sum, fmt.Errorf("a file of more than %d bytes", MaxAttachment)
	}
	return evidence.Digest(hash.Sum(nil)), nil
}
