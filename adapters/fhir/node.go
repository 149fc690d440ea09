package fhir

import (
	"log/slog"
	"strconv"
)

// NodeKind is the kind of a JSON value.
type NodeKind uint8

// Kinds of JSON values.
const (
	Null NodeKind = iota
	Bool
	Number
	String
	Array
	Object
)

func (k NodeKind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Node is a JSON value as it stood in its source. Nodes are read-only once parsed and then
// safe for concurrent use.
type Node struct {
	Kind NodeKind
	// Text is the decoded text of a string, the digits of a number as written, or true/false.
	Text string
	// Items are the values of an array, or the values of an object's members in order.
	Items []*Node
	// Names are the names of an object's members, beside Items.
	Names []string
	// Start and End are the byte offsets of the value in its source.
	Start, End int
	// Elided is how many bytes a value in base64 stands for that was left out, 0 for others;
	// Text is then a marker. See ParseElided.
	Elided int64
}

// LogValue implements slog.LogValuer: content never reaches a log.
func (n *Node) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Get returns the member of an object, or nil. It may be called on nil.
func (n *Node) Get(name string) *Node {
	if n == nil || n.Kind != Object {
		return nil
	}
	for i, m := range n.Names {
		if m == name {
			return n.Items[i]
		}
	}
	return nil
}

// At follows member names; it returns nil where one is missing. Of arrays it takes the first.
func (n *Node) At(names ...string) *Node {
	for _, name := range names {
		if n != nil && n.Kind == Array {
			if len(n.Items) == 0 {
				return nil
			}
			n = n.Items[0]
		}
		n = n.Get(name)
	}
	return n
}

// Str returns the text of a string, "" for anything else.
func (n *Node) Str() string {
	if n == nil || n.Kind != String {
		return ""
	}
	return n.Text
}

// List returns the values of an array; anything else but nil is a list of itself.
func (n *Node) List() []*Node {
	switch {
	case n == nil:
		return nil
	case n.Kind == Array:
		return n.Items
	}
	return []*Node{n}
}

// Int returns a number that is an integer.
func (n *Node) Int() (int64, bool) {
	if n == nil || n.Kind != Number {
		return 0, false
	}
	v, err := strconv.ParseInt(n.Text, 10, 64)
	return v, err == nil
}

// IsTrue reports whether the value is the boolean true.
func (n *Node) IsTrue() bool { return n != nil && n.Kind == Bool && n.Text == "true" }
