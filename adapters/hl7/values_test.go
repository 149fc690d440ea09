package hl7_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

func TestNormalResidentID(t *testing.T) {
	for in, want := range map[string]string{
		"990101198001011236": "990101198001011236", "990101800101123": "990101198001011236",
		"990101198001011233": "", "99010119800101123": "", "990101198013011232": "", "": "",
		"990101198001010xyz": "", "11010519491231002X": "11010519491231002X", "11010519491231002x": "11010519491231002X",
	} {
		got, ok := hl7.NormalResidentID(in)
		assert.Equal(t, want, got, in)
		assert.Equal(t, want != "", ok, in)
	}
}

func TestParseTime(t *testing.T) {
	for in, want := range map[string]string{
		"2026": "2026", "202603": "2026-03", "20260301": "2026-03-01", "2026030108": "2026-03-01T08+08:00",
		"202603010809": "2026-03-01T08:09+08:00", "20260301080910": "2026-03-01T08:09:10+08:00",
		"20260301080910.1234": "2026-03-01T08:09:10.123+08:00", "20260301080910.5-0330": "2026-03-01T08:09:10.500-03:30",
		"20260301+0000": "2026-03-01", "20240229": "2024-02-29",
	} {
		got, err := hl7.ParseTime(in, nil)
		require.NoError(t, err, in)
		assert.Equal(t, want, got.String(), in)
	}
	for _, in := range []string{"", "20", "20261", "20261301", "20260230", "2026030124", "00000000", "2026-03-01", "20260301+08",
		"20260301+9900", "202603010809.5", "20260301080910.", "20260301080910.x", "yesterday"} {
		_, err := hl7.ParseTime(in, nil)
		assert.ErrorIs(t, err, hl7.ErrTime, in)
	}
}

func FuzzParseTime(f *testing.F) {
	f.Add("20260301080910.1234+0800")
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := hl7.ParseTime(s, nil); err == nil {
			require.NoError(t, got.Validate())
		}
	})
}
