package guard

import (
	"encoding/base64"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Scrubber removes the identifiers from a text; ok is false where the text must go.
type Scrubber func(text string) (out string, ok bool)

// Words of base 64 are looked at from minEncoded bytes on: shorter ones hold less than a name.
// From maxEncoded bytes on an unbroken one is embedded data that nobody can judge.
const (
	minEncoded = 8
	maxEncoded = 512
)

// Layers scrubs a text, and what it stands for where it is written in character references
// (&#29579;), percent encoding (%E7%8E%8B), base 64 or with markup inside: a name is a name in
// any of them. Where the plain form holds an identifier the scrubbed plain form takes the
// place of the text; words in base 64 that hold one are left out.
func Layers(text string, scrub Scrubber) (string, bool) {
	out, ok := scrub(text)
	if !ok || len(text) < minEncoded {
		return out, ok
	}
	if plain, other := plainForm(text); other {
		clean, fine := scrub(plain)
		if !fine {
			return "", false
		}
		if same, _ := plainForm(out); same != clean { // the plain form holds more than the text
			out = clean
		}
	}
	eachEncoded(out, func(word, plain string) bool {
		if plain != "" {
			if clean, fine := scrub(plain); fine && clean == plain {
				return true
			}
		}
		out = strings.ReplaceAll(out, word, "")
		return true
	})
	return out, true
}

// Layered reports a text that may stand for another one, so that it has to be scrubbed by
// itself.
func Layered(text string) bool {
	_, other := plainForm(text)
	eachEncoded(text, func(string, string) bool {
		other = true
		return false
	})
	return other
}

// eachEncoded calls see with every word of a text that is base 64 of other text, and with
// words that are too long for any text, plain being empty then.
func eachEncoded(text string, see func(word, plain string) bool) {
	for start := 0; start < len(text); {
		end := start
		for end < len(text) && encodedByte[text[end]] {
			end++
		}
		if word := text[start:end]; len(word) >= minEncoded {
			plain, ok := decode64(word)
			if (ok || len(word) >= maxEncoded) && !see(word, plain) {
				return
			}
		}
		start = end + 1
	}
}

var encodedByte = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_") {
		t[c] = true
	}
	return t
}()

var standard64 = strings.NewReplacer("-", "+", "_", "/", "=", "")

// decode64 returns the text that a word in base 64 stands for; ok is false where it stands for
// none.
func decode64(word string) (plain string, ok bool) {
	if len(word) >= maxEncoded {
		return "", false
	}
	raw, err := base64.RawStdEncoding.DecodeString(standard64.Replace(word))
	if err != nil || !utf8.Valid(raw) {
		return "", false
	}
	plain = string(raw)
	return plain, strings.IndexFunc(plain, func(c rune) bool { return !unicode.IsPrint(c) && c != '\n' && c != '\r' && c != '\t' }) < 0
}

// tags are the tags of markup, which may stand in the middle of a name.
var tags = regexp.MustCompile(`</?[A-Za-z][A-Za-z0-9]{0,15}(?: [^<>]{0,400})?/?>`)

// plainForm resolves character references and percent encoding and takes markup away; other
// is false where there is none of them.
func plainForm(text string) (plain string, other bool) {
	plain = text
	if strings.IndexByte(plain, '<') >= 0 {
		plain = tags.ReplaceAllString(plain, "")
	}
	if strings.Contains(plain, "&") && strings.Contains(plain, ";") {
		plain = html.UnescapeString(plain)
	}
	if strings.IndexByte(plain, '%') >= 0 {
		if s := unescapePercent(plain); utf8.ValidString(s) {
			plain = s
		}
	}
	return plain, plain != text
}

// unescapePercent resolves percent encoding where there is some; other percent signs stay.
func unescapePercent(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// Document tells the media type of a text that is a document of its own, in which words may be
// broken up by markup; "" for plain text.
func Document(text string) string {
	head := strings.TrimLeft(text, " \r\n\t\ufeff")
	head = strings.ToLower(head[:min(len(head), 16)])
	switch {
	case strings.HasPrefix(head, `{\rtf`):
		return "text/rtf"
	case strings.HasPrefix(head, "<html"), strings.HasPrefix(head, "<!doctype html"):
		return "text/html"
	case strings.HasPrefix(head, "%pdf-"):
		return "application/pdf"
	}
	return ""
}
