package hl7_test

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

const typed = "MSH|^~\\&|A|B|||2026||ADT^A01|1|P|2.5\r" +
	"PID|1||12345^5^M10^H1&1.2.3&ISO^PI^F2~1234567^4^M11~77^1^M10~x||王&von^小明^^^Dr^^L^I~Doe^Jane^Q^^Dr||20260301083000^D\r" +
	"PV1|1|I|||||D001^李^四^^^^^^H1&9.9&ISO^L^^^EI\r" +
	"OBX|1|NM|WBC^White cells^LN^718^白细胞^99L^^^as written||+05.60|||||||||20260301120000.5+0900|||007\r" +
	"DG1|1||^^^^备注\r"

func typedMessage(t *testing.T) *hl7.Message {
	m, err := hl7.Parse([]byte(typed))
	require.NoError(t, err)
	return m
}

func TestIdentifiers(t *testing.T) {
	m := typedMessage(t)
	assert.Equal(t, hl7.CX{ID: "12345", CheckDigit: "5", CheckScheme: "M10", Type: "PI",
		Authority: hl7.HD{Namespace: "H1", UniversalID: "1.2.3", UniversalIDType: "ISO"}, Facility: hl7.HD{Namespace: "F2"}}, m.Get("PID-3").CX())
	assert.Equal(t, "1.2.3", m.Get("PID-3.4").HD().String())
	assert.Equal(t, "A", m.Get("MSH-3").HD().String())
	assert.True(t, m.Get("PID-4").HD().IsZero())
	for path, want := range map[string][2]bool{
		"PID-3": {true, true}, "PID-3[2]": {true, true}, "PID-3[3]": {false, true}, "PID-3[4]": {false, false},
	} {
		holds, known := m.Get(path).CX().CheckDigitHolds()
		assert.Equal(t, want, [2]bool{holds, known}, path)
	}
	for id, digit := range map[string]string{"401": "0", "9999": "4", "99999999": "8"} { // examples of the standard
		holds, _ := hl7.CX{ID: id, CheckDigit: digit, CheckScheme: "M10"}.CheckDigitHolds()
		assert.True(t, holds, id)
	}
}

func TestPersons(t *testing.T) {
	m := typedMessage(t)
	p := m.Get("PID-5").XPN()
	assert.Equal(t, []string{"王", "小明", "王小明", "L", "I"}, []string{p.Family, p.Given, p.FullName(), p.NameType, p.Representation})
	assert.Equal(t, "Dr Jane Q Doe", m.Get("PID-5[2]").XPN().FullName())
	d := m.Get("PV1-7").XCN()
	assert.Equal(t, []string{"D001", "李四", "9.9", "EI"}, []string{d.ID, d.FullName(), d.Authority.String(), d.IDType})
}

func TestCodedValues(t *testing.T) {
	m := typedMessage(t)
	c := m.Get("OBX-3").Coded()
	assert.Equal(t, hl7.Coded{Code: "WBC", Text: "White cells", System: "LN", AltCode: "718", AltText: "白细胞", AltSystem: "99L", Original: "as written"}, c)
	assert.Equal(t, "White cells", c.Display())
	assert.Equal(t, "备注", m.Get("DG1-3").Coded().Display())
	assert.True(t, m.Get("DG1-4").Coded().IsZero())
}

func TestTimesAndNumbers(t *testing.T) {
	m := typedMessage(t)
	at, err := m.Get("PID-7").Time(nil)
	require.NoError(t, err)
	assert.Equal(t, record.Day, at.Precision, "TS.2 says D")
	at, err = m.Get("OBX-14").Time(time.UTC)
	require.NoError(t, err)
	assert.Equal(t, record.Millisecond, at.Precision)
	_, err = m.Get("OBX-3").Time(nil)
	assert.ErrorIs(t, err, hl7.ErrTime)

	n, err := m.Get("OBX-5").Number()
	require.NoError(t, err)
	assert.Equal(t, "5.60", n, "the digits after the point say how exact it is")
	_, err = m.Get("OBX-3").Number()
	assert.ErrorIs(t, err, hl7.ErrNumber)
}

func TestParseNumber(t *testing.T) {
	for in, want := range map[string]string{"1": "1", "-1": "-1", "+1.50": "1.50", "000": "0", ".5": "0.5", "-.5": "-0.5",
		"5.": "5", "00012": "12", "123456789012345678901234567890.1": "123456789012345678901234567890.1"} {
		got, err := hl7.ParseNumber(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, got, in)
	}
	blank, err := hl7.ParseNumber(" 7 ")
	require.NoError(t, err)
	assert.Equal(t, "7", blank)
	for _, in := range []string{"", " ", ".", "+", "-", "1e5", "1,5", "<5", "1 2", "0x1", "１"} {
		_, err := hl7.ParseNumber(in)
		assert.ErrorIs(t, err, hl7.ErrNumber, in)
	}
}

func TestTypedValuesAreNotLogged(t *testing.T) {
	m := typedMessage(t)
	var out bytes.Buffer
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "id", m.Get("PID-3").CX(), "name", m.Get("PID-5").XPN(), "code", m.Get("OBX-3").Coded())
	for _, secret := range []string{"12345", "王", "小明", "WBC"} {
		assert.NotContains(t, out.String(), secret)
	}
}
