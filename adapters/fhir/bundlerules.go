package fhir

import (
	"slices"
	"strings"
)

// bundleRules judges a Bundle (FHIR R4 §2.36.2, bdl-1 to bdl-12).
func (c *checker) bundleRules(n *Node) {
	kind := n.Get("type").Str()
	is := func(kinds ...string) bool { return slices.Contains(kinds, kind) }
	entries := n.Get("entry").List()
	if has(n, "total") && !is("searchset", "history") {
		c.breaks("bdl-1", "total belongs to searchset and history only")
	}
	urls := map[string]bool{}
	for i, e := range entries {
		c.push("entry")
		c.pushIndex(i)
		c.bundleEntry(e, kind)
		if full := e.Get("fullUrl").Str(); full != "" && !is("history") {
			key := full + "\x00" + e.At("resource", "meta", "versionId").Str()
			if urls[key] {
				c.breaks("bdl-7", "the fullUrl stands twice in the Bundle")
			}
			urls[key] = true
		}
		c.pop()
		c.pop()
	}
	switch kind {
	case "document":
		c.documentRules(n, entries)
	case "message":
		if first(entries) != "MessageHeader" {
			c.breaks("bdl-12", "the first entry of a message must be a MessageHeader")
		}
	}
}

func first(entries []*Node) string {
	if len(entries) == 0 {
		return ""
	}
	return entries[0].At("resource", "resourceType").Str()
}

func (c *checker) documentRules(n *Node, entries []*Node) {
	if n.At("identifier", "system").Str() == "" || n.At("identifier", "value").Str() == "" {
		c.breaks("bdl-9", "a document needs an identifier with system and value")
	}
	if !has(n, "timestamp") {
		c.breaks("bdl-10", "a document needs a timestamp")
	}
	if first(entries) != "Composition" {
		c.breaks("bdl-11", "the first entry of a document must be a Composition")
	}
}

func (c *checker) bundleEntry(e *Node, kind string) {
	asks, answers := kind == "batch" || kind == "transaction", kind == "batch-response" || kind == "transaction-response"
	history := kind == "history"
	if has(e, "search") && kind != "searchset" {
		c.breaks("bdl-2", "search belongs to searchset only")
	}
	if has(e, "request") != (asks || history) {
		c.breaks("bdl-3", "request is needed in batch, transaction and history, and belongs nowhere else")
	}
	if has(e, "response") != (answers || history) {
		c.breaks("bdl-4", "response is needed in batch-response, transaction-response and history, and belongs nowhere else")
	}
	if !has(e, "resource", "request", "response") {
		c.breaks("bdl-5", "an entry needs a resource, a request or a response")
	}
	if kind == "searchset" && e.Get("resource") != nil && e.At("resource", "id") == nil && e.At("resource", "resourceType").Str() != "OperationOutcome" {
		c.failAt("resource.id", CodeRequired, "what a search finds needs an id")
	}
	c.fullURL(e)
}

// fullURL judges Bundle.entry.fullUrl: absolute, without version, and that of the resource
// (FHIR R4 §2.36.4, bdl-8).
func (c *checker) fullURL(e *Node) {
	full := e.Get("fullUrl").Str()
	if full == "" || !isURI(full) {
		return
	}
	if !isAbsolute(full) {
		c.failAt("fullUrl", CodeValue, "the fullUrl must be an absolute URL")
		return
	}
	if strings.Contains(full, "/_history/") {
		c.breaks("bdl-8", "the fullUrl may not name a version")
	}
	kind, id := e.At("resource", "resourceType").Str(), e.At("resource", "id").Str()
	if named, is, ok := SplitReference(full); ok && strings.HasPrefix(full, "http") && kind != "" && id != "" && (named != kind || is != id) {
		// Published examples do this, so it is no reason to refuse a Bundle.
		c.add(Issue{Severity: Warning, Code: CodeValue, Expression: c.path() + ".fullUrl",
			Diagnostics: "the fullUrl looks like that of a resource but names another type or id than the resource has"})
	}
}
