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
)

func asking(accept, application string) []byte {
	return []byte("MSH|^~\\&|A|B|C|D|2026||ADT^A01|M-1|P|2.5|||" + accept + "|" + application + "|CHN|UNICODE UTF-8\rPID|1||1^^^B^PI\r")
}

// replies collects what follows the answer of a frame.
type replies chan string

func (r replies) reply(_ context.Context, raw []byte) error { r <- string(raw); return nil }

func (r replies) next(t *testing.T) string {
	t.Helper()
	select {
	case s := <-r:
		return s
	case <-time.After(5 * time.Second):
		require.Fail(t, "nothing follows")
		return ""
	}
}

func TestBothAcknowledgementsAtOnce(t *testing.T) {
	s, after := &sink{}, make(replies, 1)
	first := s.receiver().HandleFrame(t.Context(), hl7.Incoming{Raw: asking("AL", "AL"), Reply: after.reply})
	assert.Contains(t, string(first), "\rMSA|CA|M-1\r")
	second := after.next(t)
	assert.Contains(t, second, "\rMSA|AA|M-1\r")
	assert.Contains(t, second, "|P|2.5|||NE|NE||UNICODE UTF-8\r", "it asks for no answer itself")
	assert.Nil(t, s.submitted[0].Later)
}

func TestApplicationAcknowledgementDeferred(t *testing.T) {
	cases := []struct {
		accept, application string
		outcome             hl7.AckCode
		first, later        string
	}{
		{"AL", "AL", hl7.AppAccept, "CA", "AA"},
		{"AL", "AL", hl7.AppError, "CA", "AE"},
		{"AL", "ER", hl7.AppAccept, "CA", ""},
		{"AL", "ER", hl7.AppReject, "CA", "AR"},
		{"AL", "SU", hl7.AppAccept, "CA", "AA"},
		{"AL", "SU", hl7.AppError, "CA", ""},
		{"NE", "AL", hl7.AppAccept, "", "AA"},
		{"ER", "AL", hl7.AppAccept, "", "AA"},
	}
	for _, c := range cases {
		t.Run(strings.Join([]string{c.accept, c.application, string(c.outcome)}, "/"), func(t *testing.T) {
			s, after := &sink{}, make(replies, 1)
			r := s.receiver()
			r.DeferApplicationAck = true
			first := r.HandleFrame(t.Context(), hl7.Incoming{Raw: asking(c.accept, c.application), Reply: after.reply})
			if c.first == "" {
				assert.Nil(t, first)
			} else {
				assert.Contains(t, string(first), "\rMSA|"+c.first+"|M-1\r")
			}
			require.Len(t, s.submitted, 1)
			owed := s.submitted[0].Later
			require.NotNil(t, owed)
			o := hl7.Outcome{Code: c.outcome}
			if c.outcome != hl7.AppAccept {
				o.Fault = &hl7.Fault{Code: hl7.CodeInternal, Diagnostics: "set aside"}
			}
			ack, err := owed.Send(t.Context(), o)
			require.NoError(t, err)
			if c.later == "" {
				assert.Nil(t, ack)
				assert.Empty(t, after)
				return
			}
			text := after.next(t)
			assert.Equal(t, string(ack), text)
			assert.Contains(t, text, "\rMSA|"+c.later+"|M-1")
			assert.Equal(t, o.Fault != nil, strings.Contains(text, "\rERR|"))
		})
	}
}

func TestNothingIsDeferredThatNobodyAsksFor(t *testing.T) {
	for _, raw := range [][]byte{asking("", ""), asking("AL", ""), asking("AL", "NE"), asking("NE", "NE")} {
		s := &sink{}
		r := s.receiver()
		r.DeferApplicationAck = true
		r.HandleFrame(t.Context(), hl7.Incoming{Raw: raw})
		require.Len(t, s.submitted, 1)
		assert.Nil(t, s.submitted[0].Later)
	}
	s := &sink{}
	r := s.receiver()
	r.DeferApplicationAck, r.OriginalModeOnly = true, true
	assert.Contains(t, string(r.HandleFrame(t.Context(), hl7.Incoming{Raw: asking("AL", "AL")})), "MSA|AA|")
	assert.Nil(t, s.submitted[0].Later)
}

func TestRefusedMessagesAreAnsweredAtOnce(t *testing.T) {
	s := &sink{err: errors.New("full")}
	r := s.receiver()
	r.DeferApplicationAck = true
	assert.Contains(t, string(r.HandleFrame(t.Context(), hl7.Incoming{Raw: asking("AL", "AL")})), "MSA|CE|M-1")
	assert.Contains(t, string(r.HandleFrame(t.Context(), hl7.Incoming{Raw: asking("NE", "AL")})), "MSA|AE|M-1")
}

func TestLaterWhenTheSenderHasGone(t *testing.T) {
	s := &sink{}
	r := s.receiver()
	r.DeferApplicationAck = true
	r.HandleFrame(t.Context(), hl7.Incoming{Raw: asking("AL", "AL"), Reply: func(context.Context, []byte) error { return errors.New("closed") }})
	ack, err := s.submitted[0].Later.Send(t.Context(), hl7.Outcome{Code: hl7.AppAccept})
	require.ErrorIs(t, err, hl7.ErrNoReply)
	assert.Contains(t, string(ack), "MSA|AA|M-1", "it can be sent elsewhere")
	r.HandleFrame(t.Context(), hl7.Incoming{Raw: asking("AL", "AL")})
	_, err = s.submitted[1].Later.Send(t.Context(), hl7.Outcome{Code: hl7.AppAccept})
	require.ErrorIs(t, err, hl7.ErrNoReply)
}
