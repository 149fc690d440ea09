// Package safexml reads XML 1.0 documents that strangers send.
//
// It parses a closed subset: elements, attributes, text, CDATA sections, comments and
// processing instructions. Everything that lets a document reach outside itself or grow
// while it is read is refused by name: document type declarations (and with them every
// entity but the five predefined ones) and XInclude. Size, depth, number of nodes,
// attributes and names are bounded, and the work is linear in the size of the input, so a
// hostile document fails fast.
//
// What the standard forbids is refused: characters outside the production Char, names with
// wrong characters, duplicate attributes (by expanded name), undeclared prefixes, text
// outside the root, "]]>" in text, a declaration that is not at the start (Extensible
// Markup Language 1.0, fifth edition; Namespaces in XML 1.0, third edition).
//
// Errors carry line, column and the XPath of the element at fault, never content. Nothing
// in this package logs.
package safexml
