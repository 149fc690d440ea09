package ferry

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Message is one opaque message with its way on the bus.
type Message struct {
	ID      string              `cbor:"1,keyasint" json:"id"`      // unique among the messages of the source
	Subject string              `cbor:"2,keyasint" json:"subject"` // on the bus
	Header  map[string][]string `cbor:"3,keyasint,omitempty" json:"header,omitempty"`
	Data    []byte              `cbor:"4,keyasint" json:"-"`
}

// LogValue implements slog.LogValuer: neither subject nor content is told.
func (m Message) LogValue() slog.Value { return slog.IntValue(len(m.Data)) }

// Bounds of what a bundle holds, checked on both sides.
const (
	MaxMessages   = 10_000
	MaxHeaders    = 64
	maxIDBytes    = 256
	maxSubject    = 1024
	maxHeaderText = 64 << 10
)

// ErrMessage reports a message that cannot be carried.
var ErrMessage = errors.New("ferry: message cannot be carried")

func (m Message) check(maxBytes int64) error {
	size := 0
	for k, vs := range m.Header {
		size += len(k)
		for _, v := range vs {
			size += len(v)
		}
	}
	switch {
	case m.ID == "" || len(m.ID) > maxIDBytes:
		return fmt.Errorf("%w: an id of %d bytes, 1 to %d are allowed", ErrMessage, len(m.ID), maxIDBytes)
	case m.Subject == "" || len(m.Subject) > maxSubject:
		return fmt.Errorf("%w: a subject of %d bytes, 1 to %d are allowed", ErrMessage, len(m.Subject), maxSubject)
	case len(m.Header) > MaxHeaders || size > maxHeaderText:
		return fmt.Errorf("%w: headers of %d bytes under %d names, %d and %d are allowed", ErrMessage, size, len(m.Header), maxHeaderText, MaxHeaders)
	case int64(len(m.Data)) > maxBytes:
		return fmt.Errorf("%w: %d bytes, a bundle takes %d: cut it into parts", ErrMessage, len(m.Data), maxBytes)
	}
	return nil
}

// Content says how the messages of a bundle are written.
type Content string

const (
	// Sealed is SM4-GCM under a key that only the other side can open.
	Sealed Content = "sealed"
	// Signed is readable by anyone on the way, and protected by the signature alone.
	Signed Content = "signed"
	// Plain is a USTAR archive, so that the antivirus of the gatekeeper sees each message as a
	// file; protected by the signature alone.
	Plain Content = "plain"
)

var (
	packing   = must(cbor.CoreDetEncOptions().EncMode())
	unpacking = must(cbor.DecOptions{MaxArrayElements: MaxMessages, MaxMapPairs: 1024, MaxNestedLevels: 6,
		DupMapKey: cbor.DupMapKeyEnforcedAPF, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, UTF8: cbor.UTF8RejectInvalid,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // options that do not fit together: a fault of this file
	}
	return v
}

func pack(c Content, messages []Message) ([]byte, error) {
	if c == Plain {
		return packTar(messages)
	}
	return packing.Marshal(messages)
}

func unpack(c Content, body []byte) ([]Message, error) {
	if c == Plain {
		return unpackTar(body)
	}
	var out []Message
	if err := unpacking.Unmarshal(body, &out); err != nil {
		return nil, fmt.Errorf("ferry: messages cannot be read: %w", err)
	}
	return out, nil
}

// packTar writes each message as two files: NNNNNN.json with id, subject and header, and
// NNNNNN.data.
func packTar(messages []Message) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i, m := range messages {
		head, err := json.Marshal(m)
		if err != nil {
			return nil, err
		}
		for _, f := range []struct {
			suffix string
			data   []byte
		}{{".json", head}, {".data", m.Data}} {
			h := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%06d%s", i+1, f.suffix), Mode: 0o600, Size: int64(len(f.data)),
				ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
			if err := w.WriteHeader(h); err != nil {
				return nil, err
			}
			if _, err := w.Write(f.data); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func unpackTar(body []byte) ([]Message, error) {
	r := tar.NewReader(bytes.NewReader(body))
	var out []Message
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("ferry: archive cannot be read: %w", err)
		}
		number, suffix, _ := strings.Cut(h.Name, ".")
		n, err := strconv.Atoi(number)
		if err != nil || h.Typeflag != tar.TypeReg || n > MaxMessages || h.Size > int64(len(body)) { // a sparse file may claim any size
			return nil, errors.New("ferry: archive holds what no bundle has")
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("ferry: archive cannot be read: %w", err)
		}
		switch {
		case suffix == "json" && n == len(out)+1:
			var m Message
			if err := json.Unmarshal(data, &m); err != nil {
				return nil, errors.New("ferry: archive has a head that is no JSON")
			}
			out = append(out, m)
		case suffix == "data" && n == len(out):
			out[n-1].Data = data
		default:
			return nil, errors.New("ferry: files of the archive are out of order")
		}
	}
}
