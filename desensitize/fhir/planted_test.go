package fhir_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
	"github.com/emrbridge/emrbridge/desensitize"
)

const (
	plantedName  = "诸葛孔明"
	plantedPhone = "13912345678"
)

// planter fills every element of a type, every alternative of every choice, every extension
// and every value that FHIR does not know with identifiers.
type planter struct{ left int }

func (p *planter) object(t *schema.Type, depth int) *tree.Object {
	o := tree.New()
	if t.Resource {
		o.Set("resourceType", t.Name)
	}
	for _, e := range t.Elements {
		if p.left--; p.left < 0 {
			break
		}
		v := p.value(e, depth)
		if v == nil {
			continue
		}
		if e.List {
			v = []any{v}
		}
		o.Set(e.Name, v)
		if e.Kind == schema.Primitive && depth < 2 {
			var beside any = tree.New("id", plantedName, "extension", []any{tree.New("url", "http://x/"+plantedPhone, "valueString", plantedName)}, "other", plantedName)
			if e.List {
				beside = []any{beside}
			}
			o.Set("_"+e.Name, beside)
		}
	}
	o.Set("notFHIR", plantedName).Set(plantedName, plantedPhone)
	return o
}

func (p *planter) value(e *schema.Element, depth int) any {
	switch {
	case e.Kind == schema.Primitive:
		switch e.Primitive {
		case "boolean", "decimal", "integer", "positiveInt", "unsignedInt":
			return tree.Number(plantedPhone)
		case "base64Binary":
			return base64.StdEncoding.EncodeToString([]byte(plantedName))
		case "xhtml":
			return `<div xmlns="http://www.w3.org/1999/xhtml"><p title="` + plantedName + `">` + plantedName + `<!--` + plantedName + `--><b>诸葛</b>孔明 &#x8BF8;葛孔明</p></div>`
		}
		return plantedName
	case depth >= 3:
		return nil
	case e.Kind == schema.Resource:
		if depth > 0 {
			return nil
		}
		t, _ := schema.FindResource("Basic")
		return p.object(t, depth+1)
	}
	return p.object(e.Type, depth+1)
}

// TestPlanted: nothing that is planted anywhere in a resource of any type comes out under any
// policy.
func TestPlanted(t *testing.T) {
	known := &desensitize.Known{Names: []string{plantedName}, Phones: []string{plantedPhone}}
	encoded := base64.StdEncoding.EncodeToString([]byte(plantedName))
	for _, policy := range desensitize.Shipped() {
		w := newWalker(t, policy)
		for _, name := range schema.Resources() {
			typ, _ := schema.FindResource(name)
			data := (&planter{left: 3000}).object(typ, 0).AppendJSON(nil)
			require.Contains(t, string(data), plantedName)
			report := &desensitize.Report{}
			out, err := w.Record(context.Background(), data, nil, known, report)
			if err != nil {
				require.NotContains(t, err.Error(), plantedName)
				continue
			}
			for _, planted := range []string{plantedName, plantedPhone, encoded, "诸葛", "孔明"} {
				if at := strings.Index(string(out), planted); at >= 0 {
					require.Fail(t, "planted value came out", "%s %s: …%s…", policy, name, out[max(0, at-200):min(len(out), at+60)])
				}
			}
			text, err := report.MarshalJSON()
			require.NoError(t, err)
			require.NotContains(t, string(text), plantedName)
		}
	}
}
