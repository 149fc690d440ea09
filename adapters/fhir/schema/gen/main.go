//go:build ignore

// Command gen writes the table of FHIR R4 types that package schema reads, from the R4
// message descriptors of github.com/google/fhir/go. Run it with
//
//	go run ./adapters/fhir/schema/gen/main.go > adapters/fhir/schema/r4.tsv
package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apb "github.com/google/fhir/go/proto/google/fhir/proto/annotations_go_proto"
	bpb "github.com/google/fhir/go/proto/google/fhir/proto/r4/core/resources/bundle_and_contained_resource_go_proto"
)

func main() {
	g := &generator{seen: map[string]bool{}, sets: map[string]int{}, out: bufio.NewWriter(os.Stdout)}
	fields := (&bpb.ContainedResource{}).ProtoReflect().Descriptor().Fields()
	var all []protoreflect.MessageDescriptor
	for i := range fields.Len() {
		all = append(all, fields.Get(i).Message())
	}
	slices.SortFunc(all, func(a, b protoreflect.MessageDescriptor) int {
		return strings.Compare(string(a.Name()), string(b.Name()))
	})
	for _, m := range all {
		g.message(m, "R")
	}
	for len(g.queue) > 0 {
		m := g.queue[0]
		g.queue = g.queue[1:]
		g.message(m, "T")
	}
	for i, codes := range g.codes {
		fmt.Fprintf(g.out, "V\t%d\t%s\n", i, strings.Join(codes, "\t"))
	}
	_ = g.out.Flush()
}

type generator struct {
	seen  map[string]bool
	queue []protoreflect.MessageDescriptor
	sets  map[string]int
	codes [][]string
	out   *bufio.Writer
}

func name(m protoreflect.MessageDescriptor) string {
	full := string(m.FullName())
	return strings.TrimPrefix(full, "google.fhir.r4.core.")
}

func (g *generator) message(m protoreflect.MessageDescriptor, kind string) {
	n := name(m)
	if g.seen[n] {
		return
	}
	g.seen[n] = true
	fmt.Fprintf(g.out, "%s\t%s\n", kind, n)
	fields := m.Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Message() == nil {
			continue
		}
		if n == "Reference" && f.ContainingOneof() != nil {
			if f.Name() == "uri" {
				fmt.Fprintf(g.out, "\treference\tstring\t\n")
			}
			continue
		}
		g.field(f)
	}
}

func (g *generator) field(f protoreflect.FieldDescriptor) {
	flags := ""
	if f.IsList() {
		flags += "*"
	}
	if required(f) {
		flags += "!"
	}
	m := f.Message()
	if m.Options() != nil && proto.HasExtension(m.Options(), apb.E_IsChoiceType) && proto.GetExtension(m.Options(), apb.E_IsChoiceType).(bool) {
		alternatives := m.Fields()
		for i := range alternatives.Len() {
			a := alternatives.Get(i)
			json := a.JSONName()
			fmt.Fprintf(g.out, "\t%s%s\t%s\t%s\t%s\n", f.JSONName(), strings.ToUpper(json[:1])+json[1:], g.typeOf(a, refs(a, f)), flags, f.JSONName())
		}
		return
	}
	fmt.Fprintf(g.out, "\t%s\t%s\t%s\n", f.JSONName(), g.typeOf(f, refs(f, f)), flags)
}

func required(f protoreflect.FieldDescriptor) bool {
	return proto.HasExtension(f.Options(), apb.E_ValidationRequirement) &&
		proto.GetExtension(f.Options(), apb.E_ValidationRequirement).(apb.Requirement) == apb.Requirement_REQUIRED_BY_FHIR
}

func refs(f, outer protoreflect.FieldDescriptor) []string {
	for _, d := range []protoreflect.FieldDescriptor{f, outer} {
		if proto.HasExtension(d.Options(), apb.E_ValidReferenceType) {
			return proto.GetExtension(d.Options(), apb.E_ValidReferenceType).([]string)
		}
	}
	return nil
}

func (g *generator) typeOf(f protoreflect.FieldDescriptor, to []string) string {
	m := f.Message()
	n := name(m)
	switch {
	case n == "google.protobuf.Any" || n == "ContainedResource":
		return "[resource]"
	case n == "Reference":
		g.queue = append(g.queue, m)
		return "Reference:" + strings.Join(to, ",")
	}
	kind := proto.GetExtension(m.Options(), apb.E_StructureDefinitionKind).(apb.StructureDefinitionKindValue)
	if kind != apb.StructureDefinitionKindValue_KIND_PRIMITIVE_TYPE {
		g.queue = append(g.queue, m)
		return n
	}
	if proto.HasExtension(m.Options(), apb.E_FhirValuesetUrl) {
		return g.code(m)
	}
	return strings.ToLower(n[:1]) + n[1:]
}

func (g *generator) code(m protoreflect.MessageDescriptor) string {
	value := m.Fields().ByName("value")
	if value == nil || value.Enum() == nil {
		return "code"
	}
	var codes []string
	values := value.Enum().Values()
	for i := range values.Len() {
		v := values.Get(i)
		if v.Number() == 0 {
			continue
		}
		if proto.HasExtension(v.Options(), apb.E_FhirOriginalCode) {
			codes = append(codes, proto.GetExtension(v.Options(), apb.E_FhirOriginalCode).(string))
			continue
		}
		codes = append(codes, strings.ReplaceAll(strings.ToLower(string(v.Name())), "_", "-"))
	}
	key := strings.Join(codes, "\t")
	id, ok := g.sets[key]
	if !ok {
		id = len(g.codes)
		g.sets[key], g.codes = id, append(g.codes, codes)
	}
	return fmt.Sprintf("code@%d", id)
}
