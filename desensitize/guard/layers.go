package guard

import (
	"encoding/base64"
	"html"
	"net/url"
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
// (&#29579;), percent encoding (%E7%8E%8B) or base 64: a name is a name in any of them. Where
// the plain form holds an identifier the scrubbed plain form takes the place of the text;
// words in base 64 that hold one are left out.
func Layers(text string, scrub Scrubber) (string, bool) {
	out, ok := scrub(text)
	if !ok || len(text) < minEncoded {
		return out, ok
	}
	if plain, other := plainForm(out); other {
		if clean, fine := scrub(plain); !fine || clean != plain {
			out, ok = clean, fine
		}
	}
	if !ok {
		return out, ok
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

// plainForm resolves character references and percent encoding; other is false where there
// are none.
func plainForm(text string) (plain string, other bool) {
	plain = text
	if strings.Contains(plain, "&") && strings.Contains(plain, ";") {
		plain = html.UnescapeString(plain)
	}
	if i := strings.IndexByte(plain, '%'); i >= 0 && i+2 < len(plain) {
		if s, err := url.PathUnescape(plain); err == nil && utf8.ValidString(s) {
			plain = s
		}
	}
	return plain, plain != text
}
