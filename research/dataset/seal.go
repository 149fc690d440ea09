package dataset

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/internal/fsatomic"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// defaultVolume is how much of the archive one volume holds, in bytes; maxSealed bounds a
// sealed volume.
const (
	defaultVolume = 64 << 20
	maxSealed     = smcrypto.MaxEMRLength + 16<<20
)

// SealConfig says for whom a package is sealed. All fields but VolumeSize are required.
type SealConfig struct {
	Provider smcrypto.Provider
	Terms    Terms
	// Recipient is the institute's encryption key.
	Recipient        smcrypto.PublicKey
	SealedAt, Expiry time.Time
	// Sign signs with the hospital's SM2 signing key: SM3, default user id, DER.
	Sign func(msg []byte) ([]byte, error)
	// Certificate is the hospital's signing certificate, DER.
	Certificate []byte
	// VolumeSize bounds the archive bytes in a volume; 64 MiB if 0.
	VolumeSize int64
}

// Seal packs the package in dir, seals it into volumes in out, which must not exist or be
// empty, and returns the signed envelope. The archive stands in out while Seal works, de-identified
// but open, and is removed before it returns.
func Seal(c SealConfig, dir, out string) (Envelope, Delivery, error) {
	if err := c.complete(); err != nil {
		return Envelope{}, Delivery{}, err
	}
	if err := fsatomic.MkdirPrivate(out); err != nil {
		return Envelope{}, Delivery{}, fmt.Errorf("dataset: %w", err)
	}
	archive, size, err := packInto(dir, out)
	if err != nil {
		return Envelope{}, Delivery{}, err
	}
	defer func() { _ = errors.Join(archive.Close(), os.Remove(archive.Name())) }()
	d := Delivery{Version: Version, Terms: c.Terms, SealedAt: c.SealedAt.UTC().Truncate(time.Millisecond), Expiry: c.Expiry.UTC().Truncate(time.Millisecond)}
	count := int((size + c.VolumeSize - 1) / c.VolumeSize)
	if count > MaxVolumes {
		return Envelope{}, Delivery{}, fmt.Errorf("%w: %d volumes, %d are allowed", ErrLimit, count, MaxVolumes)
	}
	for i := range count {
		from := int64(i) * c.VolumeSize
		part := io.NewSectionReader(archive, from, min(c.VolumeSize, size-from))
		v, err := c.volume(d, i, count, part, filepath.Join(out, VolumeName(i)))
		if err != nil {
			return Envelope{}, Delivery{}, err
		}
		d.Volumes = append(d.Volumes, v)
	}
	e, err := c.sign(d)
	return e, d, err
}

func (c *SealConfig) complete() error {
	if c.Provider == nil || c.Recipient.IsZero() || c.Sign == nil || len(c.Certificate) == 0 || c.SealedAt.IsZero() || c.Expiry.IsZero() {
		return errors.New("dataset: sealing needs provider, recipient, signer, certificate and times")
	}
	if c.VolumeSize <= 0 {
		c.VolumeSize = defaultVolume
	}
	c.VolumeSize = min(c.VolumeSize, smcrypto.MaxEMRLength)
	return c.Terms.validate()
}

func packInto(dir, out string) (*os.File, int64, error) {
	f, err := os.CreateTemp(out, "archive-*")
	if err != nil {
		return nil, 0, fmt.Errorf("dataset: %w", err)
	}
	err = Pack(dir, f)
	size, seek := f.Seek(0, io.SeekCurrent)
	if err := errors.Join(err, seek); err != nil {
		return nil, 0, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, size, nil
}

// volume seals one part of the archive into path under a key of its own.
func (c *SealConfig) volume(d Delivery, i, n int, part *io.SectionReader, path string) (Volume, error) {
	var key smcrypto.Key
	if _, err := rand.Read(key[:]); err != nil {
		return Volume{}, fmt.Errorf("dataset: key: %w", err)
	}
	defer smcrypto.Zero(key[:])
	id := c.Terms.volumeID(c.Provider, i)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Volume{}, fmt.Errorf("dataset: %w", err)
	}
	h := smcrypto.Header{RecordID: id, HospitalNumber: c.Terms.Number, MSPID: c.Terms.Hospital, Epoch: 1, SealedAt: d.SealedAt}
	sealed, err := smcrypto.SealStream(c.Provider, key, h, part, func(digest [smcrypto.DigestSize]byte) ([]byte, error) {
		return c.Sign(c.Terms.volumeStatement(i, n, digest))
	}, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return Volume{}, fmt.Errorf("dataset: seal volume %d: %w", i+1, err)
	}
	grant, err := smcrypto.NewGrant(c.Provider, smcrypto.GrantTerms{RequestID: c.Terms.requestID(c.Provider), RecordID: id, OwnerMSP: c.Terms.Hospital,
		RecipientMSP: c.Terms.Institute, Purpose: Purpose, Expiry: d.Expiry, CipherDigest: sealed.CipherDigest}, key, c.Recipient, c.Sign)
	if err != nil {
		return Volume{}, fmt.Errorf("dataset: key grant of volume %d: %w", i+1, err)
	}
	return Volume{Size: int64(sealed.Header.SealedLength()), Cipher: sealed.CipherDigest, Grant: grant}, nil
}

func (c *SealConfig) sign(d Delivery) (Envelope, error) {
	if err := d.validate(); err != nil {
		return Envelope{}, err
	}
	body, err := json.Marshal(d)
	if err != nil {
		return Envelope{}, fmt.Errorf("dataset: encode delivery: %w", err)
	}
	sig, err := c.Sign(append([]byte(deliveryDomain), body...))
	if err != nil {
		return Envelope{}, fmt.Errorf("dataset: sign delivery: %w", err)
	}
	return Envelope{Delivery: body, Signature: sig, Certificate: c.Certificate}, nil
}

// OpenConfig is what an institute opens a delivery with. All fields but Limit are required.
type OpenConfig struct {
	Provider smcrypto.Provider
	// Hospital is the key that Envelope.Verify returned.
	Hospital smcrypto.PublicKey
	// Key is the fingerprint of the institute's encryption key, Decrypt decrypts with it.
	Key     [smcrypto.DigestSize]byte
	Decrypt func(ciphertext []byte) ([]byte, error)
	Now     time.Time
	// Volume opens volume i, from 0.
	Volume func(i int) (io.ReadCloser, error)
	// Limit bounds the bytes written; MaxPackage if 0.
	Limit int64
}

// Open decrypts the volumes of a verified delivery and unpacks them into dir, which must not
// exist or be empty; then it verifies the whole package. On an error the folder holds nothing that
// may be used, and the caller removes it.
func Open(c OpenConfig, d Delivery, dir string) (Manifest, error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Unpack(r, dir, c.Limit)
		_ = r.CloseWithError(err)
		done <- err
	}()
	var err error
	for i := range d.Volumes {
		if err = c.volume(d, i, w); err != nil {
			break
		}
	}
	_ = w.CloseWithError(err)
	// What went wrong in unpacking shows as a write error of the decryption too.
	if unpacked := <-done; unpacked != nil && (err == nil || errors.Is(err, unpacked)) {
		err = unpacked
	}
	if err != nil {
		return Manifest{}, err
	}
	m, root, err := Verify(dir)
	if err != nil {
		return m, err
	}
	if !root.Equal(d.Root) {
		return m, fmt.Errorf("%w: the package has not the root that the hospital signed", ErrAltered)
	}
	if m.Kind != d.Kind || m.Project != d.Project || m.Institute != d.Institute || m.Hospital != d.Hospital || m.Sequence != d.Sequence {
		return m, fmt.Errorf("%w: the manifest names another release than the delivery", ErrAltered)
	}
	return m, nil
}

func (c OpenConfig) volume(d Delivery, i int, w io.Writer) error {
	id := d.volumeID(c.Provider, i)
	v := d.Volumes[i]
	digest := [smcrypto.DigestSize]byte(v.Cipher)
	key, err := smcrypto.OpenGrant(c.Provider, v.Grant, smcrypto.Expected{
		Terms: smcrypto.GrantTerms{RequestID: d.requestID(c.Provider), RecordID: id, OwnerMSP: d.Hospital, RecipientMSP: d.Institute,
			RecipientKey: c.Key, Purpose: Purpose, CipherDigest: digest},
		Owner: c.Hospital, Now: c.Now, Decrypt: c.Decrypt})
	if err != nil {
		return fmt.Errorf("volume %d: %w", i+1, err)
	}
	defer smcrypto.Zero(key[:])
	in, err := c.Volume(i)
	if err != nil {
		return fmt.Errorf("volume %d: %w", i+1, err)
	}
	defer in.Close()
	_, err = smcrypto.OpenStream(c.Provider, key, io.LimitReader(in, v.Size+1), w, smcrypto.Check{
		Signer: c.Hospital, CipherDigest: &digest,
		Statement: func(h smcrypto.Header, emr [smcrypto.DigestSize]byte, _ []byte) ([]byte, error) {
			if evidence.RecordID(h.RecordID) != id {
				return nil, fmt.Errorf("%w: another volume", ErrAltered)
			}
			return d.volumeStatement(i, len(d.Volumes), emr), nil
		}})
	if err != nil {
		return fmt.Errorf("volume %d: %w", i+1, err)
	}
	return nil
}
