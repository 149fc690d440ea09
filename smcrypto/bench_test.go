package smcrypto

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkSeal32K seals a 32 KiB record: digest, statement signature, SM4-GCM,
// digest of the result. BenchmarkPrimitives32K is the sum of exactly those, done
// back to back on the same sizes, so that the ratio shows what the format costs.
func BenchmarkSeal32K(b *testing.B) {
	for _, p := range Providers() {
		b.Run(p.Name(), func(b *testing.B) {
			key, emr := benchKey(b), testEMR(32<<10)
			h := testHeader()
			h.SegmentSize = 0
			b.SetBytes(int64(len(emr)))
			b.ReportAllocs()
			for b.Loop() {
				_, err := Seal(p, testKey, h, emr, func(d [32]byte) ([]byte, error) { return p.Sign(key, d[:]) })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPrimitives32K(b *testing.B) {
	for _, p := range Providers() {
		b.Run(p.Name(), func(b *testing.B) {
			key, emr := benchKey(b), testEMR(32<<10)
			aead, err := p.NewGCM(testKey)
			require.NoError(b, err)
			out := make([]byte, 0, len(emr)+200)
			b.SetBytes(int64(len(emr)))
			b.ReportAllocs()
			for b.Loop() {
				d := p.SM3(emr)
				if _, err := p.Sign(key, d[:]); err != nil {
					b.Fatal(err)
				}
				var nonce [12]byte
				out = aead.Seal(out[:0], nonce[:], emr, nil)
				p.SM3(out)
			}
		})
	}
}

func BenchmarkOpen32K(b *testing.B) {
	for _, p := range Providers() {
		b.Run(p.Name(), func(b *testing.B) {
			sign, check := testSigner(b, p)
			h := testHeader()
			h.SegmentSize = 0
			sealed, err := Seal(p, testKey, h, testEMR(32<<10), sign)
			require.NoError(b, err)
			b.SetBytes(32 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(p, testKey, sealed.Bytes, check); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSM2(b *testing.B) {
	for _, p := range Providers() {
		key, msg := benchKey(b), make([]byte, 48)
		sig, err := p.Sign(key, msg)
		require.NoError(b, err)
		ct, err := p.Encrypt(key.Public(), msg)
		require.NoError(b, err)
		for name, run := range map[string]func() error{
			"sign":    func() error { _, err := p.Sign(key, msg); return err },
			"verify":  func() error { return p.Verify(key.Public(), msg, sig) },
			"encrypt": func() error { _, err := p.Encrypt(key.Public(), msg); return err },
			"decrypt": func() error { _, err := p.Decrypt(key, ct); return err },
		} {
			b.Run(p.Name()+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if err := run(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkRecordKey(b *testing.B) {
	secret := testEMR(32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := RecordKey(Default(), secret, 1, [16]byte{1}); err != nil {
			b.Fatal(err)
		}
	}
}

func benchKey(b *testing.B) *PrivateKey {
	b.Helper()
	return newKey(b)
}
