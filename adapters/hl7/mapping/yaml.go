package mapping

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// reader walks the YAML tree of one file and gathers faults. It reads the tree itself,
// since a decoder into structures stops at the first fault of some kinds and forgets the
// lines that later checks want to name.
type reader struct {
	faults  Faults
	entries int
}

func (r *reader) fault(n *yaml.Node, key, format string, args ...any) {
	r.faults = append(r.faults, Fault{Line: n.Line, Key: key, Problem: fmt.Sprintf(format, args...)})
}

// tree reads the text into a tree without aliases.
func (r *reader) tree(text []byte) *yaml.Node {
	if len(text) > MaxDocument {
		r.faults = append(r.faults, Fault{Key: "file", Problem: fmt.Sprintf("%d bytes; a mapping has at most %d", len(text), MaxDocument)})
		return nil
	}
	if !utf8.Valid(text) {
		r.faults = append(r.faults, Fault{Key: "file", Problem: "is not UTF-8; save it as UTF-8 (in Chinese editors not as ANSI or GBK)"})
		return nil
	}
	var root, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	err := dec.Decode(&root)
	if err == nil && !errors.Is(dec.Decode(&more), io.EOF) {
		err = errors.New("one file holds one document: remove the second ---")
	}
	if err != nil {
		r.faults = append(r.faults, yamlFault(err))
		return nil
	}
	top := &root
	if top.Kind == yaml.DocumentNode && len(top.Content) == 1 {
		top = top.Content[0]
	}
	if !r.plain(top, 0) {
		return nil
	}
	if top.Kind != yaml.MappingNode {
		r.fault(top, "file", "a mapping is a set of keys: format, name, version …")
		return nil
	}
	return top
}

// yamlLine finds the line in what the YAML reader says.
var yamlLine = regexp.MustCompile(`line (\d+)`)

func yamlFault(err error) Fault {
	f := Fault{Key: "file", Problem: "is empty; emrbridge hl7 mapping example shows one"}
	if errors.Is(err, io.EOF) {
		return f
	}
	f.Problem = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(f.Problem); m != nil {
		f.Line, _ = strconv.Atoi(m[1]) // digits
		f.Problem = strings.TrimPrefix(f.Problem, m[0]+": ")
	}
	return f
}

// plain refuses aliases, and trees that are deeper or larger than any mapping.
func (r *reader) plain(n *yaml.Node, depth int) bool {
	r.entries++
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fault(n, "file", "anchors and aliases are not taken; write the value again")
		return false
	case depth > maxDepth:
		r.fault(n, "file", "values are nested more than %d deep", maxDepth)
		return false
	case r.entries > maxEntries:
		r.fault(n, "file", "more than %d values", maxEntries)
		return false
	}
	for _, c := range n.Content {
		if !r.plain(c, depth+1) {
			return false
		}
	}
	return true
}

// isNull reports the value ~, which takes an inherited entry away.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// entry is one key with its value.
type entry struct {
	name string
	key  *yaml.Node
	val  *yaml.Node
}

// pairs returns the entries of a set of keys in the order of the file, each key once.
func (r *reader) pairs(n *yaml.Node, key string) []entry {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.fault(n, key, "a set of keys is wanted here")
		return nil
	}
	seen := map[string]int{}
	out := make([]entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if k.Kind != yaml.ScalarNode {
			r.fault(k, key, "a key is a plain text")
			continue
		}
		if first, twice := seen[k.Value]; twice {
			r.fault(k, join(key, k.Value), "stands here a second time; the first is in line %d", first)
			continue
		}
		seen[k.Value] = k.Line
		out = append(out, entry{name: k.Value, key: k, val: n.Content[i+1]})
	}
	return out
}

// object calls the reader of each known key and refuses all others.
func (r *reader) object(n *yaml.Node, key string, known map[string]func(v *yaml.Node, key string)) {
	for _, e := range r.pairs(n, key) {
		read, ok := known[e.name]
		if !ok {
			r.fault(e.key, join(key, e.name), "is not a key here; known are %s", names(known))
			continue
		}
		read(e.val, join(key, e.name))
	}
}

func names[T any](m map[string]T) string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func join(key, name string) string {
	if key == "" {
		return name
	}
	return key + "." + name
}

// text reads a plain value as it is written, numbers too, so that 01 stays 01.
func (r *reader) text(n *yaml.Node, key string) string {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.fault(n, key, "a text is wanted here")
		return ""
	}
	if len(n.Value) > maxValue {
		r.fault(n, key, "longer than %d bytes", maxValue)
		return ""
	}
	return n.Value
}

func (r *reader) flag(n *yaml.Node, key string) bool {
	if n.Kind == yaml.ScalarNode && (n.Value == "true" || n.Value == "false") {
		return n.Value == "true"
	}
	r.fault(n, key, "true or false is wanted here")
	return false
}

// list reads one text or a list of texts.
func (r *reader) list(n *yaml.Node, key string) (texts []string, at []*yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		return []string{r.text(n, key)}, []*yaml.Node{n}
	}
	if n.Kind != yaml.SequenceNode {
		r.fault(n, key, "a text or a list of texts is wanted here")
		return nil, nil
	}
	for i, c := range n.Content {
		texts, at = append(texts, r.text(c, fmt.Sprintf("%s[%d]", key, i+1))), append(at, c)
	}
	return texts, at
}

// maxFaults bounds the faults that are listed.
const maxFaults = 200

// sorted orders faults by line, those without one first.
func sorted(f Faults) Faults {
	slices.SortStableFunc(f, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
	if more := len(f) - maxFaults; more > 0 {
		f = append(f[:maxFaults], Fault{Line: f[maxFaults].Line, Key: "file", Problem: fmt.Sprintf("and %d more faults", more)})
	}
	return f
}
