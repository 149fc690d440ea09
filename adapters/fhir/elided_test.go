package fhir_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/elide"
	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// FuzzElided: what a skeleton passes the resource itself passes, and both are shown as the
// same bytes and mapped from the same skeleton.
func FuzzElided(f *testing.F) {
	long := strings.Repeat("QUJD", 8)
	for _, s := range []string{
		`{"resourceType":"Binary","contentType":"image/png","data":"` + long + `"}`,
		`{"resourceType":"Binary","id":"x","meta":{"versionId":"3"},"contentType":"image/png","data":"` + long + `QQ=="}`,
		`{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"a/b","data":"` + long + `","size":24}}]}`,
		`{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"a/b","data":"` + long + `","size":25}}]}`,
		`{"resourceType":"Patient","name":[{"text":"` + long + `"}]}`,
		`{"resourceType":"Binary","` + long + `":1,"contentType":"image/png","data":"` + long + `QR=="}`,
		`{"resourceType":"Binary","contentType":"image/png","data":"\u0041` + long + `"}`,
	} {
		f.Add([]byte(s))
	}
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	as := fhir.Identity{ID: "a", Version: "1", Updated: time.UnixMilli(0)}
	f.Fuzz(func(t *testing.T, data []byte) {
		scan := elide.New(elide.Options{Min: 24})
		_, _ = scan.Write(data)
		s, _ := scan.Skeleton()
		r, ok := fhir.ParseElided(s, fhir.Limits{})
		if !ok || v.Judge(context.Background(), r).Failed() {
			return
		}
		whole, issues := v.Validate(context.Background(), data)
		require.False(t, issues.Failed(), "%v", issues)
		require.Equal(t, whole.Type(), r.Type())
		require.Equal(t, fhir.KindOf(whole.Root), fhir.KindOf(r.Root))
		fhir.Relocate(r.Root, s)
		require.Equal(t, whole.Root.Start, r.Root.Start)
		shown := fhir.PresentElided(r.Root, as)
		var out bytes.Buffer
		require.NoError(t, shown.Copy(&out, bytes.NewReader(data)))
		require.Equal(t, string(fhir.Present(data, whole.Root, as)), out.String())
		require.EqualValues(t, out.Len(), shown.Size())
	})
}

func TestElidedStandsOnlyForBase64(t *testing.T) {
	long := strings.Repeat("QUJD", 8)
	v := fhir.NewValidator(fhir.ValidatorConfig{})
	for text, good := range map[string]bool{
		`{"resourceType":"Binary","contentType":"image/png","data":"` + long + `"}`:                                                                true,
		`{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"a/b","data":"` + long + `","size":24}}]}`: true,
		`{"resourceType":"DocumentReference","status":"current","content":[{"attachment":{"contentType":"a/b","data":"` + long + `","size":25}}]}`: false,
		`{"resourceType":"Patient","name":[{"text":"` + long + `"}]}`:                                                                              false,
		`{"resourceType":"Binary","contentType":"image/png","data":"` + long + `Q"}`:                                                               false,
		`{"resourceType":"Binary","contentType":"image/png","` + long + `":1}`:                                                                     false,
	} {
		scan := elide.New(elide.Options{Min: 24})
		_, _ = scan.Write([]byte(text))
		s, ok := scan.Skeleton()
		require.True(t, ok)
		require.Len(t, s.Runs, 1)
		r, ok := fhir.ParseElided(s, fhir.Limits{})
		require.Equal(t, good, ok && !v.Judge(t.Context(), r).Failed(), text)
		if good {
			require.NotContains(t, string(fhir.Skeleton(r)), s.Marker)
		}
	}
}
