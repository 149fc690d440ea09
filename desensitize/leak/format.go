package leak

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// Format is how a unit of output is read.
type Format string

// The formats. The empty Format means that Detect decides.
const (
	HL7v2 Format = "hl7v2"
	FHIR  Format = "fhir" // any JSON, also several values one after the other
	CDA   Format = "cda"  // any XML
	Text  Format = "text"
)

// Detect tells the format by the first characters.
func Detect(data []byte) Format {
	head := bytes.TrimLeft(bytes.TrimPrefix(data[:min(len(data), 1024)], []byte("\xef\xbb\xbf")), " \t\r\n\x0b\x1c")
	switch {
	case bytes.HasPrefix(head, []byte("MSH")), bytes.HasPrefix(head, []byte("FHS")), bytes.HasPrefix(head, []byte("BHS")):
		return HL7v2
	case bytes.HasPrefix(head, []byte("{")), bytes.HasPrefix(head, []byte("[{")):
		return FHIR
	case bytes.HasPrefix(head, []byte("<")):
		return CDA
	}
	return Text
}

// decode reads bytes as text: UTF-16 with a mark, UTF-8, GB 18030, or else Latin-1, which
// reads anything.
func decode(data []byte) string {
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		if b, err := unicode.UTF16(unicode.LittleEndian, unicode.ExpectBOM).NewDecoder().Bytes(data); err == nil {
			return string(b)
		}
	}
	if utf8.Valid(data) {
		return string(data)
	}
	if b, err := simplifiedchinese.GB18030.NewDecoder().Bytes(data); err == nil && !bytes.ContainsRune(b, utf8.RuneError) {
		return string(b)
	}
	b, _ := charmap.ISO8859_1.NewDecoder().Bytes(data) // every byte is a character
	return string(b)
}

// readings are the texts that bytes may be: one, unless they are of no charset throughout.
// Then somebody may hide one charset within another, and all are looked at.
func readings(data []byte) []string {
	text := decode(data)
	if utf8.Valid(data) || bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return []string{text}
	}
	out := []string{text, strings.ToValidUTF8(string(data), "\ufffd")}
	if b, err := simplifiedchinese.GB18030.NewDecoder().Bytes(data); err == nil && string(b) != text {
		out = append(out, string(b))
	}
	return out
}

// unit reads data of a format and looks at every part of it.
func (s *search) unit(f Format, path string, data []byte, depth int) {
	for i, text := range readings(data) {
		if i > 0 && path == "" {
			s.read = 0 // the same bytes once more
		}
		s.reading(f, path, text, data, depth)
	}
}

func (s *search) reading(f Format, path, text string, data []byte, depth int) {
	switch f {
	case HL7v2:
		s.hl7(path, text, depth)
	case FHIR:
		s.json(path, text, depth)
	case CDA:
		s.xml(path, text, depth)
	default:
		if s.binary(path, data, depth) {
			return
		}
		if path == "" {
			path = wholeText
		}
		s.part(path, text, free, depth)
	}
}

// wholeText is the path of a plain text until lines are counted.
const wholeText = "text"

// lines gives findings in a plain text the number of their line.
func lines(findings []Finding, text string) {
	line, start, at := 1, 0, 0
	for i := range findings {
		f := &findings[i]
		if f.Path != wholeText || f.Offset > len(text) {
			continue
		}
		if f.Offset < at {
			line, start, at = 1, 0, 0
		}
		for j := at; j < f.Offset; j++ {
			if text[j] == '\n' {
				line, start = line+1, j+1
			}
		}
		at = f.Offset
		f.Path, f.Offset = "line "+strconv.Itoa(line), f.Offset-start
	}
}

// hl7 looks at every repetition of every field, its escapes resolved. Components stay
// together: a name is written in several.
func (s *search) hl7(path, text string, depth int) {
	field, rep, esc := "|", "~", byte('\\')
	if i := strings.Index(text, "MSH"); i >= 0 && len(text) >= i+8 && printable(text[i+3]) {
		field = text[i+3 : i+4]
		if printable(text[i+5]) && printable(text[i+6]) {
			rep, esc = text[i+5:i+6], text[i+6]
		}
	}
	counts := map[string]int{}
	for segment := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\r' || r == '\n' || r == '\x0b' || r == '\x1c' }) {
		fields := strings.Split(segment, field)
		name := fields[0]
		if len(name) > 16 || len(name) < 3 || safe(name) == "?" {
			s.part(join(path, "segment"), name, free, depth)
			name = "?"
		}
		counts[name]++
		s.segment(join(path, fmt.Sprintf("%s[%d]", name, counts[name])), fields, rep, esc, depth)
		if s.done() {
			return
		}
	}
}

func printable(c byte) bool { return c > ' ' && c < utf8.RuneSelf }

// segment looks at the fields of one segment. In headers, the separator is the first field.
func (s *search) segment(path string, fields []string, rep string, esc byte, depth int) {
	offset := 0
	if name := fields[0]; name == "MSH" || name == "FHS" || name == "BHS" {
		offset = 1
	}
	for i, value := range fields[1:] {
		if offset == 1 && i == 0 {
			continue
		}
		for n, r := range strings.Split(value, rep) {
			where := fmt.Sprintf("%s-%d", path, i+1+offset)
			if n > 0 {
				where += fmt.Sprintf("[%d]", n+1)
			}
			s.part(where, unescapeHL7(r, esc), free, depth)
		}
	}
}

func join(path, more string) string {
	if path == "" {
		return more
	}
	return path + " › " + more
}

// unescapeHL7 resolves the escapes of HL7 v2 chapter 2, §2.7; what is for layout becomes
// white space or nothing.
func unescapeHL7(s string, esc byte) string {
	if strings.IndexByte(s, esc) < 0 {
		return s
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(s, esc)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		end := strings.IndexByte(s, esc)
		if end < 0 || end > 4096 {
			b.WriteByte(esc)
			continue
		}
		b.WriteString(escapeText(s[:end]))
		s = s[end+1:]
	}
}

var delimiterEscapes = map[string]string{"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\", "P": "#", "": ""}

// escapeText is the text that one escape stands for.
func escapeText(code string) string {
	if s, ok := delimiterEscapes[code]; ok {
		return s
	}
	switch code[0] {
	case 'X', 'C', 'M':
		return decode(unhex(code[1:]))
	case 'Z':
		return code[1:]
	case '.':
		if strings.HasPrefix(code, ".br") || strings.HasPrefix(code, ".sp") || strings.HasPrefix(code, ".ce") {
			return "\n"
		}
		return ""
	}
	if code == "H" || code == "N" {
		return ""
	}
	return code
}

// roles of JSON members by name; all others hold text.
var roles = map[string]role{
	"system": uri, "url": uri, "reference": uri, "profile": uri, "fullUrl": uri, "definition": uri, "source": uri, "versionId": coded,
	"code": coded, "id": coded, "resourceType": coded, "status": coded, "use": coded, "unit": coded, "lastUpdated": coded,
}

// json looks at every string, number and unusual member name, duplicates included. Path
// steps are kept as a stack.
func (s *search) json(path, text string, depth int) {
	d := json.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	d.UseNumber()
	j := &jsonPath{}
	for !s.done() {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil { // not JSON after all: as text, in which nothing is passed over
			s.part(join(path, wholeText), text, free, depth)
			return
		}
		if delim, ok := tok.(json.Delim); ok {
			j.bracket(delim)
			continue
		}
		value, isString := tok.(string)
		if j.isKey() {
			j.key(value)
			if strings.IndexFunc(value, func(r rune) bool { return r >= utf8.RuneSelf || isDigit(r) }) >= 0 {
				s.part(join(path, j.parent()+" (member name)"), value, legend, depth)
			}
			continue
		}
		if n, isNumber := tok.(json.Number); isNumber {
			if len(n) >= 7 {
				s.part(join(path, j.String()), n.String(), coded, depth)
			}
		} else if isString {
			s.part(join(path, j.String()), value, roles[j.name()], depth)
		}
		j.next()
	}
}

// jsonPath is where a decoder stands.
type jsonPath struct{ steps []jsonStep }

type jsonStep struct {
	array bool
	index int
	name  string
	value bool // in an object: the name was read, the value comes
}

func (j *jsonPath) top() *jsonStep {
	if len(j.steps) == 0 {
		return &jsonStep{array: true}
	}
	return &j.steps[len(j.steps)-1]
}

func (j *jsonPath) isKey() bool { t := j.top(); return !t.array && !t.value }

func (j *jsonPath) key(name string) { t := j.top(); t.name, t.value = name, true }

func (j *jsonPath) bracket(d json.Delim) {
	switch d {
	case '{', '[':
		j.steps = append(j.steps, jsonStep{array: d == '['})
	default:
		j.steps = j.steps[:max(0, len(j.steps)-1)]
		j.next()
	}
}

// next says that a value has ended.
func (j *jsonPath) next() {
	t := j.top()
	t.index++
	t.value = false
}

// name is the member that the value belongs to, arrays passed over.
func (j *jsonPath) name() string {
	for i := len(j.steps) - 1; i >= 0; i-- {
		if !j.steps[i].array {
			return j.steps[i].name
		}
	}
	return ""
}

// safe keeps a member name only if it is an identifier: others might hold content.
func safe(name string) string {
	if len(name) <= 64 && strings.IndexFunc(name, func(r rune) bool { return !isAlnum(r) && (r < 'A' || r > 'Z') && r != '_' }) < 0 {
		return name
	}
	return "?"
}

func (j *jsonPath) String() string { return render(j.steps) }

func (j *jsonPath) parent() string { return render(j.steps[:max(0, len(j.steps)-1)]) }

func render(steps []jsonStep) string {
	var b strings.Builder
	for _, s := range steps {
		switch {
		case s.array:
			fmt.Fprintf(&b, "[%d]", s.index)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(safe(s.name))
		}
	}
	if b.Len() == 0 {
		return "value"
	}
	return b.String()
}

// xml looks at character data, attribute values, comments, processing instructions and
// declarations, and once more at each narrative as a whole, since a value may be spread over
// several elements.
func (s *search) xml(path, text string, depth int) {
	d := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(text, "\ufeff")))
	d.Strict, d.Entity = false, xml.HTMLEntity
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var x xmlPath
	for !s.done() {
		tok, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			s.part(join(path, wholeText), text, free, depth)
			return
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			x.push(tok.Name.Local)
			for _, a := range tok.Attr {
				s.part(join(path, x.String()+"/@"+safe(a.Name.Local)), a.Value, attributeRole(a.Name), depth)
			}
		case xml.EndElement:
			if whole := x.pop(); whole != "" {
				s.part(join(path, x.String()+"/text (whole)"), whole, free, depth)
			}
		case xml.CharData:
			if value := string(tok); strings.TrimSpace(value) != "" {
				s.part(join(path, x.String()), value, free, depth)
				x.narrative(value)
			}
		case xml.Comment:
			s.part(join(path, x.String()+"/comment()"), string(tok), free, depth)
		case xml.ProcInst:
			if tok.Target != "xml" {
				s.part(join(path, x.String()+"/processing-instruction()"), tok.Target+" "+string(tok.Inst), free, depth)
			}
		case xml.Directive:
			s.part(join(path, "declaration"), string(tok), free, depth)
		}
	}
}

func attributeRole(n xml.Name) role {
	switch {
	case n.Space == "xmlns" || n.Local == "xmlns" || n.Local == "schemaLocation" || n.Local == "root" || n.Local == "codeSystem":
		return uri
	case n.Local == "code" || n.Local == "typeCode" || n.Local == "classCode" || n.Local == "moodCode" || n.Local == "unit" || n.Local == "use":
		return coded
	}
	return free
}

// xmlPath is where a decoder stands, and the narrative that is being read.
type xmlPath struct {
	names []string
	since int // depth of the outermost text element; 0: none
	text  strings.Builder
}

func (x *xmlPath) push(name string) {
	x.names = append(x.names, safe(name))
	if x.since == 0 && (name == "text" || name == "div") {
		x.since = len(x.names)
	}
	if x.since > 0 && blockEnds[name] {
		x.text.WriteByte('\n')
	}
}

// pop leaves an element; the text of the narrative that ends with it is returned.
func (x *xmlPath) pop() (whole string) {
	if len(x.names) == x.since && x.since > 0 {
		whole = x.text.String()
		x.text.Reset()
		x.since = 0
	}
	x.names = x.names[:max(0, len(x.names)-1)]
	return whole
}

func (x *xmlPath) narrative(text string) {
	if x.since > 0 {
		x.text.WriteString(text)
	}
}

func (x *xmlPath) String() string {
	return strings.Join(x.names[max(0, len(x.names)-12):], "/")
}

// blockEnds are elements of narratives that begin a line.
var blockEnds = words("paragraph p br tr li item table list div td th caption title")
