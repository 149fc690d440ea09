package smcrypto

import (
	"crypto/hkdf"
	"crypto/hmac"
	"encoding/binary"
	"fmt"
	"hash"
)

// RecordIDSize and TagSize are the sizes of a record id and of an index tag, in bytes.
const (
	RecordIDSize = 16
	TagSize      = 16
)

const recordKeyDomain = "emrbridge/record-key/v1"

// HMAC computes HMAC-SM3 (RFC 2104 over GB/T 32905) of the concatenated parts.
// The caller makes the concatenation unambiguous.
func HMAC(p Provider, key []byte, parts ...[]byte) (mac [DigestSize]byte) {
	h := hmac.New(p.NewSM3, key)
	for _, part := range parts {
		h.Write(part)
	}
	h.Sum(mac[:0])
	return mac
}

// HKDF derives n bytes with HKDF-SM3 (RFC 5869). n is at most 255·32.
func HKDF(p Provider, secret, salt []byte, info string, n int) ([]byte, error) {
	if n <= 0 || n > 255*DigestSize {
		return nil, fmt.Errorf("%w: hkdf output of %d bytes", ErrLimit, n)
	}
	out, err := hkdf.Key(func() hash.Hash { return p.NewSM3() }, secret, salt, info, n)
	if err != nil {
		return nil, fmt.Errorf("%w: hkdf: %w", ErrProvider, err)
	}
	return out, nil
}

// RecordKey derives K_r, the key of one record, from the secret that custody holds
// for it: HKDF-SM3(secret, no salt, "emrbridge/record-key/v1" ‖ epoch as 4 bytes
// big-endian ‖ record id), 16 bytes. secret must be 16 bytes or more of full entropy.
func RecordKey(p Provider, secret []byte, epoch uint32, recordID [RecordIDSize]byte) (Key, error) {
	if len(secret) < KeySize {
		return Key{}, fmt.Errorf("%w: record secret shorter than %d bytes", ErrInvalidKey, KeySize)
	}
	info := make([]byte, 0, len(recordKeyDomain)+4+RecordIDSize)
	info = append(info, recordKeyDomain...)
	info = binary.BigEndian.AppendUint32(info, epoch)
	info = append(info, recordID[:]...)
	out, err := HKDF(p, secret, nil, string(info), KeySize)
	if err != nil {
		return Key{}, err
	}
	defer Zero(out)
	return ParseKey(out)
}

// SM2Digest computes e = SM3(Z_A ‖ msg) of GB/T 32918.2, 5.5 and 6.1, for a user id
// other than the default; [Provider.VerifyDigest] takes the result.
func SM2Digest(p Provider, pub PublicKey, uid, msg []byte) ([DigestSize]byte, error) {
	if pub.IsZero() {
		return [DigestSize]byte{}, fmt.Errorf("%w: no public key", ErrInvalidKey)
	}
	if len(uid) >= 8192 {
		return [DigestSize]byte{}, fmt.Errorf("%w: user id exceeds 8191 bytes", ErrLimit)
	}
	entl := []byte{byte(len(uid) >> 5), byte(len(uid) << 3)}
	za := p.SM3(entl, uid, curveConstants, pub.point[1:])
	return p.SM3(za[:], msg), nil
}

// curveConstants is a ‖ b ‖ x_G ‖ y_G, the fixed part of Z_A.
var curveConstants = func() []byte {
	a := fromHex("fffffffeffffffffffffffffffffffffffffffff00000000fffffffffffffffc")
	gx := fromHex("32c4ae2c1f1981195f9904466a39c9948fe30bbff2660be1715a4589334c74c7")
	gy := fromHex("bc3736a2f4f6779c59bdcee36b692153d0a9877cc62a474002df32e52139f0a0")
	out := make([]byte, 0, 128)
	var buf [32]byte
	out = append(out, a.FillBytes(buf[:])...)
	out = append(out, curveB.FillBytes(buf[:])...)
	out = append(out, gx.FillBytes(buf[:])...)
	return append(out, gy.FillBytes(buf[:])...)
}()
