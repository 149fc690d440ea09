package mapping

import "maps"

// overlay lays a document over the one that it extends. Sets of keys are merged key by
// key, everything else is replaced; an entry that is nil in over is taken away. Neither
// argument is changed.
func overlay(base, over *body) *body {
	out := *over
	out.Zone, out.Charset = or(over.Zone, base.Zone), or(over.Charset, base.Charset)
	if over.TimeForms == nil {
		out.TimeForms = base.TimeForms
	}
	if over.Fields == nil {
		out.Fields = base.Fields
	}
	out.Types = merged(base.Types, over.Types, replace)
	out.Authorities = merged(base.Authorities, over.Authorities, replace)
	out.AuthorityTypes = merged(base.AuthorityTypes, over.AuthorityTypes, replace)
	out.Patient = merged(base.Patient, over.Patient, replace)
	out.Tables = merged(base.Tables, over.Tables, func(b, o *table) *table {
		return &table{Target: or(o.Target, b.Target), Unmapped: or(o.Unmapped, b.Unmapped), Codes: merged(b.Codes, o.Codes, replace)}
	})
	out.Events = merged(base.Events, over.Events, overlayBlock)
	out.Merges = merged(base.Merges, over.Merges, replace)
	return &out
}

// overlayBlock keeps a fact that is nil: in the rules of an event it takes away what the
// rules of its code say.
func overlayBlock(b, o *block) *block {
	out := &block{Events: o.Events, Facts: maps.Clone(b.Facts), Metadata: maps.Clone(b.Metadata)}
	if o.Events == nil {
		out.Events = b.Events
	}
	if out.Facts == nil {
		out.Facts = map[string]*fact{}
	}
	maps.Copy(out.Facts, o.Facts)
	if out.Metadata == nil {
		out.Metadata = map[string]*fact{}
	}
	maps.Copy(out.Metadata, o.Metadata)
	return out
}

func replace[T any](_, o *T) *T { return o }

// merged lays over upon base. both says what becomes of entries that both have.
func merged[T any](base, over map[string]*T, both func(b, o *T) *T) map[string]*T {
	out := make(map[string]*T, len(base)+len(over))
	maps.Copy(out, base)
	for k, o := range over {
		switch b := out[k]; {
		case o == nil:
			delete(out, k)
		case b == nil:
			out[k] = o
		default:
			out[k] = both(b, o)
		}
	}
	return out
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
