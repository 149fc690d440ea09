package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/googlefhir"
)

// fhirGroup is the group of the figures.
const fhirGroup = "FHIR R4, one core"

var errRefused = errors.New("a resource of the benchmark is refused")

// FHIR measures reading and judging FHIR JSON, one core, in MB: the JSON alone, the rules of
// the adapter, google/fhir behind them, and the record made of it; and
// the memory that is held at most.
func FHIR(ctx context.Context, r *Results, o Options) error {
	docs := fhirDocuments()
	total := float64(size(docs))
	fmt.Fprintf(o.Progress, "%d FHIR documents, %d KB\n", len(docs), size(docs)>>10)
	own := fhir.NewValidator(fhir.ValidatorConfig{})
	judge := func(v *fhir.Validator) func([]byte) error {
		return func(raw []byte) error {
			if _, issues := v.Validate(ctx, raw); issues.Failed() {
				return fmt.Errorf("%w: %w", errRefused, issues)
			}
			return nil
		}
	}
	mapper := fhir.NewMapper(fhir.MappingConfig{})
	type step struct {
		name, note string
		work       func([]byte) error
	}
	steps := []step{
		{"read JSON", "", func(raw []byte) error { _, err := fhir.Parse(raw, fhir.Limits{}); return err }},
		{"read and judge by our rules", "", judge(own)},
		{"read and map to a record", "", func(raw []byte) error {
			_, err := mapper.Map(fhir.Source{Raw: raw, HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "his", ControlID: "Bundle/1/_history/1", ReceivedAt: time.UnixMilli(1)})
			return err
		}},
	}
	engine, err := googlefhir.New(time.UTC)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	steps = append(steps, step{"read and judge by our rules and google/fhir", "once per resource", judge(fhir.NewValidator(fhir.ValidatorConfig{Engine: engine}))})
	const rounds = 5
	speeds := make([][]float64, len(steps))
	for range rounds {
		for i, s := range steps {
			took, err := perOp(o.Span/40, func() error { return each(docs, s.work) })
			if err != nil {
				return fmt.Errorf("bench: fhir: %s: %w", s.name, err)
			}
			speeds[i] = append(speeds[i], total/took/1e6)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for i, s := range steps {
		r.add(fhirGroup, s.name, median(speeds[i]), "MB/s", s.note)
	}
	if peak, ok := peakMemory(); ok {
		r.add(fhirGroup, "peak memory of this process", peak, "MB", "all parts so far")
	}
	return nil
}

// fhirDocuments are Bundles of a made-up ward: patients with encounters, results and
// narratives.
func fhirDocuments() [][]byte {
	var docs [][]byte
	for n := range 8 {
		var b strings.Builder
		b.WriteString(`{"resourceType":"Bundle","type":"collection","entry":[`)
		for p := range 40 {
			if p > 0 {
				b.WriteString(",")
			}
			id := n*100 + p
			fmt.Fprintf(&b, `{"fullUrl":"http://his.test/Patient/p%[1]d","resource":{"resourceType":"Patient","id":"p%[1]d","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>测试患者 %[1]d</p></div>"},"identifier":[{"use":"official","system":"urn:oid:2.16.156.10011.1.12","value":"ZY%06[1]d"}],"name":[{"text":"测试","family":"测","given":["试"]}],"gender":"female","birthDate":"1990-03-07","telecom":[{"system":"phone","value":"000-%[1]d","use":"mobile"}]}},`, id)
			fmt.Fprintf(&b, `{"fullUrl":"http://his.test/Encounter/e%[1]d","resource":{"resourceType":"Encounter","id":"e%[1]d","status":"finished","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"IMP"},"subject":{"reference":"Patient/p%[1]d"},"period":{"start":"2026-03-01T08:00:00+08:00","end":"2026-03-05T10:30:00+08:00"}}}`, id)
			for k := range 6 {
				fmt.Fprintf(&b, `,{"fullUrl":"http://his.test/Observation/o%[1]d-%[2]d","resource":{"resourceType":"Observation","id":"o%[1]d-%[2]d","status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"laboratory"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"718-7","display":"Hemoglobin"}],"text":"血红蛋白"},"subject":{"reference":"Patient/p%[1]d"},"encounter":{"reference":"Encounter/e%[1]d"},"effectiveDateTime":"2026-03-02T09:%02[2]d:00+08:00","valueQuantity":{"value":12%[2]d.50,"unit":"g/L","system":"http://unitsofmeasure.org","code":"g/L"},"referenceRange":[{"low":{"value":110},"high":{"value":150}}]}}`, id, k)
			}
		}
		b.WriteString(`]}`)
		docs = append(docs, []byte(b.String()))
	}
	return docs
}

// peakMemory is the largest resident set of this process so far, in MB.
func peakMemory() (float64, bool) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); n == 1 {
			return kb / 1000, true
		}
	}
	return 0, false
}
