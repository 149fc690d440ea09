package v2

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/guard"
)

// plain resolves all escape sequences of a value (HL7 v2 chapter 2, §2.7). Those that lay text
// out become line ends or nothing; hexadecimal ones what they stand for; those of other
// charsets and local ones nothing, since anything may hide in them.
func (r *run) plain(raw []byte) string {
	if r.d.Escape == 0 || bytes.IndexByte(raw, r.d.Escape) < 0 {
		return printable(string(raw))
	}
	out := make([]byte, 0, len(raw))
	for {
		i := bytes.IndexByte(raw, r.d.Escape)
		if i < 0 {
			break
		}
		out = append(out, raw[:i]...)
		raw = raw[i+1:]
		j := bytes.IndexByte(raw, r.d.Escape)
		if j < 0 || j > maxSequence {
			out = append(out, r.d.Escape)
			continue
		}
		body := raw[:j]
		if text, ok := r.sequence(body); ok {
			out = append(out, text...)
			raw = raw[j+1:]
		} else {
			out = append(out, r.d.Escape)
		}
	}
	return printable(string(append(out, raw...)))
}

// maxSequence bounds the body of an escape sequence, in bytes.
const maxSequence = 512

// sequence returns what an escape sequence stands for; ok is false where the body is that of
// none, and the escape character stands for itself.
func (r *run) sequence(body []byte) (string, bool) {
	if len(body) == 0 {
		return "", false
	}
	switch body[0] {
	case 'H', 'N':
		if len(body) == 1 {
			return "", true
		}
	case '.':
		if len(body) >= 3 && len(body) <= 8 && guard.OnlyOf(body[3:], "0123456789+-") {
			text, ok := layouts[string(body[1:3])]
			return text, ok
		}
	case 'X', 'x':
		if text, err := hex.DecodeString(string(body[1:])); err == nil {
			return decoded(text), true
		}
	case 'C', 'M', 'Z':
		if !bytes.ContainsAny(body, " \r\n") {
			return "", true
		}
	}
	if len(body) > 1 {
		return "", false
	}
	text := r.d.Unescape([]byte{r.d.Escape, body[0], r.d.Escape})
	return string(text), len(text) == 1
}

// layouts are the formatting commands of FT (HL7 v2 chapter 2, §2.7.7), as text.
var layouts = map[string]string{"br": "\n", "sp": "\n", "ce": "\n", "sk": " ", "fi": "", "nf": "", "in": "", "ti": ""}

// decoded is the text of hexadecimal data, in UTF-8 or, failing that, in GB 18030.
func decoded(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	if text, err := hl7.GB18030.Decode(b); err == nil {
		return string(text)
	}
	return ""
}

// printable replaces carriage returns by line feeds and leaves other control characters out,
// behind which a recogniser would not look.
func printable(s string) string {
	if strings.IndexFunc(s, control) < 0 {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\r':
			return '\n'
		case control(c):
			return -1
		}
		return c
	}, s)
}

func control(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || c == 0x7f || c == 0xfeff }

// appendEscaped writes text as it may stand in a value.
func (r *run) appendEscaped(text string) {
	plain := true
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == r.d.Field || c == r.d.Component || c == r.d.Repetition || c == r.d.Escape || c == r.d.Subcomponent ||
			c == r.d.Truncation {
			plain = false
			break
		}
	}
	if plain {
		r.out = append(r.out, text...)
		return
	}
	r.out = append(r.out, r.d.EscapeText(text)...)
}

// hides reports escape sequences that plain does not simply resolve: the value is then
// written anew even where nothing was found in it.
func (r *run) hides(raw []byte) bool {
	for {
		i := bytes.IndexByte(raw, r.d.Escape)
		if i < 0 || r.d.Escape == 0 {
			return bytes.IndexFunc(raw, control) >= 0
		}
		raw = raw[i+1:]
		if len(raw) > 0 && strings.IndexByte("XxCMZ", raw[0]) >= 0 {
			return true
		}
	}
}

// scrubLeaf writes a value without the identifiers that are in it.
func (r *run) scrubLeaf(n *node, raw []byte, rule *desensitize.Rule, m desensitize.Method) {
	text := r.plain(raw)
	out, ok := r.scrub(n, rule, text)
	switch {
	case !ok:
		r.note(n, rule, desensitize.Redact)
	case out == text && !r.hides(raw):
		r.note(n, rule, m)
		r.out = append(r.out, raw...)
	default:
		r.note(n, rule, desensitize.Scrub)
		r.appendEscaped(out)
	}
}

// maxLabel bounds the name of an observation that is read together with its value, in bytes.
const maxLabel = 64

// scrub removes identifiers from a text. The name of an observation stands before its value
// while recognisers look at it: “contact: Li Si” tells more than “Li Si”.
func (r *run) scrub(n *node, rule *desensitize.Rule, text string) (string, bool) {
	if media := guard.Document(text); media != "" {
		content, err := r.session.Attachment(n.path, media, []byte(text))
		if r.fault(err) || content.Data == nil || guard.Document(string(content.Data)) != "" {
			return "", false
		}
		return string(content.Data), true
	}
	head := ""
	if label := r.label(n); label != "" && len(text) <= 4*maxLabel {
		head = label + "："
	}
	return guard.Layers(text, func(text string) (string, bool) {
		out, ok, err := r.session.Scrub(n.path, rule, head+text)
		if rest, same := strings.CutPrefix(out, head); same && ok && !r.fault(err) {
			return rest, true
		}
		out, ok, err = r.session.Scrub(n.path, rule, text)
		return out, ok && !r.fault(err)
	})
}

func (r *run) fault(err error) bool {
	if err != nil && r.err == nil {
		r.err = err
	}
	return err != nil
}

// label is the name of the observation whose value is at hand, "" if there is none.
func (r *run) label(n *node) string {
	if n.place.segment != "OBX" || n.place.numbers[0] != 5 {
		return ""
	}
	id := r.fieldOf(r.segment, 3)
	var room [8][]byte
	parts := split(room[:0], id, r.d.Component)
	if len(parts) < 2 || len(parts[1]) > maxLabel {
		return ""
	}
	return r.plain(parts[1])
}

// reference is a name of a condition: .5 or OBX-3.1.
type reference struct {
	segment string // "" for the value's own repetition
	numbers []int
}

// referenceCache remembers the names of conditions, of which policies have few.
type referenceCache struct{ m sync.Map }

var references referenceCache

func (c *referenceCache) of(name string) reference {
	if v, ok := c.m.Load(name); ok {
		return v.(reference) //nolint:errcheck,forcetypeassert // only references are stored
	}
	var ref reference
	seg, rest, _ := strings.Cut(name, "-")
	if strings.HasPrefix(name, ".") {
		seg, rest = "", name[1:]
	}
	ref.segment = seg
	ref.numbers, _ = numbersOf(rest) // conditionName has checked it
	c.m.Store(name, ref)
	return ref
}

// near returns the values that a condition names: parts of the value's repetition, or fields
// of its segment.
func (r *run) near(n *node, raw []byte, name string) []string {
	ref := references.of(name)
	if ref.segment == "" {
		return []string{r.descend(raw, ref.numbers)}
	}
	if ref.segment != n.place.segment {
		return nil
	}
	seg, numbers := ref.segment, ref.numbers
	number := numbers[0]
	if seg == "MSH" || seg == "FHS" || seg == "BHS" {
		number--
	}
	var out []string
	for _, rep := range split(nil, r.fieldOf(r.segment, number), r.d.Repetition) {
		out = append(out, r.descend(rep, numbers[1:]))
	}
	return out
}

// descend returns the text of a part of a repetition.
func (r *run) descend(raw []byte, numbers []int) string {
	for i, sep := range []byte{r.d.Component, r.d.Subcomponent} {
		if i >= len(numbers) {
			break
		}
		parts := split(nil, raw, sep)
		if numbers[i] > len(parts) {
			return ""
		}
		raw = parts[numbers[i]-1]
	}
	return r.plain(raw)
}

// encapsulated writes an attachment (ED: source, type, subtype, encoding, data) by the rules
// for attachments.
func (r *run) encapsulated(n *node, raw []byte, rule *compiled) {
	var of *desensitize.Rule
	if rule != nil {
		of = rule.rule
	}
	if r.method(rule) != desensitize.Scrub && r.method(rule) != desensitize.Keep {
		r.note(n, of, desensitize.Redact)
		return
	}
	var room [8][]byte
	parts := split(room[:0], raw, r.d.Component)
	for len(parts) < 5 {
		parts = append(parts, nil)
	}
	data, ok := r.data(parts[3], parts[4])
	if !ok || len(data) == 0 {
		r.note(n, of, desensitize.Redact)
		return
	}
	content, err := r.session.Attachment(n.path, mediaType(r.plain(parts[1]), r.plain(parts[2])), data)
	if r.fault(err) || content.Data == nil {
		return
	}
	kind, subtype, _ := strings.Cut(content.MediaType, "/")
	r.out = append(r.out, r.d.Component)
	r.appendEscaped(typeOfData(kind))
	r.out = append(r.out, r.d.Component)
	r.appendEscaped(subtype)
	r.out = append(r.out, r.d.Component)
	r.out = append(r.out, "Base64"...)
	r.out = append(r.out, r.d.Component)
	r.out = base64.StdEncoding.AppendEncode(r.out, content.Data)
}

// data decodes ED.5 by ED.4 (table 0299: A none, Hex, Base64).
func (r *run) data(encoding, raw []byte) ([]byte, bool) {
	text := r.plain(raw)
	switch strings.ToLower(string(encoding)) {
	case "a", "":
		return []byte(text), true
	case "hex":
		b, err := hex.DecodeString(squeezed(text))
		return b, err == nil
	}
	text = squeezed(text)
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	}
	return b, err == nil
}

func squeezed(s string) string { return strings.Join(strings.Fields(s), "") }

// mediaType reads ED.2 and ED.3 (tables 0191 and 0291) as a media type.
func mediaType(kind, subtype string) string {
	kind, subtype = strings.ToLower(kind), strings.ToLower(subtype)
	switch kind {
	case "ft", "tx":
		kind = "text"
	case "im", "ns", "sd", "si":
		kind = "image"
	case "ap":
		kind = "application"
	}
	switch {
	case subtype == "" && kind == "text":
		subtype = "plain"
	case subtype == "pdf" || subtype == "x-hl7-cda-level-one":
		kind = "application"
	case subtype == "jpeg" || subtype == "png" || subtype == "gif" || subtype == "tiff":
		kind = "image"
	}
	if kind == "" || subtype == "" {
		return ""
	}
	return kind + "/" + subtype
}

// typeOfData is the type of table 0191 for a main type of media.
func typeOfData(kind string) string {
	switch kind {
	case "application":
		return "Application"
	case "image":
		return "Image"
	case "audio":
		return "Audio"
	case "":
		return "Application"
	}
	return "TEXT"
}
