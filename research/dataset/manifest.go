package dataset

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
)

// Errors of the package. They never hold content.
var (
	// ErrMalformed: not a package or delivery of this form.
	ErrMalformed = errors.New("dataset: malformed")
	// ErrAltered: content differs from what the manifest, the root or a signature says.
	ErrAltered = errors.New("dataset: altered")
	// ErrLimit: a bound of the format is exceeded.
	ErrLimit = errors.New("dataset: over the limit")
	// ErrUntrusted: a certificate or signature does not hold.
	ErrUntrusted = errors.New("dataset: not trusted")
)

// Bounds of the format.
const (
	Version     = 1
	MaxFiles    = 256
	MaxLine     = 16 << 20 // bytes of one line
	MaxManifest = 1 << 20  // bytes
	MaxDocument = 64 << 20 // bytes of a file that is no list of lines
	MaxLeaves   = 1 << 28
	MaxPackage  = 64 << 30 // bytes of all files
)

// Names of the fixed files of a package.
const (
	ManifestName = "manifest.json"
	ProofKeyName = "proof.key"
)

// Kind says what a package is.
type Kind string

// Kinds of packages. A notice names the subjects that the institute is to delete, and has
// numbers of its own.
const (
	Release Kind = "release"
	Notice  Kind = "notice"
)

func (k Kind) valid() bool { return k == Release || k == Notice }

// Manifest tells what a package is. It holds no personal data, not even pseudonyms.
type Manifest struct {
	Version   int       `json:"version"`
	Kind      Kind      `json:"kind"`
	Project   string    `json:"project"`
	Institute string    `json:"institute"`
	Hospital  string    `json:"hospital"` // MSP id
	Sequence  uint32    `json:"sequence"` // of the hospital's releases for the project, from 1
	Created   time.Time `json:"created"`
	// Policy is the de-identification policy by name, and the SM3 digest of its canonical form.
	Policy       string          `json:"policy"`
	PolicyDigest evidence.Digest `json:"policy_digest"`
	Subjects     int             `json:"subjects"`
	Suppressed   int             `json:"suppressed"` // subjects that the risk gate held back
	Risk         Risk            `json:"risk"`
	Rows         int64           `json:"rows"` // lines of all files but their column names
	Files        []File          `json:"files"`
}

// Risk are the figures that the release was let out with. K is the size of the smallest group
// of subjects that the quasi-identifiers do not tell apart; the others are probabilities.
type Risk struct {
	K          int      `json:"k"`
	Maximum    float64  `json:"maximum"`
	Average    float64  `json:"average"`
	Quasi      []string `json:"quasi_identifiers"`
	Generalise []string `json:"generalised"` // for each quasi-identifier how far
}

// File is one file of a package.
type File struct {
	Name      string          `json:"name"`
	MediaType string          `json:"media_type"`
	About     string          `json:"about,omitempty"`
	Lines     bool            `json:"lines"` // each line is a leaf; otherwise the file is one
	Leaf      int64           `json:"leaf"`  // number of its first leaf
	Leaves    int64           `json:"leaves"`
	Size      int64           `json:"size"`
	SM3       evidence.Digest `json:"sm3"`
}

// ParseManifest reads a manifest strictly.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if len(b) > MaxManifest {
		return m, fmt.Errorf("%w: manifest of %d bytes, %d are allowed", ErrLimit, len(b), MaxManifest)
	}
	if err := strict(b, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: manifest is not the JSON object that is expected", ErrMalformed)
	}
	return m, m.validate()
}

// strict decodes one JSON value without unknown members.
func strict(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one value")
	}
	return nil
}

func (m Manifest) validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: manifest: %s", ErrMalformed, what) }
	switch {
	case m.Version != Version:
		return bad(fmt.Sprintf("version %d, %d is known", m.Version, Version))
	case !evidence.ValidMSP(m.Project) || !evidence.ValidMSP(m.Institute) || !evidence.ValidMSP(m.Hospital):
		return bad("project, institute or hospital")
	case !m.Kind.valid() || m.Sequence == 0 || m.Subjects < 0 || m.Rows < 0:
		return bad("kind, sequence or counts")
	case len(m.Files) > MaxFiles:
		return fmt.Errorf("%w: %d files, %d are allowed", ErrLimit, len(m.Files), MaxFiles)
	}
	return m.validateFiles()
}

func (m Manifest) validateFiles() error {
	var leaf, total int64
	seen := map[string]bool{}
	for _, f := range m.Files {
		switch {
		case !validName(f.Name) || seen[f.Name]:
			return fmt.Errorf("%w: manifest: name of a file", ErrMalformed)
		case f.Leaf != leaf || f.Leaves < 0 || f.Size < 0 || !f.Lines && f.Leaves != 1:
			return fmt.Errorf("%w: manifest: leaves of a file", ErrMalformed)
		case !f.Lines && f.Size > MaxDocument:
			return fmt.Errorf("%w: document of %d bytes, %d are allowed", ErrLimit, f.Size, MaxDocument)
		}
		seen[f.Name] = true
		leaf += f.Leaves
		total += f.Size
		if leaf >= MaxLeaves || total > MaxPackage || f.Size > MaxPackage {
			return fmt.Errorf("%w: more than %d rows or %d bytes", ErrLimit, MaxLeaves, int64(MaxPackage))
		}
	}
	return nil
}

// leaves is the number of leaves of the tree, the manifest's own included.
func (m Manifest) leaves() int64 {
	n := int64(1)
	for _, f := range m.Files {
		n += f.Leaves
	}
	return n
}

// size is the number of bytes of all files.
func (m Manifest) size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// file finds a file by name.
func (m Manifest) file(name string) (File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == name })
	if i < 0 {
		return File{}, false
	}
	return m.Files[i], true
}

func (m Manifest) encode() ([]byte, error) {
	if err := m.validate(); err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("dataset: encode manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// validName accepts relative names of at most two folders, in letters, digits, '-', '_' and
// '.', that begin with a letter or digit and mean the same on every system.
func validName(name string) bool {
	if name == "" || len(name) > 128 || path.Clean(name) != name || name == ManifestName || name == ProofKeyName {
		return false
	}
	parts := strings.Split(name, "/")
	return len(parts) <= 3 && !slices.ContainsFunc(parts, func(p string) bool { return !validPart(p) })
}

func validPart(p string) bool {
	for i, c := range p {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return p != ""
}
