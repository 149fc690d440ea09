package topology

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/emrbridge/emrbridge/record"
)

// Headers. Values outside printable ASCII are percent-encoded.
const (
	HeaderRecord     = "Emr-Record-Id"   // 32 hexadecimal digits
	HeaderSender     = "Emr-Sender"      // sending system, as the message names it
	HeaderControlID  = "Emr-Control-Id"  // MSH-10, document id, resource id and version
	HeaderKind       = "Emr-Kind"        // event or document type
	HeaderMediaType  = "Emr-Media-Type"  // of the raw bytes
	HeaderCharset    = "Emr-Charset"     // of the raw bytes, as the adapter found it
	HeaderPeer       = "Emr-Peer"        // network address that sent it
	HeaderLane       = "Emr-Lane"        // keyed hash of the patient's numbers, 16 hexadecimal digits
	HeaderReceivedAt = "Emr-Received-At" // Unix milliseconds, fixed at intake
	HeaderAt         = "Emr-At"          // Unix milliseconds of this hop
	HeaderStage      = "Emr-Stage"       // what happened; see package trail
	HeaderTag        = "Emr-Tag"         // opaque index key of the patient, 32 hexadecimal digits
	HeaderCode       = "Emr-Code"        // reason code
	HeaderBatch      = "Emr-Batch"       // nonce of the ledger batch
	HeaderTx         = "Emr-Tx"          // transaction id
	HeaderBlock      = "Emr-Block"       // block number
	HeaderQuarantine = "Emr-Quarantine"  // id of the quarantined bytes
	HeaderOrigin     = "Emr-Origin"      // subject a parked item came from
	HeaderBarrier    = "Emr-Barrier"     // 1: the message says who is who, and is alone in an ordered stage
	HeaderClaim      = "Emr-Claim"       // claim of a body that is too long for the bus, 32 hexadecimal digits
)

// Bounds of header values, in bytes before encoding.
const (
	MaxName = 256 // sender, kind, media type, peer, reason
	MaxID   = 512 // control id
)

// ErrHeader reports a message whose headers are missing or not in their form.
var ErrHeader = errors.New("topology: message headers are malformed")

// Meta is what the headers of a message say. It holds no patient data.
type Meta struct {
	Record     record.ID
	Sender     string
	ControlID  string
	Kind       string
	MediaType  string
	Charset    string
	Peer       string
	Lane       uint64
	ReceivedAt time.Time // millisecond precision
	At         time.Time // millisecond precision
	Stage      string
	Tag        string
	Code       string
	Batch      string
	Tx         string
	Block      uint64
	Quarantine string
	Origin     string
	// Barrier is set for a message that joins or parts identities.
	Barrier bool
	// Claim is set where the body of the message is a reference; see package claims.
	Claim string
}

// Header returns the headers of a message. Names longer than their bound are cut.
func (m Meta) Header() nats.Header {
	h := nats.Header{}
	text := func(k, v string, limit int) {
		if v != "" {
			h[k] = []string{escape(v, limit)}
		}
	}
	if !m.Record.IsZero() {
		h[HeaderRecord] = []string{m.Record.String()}
	}
	text(HeaderSender, m.Sender, MaxName)
	text(HeaderControlID, m.ControlID, MaxID)
	text(HeaderKind, m.Kind, MaxName)
	text(HeaderMediaType, m.MediaType, MaxName)
	text(HeaderCharset, m.Charset, MaxName)
	text(HeaderPeer, m.Peer, MaxName)
	text(HeaderStage, m.Stage, MaxName)
	text(HeaderTag, m.Tag, MaxName)
	text(HeaderCode, m.Code, MaxName)
	text(HeaderBatch, m.Batch, MaxName)
	text(HeaderTx, m.Tx, MaxName)
	text(HeaderQuarantine, m.Quarantine, MaxName)
	text(HeaderOrigin, m.Origin, MaxName)
	text(HeaderClaim, m.Claim, MaxName)
	if m.Barrier {
		h[HeaderBarrier] = []string{"1"}
	}
	h[HeaderLane] = []string{fmt.Sprintf("%016x", m.Lane)}
	millis(h, HeaderReceivedAt, m.ReceivedAt)
	millis(h, HeaderAt, m.At)
	if m.Block > 0 {
		h[HeaderBlock] = []string{strconv.FormatUint(m.Block, 10)}
	}
	return h
}

func millis(h nats.Header, key string, t time.Time) {
	if !t.IsZero() {
		h[key] = []string{strconv.FormatInt(t.UnixMilli(), 10)}
	}
}

// escape cuts v to limit bytes and percent-encodes what may not stand in a header.
func escape(v string, limit int) string {
	if len(v) > limit {
		v = v[:limit]
	}
	return url.PathEscape(v)
}

// Binding returns bytes that stand for what must not change on a message's way through a hop:
// who sent what, when, and its lane. A sealed body is bound to them. What setting aside and
// releasing writes (stage, code, time of the hop, origin) is left out.
func (m Meta) Binding() []byte {
	b := append([]byte{}, m.Record[:]...)
	for _, f := range []struct {
		value string
		limit int
	}{
		{m.Sender, MaxName}, {m.ControlID, MaxID}, {m.Kind, MaxName}, {m.MediaType, MaxName}, {m.Charset, MaxName}, {m.Peer, MaxName}, {m.Tag, MaxName},
	} {
		v := f.value[:min(len(f.value), f.limit)]
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	b = binary.BigEndian.AppendUint64(b, m.Lane)
	if !m.ReceivedAt.IsZero() {
		b = binary.BigEndian.AppendUint64(b, uint64(m.ReceivedAt.UnixMilli()))
	}
	if m.Claim != "" {
		b = append(append(b, "claim "...), m.Claim...)
	}
	return b
}

// MetaOf reads the headers of a message. Unknown headers are ignored; a value that is not
// in its form gives an error wrapping ErrHeader.
func MetaOf(h nats.Header) (Meta, error) {
	r := reader{h: h}
	m := Meta{
		Sender: r.text(HeaderSender), ControlID: r.text(HeaderControlID), Kind: r.text(HeaderKind),
		MediaType: r.text(HeaderMediaType), Charset: r.text(HeaderCharset), Peer: r.text(HeaderPeer),
		Stage: r.text(HeaderStage), Tag: r.text(HeaderTag), Code: r.text(HeaderCode), Batch: r.text(HeaderBatch),
		Tx: r.text(HeaderTx), Quarantine: r.text(HeaderQuarantine), Origin: r.text(HeaderOrigin),
		Claim: r.text(HeaderClaim), Barrier: r.get(HeaderBarrier) == "1",
		Lane: r.number(HeaderLane, 16), Block: r.number(HeaderBlock, 10),
		ReceivedAt: r.time(HeaderReceivedAt), At: r.time(HeaderAt),
	}
	if v := r.get(HeaderRecord); v != "" {
		id, err := record.ParseID(v)
		if err != nil {
			r.fail(HeaderRecord)
		}
		m.Record = id
	}
	return m, r.err
}

type reader struct {
	h   nats.Header
	err error
}

func (r *reader) get(key string) string {
	if v := r.h[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

func (r *reader) fail(key string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrHeader, key)
	}
}

func (r *reader) text(key string) string {
	v, err := url.PathUnescape(r.get(key))
	if err != nil || len(v) > MaxID {
		r.fail(key)
		return ""
	}
	return v
}

func (r *reader) number(key string, base int) uint64 {
	v := r.get(key)
	if v == "" {
		return 0
	}
	n, err := strconv.ParseUint(v, base, 64)
	if err != nil {
		r.fail(key)
	}
	return n
}

func (r *reader) time(key string) time.Time {
	ms := r.number(key, 10)
	if ms == 0 {
		return time.Time{}
	}
	if ms > 1<<53 {
		r.fail(key)
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}
