package fhir

import (
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

// SplitReference takes a literal reference of the form [base/]Type/id[/_history/version]
// apart. ok is false for everything else: fragments, URNs, conditional references.
func SplitReference(s string) (resource, id string, ok bool) {
	s, _, _ = strings.Cut(s, "|") // canonical version
	parts := strings.Split(s, "/")
	if n := len(parts); n >= 4 && parts[n-2] == "_history" {
		parts = parts[:n-2]
	}
	if len(parts) < 2 {
		return "", "", false
	}
	resource, id = parts[len(parts)-2], parts[len(parts)-1]
	if _, known := schema.FindResource(resource); !known || !isID(id) {
		return "", "", false
	}
	return resource, id, true
}

// isAbsolute reports whether s begins with a scheme (RFC 3986 §3.1) and has something behind it.
func isAbsolute(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return c == ':' && i > 0 && i+1 < len(s)
		}
	}
	return false
}

// reference judges a Reference (FHIR R4 §2.3.0).
func (c *checker) reference(e *schema.Element, n *Node) {
	ref := n.Get("reference").Str()
	stated := n.Get("type").Str()
	if stated != "" && !isAbsolute(stated) {
		if _, ok := schema.FindResource(stated); !ok {
			c.failAt("type", CodeValue, "not a resource type of FHIR R4")
		} else if !e.Allows(stated) {
			c.failAt("type", CodeStructure, "a reference to this type is not allowed here; allowed are "+someCodes(e.Targets))
		}
	}
	switch {
	case ref == "":
	case ref[0] == '#':
		if len(ref) > 1 && !c.outer().ids[ref[1:]] {
			c.add(Issue{Severity: Error, Code: CodeInvariant, Rule: "ref-1", Expression: c.path() + ".reference",
				Diagnostics: "a local reference needs a contained resource with this id"})
		}
	case strings.Contains(ref, "?"):
		kind, _, _ := strings.Cut(ref, "?")
		c.target(e, kind[strings.LastIndexByte(kind, '/')+1:], !isAbsolute(ref), stated)
	default:
		kind, _, ok := SplitReference(ref)
		if ok {
			c.target(e, kind, true, stated)
		} else if !isAbsolute(ref) {
			c.failAt("reference", CodeValue, "a relative reference must be written Type/id")
		}
	}
}

func (c *checker) target(e *schema.Element, kind string, sure bool, stated string) {
	if _, ok := schema.FindResource(kind); !ok {
		if sure {
			c.failAt("reference", CodeValue, "the reference names no resource type of FHIR R4")
		}
		return
	}
	if !e.Allows(kind) {
		c.failAt("reference", CodeStructure, "a reference to "+kind+" is not allowed here; allowed are "+someCodes(e.Targets))
	}
	if stated != "" && stated != kind && !isAbsolute(stated) {
		c.failAt("type", CodeValue, "the stated type is not that of the reference")
	}
}

// containedRules judges a contained resource (dom-2, dom-4, dom-5).
func (c *checker) containedRules(n *Node) {
	if n.Get("contained") != nil {
		c.breaks("dom-2", "a contained resource may not contain resources")
	}
	if n.Get("id") == nil {
		c.failAt("id", CodeRequired, "a contained resource needs an id")
	}
	if n.At("meta", "versionId") != nil || n.At("meta", "lastUpdated") != nil {
		c.breaks("dom-4", "a contained resource may have no meta.versionId or meta.lastUpdated")
	}
	if n.At("meta", "security") != nil {
		c.breaks("dom-5", "a contained resource may have no security label")
	}
}

// unnamedContained judges dom-3: what is contained is referred to, or refers to its holder.
func (c *checker) unnamedContained(h *container) {
	for i, inner := range h.node.Get("contained").List() {
		id := inner.Get("id").Str()
		if id == "" || h.named[id] || refersToHolder(inner) {
			continue
		}
		c.add(Issue{Severity: Error, Code: CodeInvariant, Rule: "dom-3", Expression: indexed(c.path()+".contained", i),
			Diagnostics: "nothing refers to the contained resource"})
	}
}

// refersToHolder reports whether a reference "#" stands anywhere in a value.
func refersToHolder(n *Node) bool {
	if n.Get("reference").Str() == "#" {
		return true
	}
	return slices.ContainsFunc(n.Items, refersToHolder)
}
