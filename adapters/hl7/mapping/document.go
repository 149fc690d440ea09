package mapping

import (
	"crypto/sha256"
	_ "embed" // the default document
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Format is the version of the document's syntax.
const Format = 1

// Limits of a document. Where one is passed, the document is refused.
const (
	MaxDocument = 1 << 20 // bytes of one file
	maxDepth    = 8       // nested YAML values
	maxEntries  = 20_000  // YAML values in one file
	maxSources  = 32      // sources of one fact
	maxMetadata = 128     // names of metadata of one event
	maxExtends  = 4       // files that extend one another
)

// Document is a set of rules that was read and checked. It is immutable and safe for
// concurrent use.
type Document struct {
	body    body
	digest  string
	program *program
}

// body is the content of a document. Its JSON form is what the digest is taken over, so
// names here are part of the digest. In the body of a file that extends another, a nil
// pointer stands for an entry that is to be taken away.
type body struct {
	Name           string               `json:"name"`
	Version        string               `json:"version"`
	Zone           string               `json:"zone,omitempty"`
	Charset        string               `json:"charset,omitempty"`
	TimeForms      []timeForm           `json:"time_forms"`
	Fields         []field              `json:"fields"`
	Types          map[string]*string   `json:"types"`
	Authorities    map[string]*string   `json:"authorities"`
	AuthorityTypes map[string]*string   `json:"authority_types"`
	Patient        map[string]*fact     `json:"patient"`
	Tables         map[string]*table    `json:"tables"`
	Events         map[string]*block    `json:"events"`
	Merges         map[string]*[]string `json:"merges"`
	extends        string               // file or "default"
	lines          map[string]int       // of keys that a later check may find fault with
}

// field is one place of a patient's numbers.
type field struct {
	Path    string                `json:"path"`
	Type    record.IdentifierType `json:"type,omitempty"`    // of all numbers there
	Untyped record.IdentifierType `json:"untyped,omitempty"` // of numbers without a type
	Detect  bool                  `json:"detect,omitempty"`  // resident ids are recognised by their check digit
	source
}

// table translates codes.
type table struct {
	Target   string             `json:"target,omitempty"` // name of the code system, for people
	Unmapped string             `json:"unmapped"`         // keep, drop or =CODE
	Codes    map[string]*string `json:"codes"`            // keys in upper case
}

// fact says where one fact of the envelope comes from.
type fact struct {
	From  []string `json:"from"`
	As    string   `json:"as,omitempty"`
	Table string   `json:"table,omitempty"`
	Every bool     `json:"every,omitempty"`
	from  []source
	line  int
}

// block holds the rules of one message code or event. A fact that is nil is taken away.
type block struct {
	Events   []string         `json:"events"` // those that are known: nil all, empty none
	Facts    map[string]*fact `json:"facts"`
	Metadata map[string]*fact `json:"metadata"`
}

//go:embed default.yaml
var defaultText []byte

//go:embed example.yaml
var exampleText []byte

var embedded struct {
	once sync.Once
	doc  *Document
}

// Default returns the embedded document.
func Default() *Document {
	embedded.once.Do(func() {
		d, err := Parse(defaultText)
		if err != nil {
			panic("mapping: the embedded document: " + err.Error()) // a test reads it
		}
		embedded.doc = d
	})
	return embedded.doc
}

// DefaultText returns the text of the embedded document, which explains itself.
func DefaultText() []byte { return append([]byte(nil), defaultText...) }

// ExampleText returns the text of a document as a hospital may write it, which extends
// the embedded one.
func ExampleText() []byte { return append([]byte(nil), exampleText...) }

// Name returns the document's name.
func (d *Document) Name() string { return d.body.Name }

// Version returns the document's version as its author wrote it.
func (d *Document) Version() string { return d.body.Version }

// Digest returns the SHA-256 of the effective rules, 64 hexadecimal digits. Comments,
// order of keys and the division over files that extend one another do not change it.
func (d *Document) Digest() string { return d.digest }

// ID returns name, version and the first eight digits of the digest, as
// "default/2+1a2b3c4d": what records carry as their mapping version.
func (d *Document) ID() string { return d.body.Name + "/" + d.body.Version + "+" + d.digest[:8] }

// Zone returns the zone that times without one are in, nil if the document names none.
func (d *Document) Zone() *time.Location { return d.program.zone }

// Charset returns the charset of messages that declare none; ok is false if the document
// names none.
func (d *Document) Charset() (cs hl7.Charset, ok bool) { return hl7.CharsetByName(d.body.Charset) }

// Knows reports whether the document has rules for a kind such as "ADT^A01", or for any
// event of a message code such as "ADT".
func (d *Document) Knows(kind string) bool { return d.program.knows(kind) }

// Kinds returns the kinds that the document names, in order; a message code of which all
// events are taken stands alone.
func (d *Document) Kinds() []string { return append([]string(nil), d.program.kinds...) }

// String implements fmt.Stringer.
func (d *Document) String() string { return d.ID() }

// finish checks a complete body and makes the document of it.
func finish(b body) (*Document, error) {
	p, faults := compile(&b)
	if len(faults) > 0 {
		return nil, faults
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	sum := sha256.Sum256(text)
	return &Document{body: b, digest: hex.EncodeToString(sum[:]), program: p}, nil
}

// Faults are all that is wrong with a document.
type Faults []Fault

// Fault is one thing wrong with a document.
type Fault struct {
	Line    int    `json:"line,omitempty"` // 0 where the fault is of the document as a whole
	Key     string `json:"key"`
	Problem string `json:"problem"`
}

// Error implements error with one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// String returns "line 12: events.ADT.time: …".
func (f Fault) String() string {
	where := f.Key
	if f.Line > 0 {
		where = fmt.Sprintf("line %d: %s", f.Line, f.Key)
	}
	return where + ": " + f.Problem
}
