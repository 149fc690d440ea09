package mapping_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
)

// TestHostileDocumentsFailFast: what is deep, wide or self-referring is refused at once.
func TestHostileDocumentsFailFast(t *testing.T) {
	var aliases strings.Builder
	aliases.WriteString("a0: &a0 [x, x]\n")
	for i := 1; i < 40; i++ {
		n := string(rune('0'+i/10)) + string(rune('0'+i%10))
		p := string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		aliases.WriteString("a" + n + ": &a" + n + " [*a" + p + ", *a" + p + "]\n")
	}
	for name, text := range map[string]string{
		"deep lists":     strings.Repeat("[", 500_000),
		"deep maps":      strings.Repeat("{a: ", 250_000),
		"deep indents":   strings.Repeat("- ", 500_000),
		"many keys":      strings.Repeat("aaaaaaaa: b\n", 80_000),
		"long key":       strings.Repeat("k", 1_000_000) + ": v",
		"many documents": strings.Repeat("---\n", 200_000),
		"aliases":        aliases.String(),
		"many places":    preamble + "events: {ADT: {author: [" + strings.Repeat("A-1,", 19_000) + "]}}",
		"tags":           preamble + "zone: !!binary AAAA",
		"null key":       "~: x",
		"many faults":    strings.Repeat("tables: x\n", 9_000),
		"complex key":    "? [a, b]\n: x",
	} {
		start := time.Now()
		_, err := mapping.Parse([]byte(text))
		var faults mapping.Faults
		require.ErrorAs(t, err, &faults, name)
		assert.Less(t, time.Since(start), 5*time.Second, name)
		assert.Less(t, len(err.Error()), 64<<10, name)
	}
}
