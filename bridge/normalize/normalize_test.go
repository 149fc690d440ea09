package normalize_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/bridge/bus"
	"github.com/emrbridge/emrbridge/bridge/normalize"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/topology"
	"github.com/emrbridge/emrbridge/record"
)

func parse(_ context.Context, in normalize.Input) (*record.Record, error) {
	if string(in.Raw) == "bad" {
		return nil, errors.New("no header")
	}
	r := &record.Record{ModelVersion: record.ModelVersion, HospitalMSP: "H1MSP", Sender: in.Sender, ControlID: in.ControlID,
		Kind: "ADT^A01", MediaType: in.MediaType, ReceivedAt: in.ReceivedAt.UnixMilli(), Payload: in.Raw}
	r.ID = record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: in.Sender, ControlID: in.ControlID, Payload: in.Raw})
	if string(in.Raw) == "kindless" {
		r.Kind = ""
	}
	return r, nil
}

func message(raw string) bus.Message {
	id := record.NewID(record.Origin{HospitalNumber: 1, HospitalMSP: "H1MSP", Sender: "S", ControlID: "1", Payload: []byte(raw)})
	return bus.Message{Subject: topology.Received, Body: []byte(raw), Meta: topology.Meta{Record: id, Sender: "S", ControlID: "1",
		MediaType: "Test/Raw; x=y", Lane: 7, ReceivedAt: time.UnixMilli(1000), Stage: stage.Received, Code: stage.CodeReusedID}}
}

func TestNormalize(t *testing.T) {
	h := normalize.New(normalize.Deps{Parsers: map[string]normalize.Parser{"test/raw": parse}, Now: func() time.Time { return time.UnixMilli(2000) }})
	in := message("good")
	out, err := h.Handle(t.Context(), in)
	require.NoError(t, err)
	require.Len(t, out, 1)
	require.Equal(t, topology.Normalized, out[0].Subject)
	require.Equal(t, stage.Normalized, out[0].Meta.Stage)
	require.Empty(t, out[0].Meta.Code)
	require.Equal(t, "ADT^A01", out[0].Meta.Kind)
	require.Equal(t, uint64(7), out[0].Meta.Lane)
	r, err := record.Parse(out[0].Body)
	require.NoError(t, err)
	require.Equal(t, in.Meta.Record, r.ID)

	again, err := h.Handle(t.Context(), in)
	require.NoError(t, err)
	require.Equal(t, out, again, "doing it again gives the same bytes")
}

func TestRefusals(t *testing.T) {
	h := normalize.New(normalize.Deps{Parsers: map[string]normalize.Parser{"test/raw": parse}})
	foreign, typeless, unknown := message("good"), message("good"), message("good")
	foreign.Meta.Record[5] ^= 1
	typeless.Meta.MediaType, unknown.Meta.MediaType = ";;", "test/other"
	for code, m := range map[string]bus.Message{normalize.CodeUnparseable: message("bad"), normalize.CodeInvalid: message("kindless")} {
		_, err := h.Handle(t.Context(), m)
		var reject *stage.RejectError
		require.ErrorAs(t, err, &reject)
		require.Equal(t, code, reject.Code)
	}
	for code, m := range map[string]bus.Message{normalize.CodeIDMismatch: foreign, normalize.CodeNoParser: unknown} {
		_, err := h.Handle(t.Context(), m)
		var park *stage.ParkError
		require.ErrorAs(t, err, &park)
		require.Equal(t, code, park.Code)
	}
	_, err := h.Handle(t.Context(), typeless)
	require.Equal(t, normalize.CodeNoParser, stage.CodeOf(err))
}
