package fhir

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/desensitize"
)

// rule is the action of a rule of a policy.
type rule struct {
	*desensitize.Rule
	effect Effect
}

func newRule(r *desensitize.Rule) *rule {
	effect := Changes
	switch r.Method {
	case desensitize.Keep:
		effect = Keeps
	case desensitize.Redact:
		effect = Removes
	}
	return &rule{r, effect}
}

// Effect implements Action.
func (r *rule) Effect() Effect { return r.effect }

// Replacement implements Action.
func (r *rule) Replacement() *fhir.Node { return nil }

// Change implements Action.
func (r *rule) Change(c *Call) (Outcome, error) {
	switch {
	case c.Element.Primitive == "xhtml" && r.Method == desensitize.Scrub:
		return r.narrative(c)
	case c.Type == desensitize.Reference && (r.Method == desensitize.Pseudonymise || r.Method == desensitize.CryptoHash):
		return r.link(c)
	case kindOfPrimitive(c.Element.Primitive) == fhir.Bool:
		return r.redacted(c) // no method but keep has a meaning for true and false
	}
	if r.Method == desensitize.Scrub && c.w.cleaned[c.Text] {
		return Outcome{Text: c.Text, Method: desensitize.Keep}, nil // read before in this record
	}
	out, err := c.Session.Apply(r.Rule, desensitize.Value{Path: c.Path(), Type: c.valueType(), Text: c.Text, Layout: desensitize.ISO})
	if err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", c.Path(), err)
	}
	if r.Method == desensitize.Scrub && out.Text == c.Text {
		out.Method = desensitize.Keep // there was nothing in it
		c.w.remember(c.Text, true)
	}
	return Outcome{Text: out.Text, Removed: out.Removed, Method: out.Method}, nil
}

// link changes what names a resource.
func (r *rule) link(c *Call) (Outcome, error) {
	out := c.w.reference(c, func(kind, id string) string { return c.w.pseudonym(r.Rule, kind, id) })
	if out == "" {
		return r.redacted(c)
	}
	c.Session.Note(c.Path(), r.Rule, r.Method, c.Type, "")
	return Outcome{Text: out, Method: r.Method}, nil
}

// valueType is the type of a value that says itself what it is.
func (c *Call) valueType() desensitize.Type {
	if c.Element.Name == "value" {
		switch {
		case c.OwnerType.Name == "Identifier":
			return numberType(c.Owner)
		case c.OwnerType.Name == "ContactPoint" && c.Owner.Get("system").Str() == "email":
			return desensitize.Email
		}
	}
	return c.Type
}

func (r *rule) redacted(c *Call) (Outcome, error) {
	c.Session.Note(c.Path(), r.Rule, desensitize.Redact, c.Type, "")
	return Outcome{Removed: true, Method: desensitize.Redact}, nil
}

// narrative scrubs the texts of an XHTML div.
func (r *rule) narrative(c *Call) (Outcome, error) {
	out, err := scrubDiv(c.Text, func(text string) (string, bool, error) { return c.Session.Scrub(c.Path(), r.Rule, text) })
	if err != nil {
		if ctxErr := c.Session.Context().Err(); ctxErr != nil {
			return Outcome{}, ctxErr
		}
		return r.redacted(c)
	}
	if out == "" {
		return r.redacted(c)
	}
	c.Session.Note(c.Path(), r.Rule, desensitize.Scrub, desensitize.Text, "")
	return Outcome{Text: out, Method: desensitize.Scrub}, nil
}

// whole implements wholer: attachments are handled as one.
func (r *rule) whole(w *walk, e *edge, n *fhir.Node, eff int32) (handled, wrote bool, err error) {
	typ := e.elem.Type
	if r.Method != desensitize.Scrub || typ == nil || typ.Name != "Attachment" && typ.Name != "Binary" {
		return false, false, nil
	}
	data, readable := decode(n.Get("data").Str())
	if !readable || len(data) == 0 {
		w.redacted(eff, desensitize.Attachment)
		return true, false, nil // an address elsewhere, or nothing
	}
	content, err := w.session.Attachment(w.path(), n.Get("contentType").Str(), data)
	if err != nil || content.Data == nil {
		w.did(desensitize.Redact)
		return true, false, err
	}
	w.did(desensitize.Scrub)
	w.out = append(w.out, '{')
	if typ.Name == "Binary" {
		w.out = append(w.out, `"resourceType":"Binary",`...)
		if id := n.Get("id").Str(); id != "" {
			w.out = append(appendString(append(w.out, `"id":`...), w.pseudonym(r.Rule, "Binary", id)), ',')
		}
	}
	media := content.MediaType
	if strings.TrimSpace(media) == "" {
		media = "application/octet-stream"
	}
	w.out = appendString(append(w.out, `"contentType":`...), media)
	w.out = append(w.out, `,"data":"`...)
	w.out = base64.StdEncoding.AppendEncode(w.out, content.Data)
	w.out = append(w.out, `"}`...)
	return true, true, nil
}

func decode(s string) ([]byte, bool) {
	s = strings.Join(strings.Fields(s), "")
	data, err := base64.StdEncoding.DecodeString(s)
	return data, err == nil
}
