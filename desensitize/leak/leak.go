package leak

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
)

// Type is the type of an identifier. The values are those that the reports of
// de-identification use.
type Type string

// The types.
const (
	Name        Type = "name"
	IDCard      Type = "id-card"
	InsuranceNo Type = "insurance-no"
	Phone       Type = "phone"
	BankCard    Type = "bank-card"
	Passport    Type = "passport"
	OfficerID   Type = "officer-id"
	HMTPermit   Type = "hmt-permit"
	Plate       Type = "plate"
	WeChat      Type = "wechat"
	QQ          Type = "qq"
	Email       Type = "email"
	URL         Type = "url"
	IP          Type = "ip"
	Address     Type = "address"
	Hospital    Type = "hospital"
	Employer    Type = "employer"
	RecordNo    Type = "record-no"
	Date        Type = "date"
	SSN         Type = "ssn"
	Digest      Type = "digest" // a known identifier as a plain hash
	Genomic     Type = "genomic"
	Unreadable  Type = "unreadable" // a part that the gate cannot look into
)

// Finding is one identifier that is still there. It holds no value.
type Finding struct {
	Type Type `json:"type"`
	// Known: the value is known from the original record or from the caller; otherwise it
	// only looks like an identifier.
	Known bool `json:"known"`
	// Path is where: "PID-5.1", "entry[0].resource.name[0].text", "line 12", with the layers
	// that were taken off, such as "OBX-5.5 › base64 › pdf".
	Path string `json:"path"`
	// Offset and Length, in bytes, are the place within the text of that part, after its
	// layers were taken off.
	Offset int `json:"offset"`
	Length int `json:"length"`
}

// Config is what a Gate looks for.
type Config struct {
	// Ignore are types that the policy lets through, such as Hospital and Date under a
	// limited data set.
	Ignore []Type
	// Dates makes every date with a day a finding, not only the known ones: for policies
	// that leave years alone.
	Dates bool
	// Allow says that a value was put there on purpose: a surrogate, a pseudonym. It must be
	// safe for concurrent use. Nil allows nothing.
	Allow func(t Type, value string) bool
	// MaxFindings ends the search; 1000 if zero.
	MaxFindings int
	// MaxBytes is the size of one unit of input with its layers taken off; 256 MiB if zero.
	MaxBytes int
	// Images and Genomic: such attachments are not findings, since the policy allows them.
	Images, Genomic bool
}

// Gate looks for identifiers. Make it with New.
type Gate struct {
	config Config
	ignore map[Type]bool
}

// New returns a gate.
func New(c Config) *Gate {
	if c.MaxFindings <= 0 {
		c.MaxFindings = 1000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 256 << 20
	}
	g := &Gate{config: c, ignore: map[Type]bool{}}
	for _, t := range c.Ignore {
		g.ignore[t] = true
	}
	return g
}

// Found is the error of a record that did not pass.
type Found struct{ Findings []Finding }

// Error names types and counts, nothing else.
func (e *Found) Error() string {
	counts := Count(e.Findings)
	types := make([]Type, 0, len(counts))
	for t := range counts {
		types = append(types, t)
	}
	slices.Sort(types)
	text := ""
	for i, t := range types {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %d", t, counts[t])
	}
	return fmt.Sprintf("the leak gate found %d identifiers (%s)", len(e.Findings), text)
}

// Count counts findings by type.
func Count(findings []Finding) map[Type]int {
	out := map[Type]int{}
	for _, f := range findings {
		out[f.Type]++
	}
	return out
}

// Check looks at one unit of output: a message, a resource or Bundle, a document, a text.
// known may be nil. It returns the findings in the order of their position, and the error
// of ctx if that ended first.
func (g *Gate) Check(ctx context.Context, f Format, data []byte, known *Compiled) ([]Finding, error) {
	return g.Examine(ctx, f, data, known, nil)
}

// Examine is Check for a caller that repairs what is found: see gets the values, which are
// identifiers and must go nowhere else. see may be nil.
func (g *Gate) Examine(ctx context.Context, f Format, data []byte, known *Compiled, see func(t Type, value string)) ([]Finding, error) {
	s := &search{gate: g, ctx: ctx, known: known, see: see, seen: map[place]bool{}}
	if f == "" {
		f = Detect(data)
	}
	s.unit(f, "", data, 0)
	s.joined()
	if s.err != nil {
		return nil, s.err
	}
	slices.SortStableFunc(s.findings, func(a, b ordered) int { return cmp.Compare(a.order, b.order) })
	out := make([]Finding, len(s.findings))
	for i, o := range s.findings {
		out[i] = o.Finding
	}
	if f == Text {
		lines(out, decode(data))
	}
	return out, nil
}

// search is one run of Check.
type search struct {
	gate     *Gate
	ctx      context.Context
	known    *Compiled
	see      func(Type, string)
	findings []ordered
	seen     map[place]bool
	pieces   int
	read     int // bytes looked at, layers included
	chunks   []chunk
	err      error
}

// place tells findings apart.
type place struct {
	typ            Type
	path, value    string
	offset, length int
}

// ordered keeps findings in the order of the parts that they were found in.
type ordered struct {
	Finding
	order int
}

// chunk is the text of a part, kept for the search across parts.
type chunk struct {
	path string
	text string
}

// done reports that the search is over: limit, deadline or error.
func (s *search) done() bool {
	if s.err == nil && s.ctx.Err() != nil {
		s.err = s.ctx.Err()
	}
	return s.err != nil || len(s.findings) >= s.gate.config.MaxFindings
}

// add notes a finding once.
func (s *search) add(f Finding, value string) {
	c := s.gate.config
	if s.gate.ignore[f.Type] || s.done() || c.Allow != nil && value != "" && c.Allow(f.Type, value) {
		return
	}
	root, _, _ := strings.Cut(f.Path, " ›") // in one layer of a part is enough
	key := place{f.Type, root, value, 0, 0}
	if value == "" || root == wholeText { // in a text each place counts
		key = place{f.Type, f.Path, "", f.Offset, f.Length}
	}
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	if s.see != nil && value != "" {
		s.see(f.Type, value)
	}
	s.findings = append(s.findings, ordered{f, s.pieces})
}

// role says what a part of a record is, which decides the detectors that look at it.
type role byte

const (
	free   role = iota // text: all detectors
	coded              // codes, numbers, dates: detectors of numbers only
	uri                // identifies a system or a resource: known values only, and numbers
	legend             // names of elements and the like: known values only
)

// part looks at one piece of text and at what is wrapped in it.
func (s *search) part(path, text string, r role, depth int) {
	if text == "" || s.done() {
		return
	}
	if depth > maxLayers {
		s.add(Finding{Type: Unreadable, Path: path + " › too deep", Length: len(text)}, "")
		return
	}
	s.pieces++
	if s.read += len(text); s.read > s.gate.config.MaxBytes {
		s.add(Finding{Type: Unreadable, Path: path + " › too large"}, "")
		return
	}
	if depth == 0 && len(text) < 1<<20 {
		s.chunks = append(s.chunks, chunk{path, text})
	}
	v := newView(text)
	s.knownIn(path, v)
	if r != legend {
		s.detect(path, v, r)
	}
	s.unwrap(path, text, r, depth+1)
}

// maxLayers is how many encodings within each other are taken off.
const maxLayers = 6

// edge is how many bytes of the beginning and the end of a part are searched together with
// its neighbours.
const edge = 192

// stretch is a piece of a part within the text that joined searches.
type stretch struct {
	at     int // in that text
	chunk  int
	offset int // in the part
}

// joined searches the known values across the parts: a name that is split between two lines
// of a report or two runs of a narrative.
func (s *search) joined() {
	if s.known == nil || len(s.chunks) < 2 || s.done() {
		return
	}
	var text []byte
	var pieces []stretch
	add := func(chunk, offset int, part string) {
		pieces = append(pieces, stretch{len(text), chunk, offset})
		text = append(text, part...)
	}
	for i, c := range s.chunks {
		if len(c.text) <= 2*edge {
			add(i, 0, c.text)
		} else {
			add(i, 0, c.text[:edge])
			text = append(text, "\uffff"...) // what was left out in between
			add(i, len(c.text)-edge, c.text[len(c.text)-edge:])
		}
		text = append(text, '\n')
	}
	whole := string(text)
	v := newView(whole)
	s.known.search(v, func(t Type, start, end int) {
		p := pieceAt(pieces, start)
		if pieceAt(pieces, end-1).chunk == p.chunk || !crossing(v, start, end) {
			return
		}
		s.add(Finding{Type: t, Known: true, Path: s.chunks[p.chunk].path + " …", Offset: p.offset + start - p.at, Length: end - start}, whole[start:end])
	})
}

func pieceAt(pieces []stretch, at int) stretch {
	i, found := slices.BinarySearchFunc(pieces, at, func(p stretch, at int) int { return cmp.Compare(p.at, at) })
	if !found {
		i--
	}
	return pieces[max(0, i)]
}

// crossing asks more of a match across parts: short ones come about by chance.
func crossing(v *view, start, end int) bool {
	letters, digits := 0, 0
	from, _ := slices.BinarySearchFunc(v.tight, start, func(u unit, at int) int { return cmp.Compare(int(u.start), at) })
	for _, u := range v.tight[from:] {
		if int(u.start) >= end {
			break
		}
		if isDigit(u.r) {
			digits++
		} else {
			letters++
		}
	}
	return letters >= 3 || digits >= 10
}
