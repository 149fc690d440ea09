package claims

import (
	"crypto/cipher"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Errors of this package.
var (
	// ErrFull: the budget or the disk has no room; it may have later.
	ErrFull = errors.New("claims: no room for another large body; it may be sent again later")
	// ErrTooLarge: the body is longer than the limit.
	ErrTooLarge = errors.New("claims: body too large")
	// ErrEmpty: there was nothing in the body.
	ErrEmpty = errors.New("claims: empty body")
	// ErrMissing: there is no such claim.
	ErrMissing = errors.New("claims: no such claim")
	// ErrDamaged: the file is not the claim that was written.
	ErrDamaged = errors.New("claims: claim is damaged")
	// ErrKey: the file was written under a key that is not loaded.
	ErrKey = errors.New("claims: the key of this claim is not loaded")
)

// Layout of a file.
const (
	magic      = "EMRCLM\x00\x01"
	headerSize = len(magic) + 4 + 4 + idSize
	idSize     = 16
	tagSize    = 16
	chunkSize  = 64 << 10
	suffix     = ".claim"
	tempSuffix = ".part"
)

const keyDomain = "emrbridge/claim/v1"

// Keys are the master keys by version; Current seals new claims. Keys never print.
type Keys struct {
	Current uint32
	Master  map[uint32]smcrypto.Key
}

// String never shows keys.
func (Keys) String() string { return "[redacted]" }

// header is the beginning of a file.
type header [headerSize]byte

func newHeader(keyVersion uint32, id [idSize]byte) header {
	var h header
	copy(h[:], magic)
	binary.BigEndian.PutUint32(h[len(magic):], keyVersion)
	binary.BigEndian.PutUint32(h[len(magic)+4:], chunkSize)
	copy(h[len(magic)+8:], id[:])
	return h
}

// check reads a header that must belong to a claim id.
func (h header) check(id [idSize]byte) (keyVersion uint32, err error) {
	if string(h[:len(magic)]) != magic || binary.BigEndian.Uint32(h[len(magic)+4:]) != chunkSize ||
		[idSize]byte(h[len(magic)+8:]) != id {
		return 0, ErrDamaged
	}
	return binary.BigEndian.Uint32(h[len(magic):]), nil
}

// aeadOf derives the cipher of one file.
func aeadOf(p smcrypto.Provider, master smcrypto.Key, id [idSize]byte) (cipher.AEAD, error) {
	b, err := smcrypto.HKDF(p, master[:], id[:], keyDomain, smcrypto.KeySize)
	if err != nil {
		return nil, err
	}
	defer smcrypto.Zero(b)
	key, err := smcrypto.ParseKey(b)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return p.NewGCM(key)
}

func nonceOf(chunk uint32, last bool) (n [12]byte) {
	binary.BigEndian.PutUint32(n[7:11], chunk)
	if last {
		n[11] = 1
	}
	return n
}

// plainSize is the length of the body in a file of a size, -1 if no file has that size.
func plainSize(file int64) int64 {
	body := file - int64(headerSize)
	if body <= tagSize {
		return -1
	}
	const step = chunkSize + tagSize
	chunks := (body + step - 1) / step
	if last := body - (chunks-1)*step; last <= tagSize {
		return -1
	}
	return body - chunks*tagSize
}

// parseID reads the text form of a claim id, 32 hexadecimal digits in lower case.
func parseID(s string) (id [idSize]byte, err error) {
	if len(s) != 2*idSize {
		return id, fmt.Errorf("%w: not a claim id", ErrMissing)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil || hex.EncodeToString(id[:]) != s {
		return id, fmt.Errorf("%w: not a claim id", ErrMissing)
	}
	return id, nil
}
