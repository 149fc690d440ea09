package hl7_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
)

func fixedAck() hl7.Ack {
	at := time.Date(2026, 3, 1, 9, 0, 0, 0, hl7.ChinaStandardTime)
	return hl7.Ack{Now: func() time.Time { return at }, NewControlID: func() string { return "ACK1" },
		Application: "emrbridge", Facility: "H1"}
}

func header(t *testing.T, text string) hl7.Header {
	m, err := hl7.Parse([]byte(text))
	require.NoError(t, err)
	return m.Header()
}

func TestAckForms(t *testing.T) {
	fault := &hl7.Fault{Code: hl7.CodeRequiredFieldMissing, Segment: "MSH", Sequence: 1, Field: 10, Diagnostics: "no id | here"}
	cases := []struct {
		name, request string
		code          hl7.AckCode
		fault         *hl7.Fault
		want          string
	}{
		{"accepted", "MSH|^~\\&|HIS|H^1.2^ISO|EMR|R|20260301||ADT^A01^ADT_A01|C1|P|2.5||||||UNICODE UTF-8\r", hl7.AppAccept, nil,
			"MSH|^~\\&|EMR|R|HIS|H^1.2^ISO|20260301090000+0800||ACK^A01^ACK|ACK1|P|2.5||||||UNICODE UTF-8\rMSA|AA|C1\r"},
		{"error, v2.5", "MSH|^~\\&|HIS|H|EMR|R|20260301||ADT^A01|C1|T|2.5.1\r", hl7.AppError, fault,
			"MSH|^~\\&|EMR|R|HIS|H|20260301090000+0800||ACK^A01^ACK|ACK1|T|2.5.1\rMSA|AE|C1\r" +
				"ERR||MSH^1^10|101^Required field missing^HL70357|E|||no id \\F\\ here\r"},
		{"error, v2.3", "MSH|^~\\&|HIS|H|EMR|R|20260301||ADT^A01|C1|P|2.3\r", hl7.AppError, fault,
			"MSH|^~\\&|EMR|R|HIS|H|20260301090000+0800||ACK^A01|ACK1|P|2.3\r" +
				"MSA|AE|C1|Required field missing: no id \\F\\ here\rERR|MSH^1^10^101&Required field missing&HL70357\r"},
		{"error without a place, v2.4: the code stays the fourth component", "MSH|^~\\&|HIS|H|EMR|R|2026||ADT^A01|C1|P|2.4\r", hl7.AppError,
			&hl7.Fault{Code: hl7.CodeInternal, Diagnostics: "send it again"},
			"MSH|^~\\&|EMR|R|HIS|H|20260301090000+0800||ACK^A01^ACK|ACK1|P|2.4\r" +
				"MSA|AE|C1|Application internal error: send it again\rERR|^^^207&Application internal error&HL70357\r"},
		{"no receiver named", "MSH|^~\\&|HIS|H|||20260301||ADT^A01|C1|P|2.5\r", hl7.AppAccept, nil,
			"MSH|^~\\&|emrbridge|H1|HIS|H|20260301090000+0800||ACK^A01^ACK|ACK1|P|2.5\rMSA|AA|C1\r"},
		{"own delimiters", "MSH@~#!$@HIS@H@EMR@R@2026@@ADT~A01@C!F!1@P@2.5\r", hl7.AppReject, &hl7.Fault{Code: hl7.CodeUnsupportedEvent},
			"MSH@~#!$@EMR@R@HIS@H@20260301090000+0800@@ACK~A01~ACK@ACK1@P@2.5\rMSA@AR@C!F!1\rERR@@@201~Unsupported event code~HL70357@E\r"},
		{"short MSH-2", "MSH|^|HIS|H|EMR|R|2026||ADT^A01|C1|P|2.1\r", hl7.AppError, fault,
			"MSH|^|EMR|R|HIS|H|20260301090000+0800||ACK^A01|ACK1|P|2.1\r" +
				"MSA|AE|C1|Required field missing: no id   here\rERR|MSH^1^10^101\r"},
		{"unknown version, no event", "MSH|^~\\&|HIS|H|EMR|R|2026||ORU|C1||9.9\r", hl7.AppAccept, nil,
			"MSH|^~\\&|EMR|R|HIS|H|20260301090000+0800||ACK^^ACK|ACK1|P|2.5\rMSA|AA|C1\r"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := fixedAck().Build(header(t, c.request), c.code, c.fault)
			assert.Equal(t, strings.ReplaceAll(c.want, "\r", "\r\n"), strings.ReplaceAll(string(got), "\r", "\r\n"))
			a, err := hl7.ReadAnswer(got, hl7.CharsetPolicy{})
			require.NoError(t, err)
			assert.Equal(t, c.code, a.Code)
			if c.fault != nil {
				assert.NotEmpty(t, a.ErrorCode)
			}
		})
	}
}

func TestAckControlIDsDiffer(t *testing.T) {
	h := header(t, adt)
	one, two := hl7.Ack{}.Build(h, hl7.AppAccept, nil), hl7.Ack{}.Build(h, hl7.AppAccept, nil)
	assert.NotEqual(t, one, two)
}

func TestReadAnswerRefuses(t *testing.T) {
	for _, s := range []string{"", "hello", adt, "MSH|^~\\&|A|B|C|D|||ACK|1|P|2.5\r"} {
		_, err := hl7.ReadAnswer([]byte(s), hl7.CharsetPolicy{})
		assert.Error(t, err, s)
	}
}

func TestFaultHidesForeignErrors(t *testing.T) {
	f := hl7.FaultOf(errors.New("open /var/lib/secret: no space left"))
	assert.Equal(t, hl7.CodeInternal, f.Code)
	assert.NotContains(t, f.Diagnostics, "secret")
}

func TestPeekHeader(t *testing.T) {
	cases := []struct {
		name, raw, control, sender string
		found                      bool
	}{
		{"whole", adt, "C-1", "HIS|H1", true},
		{"bad segment later", "MSH|^~\\&|A|B|C|D|||ADT^A01|77|P|2.5\rbroken", "77", "A|B", true},
		{"bytes that do not decode", "MSH|^~\\&|\xff\xbd|B|C|D|||ADT^A01|77|P|2.5||||||UTF-8\r", "77", "|B", true},
		{"bad MSH-2", "MSH||A|B|C|D|||ADT^A01|77|P|2.5\r", "77", "A|B", true},
		{"junk before", "\x0b\r\nMSH|^~\\&|A|B|C|D|||ADT^A01|77|P|2.5\r", "77", "A|B", true},
		{"control characters", "MSH|^~\\&|A\x07|B|C|D|||ADT^A01|7\x007|P|2.5\r", "", "|B", true},
		{"nothing", "GET / HTTP/1.1\r\n", "", "|", false},
		{"only the name", "MSH", "", "|", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h, _, found := hl7.PeekHeader([]byte(c.raw), hl7.CharsetPolicy{})
			assert.Equal(t, c.found, found)
			assert.Equal(t, c.control, h.ControlID)
			assert.Equal(t, c.sender, h.Sender())
		})
	}
}
