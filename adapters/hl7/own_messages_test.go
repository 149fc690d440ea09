package hl7_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

var updateOwn = flag.Bool("update-messages", false, "write testdata/messages.golden anew")

// TestOwnMessages takes the messages in testdata/messages through splitting, decoding,
// parsing, encoding and validation: every version, charset, line end and wrapper, and what is
// to be refused. messages.golden says what comes of each.
func TestOwnMessages(t *testing.T) {
	files, err := filepath.Glob("testdata/messages/*")
	require.NoError(t, err)
	var out bytes.Buffer
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		fmt.Fprintf(&out, "== %s\n", filepath.Base(file))
		stream := hl7.SplitMessages(data)
		for n, raw := range stream.Messages() {
			fmt.Fprintf(&out, "#%d ", n+1)
			describeMessage(t, &out, raw)
		}
		if len(stream.Messages()) == 0 {
			describeMessage(t, &out, data)
		}
		for _, p := range stream.Problems {
			fmt.Fprintf(&out, "   %s\n", p)
		}
	}
	golden := "testdata/messages.golden"
	if *updateOwn {
		require.NoError(t, os.WriteFile(golden, out.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	assert.Equal(t, string(want), out.String())
}

// describeMessage says what becomes of one message, and proves that its bytes come back.
func describeMessage(t *testing.T, out *bytes.Buffer, raw []byte) {
	text, cs, err := hl7.CharsetPolicy{}.Decode(raw)
	if err != nil {
		fmt.Fprintln(out, err)
		return
	}
	m, err := hl7.Parse(text)
	if err != nil {
		fmt.Fprintln(out, err)
		return
	}
	require.Equal(t, string(text), string(m.Rebuild()))
	back, err := cs.Encode(m.Encode())
	require.NoError(t, err)
	require.Equal(t, raw, back)
	h := m.Header()
	fmt.Fprintf(out, "%s %s %s, %s\n", h.Kind(), h.Version, h.ControlID, cs)
	for _, i := range hl7.Validate(m) {
		fmt.Fprintf(out, "   %s\n", i)
	}
}

// addOwnMessages gives a fuzz target the messages in testdata/messages as seeds.
func addOwnMessages(f *testing.F, add func(data []byte)) {
	files, err := filepath.Glob("testdata/messages/*")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		add(data)
	}
}
