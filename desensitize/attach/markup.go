package attach

import (
	"html"
	"strings"
)

// blocks are elements that end a line.
var blocks = map[string]bool{
	"p": true, "div": true, "br": true, "tr": true, "li": true, "table": true, "h1": true, "h2": true, "h3": true, "h4": true, "h5": true, "h6": true,
	"ul": true, "ol": true, "section": true, "article": true, "header": true, "footer": true, "hr": true, "title": true, "body": true, "caption": true,
	"paragraph": true, "item": true, "list": true, "text": true,
}

// StripMarkup returns the text of HTML or XML as a reader sees it: tags, comments, scripts,
// style sheets and processing instructions left out, character references resolved, blocks
// ended by a line break, table cells by a tab. Attribute values are not text and are lost.
func StripMarkup(s string) string {
	var b strings.Builder
	b.Grow(len(s) / 2)
	for len(s) > 0 {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			b.WriteString(html.UnescapeString(s))
			break
		}
		b.WriteString(html.UnescapeString(s[:open]))
		s = s[open:]
		switch {
		case strings.HasPrefix(s, "<!--"):
			s = after(s[4:], "-->")
		case strings.HasPrefix(s, "<![CDATA["):
			end := strings.Index(s, "]]>")
			if end < 0 {
				end = len(s)
			}
			b.WriteString(s[9:max(end, 9)])
			s = after(s, "]]>")
		case strings.HasPrefix(s, "<?"):
			s = after(s, "?>")
		case len(s) > 1 && (s[1] == '/' || s[1] == '!' || isLetter(s[1])):
			s = tag(s, &b)
		default:
			b.WriteByte('<')
			s = s[1:]
		}
	}
	return b.String()
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// after returns what follows mark, nothing if it does not come.
func after(s, mark string) string {
	_, rest, _ := strings.Cut(s, mark)
	return rest
}

// tag passes one tag and writes the white space that it stands for.
func tag(s string, b *strings.Builder) string {
	end := strings.IndexByte(s, '>')
	if end < 0 {
		return ""
	}
	name := strings.TrimPrefix(s[1:end], "/")
	if stop := strings.IndexFunc(name, func(r rune) bool { return r == ' ' || r == '/' || r == '\t' || r == '\n' || r == '\r' }); stop >= 0 {
		name = name[:stop]
	}
	name = strings.ToLower(name)
	if colon := strings.LastIndexByte(name, ':'); colon >= 0 {
		name = name[colon+1:]
	}
	rest := s[end+1:]
	switch {
	case (name == "script" || name == "style") && s[1] != '/':
		return closing(rest, name)
	case blocks[name]:
		b.WriteByte('\n')
	case name == "td" || name == "th":
		b.WriteByte('\t')
	}
	return rest
}

// closing returns s from the closing tag of name on, nothing if there is none.
func closing(s, name string) string {
	for {
		at := strings.Index(s, "</")
		if at < 0 {
			return ""
		}
		s = s[at:]
		if len(s) >= 2+len(name) && strings.EqualFold(s[2:2+len(name)], name) {
			return s
		}
		s = s[2:]
	}
}
