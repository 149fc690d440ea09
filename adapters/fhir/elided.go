package fhir

import "github.com/emrbridge/emrbridge/adapters/elide"

// ParseElided parses what is left of a resource of which long values in base64 were left out.
// ok is false where it cannot stand for the resource: where it is no JSON, or where something
// else was left out than whole values. Offsets are those of the skeleton until Relocate.
//
// A good verdict on what it returns is one on the resource itself. A bad one may be due to
// what is missing, so that whoever refuses has to judge the resource itself.
func ParseElided(s *elide.Skeleton, limits Limits) (r *Resource, ok bool) {
	root, err := Parse(s.Text, limits)
	if err != nil {
		return nil, false
	}
	runs := s.Runs
	var walk func(n *Node) bool
	walk = func(n *Node) bool {
		if n.Kind == String && n.Text == s.Marker {
			if len(runs) == 0 || runs[0].At != n.Start+1 || n.End-n.Start != len(s.Marker)+2 || !runs[0].Strict {
				return false
			}
			n.Elided, runs = runs[0].Bytes(), runs[1:]
		}
		for _, item := range n.Items {
			if !walk(item) {
				return false
			}
		}
		return true
	}
	if !walk(root) || len(runs) > 0 {
		return nil, false
	}
	return &Resource{Root: root, Raw: s.Text}, true
}

// Relocate makes the offsets of a tree those of the resource itself.
func Relocate(n *Node, s *elide.Skeleton) {
	n.Start, n.End = int(s.Origin(n.Start)), int(s.Origin(n.End))
	for _, item := range n.Items {
		Relocate(item, s)
	}
}

// base64Size is the number of bytes that the text of a node stands for.
func (n *Node) base64Size() (int64, bool) {
	if n.Elided > 0 {
		return n.Elided, true
	}
	size, ok := base64Size(n.Str())
	return int64(size), ok
}
