package hl7_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mapping"
)

// sink collects what a receiver hands on.
type sink struct {
	submitted []hl7.Submission
	refused   []hl7.Reason
	raw       [][]byte
	err       error
}

func (s *sink) receiver() *hl7.Receiver {
	return &hl7.Receiver{
		Submit: func(_ context.Context, sub hl7.Submission) error {
			s.submitted = append(s.submitted, sub)
			return s.err
		},
		Quarantine: func(_ context.Context, raw []byte, why hl7.Reason) error {
			s.refused, s.raw = append(s.refused, why), append(s.raw, raw)
			return nil
		},
		Ack: fixedAck(), Mapper: mapping.NewMapper(nil, mapping.Options{}),
	}
}

func handle(t *testing.T, r *hl7.Receiver, raw []byte) hl7.Answer {
	ack := r.HandleFrame(t.Context(), hl7.Incoming{Raw: raw, Peer: "10.0.0.1:9", ReceivedAt: time.UnixMilli(5)})
	require.NotNil(t, ack)
	a, err := hl7.ReadAnswer(ack, r.Charset)
	require.NoError(t, err)
	return a
}

func TestReceiverAccepts(t *testing.T) {
	s := &sink{}
	raw := encode(t, hl7.GB18030, message("医院", "张三", "GB 18030-2000"))
	ack := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: raw, Peer: "p", ReceivedAt: time.UnixMilli(5)})
	text, cs, err := hl7.CharsetPolicy{}.Decode(ack)
	require.NoError(t, err)
	assert.Equal(t, hl7.GB18030, cs, "the answer is in the request's charset")
	assert.Contains(t, string(text), "|EMR|H1|医院|H1|")
	assert.Contains(t, string(text), "MSA|AA|C-1\r")
	require.Len(t, s.submitted, 1)
	sub := s.submitted[0]
	assert.Equal(t, raw, sub.Raw)
	assert.Equal(t, []string{"医院|H1", "C-1", "ADT^A01", "2.5", "GB 18030-2000", "p"},
		[]string{sub.Sender, sub.ControlID, sub.Kind, sub.Version, sub.Charset, sub.Peer})
	assert.Regexp(t, `^p[0-9a-f]{4}$`, sub.RoutingHint)
	assert.Empty(t, s.refused)
}

func TestReceiverRefuses(t *testing.T) {
	head := "MSH|^~\\&|A|B|C|D|2026||ADT^A01|77|P|2.5"
	cases := []struct {
		name, raw string
		code      hl7.AckCode
		err       string
		control   string
	}{
		{"not HL7", "GET / HTTP/1.1", hl7.AppReject, "100", ""},
		{"empty", "", hl7.AppReject, "100", ""},
		{"bad delimiters", "MSH|^^\\&|A|B|C|D|2026||ADT^A01|77|P|2.5\r", hl7.AppReject, "101", "77"},
		{"bad segment", head + "\rPIDX|SECRET\r", hl7.AppError, "100", "77"},
		{"frame started again", head + "\rPID|1\x0b" + head + "\r", hl7.AppError, "100", "77"},
		{"unknown charset", head + "||||||KOI8-R\rPID|||\xc2\r", hl7.AppReject, "103", "77"},
		{"charset that does not fit", head + "||||||ASCII\rPID|||\xd5\xc5\r", hl7.AppError, "102", "77"},
		{"no control id", "MSH|^~\\&|A|B|C|D|2026||ADT^A01||P|2.5\r", hl7.AppReject, "101", ""},
		{"no type", "MSH|^~\\&|A|B|C|D|2026|||77|P|2.5\r", hl7.AppReject, "101", "77"},
		{"malformed type", "MSH|^~\\&|A|B|C|D|2026||adt^A01|77|P|2.5\r", hl7.AppReject, "200", "77"},
		{"malformed event", "MSH|^~\\&|A|B|C|D|2026||ADT^A1|77|P|2.5\r", hl7.AppReject, "201", "77"},
		{"no event", "MSH|^~\\&|A|B|C|D|2026||ADT|77|P|2.5\r", hl7.AppReject, "201", "77"},
		{"unknown version", "MSH|^~\\&|A|B|C|D|2026||ADT^A01|77|P|3.0\r", hl7.AppReject, "203", "77"},
		{"overlong control id", "MSH|^~\\&|A|B|C|D|2026||ADT^A01|" + strings.Repeat("7", 200) + "|P|2.5\r", hl7.AppReject, "102", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := &sink{}
			a := handle(t, s.receiver(), []byte(c.raw))
			assert.Equal(t, c.code, a.Code)
			assert.Equal(t, c.err, a.ErrorCode)
			assert.Equal(t, c.control, a.ControlID)
			assert.NotContains(t, a.Text, "SECRET")
			assert.Empty(t, s.submitted)
			require.Len(t, s.refused, 1)
			assert.Equal(t, c.raw, string(s.raw[0]), "every byte is quarantined")
			assert.Equal(t, c.code, s.refused[0].Ack)
		})
	}
}

func TestReceiverPolicies(t *testing.T) {
	query := []byte("MSH|^~\\&|A|B|C|D|2026||ZQQ^Z01|1|D|2.5\r")
	s := &sink{}
	r := s.receiver()
	assert.Equal(t, hl7.AppAccept, handle(t, r, query).Code, "what is not mapped is sealed as it is")
	r.RejectUnknown = true
	a := handle(t, r, query)
	assert.Equal(t, hl7.AppReject, a.Code)
	assert.Equal(t, "200", a.ErrorCode)
	assert.Equal(t, "201", handle(t, r, []byte("MSH|^~\\&|A|B|C|D|2026||ADT^A99|1|P|2.5\r")).ErrorCode)
	r.RejectUnknown, r.ProcessingIDs = false, []string{"P", "T"}
	assert.Equal(t, "202", handle(t, r, query).ErrorCode)
}

func TestReceiverWhenSubmitFails(t *testing.T) {
	s := &sink{err: errors.New("nats: no space left on /var/secret")}
	a := handle(t, s.receiver(), []byte(adt))
	assert.Equal(t, hl7.AppError, a.Code)
	assert.Equal(t, "207", a.ErrorCode)
	assert.NotContains(t, a.Text, "secret")
	assert.Empty(t, s.refused, "the sender keeps it and tries again")

	s = &sink{err: &hl7.Refusal{Ack: hl7.AppReject, Fault: hl7.Fault{Code: hl7.CodeDuplicateKey, Segment: "MSH", Field: 10}}}
	a = handle(t, s.receiver(), []byte(adt))
	assert.Equal(t, hl7.AppReject, a.Code)
	assert.Equal(t, "205", a.ErrorCode)
	assert.Len(t, s.refused, 1)
}

func TestReceiverAcknowledgementModes(t *testing.T) {
	cases := []struct {
		accept, application string
		fail                bool
		want                hl7.AckCode
	}{
		{"", "", false, hl7.AppAccept}, {"", "", true, hl7.AppError},
		{"AL", "", false, hl7.CommitAccept}, {"AL", "NE", true, hl7.CommitError}, {"AL", "AL", false, hl7.CommitAccept},
		{"NE", "NE", false, ""}, {"NE", "NE", true, ""}, {"NE", "AL", false, hl7.AppAccept}, {"", "NE", false, ""},
		{"ER", "", false, ""}, {"ER", "", true, hl7.CommitError}, {"SU", "", false, hl7.CommitAccept},
		{"SU", "", true, ""}, {"NE", "ER", true, hl7.AppError}, {"??", "", false, hl7.CommitAccept},
	}
	for _, c := range cases {
		t.Run(c.accept+"/"+c.application, func(t *testing.T) {
			s := &sink{}
			if c.fail {
				s.err = errors.New("down")
			}
			r := s.receiver()
			raw := []byte("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5|||" + c.accept + "|" + c.application + "\r")
			ack := r.HandleFrame(t.Context(), hl7.Incoming{Raw: raw})
			if c.want == "" {
				assert.Nil(t, ack)
			} else {
				assert.Contains(t, string(ack), "MSA|"+string(c.want)+"|1")
			}
			r.OriginalModeOnly = true
			assert.Regexp(t, `MSA\|A[AE]\|1`, string(r.HandleFrame(t.Context(), hl7.Incoming{Raw: raw})))
		})
	}
}

func TestReceiverNeverAnswersAnAcknowledgement(t *testing.T) {
	s := &sink{}
	ack := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: []byte("MSH|^~\\&|A|B|C|D|2026||ACK^A01|1|P|2.5\rMSA|AA|9\r")})
	assert.Nil(t, ack)
	assert.Len(t, s.refused, 1)
	assert.Empty(t, s.submitted)
}

func TestReceiverAnswersFramesThatAreNotWhole(t *testing.T) {
	for fault, want := range map[hl7.TransportFault]hl7.AckCode{
		hl7.FrameOversize: hl7.AppReject, hl7.FrameIncomplete: hl7.AppError, hl7.FrameNoMemory: hl7.AppError,
	} {
		s := &sink{}
		ack := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: []byte(adt)[:120], Fault: fault, Size: 1 << 30})
		a, err := hl7.ReadAnswer(ack, hl7.CharsetPolicy{})
		require.NoError(t, err)
		assert.Equal(t, want, a.Code)
		assert.Equal(t, "C-1", a.ControlID)
		require.Len(t, s.refused, 1)
		assert.True(t, s.refused[0].Truncated)
		assert.Empty(t, s.submitted)
	}
}

func TestReceiverReportsAFailingQuarantine(t *testing.T) {
	s := &sink{}
	r := s.receiver()
	var told error
	r.Quarantine = func(context.Context, []byte, hl7.Reason) error { return errors.New("disk full") }
	r.QuarantineFailed = func(_ hl7.Reason, err error) { told = err }
	assert.Equal(t, hl7.AppReject, handle(t, r, []byte("junk")).Code)
	assert.EqualError(t, told, "disk full")
}

func TestRoutingHintIsSteady(t *testing.T) {
	s := &sink{}
	r := s.receiver()
	msg := func(pid3 string) []byte {
		return []byte("MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPID|1||" + pid3 + "\r")
	}
	for _, ids := range []string{"7^^^H^PI", "7^^^H^PI~Z1^^^H^IP", "M2^^^H^OP~7^^^H^PI", "11010519491231002X^^^^NI~7^^^H^PI"} {
		handle(t, r, msg(ids))
	}
	handle(t, r, msg(""))
	assert.Equal(t, s.submitted[0].RoutingHint, s.submitted[1].RoutingHint)
	assert.Equal(t, s.submitted[0].RoutingHint, s.submitted[2].RoutingHint)
	assert.Equal(t, s.submitted[0].RoutingHint, s.submitted[3].RoutingHint)
	assert.Equal(t, "none", s.submitted[4].RoutingHint)
}

func FuzzReceiver(f *testing.F) {
	f.Add([]byte(adt))
	f.Add([]byte("MSH|^^\\&|"))
	f.Add([]byte("\x0bMSH|^~\\&|\xd5\x7c|B||||||ADT|\\F\\|P|2.5||||||GBK"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s := &sink{}
		ack := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: raw})
		if len(s.submitted)+len(s.refused) != 1 {
			t.Fatal("one outcome for each frame")
		}
		if ack == nil {
			return
		}
		a, err := hl7.ReadAnswer(ack, hl7.CharsetPolicy{})
		if err != nil {
			t.Fatalf("answer %q: %v", ack, err)
		}
		if a.Code.Accepted() != (len(s.submitted) == 1) {
			t.Fatalf("answer %s", a.Code)
		}
	})
}
