package msfhir_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/desensitize"
)

var asOf = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func project(t testing.TB) *desensitize.Project {
	t.Helper()
	p, err := desensitize.NewProject(desensitize.ProjectConfig{ID: "P2026-001", Key: bytes.Repeat([]byte{7}, desensitize.KeySize)})
	require.NoError(t, err)
	return p
}

// cipher stands in for SM4.
type cipher struct{}

func (cipher) Encrypt(plain []byte) (string, error) {
	return "c" + string(rune('0'+len(plain)%10)), nil
}
