//go:build corpus

package hl7_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

// TestCorpusSkeletons: a large message is read by other code than a small one. Every outside
// message gets the same verdict from both, and one without long values comes out unchanged.
func TestCorpusSkeletons(t *testing.T) {
	same, whole := 0, 0
	for _, policy := range []hl7.CharsetPolicy{{}, {Default: hl7.GB18030}, {Default: hl7.Latin1}} {
		corpusFiles(t, func(name string, data []byte) {
			for _, raw := range hl7.SplitMessages(data).Messages() {
				text, cs, want := policy.Decode(raw)
				if want == nil {
					_, want = hl7.Parse(text)
				}
				s, err := policy.Skim(t.Context(), opener(raw))
				if !assert.Equal(t, want == nil, err == nil, "%s: %v / %v", name, want, err) || err != nil {
					continue
				}
				same++
				assert.Equal(t, cs, s.Charset, name)
				if len(s.Text) == len(text) {
					whole++
					assert.Equal(t, string(text), string(s.Text), name)
				} else {
					_, err := hl7.Parse(s.Text)
					assert.NoError(t, err, name)
				}
			}
		})
	}
	t.Logf("%d messages skimmed, %d of them unchanged", same, whole)
}
