package keystore

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/emrbridge/emrbridge/smcrypto"
)

// Domains of the keyed digests. No domain is a prefix of another one plus input.
const (
	tokenDomain      = "emrbridge/sig_p/v1"       //nolint:gosec // a label, no credential
	localTokenDomain = "emrbridge/sig_p/local/v1" //nolint:gosec // a label, no credential
	registerDomain   = "emrbridge/t_r/v1"
	tagDomain        = "emrbridge/tag/v1"
	staffDomain      = "emrbridge/staff/v1"
	checkDomain      = "emrbridge/identity-key-check/v1"
)

// use runs fn while the keystore is open and ctx is live.
func (f *File) use(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.RLock()
	defer f.mu.RUnlock()
	if f.closed {
		return ErrClosed
	}
	return fn()
}

// change runs fn with every other operation held off.
func (f *File) change(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	return fn()
}

// Hospital implements Custody.
func (f *File) Hospital(ctx context.Context) (h Hospital, err error) {
	err = f.use(ctx, func() error { h = f.hospital; return nil })
	return h, err
}

// Sign implements Custody.
func (f *File) Sign(ctx context.Context, msg []byte) (sig []byte, err error) {
	err = f.use(ctx, func() error {
		if f.sign == nil {
			return fmt.Errorf("%w: no signing key; run keys generate or keys import", ErrNoKey)
		}
		sig, err = smcrypto.Default().Sign(f.sign, msg)
		return err
	})
	return sig, err
}

// Decrypt implements Custody.
func (f *File) Decrypt(ctx context.Context, ciphertext []byte) (plain []byte, err error) {
	err = f.use(ctx, func() error {
		if f.encrypt == nil {
			return fmt.Errorf("%w: no encryption key; run keys generate or keys import", ErrNoKey)
		}
		plain, err = smcrypto.Default().Decrypt(f.encrypt, ciphertext)
		return err
	})
	return plain, err
}

// digest is HMAC-SM3 under the consortium identity key.
func (f *File) digest(ctx context.Context, parts ...[]byte) (mac [smcrypto.DigestSize]byte, err error) {
	err = f.use(ctx, func() error {
		mac = smcrypto.HMAC(smcrypto.Default(), f.secrets.IdentityKey, parts...)
		return nil
	})
	return mac, err
}

// PatientToken implements Custody.
func (f *File) PatientToken(ctx context.Context, id Identity) (Token, error) {
	if id.ResidentID != "" {
		if id.Local != (LocalIdentity{}) {
			return Token{}, fmt.Errorf("%w: give a resident ID or a local identity, not both", ErrIdentity)
		}
		normal, err := NormalizeResidentID(id.ResidentID)
		if err != nil {
			return Token{}, err
		}
		return f.digest(ctx, []byte(tokenDomain), []byte(normal))
	}
	l := id.Local
	if l.MSPID == "" || l.Value == "" {
		return Token{}, fmt.Errorf("%w: a local identity needs hospital and value", ErrIdentity)
	}
	parts := []string{l.MSPID, l.Authority, l.Type, l.Value}
	for _, p := range parts {
		if len(p) > maxIdentityField {
			return Token{}, fmt.Errorf("%w: a part exceeds %d bytes", ErrIdentity, maxIdentityField)
		}
	}
	return f.digest(ctx, []byte(localTokenDomain), lengthPrefixed(parts...))
}

// lengthPrefixed joins parts, each after its length as 4 bytes big-endian.
func lengthPrefixed(parts ...string) []byte {
	var out []byte
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}

// RegistrationDigest implements Custody. pi is normalised if it is a resident ID.
func (f *File) RegistrationDigest(ctx context.Context, pi, no string) ([smcrypto.DigestSize]byte, error) {
	pi, no = strings.TrimSpace(pi), strings.TrimSpace(no)
	if pi == "" && no == "" || len(pi) > maxIdentityField || len(no) > maxIdentityField {
		return [smcrypto.DigestSize]byte{}, fmt.Errorf("%w: registration needs an identity or insurance number of at most %d bytes", ErrIdentity, maxIdentityField)
	}
	if normal, err := NormalizeResidentID(pi); err == nil {
		pi = normal
	}
	return f.digest(ctx, []byte(registerDomain), lengthPrefixed(pi, no))
}

// Tag implements Custody.
func (f *File) Tag(ctx context.Context, token Token) (tag Tag, err error) {
	mac, err := f.digest(ctx, []byte(tagDomain), token[:])
	copy(tag[:], mac[:])
	return tag, err
}

// StaffDigest implements Custody. Its key belongs to this hospital alone, so that
// other members cannot guess staff numbers on the ledger.
func (f *File) StaffDigest(ctx context.Context, staffID string) (mac [smcrypto.DigestSize]byte, err error) {
	if staffID = strings.TrimSpace(staffID); staffID == "" || len(staffID) > maxIdentityField {
		return mac, fmt.Errorf("%w: staff identity must be 1 to %d bytes", ErrIdentity, maxIdentityField)
	}
	err = f.use(ctx, func() error {
		mac = smcrypto.HMAC(smcrypto.Default(), f.secrets.StaffKey, []byte(staffDomain), lengthPrefixed(f.secrets.MSPID, staffID))
		return nil
	})
	return mac, err
}

// IdentityCheck implements Custody.
func (f *File) IdentityCheck(ctx context.Context) (check [8]byte, err error) {
	mac, err := f.digest(ctx, []byte(checkDomain))
	copy(check[:], mac[:])
	return check, err
}

// EnsurePatient implements Custody. Concurrent calls share one disk flush.
func (f *File) EnsurePatient(ctx context.Context, tag Tag) (epoch uint32, created bool, err error) {
	err = f.use(ctx, func() error {
		epoch, created, err = f.patients.ensure(ctx, tag)
		return err
	})
	return epoch, created, err
}

// RecordKey implements Custody.
func (f *File) RecordKey(ctx context.Context, tag Tag, epoch uint32, id RecordID) (key smcrypto.Key, err error) {
	err = f.use(ctx, func() error {
		n, err := f.patients.cover(ctx, tag, epoch, id)
		if err != nil {
			return err
		}
		leaf := n.leaf(id)
		n.zero()
		key, err = smcrypto.RecordKey(smcrypto.Default(), leaf[:], epoch, id)
		smcrypto.Zero(leaf[:])
		return err
	})
	return key, err
}

// RotatePatient implements Custody.
func (f *File) RotatePatient(ctx context.Context, tag Tag) (epoch uint32, err error) {
	err = f.change(ctx, func() error {
		epoch, err = f.patients.rotate(ctx, tag)
		return err
	})
	return epoch, err
}

// ListEpochs implements Custody.
func (f *File) ListEpochs(ctx context.Context, tag Tag) (epochs []Epoch, err error) {
	err = f.use(ctx, func() error {
		epochs, err = f.patients.list(ctx, tag)
		return err
	})
	return epochs, err
}

// DestroyPatient implements Custody.
func (f *File) DestroyPatient(ctx context.Context, tag Tag) error {
	return f.change(ctx, func() error { return f.patients.destroyPatient(ctx, tag) })
}

// DestroyRecord implements Custody.
func (f *File) DestroyRecord(ctx context.Context, tag Tag, epoch uint32, id RecordID) error {
	return f.change(ctx, func() error { return f.patients.destroyRecord(ctx, tag, epoch, id) })
}

// DataKey implements Custody.
func (f *File) DataKey(ctx context.Context, use DataUse, version uint32) (v uint32, key smcrypto.Key, err error) {
	err = f.use(ctx, func() error {
		versions := f.secrets.DataKeys[string(use)]
		if v = version; v == 0 {
			v = uint32(len(versions))
		}
		if v == 0 || int64(v) > int64(len(versions)) {
			return fmt.Errorf("%w: data key %q version %d", ErrNoKey, use, version)
		}
		key, err = smcrypto.ParseKey(versions[v-1])
		return err
	})
	return v, key, err
}

// RotateDataKey implements Custody.
func (f *File) RotateDataKey(ctx context.Context, use DataUse) (version uint32, err error) {
	err = f.change(ctx, func() error {
		have := len(f.secrets.DataKeys[string(use)])
		if have == 0 {
			return fmt.Errorf("%w: data key %q", ErrNoKey, use)
		}
		if have >= maxDataKeys {
			return fmt.Errorf("%w: %d versions of data key %q", ErrLimit, have, use)
		}
		fresh, err := randomBytes(smcrypto.KeySize)
		if err != nil {
			return err
		}
		version = uint32(have + 1)
		return f.replaceSecrets(func(s *secrets) error {
			s.DataKeys[string(use)] = append(s.DataKeys[string(use)], fresh)
			return nil
		})
	})
	return version, err
}
