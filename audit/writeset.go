package audit

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// The keys of the contract that the verifier reads, as chaincode/keys.go documents them:
//
//	M <msp>                                  evidence.Member, JSON
//	b <number: 4 hex> <nonce: 32 hex>        header of a batch: evidence.Signed, CBOR
//	m <tag: Z85> <id[0:8]: Z85>              id[8:16] ‖ cipher hash ‖ pointer
//	m <tag: Z85> <id[0:8]: Z85> <id[8:16]: Z85>   cipher hash ‖ pointer
//
// They are read here anew: a verifier that shared the code would share its faults.
const (
	memberFamily = 'M'
	batchFamily  = 'b'
	anchorFamily = 'm'

	batchKeyLen    = 1 + 4 + 32
	shortAnchorLen = 1 + 20 + 10
	longAnchorLen  = shortAnchorLen + 10
)

var errWriteSet = errors.New("audit: write set")

// batch is one batch as a transaction wrote it.
type batch struct {
	number  uint16
	nonce   evidence.Nonce
	signed  evidence.Signed
	st      evidence.Statement
	header  evidence.AnchorBatch
	entries []evidence.Entry // in the order of a batch
}

// batchOf reads the batch that a transaction wrote. ok is false for one that wrote none.
// A transaction that touches anchors without a header, or deletes one, is an error.
func batchOf(writes []Write) (b batch, ok bool, err error) {
	headers := 0
	for _, w := range writes {
		if w.Key == "" {
			continue
		}
		switch w.Key[0] {
		case batchFamily:
			headers++
			err = b.readHeader(w)
		case anchorFamily:
			var e evidence.Entry
			if e, err = decodeAnchor(w); err == nil {
				b.entries = append(b.entries, e)
			}
		}
		if err != nil {
			return b, true, err
		}
	}
	if headers == 0 && len(b.entries) == 0 {
		return b, false, nil
	}
	if headers != 1 {
		return b, true, fmt.Errorf("%w: %d batch headers and %d anchors in one transaction", errWriteSet, headers, len(b.entries))
	}
	evidence.Sort(b.entries)
	return b, true, nil
}

func (b *batch) readHeader(w Write) error {
	if len(w.Key) != batchKeyLen || w.Delete {
		return fmt.Errorf("%w: batch header key of %d characters", errWriteSet, len(w.Key))
	}
	raw, err := hex.DecodeString(w.Key[1:])
	if err != nil {
		return fmt.Errorf("%w: batch header key: %w", errWriteSet, err)
	}
	b.number = uint16(raw[0])<<8 | uint16(raw[1])
	copy(b.nonce[:], raw[2:])
	if b.signed, b.st, err = evidence.ParseSigned(w.Value); err != nil {
		return fmt.Errorf("%w: batch header: %w", errWriteSet, err)
	}
	if err := b.st.DecodeBody(&b.header); err != nil {
		return fmt.Errorf("%w: batch header: %w", errWriteSet, err)
	}
	return nil
}

func decodeAnchor(w Write) (evidence.Entry, error) {
	var e evidence.Entry
	bad := func() (evidence.Entry, error) {
		return e, fmt.Errorf("%w: anchor of %d and %d bytes", errWriteSet, len(w.Key), len(w.Value))
	}
	if w.Delete || len(w.Key) != shortAnchorLen && len(w.Key) != longAnchorLen {
		return bad()
	}
	key, err := decodeZ85(w.Key[1:])
	if err != nil {
		return e, err
	}
	value := w.Value
	if len(w.Key) == shortAnchorLen {
		if len(value) < 8 {
			return bad()
		}
		key = append(key, value[:8]...)
		value = value[8:]
	}
	if len(value) < len(e.CipherHash) || len(value) > len(e.CipherHash)+evidence.MaxPointer {
		return bad()
	}
	copy(e.Tag[:], key)
	copy(e.ID[:], key[len(e.Tag):])
	copy(e.CipherHash[:], value)
	e.Pointer = append([]byte{}, value[len(e.CipherHash):]...)
	return e, nil
}

// z85Alphabet is that of ZeroMQ RFC 32.
const z85Alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

var z85Value = func() (t [256]int16) {
	for i := range t {
		t[i] = -1
	}
	for i := range len(z85Alphabet) {
		t[z85Alphabet[i]] = int16(i)
	}
	return t
}()

// decodeZ85 reads text whose length is a multiple of five.
func decodeZ85(s string) ([]byte, error) {
	if len(s)%5 != 0 {
		return nil, fmt.Errorf("%w: Z85 text of %d characters", errWriteSet, len(s))
	}
	out := make([]byte, 0, len(s)/5*4)
	for ; s != ""; s = s[5:] {
		var v uint64
		for i := range 5 {
			d := z85Value[s[i]]
			if d < 0 {
				return nil, fmt.Errorf("%w: not Z85 text", errWriteSet)
			}
			v = v*85 + uint64(d)
		}
		if v > 1<<32-1 {
			return nil, fmt.Errorf("%w: Z85 group out of range", errWriteSet)
		}
		out = append(out, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
	}
	return out, nil
}
