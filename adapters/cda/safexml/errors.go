package safexml

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind says what kind of rule a document broke.
type Kind string

// Kinds of faults.
const (
	Syntax    Kind = "syntax"    // not well-formed
	Namespace Kind = "namespace" // well-formed, but prefixes or namespaces are wrong
	Forbidden Kind = "forbidden" // a construct that is refused on purpose
	Limit     Kind = "limit"     // too large, too deep, too much
	Charset   Kind = "charset"   // bytes that do not fit the encoding, or an unknown encoding
)

// Error is the reason why a document was not read.
type Error struct {
	Kind Kind
	// Line and Column count from 1, columns in characters; 0 where the place is unknown.
	Line, Column int
	// Path is the XPath of the innermost open element, "" outside the root.
	Path string
	// Problem is a phrase in English without any content of the document.
	Problem string
}

// Error implements error.
func (e *Error) Error() string {
	where := ""
	if e.Line > 0 {
		where = fmt.Sprintf(" at line %d, column %d", e.Line, e.Column)
	}
	if e.Path != "" {
		where += " in " + e.Path
	}
	return fmt.Sprintf("xml: %s%s", e.Problem, where)
}

// position returns line and column of an offset, both from 1.
func position(text string, offset int) (line, column int) {
	offset = min(max(offset, 0), len(text))
	head := text[:offset]
	start := strings.LastIndexByte(head, '\n') + 1
	return strings.Count(head, "\n") + 1, utf8.RuneCountInString(head[start:]) + 1
}
