package keystore

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// GenerateHospitalKeys draws the signing and the encryption key pair. It refuses
// with ErrExists when there are keys already.
func (f *File) GenerateHospitalKeys(ctx context.Context) error {
	return f.change(ctx, func() error {
		if f.sign != nil || f.encrypt != nil {
			return fmt.Errorf("%w: hospital keys; a replacement is imported with Replace", ErrExists)
		}
		sign, err := newScalar()
		if err != nil {
			return err
		}
		encrypt, err := newScalar()
		if err != nil {
			return err
		}
		return f.replaceSecrets(func(s *secrets) error {
			s.SigningKey, s.EncryptKey = sign, encrypt
			return nil
		})
	})
}

func newScalar() ([]byte, error) {
	key, err := smcrypto.Default().GenerateKey()
	if err != nil {
		return nil, err
	}
	defer key.Destroy()
	return key.ExposeScalar()
}

// SigningRequests returns PKCS#10 requests (PEM) for the two certificates.
func (f *File) SigningRequests(ctx context.Context, subject smcrypto.Subject) (sign, encrypt []byte, err error) {
	err = f.use(ctx, func() error {
		if f.sign == nil || f.encrypt == nil {
			return fmt.Errorf("%w: no hospital keys; run keys generate or keys import", ErrNoKey)
		}
		if sign, err = smcrypto.NewCertificateRequest(f.sign, subject); err != nil {
			return err
		}
		encrypt, err = smcrypto.NewCertificateRequest(f.encrypt, subject)
		return err
	})
	return sign, encrypt, err
}

// HospitalKeys is what ImportHospitalKeys takes. Keys are PEM PKCS#8 SM2,
// unencrypted; certificates are PEM or DER and may be left out until they exist.
type HospitalKeys struct {
	SigningKey, EncryptionKey   []byte
	SigningCert, EncryptionCert []byte
	// Replace allows existing keys to be overwritten. Grants made to the old
	// encryption key can then no longer be opened.
	Replace bool
}

// ImportHospitalKeys takes key pairs and certificates that were made elsewhere. A
// certificate must fit its key and its usage; the chain is checked by the contract
// and by `emrbridge config check`, which know the consortium's root.
func (f *File) ImportHospitalKeys(ctx context.Context, in HospitalKeys) error {
	sign, err := smcrypto.ParsePrivateKeyPEM(in.SigningKey)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	defer sign.Destroy()
	encrypt, err := smcrypto.ParsePrivateKeyPEM(in.EncryptionKey)
	if err != nil {
		return fmt.Errorf("encryption key: %w", err)
	}
	defer encrypt.Destroy()
	if sign.Equal(encrypt) {
		return fmt.Errorf("%w: signing and encryption key must differ", ErrLimit)
	}
	return f.change(ctx, func() error {
		if !in.Replace && (f.sign != nil || f.encrypt != nil) {
			return fmt.Errorf("%w: hospital keys; set Replace to overwrite them", ErrExists)
		}
		return f.replaceSecrets(func(s *secrets) error {
			s.SigningCert, s.EncryptCert = nil, nil
			if s.SigningKey, err = sign.ExposeScalar(); err != nil {
				return err
			}
			if s.EncryptKey, err = encrypt.ExposeScalar(); err != nil {
				return err
			}
			return setCerts(s, sign.Public(), encrypt.Public(), in.SigningCert, in.EncryptionCert)
		})
	})
}

// ImportCertificates adds or renews the certificates of the present keys. An empty
// argument leaves that certificate as it is.
func (f *File) ImportCertificates(ctx context.Context, signing, encryption []byte) error {
	return f.change(ctx, func() error {
		if f.sign == nil || f.encrypt == nil {
			return fmt.Errorf("%w: no hospital keys to certify", ErrNoKey)
		}
		return f.replaceSecrets(func(s *secrets) error {
			return setCerts(s, f.sign.Public(), f.encrypt.Public(), signing, encryption)
		})
	})
}

func setCerts(s *secrets, sign, encrypt smcrypto.PublicKey, signing, encryption []byte) error {
	for _, c := range []struct {
		name  string
		pem   []byte
		key   smcrypto.PublicKey
		usage smcrypto.Usage
		to    *[]byte
	}{
		{"signing certificate", signing, sign, smcrypto.UsageSign, &s.SigningCert},
		{"encryption certificate", encryption, encrypt, smcrypto.UsageEncipher, &s.EncryptCert},
	} {
		if len(c.pem) == 0 {
			continue
		}
		certs, err := smcrypto.ParseCertificates(c.pem)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		if certs[0].PublicKey() != c.key {
			return fmt.Errorf("%s: %w: it certifies another key", c.name, smcrypto.ErrCertificate)
		}
		if err := certs[0].CheckUsage(c.usage); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		*c.to = certs[0].DER()
	}
	return nil
}

// identityDomain is signed with the transfer, so that it can be taken for nothing else.
const identityDomain = "emrbridge/identity-key-transfer/v1\x00"

// WrapIdentityKey hands the consortium identity key to another member: SM2
// encryption to its registered encryption key, followed by this hospital's
// signature over domain ‖ recipient fingerprint ‖ ciphertext.
func (f *File) WrapIdentityKey(ctx context.Context, to smcrypto.PublicKey) (out []byte, err error) {
	err = f.use(ctx, func() error {
		if f.sign == nil {
			return fmt.Errorf("%w: no signing key", ErrNoKey)
		}
		p := smcrypto.Default()
		ct, err := p.Encrypt(to, f.secrets.IdentityKey)
		if err != nil {
			return err
		}
		sig, err := p.Sign(f.sign, transferMessage(to, ct))
		if err != nil {
			return err
		}
		out = slices.Concat(ct, sig)
		return nil
	})
	return out, err
}

func transferMessage(to smcrypto.PublicKey, ct []byte) []byte {
	fp := to.Fingerprint()
	return append(append([]byte(identityDomain), fp[:]...), ct...)
}

// ImportIdentityKey takes what another member wrapped; from is that member's
// registered signing key. It is refused with ErrExists once patients were
// registered, since their tokens and tags would change.
func (f *File) ImportIdentityKey(ctx context.Context, wrapped []byte, from smcrypto.PublicKey) error {
	const ctLen = smcrypto.CiphertextOverhead + identityKeySize
	return f.change(ctx, func() error {
		if f.encrypt == nil {
			return fmt.Errorf("%w: no encryption key", ErrNoKey)
		}
		if len(wrapped) <= ctLen || len(wrapped) > ctLen+smcrypto.MaxSignature {
			return fmt.Errorf("%w: wrapped identity key has a wrong length", ErrLimit)
		}
		ct, sig := wrapped[:ctLen], wrapped[ctLen:]
		p := smcrypto.Default()
		if err := p.Verify(from, transferMessage(f.encrypt.Public(), ct), sig); err != nil {
			return fmt.Errorf("wrapped identity key: %w", err)
		}
		key, err := p.Decrypt(f.encrypt, ct)
		if err != nil {
			return err
		}
		defer smcrypto.Zero(key)
		if subtle.ConstantTimeCompare(key, f.secrets.IdentityKey) == 1 {
			return nil
		}
		if taken, err := f.patients.hasPatients(ctx); err != nil {
			return err
		} else if taken {
			return fmt.Errorf("%w: patients are registered under another identity key", ErrExists)
		}
		return f.replaceSecrets(func(s *secrets) error {
			s.IdentityKey = append([]byte(nil), key...)
			return nil
		})
	})
}
