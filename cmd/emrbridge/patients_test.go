package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/gateway/local"
	"github.com/emrbridge/emrbridge/patientindex"
)

// testVisit is a message of an invented patient by any numbers, with further segments.
func testVisit(kind, id, pid3 string, more ...string) []byte {
	return []byte(fmt.Sprintf("MSH|^~\\&|WARD|H1|EMR|H1|20260302101500+0800||%s|%s|P|2.5||||||UNICODE UTF-8\rEVN||20260302101500+0800\rPID|1||%s||测^试\r",
		kind, id, pid3) + strings.Join(append(more, ""), "\r"))
}

func TestPatientsCommands(t *testing.T) {
	s := newLonelySite(t, nil)
	n := 0
	send := func(raw []byte) string {
		t.Helper()
		require.Equal(t, hl7.AppAccept, s.send(t, raw).Code)
		n++
		return s.stored(t, n)[0].Record
	}
	const one, two, resident = "L-1^^^H1^PI", "L-2^^^H1^PI", "990101199003071237^^^GA^NNCHN"
	first := send(testVisit("ADT^A04", "P-1", one))
	send(testVisit("ADT^A04", "P-2", two))
	joined := send(testVisit("ADT^A31", "P-3", one+"~"+resident))
	merge := send(testVisit("ADT^A40", "P-4", one, "MRG|"+two))
	send(testVisit("ADT^A40", "P-5", two, "MRG|"+one))

	show := func(args ...string) personReport {
		t.Helper()
		list := lines[personReport](t, s, 0, append([]string{"patients", "show"}, args...)...)
		require.Len(t, list, 1)
		return list[0]
	}
	byResident := show("--id-file", s.file(t, "resident", []byte("990101199003071237\n")))
	assert.Len(t, byResident.Tags, 3)
	assert.Len(t, byResident.History, 2)
	byLocal := show("--id-number", "L-2", "--type", "local-patient", "--authority", "H1")
	assert.Equal(t, byResident.Tag, byLocal.Tag)
	assert.Equal(t, byResident, show("--tag", byResident.Tags[1].Tag.String()))
	text, code := s.command(t, "patients", "show", "--tag", byResident.Tag.String())
	assert.Zero(t, code)
	assert.Contains(t, text, "local-patient")
	assert.NotContains(t, text, "L-1", "no number is shown, there is none")
	text, code = s.command(t, "patients", "show", "--id-number", "990101199003071245")
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, text, "未找到")

	changes := lines[patientindex.Change](t, s, 0, "patients", "merges")
	require.Len(t, changes, 2)
	assert.Equal(t, []string{joined, merge}, []string{changes[0].Record.String(), changes[1].Record.String()})
	incidents := lines[patientindex.Incident](t, s, 0, "patients", "incidents")
	require.Len(t, incidents, 1)
	assert.Equal(t, []patientindex.Code{patientindex.MergeReversed}, incidents[0].Codes)

	undone := lines[local.CorrectionResponse](t, s, 0, "patients", "unmerge", merge, "--reason", "wrong patient", "--operator", "D-017")
	n++
	s.stored(t, n)
	assert.Len(t, lines[patientindex.Change](t, s, 0, "patients", "merges"), 1)
	all := lines[patientindex.Change](t, s, 0, "patients", "merges", "--all")
	assert.Equal(t, undone[0].Record, all[1].UndoneBy.String())
	assert.NotEqual(t, byResident.Tag, show("--id-number", "L-2", "--type", "local-patient", "--authority", "H1").Tag)

	numbers := s.file(t, "merge.json", []byte(`{"survivor":[{"authority":"H1","type":"local-patient","value":"L-1"}],"prior":[{"authority":"H1","type":"local-patient","value":"L-2"}]}`))
	lines[local.CorrectionResponse](t, s, 0, "patients", "merge", "--file", numbers, "--reason", "registered twice", "--operator", "D-017")
	n++
	s.stored(t, n)
	require.Eventually(t, func() bool {
		return show("--id-number", "L-2", "--type", "local-patient", "--authority", "H1").Tag == byResident.Tag
	}, 10*time.Second, 50*time.Millisecond)

	for _, bad := range [][]string{{"unmerge", "xyz", "--reason", "r", "--operator", "o"}, {"unmerge", first}, {"merge", "--file", s.path, "--reason", "r", "--operator", "o"}, {"show"}} {
		_, code := s.command(t, append([]string{"patients"}, bad...)...)
		assert.Equal(t, exitUsage, code, "%v", bad)
	}
	text, code = s.command(t, "patients", "rebuild")
	assert.Equal(t, exitUsage, code, "the bridge runs: %s", text)

	s.halt(t)
	before := show("--tag", byResident.Tag.String())
	require.NoError(t, os.RemoveAll(s.config.Dir("patients")))
	text, code = s.command(t, "patients", "rebuild")
	require.Zero(t, code, text)
	assert.Contains(t, text, fmt.Sprintf("%d records read", n))
	after := show("--tag", byResident.Tag.String())
	assert.Equal(t, before.Tags, after.Tags)
	require.Len(t, after.History, len(before.History))

	text, code = s.command(t, "keys", "destroy", "--tag", byResident.Tag.String(), "--reason", "erasure", "--yes")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, text, "3 patient tokens")
	report, err := json.Marshal(after)
	require.NoError(t, err)
	assert.NotContains(t, string(report), "L-2")
}
