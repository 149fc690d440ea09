package smcrypto

import (
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of a DER SM2 signature in bytes: two integers of 1 to 33 bytes each.
const (
	MinSignature = 8
	MaxSignature = 72
)

// CheckSignatureEncoding reports ErrInvalidSignature unless sig is strict DER with
// r and s in [1, n−1].
func CheckSignatureEncoding(sig []byte) error {
	_, err := parseSignature(sig)
	return err
}

// parseSignature refuses non-minimal and negative integers, long-form lengths and
// bytes after either end, so that every signature has exactly one encoding.
func parseSignature(der []byte) (signature, error) {
	bad := func(why string) (signature, error) {
		return signature{}, fmt.Errorf("%w: %s", ErrInvalidSignature, why)
	}
	if len(der) < MinSignature || len(der) > MaxSignature {
		return bad("length outside 8 to 72 bytes")
	}
	r, s := new(big.Int), new(big.Int)
	input, seq := cryptobyte.String(der), cryptobyte.String(nil)
	if !input.ReadASN1(&seq, asn1.SEQUENCE) || !input.Empty() ||
		!seq.ReadASN1Integer(r) || !seq.ReadASN1Integer(s) || !seq.Empty() {
		return bad("not strict DER SEQUENCE{r, s}")
	}
	if r.Sign() <= 0 || s.Sign() <= 0 || r.Cmp(curveN) >= 0 || s.Cmp(curveN) >= 0 {
		return bad("r or s outside [1, n-1]")
	}
	return signature{der: der, r: r, s: s}, nil
}

// checkCiphertext refuses everything but 0x04 ‖ C1 ‖ C3 ‖ C2 with C1 on the curve
// and at least one byte of C2: an off-curve C1 would leak the private key.
func checkCiphertext(ct []byte) error {
	if len(ct) <= CiphertextOverhead || len(ct) > CiphertextOverhead+MaxPlaintext {
		return fmt.Errorf("%w: length outside its bounds", ErrInvalidCiphertext)
	}
	if ct[0] != 0x04 {
		return fmt.Errorf("%w: must start with an uncompressed point", ErrInvalidCiphertext)
	}
	if !onCurve(ct[1:33], ct[33:65]) {
		return fmt.Errorf("%w: C1 is not on the SM2 curve", ErrInvalidCiphertext)
	}
	return nil
}

// CiphertextToASN1 converts a raw C1C3C2 ciphertext to the SM2Cipher SEQUENCE{x, y,
// hash, cipher} of GB/T 35276, 7.3, as OpenSSL and SDF tools expect it.
func CiphertextToASN1(ct []byte) ([]byte, error) {
	if err := checkCiphertext(ct); err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(ct[1:33]))
		b.AddASN1BigInt(new(big.Int).SetBytes(ct[33:65]))
		b.AddASN1OctetString(ct[65:97])
		b.AddASN1OctetString(ct[97:])
	})
	return b.Bytes()
}

// CiphertextFromASN1 converts strict DER SM2Cipher to the raw form and checks C1.
func CiphertextFromASN1(der []byte) ([]byte, error) {
	bad := fmt.Errorf("%w: not a strict DER SM2Cipher", ErrInvalidCiphertext)
	if len(der) > CiphertextOverhead+MaxPlaintext+32 {
		return nil, bad
	}
	x, y := new(big.Int), new(big.Int)
	input := cryptobyte.String(der)
	var seq, c3, c2 cryptobyte.String
	if !input.ReadASN1(&seq, asn1.SEQUENCE) || !input.Empty() ||
		!seq.ReadASN1Integer(x) || !seq.ReadASN1Integer(y) ||
		!seq.ReadASN1(&c3, asn1.OCTET_STRING) || !seq.ReadASN1(&c2, asn1.OCTET_STRING) || !seq.Empty() {
		return nil, bad
	}
	if x.Sign() < 0 || y.Sign() < 0 || x.Cmp(curveP) >= 0 || y.Cmp(curveP) >= 0 || len(c3) != DigestSize {
		return nil, bad
	}
	ct := make([]byte, CiphertextOverhead, CiphertextOverhead+len(c2))
	ct[0] = 0x04
	x.FillBytes(ct[1:33])
	y.FillBytes(ct[33:65])
	copy(ct[65:97], c3)
	ct = append(ct, c2...)
	if err := checkCiphertext(ct); err != nil {
		return nil, err
	}
	return ct, nil
}
