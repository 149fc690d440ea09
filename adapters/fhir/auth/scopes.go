package auth

import (
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
)

// Scopes are what a caller may do, by resource type; "*" stands for all types.
type Scopes map[string]string

// actions in the order in which SMART version 2 writes them.
const actions = "cruds"

// ParseScopes reads a list of scopes parted by spaces. Those of other contexts (patient/,
// user/), with conditions behind a question mark, or malformed allow nothing.
func ParseScopes(list string) Scopes {
	out := Scopes{}
	for scope := range strings.FieldsSeq(list) {
		rest, ok := strings.CutPrefix(scope, "system/")
		kind, what, ok2 := strings.Cut(rest, ".")
		if !ok || !ok2 {
			continue
		}
		if _, known := schema.FindResource(kind); kind != "*" && !known {
			continue
		}
		out[kind] += permissions(what)
	}
	return out
}

// permissions turns the end of a scope into actions.
func permissions(what string) string {
	switch what {
	case "read":
		return "rs"
	case "write":
		return "cud"
	case "*":
		return actions
	}
	last := -1
	for i := range len(what) {
		at := strings.IndexByte(actions, what[i])
		if at <= last { // unknown, repeated or out of order
			return ""
		}
		last = at
	}
	return what
}

// May reports whether the scopes allow an action on a resource type.
func (s Scopes) May(resource string, a rest.Action) bool {
	return strings.IndexByte(s[resource], byte(a)) >= 0 || strings.IndexByte(s["*"], byte(a)) >= 0
}

// caller implements rest.Caller.
type caller struct {
	name   string
	scopes Scopes
}

func (c caller) Name() string { return c.name }

func (c caller) May(resource string, a rest.Action) bool { return c.scopes.May(resource, a) }
