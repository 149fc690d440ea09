package fhir

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

const xhtml = "http://www.w3.org/1999/xhtml"

// narrative judges the div of a Narrative (FHIR R4 §2.4.0, txt-1 and txt-2).
func (c *checker) narrative(text string) {
	if rule, problem := checkNarrative(text); problem != "" {
		c.add(Issue{Severity: Error, Code: CodeInvariant, Rule: rule, Diagnostics: problem})
	}
}

// maxNesting bounds the elements of a narrative within one another.
const maxNesting = 200

func checkNarrative(text string) (rule, problem string) {
	if !strings.HasPrefix(strings.TrimSpace(text), "<div") {
		return "", "the narrative must be one XHTML div element"
	}
	d := xml.NewDecoder(strings.NewReader(text))
	d.Entity = xml.HTMLEntity
	var r narrativeReader
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "txt-1", "the narrative is not well-formed XML"
		}
		if problem := r.token(token); problem != "" {
			return "txt-1", problem
		}
	}
	if !r.content {
		return "txt-2", "the narrative has no content"
	}
	return "", ""
}

type narrativeReader struct {
	depth           int
	content, closed bool
}

func (r *narrativeReader) token(token xml.Token) string {
	switch t := token.(type) {
	case xml.StartElement:
		if r.depth++; r.depth > maxNesting || r.closed {
			return "the narrative must be one div element, nested in moderation"
		}
		r.content = r.content || t.Name.Local == "img"
		return checkTag(t)
	case xml.EndElement:
		r.depth--
		r.closed = r.depth == 0
	case xml.CharData:
		r.content = r.content || strings.TrimSpace(string(t)) != ""
	case xml.Directive:
		return "the narrative holds a document type declaration, which is not allowed"
	case xml.ProcInst:
		return "the narrative holds a processing instruction, which is not allowed"
	}
	return ""
}

func checkTag(t xml.StartElement) string {
	if t.Name.Space != xhtml {
		return "the narrative must be in the namespace " + xhtml
	}
	if !allowedTags[t.Name.Local] {
		return "an element that narratives may not hold; allowed is basic formatting"
	}
	for _, a := range t.Attr {
		name := strings.ToLower(a.Name.Local)
		if a.Name.Space == "xmlns" || name == "xmlns" {
			continue
		}
		if !allowedAttributes[name] {
			return "an attribute that narratives may not hold"
		}
		value := strings.ToLower(strings.TrimSpace(a.Value))
		if (name == "href" || name == "src") && (strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "vbscript:")) {
			return "a link that runs a script"
		}
	}
	return ""
}

func set(words string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		out[w] = true
	}
	return out
}

// allowedTags and allowedAttributes are those of chapters 7 to 11 (without section 4 of
// chapter 9) and 15 of HTML 4.0, links, images and inline style, as txt-1 words it.
var (
	allowedTags = set(`a abbr acronym address area b bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em
		h1 h2 h3 h4 h5 h6 hr i img ins kbd li map ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var font`)
	allowedAttributes = set(`abbr accesskey align alt axis background bgcolor border cellhalign cellpadding cellspacing cellvalign char charoff charset cite class
		color colspan compact coords datetime dir face frame headers height href hreflang hspace id label lang longdesc name noshade nowrap rel rev rowspan rules
		scope shape size span src start style summary tabindex title type usemap valign value vspace width xml:lang space`)
)
