package safexml

import (
	"strconv"
	"strings"
)

// Name is an expanded name.
type Name struct {
	Space string // namespace URI, "" for none
	Local string
}

// Attr is one attribute. Namespace declarations are not attributes.
type Attr struct {
	Name  Name
	Value string
}

// Node is an element, or a run of text in one (Name.Local is then empty). Nodes are
// read-only once parsed and may then be shared by goroutines.
type Node struct {
	Name     Name
	Attrs    []Attr
	Children []*Node
	Parent   *Node
	// Text is the character data of a text node, references resolved and line ends
	// normalised.
	Text string
	// Start and End bound the node in Document.Text: Text[Start:End] is its markup.
	Start, End int
}

// IsText reports whether the node is character data.
func (n *Node) IsText() bool { return n.Name.Local == "" }

// Attr returns the value of an attribute without namespace, "" if there is none.
func (n *Node) Attr(local string) string {
	v, _ := n.Lookup("", local)
	return v
}

// Lookup returns the value of an attribute.
func (n *Node) Lookup(space, local string) (string, bool) {
	if n == nil {
		return "", false
	}
	for i := range n.Attrs {
		if n.Attrs[i].Name.Local == local && n.Attrs[i].Name.Space == space {
			return n.Attrs[i].Value, true
		}
	}
	return "", false
}

// Child returns the first child element of a local name in the namespace of n, nil if
// there is none. It may be called on nil.
func (n *Node) Child(local string) *Node {
	if n == nil {
		return nil
	}
	for _, c := range n.Children {
		if c.Name.Local == local && c.Name.Space == n.Name.Space {
			return c
		}
	}
	return nil
}

// All returns every child element of a local name in the namespace of n.
func (n *Node) All(local string) []*Node {
	if n == nil {
		return nil
	}
	var out []*Node
	for _, c := range n.Children {
		if c.Name.Local == local && c.Name.Space == n.Name.Space {
			out = append(out, c)
		}
	}
	return out
}

// Find walks down by local names and returns the first element at the end, or nil.
func (n *Node) Find(path ...string) *Node {
	for _, p := range path {
		n = n.Child(p)
	}
	return n
}

// Elements returns the child elements.
func (n *Node) Elements() []*Node {
	if n == nil {
		return nil
	}
	out := make([]*Node, 0, len(n.Children))
	for _, c := range n.Children {
		if !c.IsText() {
			out = append(out, c)
		}
	}
	return out
}

// Content returns all character data below the node, in document order.
func (n *Node) Content() string {
	switch {
	case n == nil:
		return ""
	case n.IsText():
		return n.Text
	case len(n.Children) == 1 && n.Children[0].IsText():
		return n.Children[0].Text
	}
	var b strings.Builder
	n.appendContent(&b)
	return b.String()
}

func (n *Node) appendContent(b *strings.Builder) {
	if n.IsText() {
		b.WriteString(n.Text)
		return
	}
	for _, c := range n.Children {
		c.appendContent(b)
	}
}

// Trimmed returns Content without white space at its ends.
func (n *Node) Trimmed() string { return strings.TrimSpace(n.Content()) }

// Path returns the XPath of the node, with positions where several siblings have its name:
// /ClinicalDocument/component/structuredBody/component[3]/section.
func (n *Node) Path() string {
	var steps []string
	for ; n != nil; n = n.Parent {
		if !n.IsText() {
			steps = append(steps, n.step())
		}
	}
	var b strings.Builder
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(steps[i])
	}
	return b.String()
}

func (n *Node) step() string {
	if n.Parent == nil {
		return n.Name.Local
	}
	same, before := 0, 0
	for _, c := range n.Parent.Children {
		if c.Name != n.Name {
			continue
		}
		same++
		if c == n {
			before = same
		}
	}
	if before == 0 { // still open: not yet among its siblings
		same, before = same+1, same+1
	}
	if same < 2 {
		return n.Name.Local
	}
	return n.Name.Local + "[" + strconv.Itoa(before) + "]"
}
