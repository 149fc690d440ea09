package v2tofhir

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// attachment reads an ED or RP (data type maps ED[Attachment], RP[Attachment]). Content goes
// into a Binary of its own, so that every place that shows it can point to it.
func (c *converter) attachment(v val, kind, at string) *tree.Object {
	if kind == "RP" {
		return c.pointer(v)
	}
	source, typ, sub, encoding := v.c(1).whole(), v.c(2).whole(), v.c(3).whole(), v.c(4).whole()
	data, note := decoded(v.c(5).whole(), encoding)
	if data == "" {
		return nil
	}
	media := mediaType(typ, sub)
	if note == "text" {
		media = "text/plain"
	}
	b := c.add("Binary", at)
	b.Set("contentType", media).Set("data", data)
	a := tree.New("contentType", media, "url", b.FullURL())
	a.Set("size", base64.StdEncoding.DecodedLen(len(data))-strings.Count(data[max(0, len(data)-2):], "="))
	if source != "" {
		a.Add("extension", tree.Extension(tree.LocalURL+"StructureDefinition/attachment-source", "valueString", source))
	}
	return a
}

// decoded returns the content of an ED in base64 as FHIR writes it. Content whose encoding
// does not fit is kept as text, and note says so.
func decoded(text, encoding string) (data, note string) {
	if text == "" {
		return "", ""
	}
	switch strings.ToUpper(encoding) {
	case "BASE64", "":
		compact := strings.NewReplacer("\r", "", "\n", "", " ", "", "\t", "", `\.br\`, "", `\X0D\`, "", `\X0A\`, "").Replace(text)
		if _, err := base64.StdEncoding.Strict().DecodeString(compact); err == nil {
			return compact, ""
		}
		if b, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(compact, "=")); err == nil {
			return base64.StdEncoding.EncodeToString(b), ""
		}
	case "HEX":
		if b, err := hex.DecodeString(text); err == nil {
			return base64.StdEncoding.EncodeToString(b), ""
		}
	case "A":
		return base64.StdEncoding.EncodeToString([]byte(text)), ""
	}
	return base64.StdEncoding.EncodeToString([]byte(text)), "text"
}

// pointer reads an RP: the address of content that is elsewhere.
func (c *converter) pointer(v val) *tree.Object {
	where := v.c(1).whole()
	if where == "" {
		return nil
	}
	a := tree.New()
	if v.c(3).has() || v.c(4).has() {
		a.Set("contentType", mediaType(v.c(3).whole(), v.c(4).whole()))
	}
	if uriPattern.MatchString(where) {
		a.Set("url", where)
	} else {
		a.Set("title", where)
	}
	if app := v.c(2); app.has() {
		a.Add("extension", tree.Extension(tree.LocalURL+"StructureDefinition/attachment-source", "valueString", app.s(1).whole()))
	}
	return a
}
