package ferry

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Version is the version of the protocol that this package speaks.
const Version = 1

// signingDomain is put before what is signed, so that no signature of another purpose fits.
const signingDomain = "emrbridge/ferry/v1\n"

// maxManifest bounds a manifest or control file in bytes.
const maxManifest = 256 << 10

// Digest is an SM3 digest. Its text form is lower-case hexadecimal.
type Digest [smcrypto.DigestSize]byte

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(d[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(d) || strings.ToLower(string(text)) != string(text) {
		return errors.New("ferry: not an SM3 digest in hexadecimal")
	}
	copy(d[:], b)
	return nil
}

// Lane is one numbered chain of bundles within a channel. What is on a lane of higher
// priority overtakes the others.
type Lane string

// Lanes, in the order of their priority.
const (
	Urgent Lane = "urgent"
	Bulk   Lane = "bulk"
)

// Lanes lists the lanes, the most urgent first.
var Lanes = []Lane{Urgent, Bulk}

func (l Lane) known() bool { return l == Urgent || l == Bulk }

// Manifest describes one bundle. Its canonical bytes, the first line of its file, are what
// is signed and what the next manifest chains to.
type Manifest struct {
	Ferry     int       `json:"ferry"`
	Channel   string    `json:"channel"` // one direction between two ports
	Lane      Lane      `json:"lane"`
	Seq       uint64    `json:"seq"`  // 1, 2, … on each lane
	Prev      Digest    `json:"prev"` // SM3 of the canonical bytes of the manifest before; zero for the first
	Content   Content   `json:"content"`
	Size      int64     `json:"size"` // of the data file
	SM3       Digest    `json:"sm3"`  // of the data file
	Count     int       `json:"count"`
	Made      time.Time `json:"made"`
	Source    uint64    `json:"source"`              // how far the sender had read its own source
	Signer    Digest    `json:"signer"`              // fingerprint of the signing key
	Recipient *Digest   `json:"recipient,omitempty"` // of the key that opens a sealed bundle
	Wrapped   []byte    `json:"wrapped,omitempty"`   // SM2 ciphertext of the bundle's SM4 key
}

// Control is what a port says about both directions: how far it has sent, and how far it has
// delivered what the other side sent. The latest counts; all of it can be said again.
type Control struct {
	Ferry     int              `json:"ferry"`
	Channel   string           `json:"channel"` // the direction in which this file travels
	Number    uint64           `json:"number"`  // grows with each
	Made      time.Time        `json:"made"`
	Sent      map[Lane]uint64  `json:"sent"`      // the last bundle of each lane
	Delivered map[Lane]Mark    `json:"delivered"` // the last bundle that was delivered of each lane of the other direction
	Missing   map[Lane][]Range `json:"missing,omitempty"`
	Signer    Digest           `json:"signer"`
}

// Mark names a bundle of a lane with the digest of its manifest.
type Mark struct {
	Seq    uint64 `json:"seq"`
	Digest Digest `json:"digest"`
}

// Range is a run of bundle numbers, both ends included.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Errors of reading a signed file.
var (
	ErrMalformed = errors.New("ferry: malformed")
	ErrSignature = errors.New("ferry: not signed by a trusted key")
)

// Signer is this side's signing key.
type Signer struct {
	Provider smcrypto.Provider
	Key      *smcrypto.PrivateKey
}

// sign returns the file of a manifest or control message: its canonical bytes, a line feed,
// the signature in base64, a line feed.
func (s Signer) sign(v any) (file []byte, digest Digest, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, digest, err
	}
	sig, err := s.Provider.Sign(s.Key, append([]byte(signingDomain), body...))
	if err != nil {
		return nil, digest, fmt.Errorf("ferry: sign: %w", err)
	}
	file = append(append(append([]byte(nil), body...), '\n'), base64.StdEncoding.EncodeToString(sig)...)
	return append(file, '\n'), s.Provider.SM3(body), nil
}

func (s Signer) fingerprint() Digest { return s.Key.Public().Fingerprint() }

// Trust are the keys of the other side, by which it may have signed: more than one while a
// new key takes the place of an old one.
type Trust struct {
	Provider smcrypto.Provider
	Keys     []smcrypto.PublicKey
}

// open checks the signature of a file, and reads its first line into v, which must give back
// the very same bytes: a manifest has one form only.
func (t Trust) open(file []byte, v any, signer func() Digest) (Digest, error) {
	if len(file) > maxManifest {
		return Digest{}, fmt.Errorf("%w: %d bytes, the limit is %d", ErrMalformed, len(file), maxManifest)
	}
	body, rest, ok := bytes.Cut(file, []byte{'\n'})
	text, end, ended := bytes.Cut(rest, []byte{'\n'})
	if !ok || !ended || len(end) > 0 {
		return Digest{}, fmt.Errorf("%w: not two lines", ErrMalformed)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return Digest{}, fmt.Errorf("%w: the signature is no base64", ErrMalformed)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return Digest{}, fmt.Errorf("%w: not the JSON of this version", ErrMalformed)
	}
	if again, err := json.Marshal(v); err != nil || !bytes.Equal(again, body) {
		return Digest{}, fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	for _, key := range t.Keys {
		if Digest(key.Fingerprint()) == signer() && t.Provider.Verify(key, append([]byte(signingDomain), body...), sig) == nil {
			return t.Provider.SM3(body), nil
		}
	}
	return Digest{}, ErrSignature
}

// manifest reads a manifest of a channel.
func (t Trust) manifest(file []byte, channel string, limits Limits) (Manifest, Digest, error) {
	var m Manifest
	digest, err := t.open(file, &m, func() Digest { return m.Signer })
	if err != nil {
		return m, digest, err
	}
	switch {
	case m.Ferry != Version:
		err = fmt.Errorf("%w: version %d, this side speaks %d", ErrMalformed, m.Ferry, Version)
	case m.Channel != channel:
		err = fmt.Errorf("%w: of another channel", ErrMalformed)
	case !m.Lane.known() || m.Seq == 0:
		err = fmt.Errorf("%w: lane or number", ErrMalformed)
	case m.Count < 1 || m.Count > MaxMessages || m.Size < 1 || m.Size > limits.fileBytes():
		err = fmt.Errorf("%w: %d messages in %d bytes", ErrMalformed, m.Count, m.Size)
	case m.Content != Sealed && m.Content != Signed && m.Content != Plain:
		err = fmt.Errorf("%w: content", ErrMalformed)
	case (m.Content == Sealed) != (m.Recipient != nil && len(m.Wrapped) > 0):
		err = fmt.Errorf("%w: the key of a sealed bundle", ErrMalformed)
	}
	return m, digest, err
}

// control reads a control file of a channel.
func (t Trust) control(file []byte, channel string) (Control, error) {
	var c Control
	if _, err := t.open(file, &c, func() Digest { return c.Signer }); err != nil {
		return c, err
	}
	if c.Ferry != Version || c.Channel != channel || c.Number == 0 {
		return c, fmt.Errorf("%w: version, channel or number", ErrMalformed)
	}
	for _, ranges := range c.Missing {
		for _, r := range ranges {
			if r.From == 0 || r.To < r.From {
				return c, fmt.Errorf("%w: a run of numbers", ErrMalformed)
			}
		}
	}
	return c, nil
}
