package leak_test

import (
	"context"
	"strings"
	"testing"

	"github.com/emrbridge/emrbridge/desensitize/leak"
)

func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		leak.Compile(known)
	}
}

func BenchmarkCheckText(b *testing.B) {
	text := []byte(strings.Repeat("患者[姓名]，男，45岁，因“反复胸痛3天”入院。查体：T 36.5℃，P 78次/分，BP 135/85mmHg。Seen by [NAME] in clinic.\n", 300))
	g, k := leak.New(leak.Config{}), leak.Compile(known)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		_, _ = g.Check(context.Background(), leak.Text, text, k)
	}
}

func BenchmarkCheckFHIR(b *testing.B) {
	g, k := leak.New(leak.Config{}), leak.Compile(known)
	b.SetBytes(int64(len(resource)))
	for b.Loop() {
		_, _ = g.Check(context.Background(), leak.FHIR, []byte(resource), k)
	}
}
