package dataset

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Domains of the hospital's signatures.
const (
	deliveryDomain = "emrbridge/research-delivery/v1\n"
	volumeDomain   = "emrbridge/research-volume/v1\n"
	requestDomain  = "emrbridge/research-request/v1\n"
	volumeIDDomain = "emrbridge/research-volume-id/v1\n"
)

// Purpose is the purpose in key grants to institutes.
const Purpose = "research"

// EnvelopeName is the file name of an encoded envelope; volumes are named by VolumeName.
const EnvelopeName = "delivery.json"

// VolumeName is the file name of volume i, from 0.
func VolumeName(i int) string { return fmt.Sprintf("volume-%04d.sealed", i+1) }

// Bounds of a delivery.
const (
	MaxVolumes  = 1024
	MaxEnvelope = 8 << 20 // bytes
)

// Terms are what a delivery is bound to.
type Terms struct {
	Kind      Kind            `json:"kind"`
	Project   string          `json:"project"`
	Institute string          `json:"institute"`
	Hospital  string          `json:"hospital"` // MSP id
	Number    uint16          `json:"number"`   // of the hospital
	Sequence  uint32          `json:"sequence"`
	Root      evidence.Digest `json:"root"` // of the package, as on the ledger
}

func (t Terms) validate() error {
	if !evidence.ValidMSP(t.Project) || !evidence.ValidMSP(t.Institute) || !evidence.ValidMSP(t.Hospital) ||
		!t.Kind.valid() || t.Number == 0 || t.Sequence == 0 || t.Root.IsZero() {
		return fmt.Errorf("%w: delivery: project, institute, hospital, sequence or root", ErrMalformed)
	}
	return nil
}

// frame is the canonical form of the terms for digests: every text after its length.
func (t Terms) frame(domain string) []byte {
	out := []byte(domain)
	for _, s := range []string{string(t.Kind), t.Project, t.Institute, t.Hospital} {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(s))), s...)
	}
	out = binary.BigEndian.AppendUint16(out, t.Number)
	out = binary.BigEndian.AppendUint32(out, t.Sequence)
	return append(out, t.Root[:]...)
}

// volumeID is the record id under which volume i is sealed.
func (t Terms) volumeID(p smcrypto.Provider, i int) (id evidence.RecordID) {
	sum := p.SM3(t.frame(volumeIDDomain), binary.BigEndian.AppendUint32(nil, uint32(i)))
	binary.BigEndian.PutUint16(id[:], t.Number)
	copy(id[2:], sum[:])
	return id
}

// requestID is what the key grants answer.
func (t Terms) requestID(p smcrypto.Provider) (id [16]byte) {
	sum := p.SM3(t.frame(requestDomain))
	copy(id[:], sum[:])
	return id
}

// volumeStatement is what the hospital signs inside volume i of n.
func (t Terms) volumeStatement(i, n int, digest [smcrypto.DigestSize]byte) []byte {
	out := binary.BigEndian.AppendUint32(t.frame(volumeDomain), uint32(i))
	return append(binary.BigEndian.AppendUint32(out, uint32(n)), digest[:]...)
}

// Volume is one sealed file of a delivery.
type Volume struct {
	Size   int64           `json:"size"`
	Cipher evidence.Digest `json:"cipher"` // SM3 of the sealed bytes
	Grant  []byte          `json:"grant"`  // the key, for the institute alone
}

// Delivery names the sealed volumes of one release.
type Delivery struct {
	Version int `json:"version"`
	Terms
	SealedAt time.Time `json:"sealed_at"`
	Expiry   time.Time `json:"expiry"` // the keys open until then
	Volumes  []Volume  `json:"volumes"`
}

func (d Delivery) validate() error {
	if err := d.Terms.validate(); err != nil {
		return err
	}
	if d.Version != Version || len(d.Volumes) == 0 || len(d.Volumes) > MaxVolumes {
		return fmt.Errorf("%w: delivery: version or number of volumes", ErrMalformed)
	}
	for _, v := range d.Volumes {
		if v.Size <= 0 || v.Size > maxSealed || v.Cipher.IsZero() || len(v.Grant) == 0 || len(v.Grant) > smcrypto.MaxGrant {
			return fmt.Errorf("%w: delivery: volume", ErrMalformed)
		}
	}
	return nil
}

// Size is the number of bytes of all volumes.
func (d Delivery) Size() (n int64) {
	for _, v := range d.Volumes {
		n += v.Size
	}
	return n
}

// Envelope is a delivery with what proves it. It holds nothing secret.
type Envelope struct {
	Delivery    []byte `json:"delivery"`    // JSON, as it was signed
	Signature   []byte `json:"signature"`   // SM2 with SM3, DER, by the hospital
	Certificate []byte `json:"certificate"` // the hospital's signing certificate, DER
	// Statement is the release as the hospital signed it for the ledger, and TxID where it
	// stands. Who reads an envelope compares root and digest with it.
	Statement *evidence.Signed `json:"statement,omitempty"`
	TxID      string           `json:"tx,omitempty"`
}

// Encode returns the form in which an envelope travels.
func (e Envelope) Encode() ([]byte, error) {
	b, err := json.Marshal(e)
	if err == nil && len(b) > MaxEnvelope {
		err = fmt.Errorf("%w: envelope of %d bytes", ErrLimit, len(b))
	}
	if err != nil {
		return nil, fmt.Errorf("dataset: encode envelope: %w", err)
	}
	return append(b, '\n'), nil
}

// Digest is the SM3 digest of the delivery as it was signed: what the ledger shows of it.
func (e Envelope) Digest(p smcrypto.Provider) evidence.Digest { return p.SM3(e.Delivery) }

// ParseEnvelope reads an envelope and its delivery strictly and checks no signature.
func ParseEnvelope(b []byte) (Envelope, Delivery, error) {
	var e Envelope
	var d Delivery
	if len(b) > MaxEnvelope {
		return e, d, fmt.Errorf("%w: envelope of more than %d bytes", ErrLimit, MaxEnvelope)
	}
	if strict(b, &e) != nil || strict(e.Delivery, &d) != nil {
		return Envelope{}, Delivery{}, fmt.Errorf("%w: not the envelope of a delivery", ErrMalformed)
	}
	return e, d, d.validate()
}

// Verify checks the hospital's certificate under the consortium's authority and its
// signature over the delivery, and returns the hospital's key. The certificate must have been
// valid when the delivery was sealed.
func (e Envelope) Verify(p smcrypto.Provider, d Delivery, roots []*smcrypto.Certificate) (smcrypto.PublicKey, error) {
	var none smcrypto.PublicKey
	cert, err := smcrypto.ParseCertificate(e.Certificate)
	if err != nil {
		return none, fmt.Errorf("%w: the hospital's certificate: %w", ErrUntrusted, err)
	}
	if cert.Organization() != d.Hospital {
		return none, fmt.Errorf("%w: the certificate is not of hospital %s", ErrUntrusted, d.Hospital)
	}
	if err := smcrypto.VerifyChain(p, cert, nil, roots, d.SealedAt, smcrypto.UsageSign); err != nil {
		return none, fmt.Errorf("%w: the hospital's certificate: %w", ErrUntrusted, err)
	}
	if err := p.Verify(cert.PublicKey(), append([]byte(deliveryDomain), e.Delivery...), e.Signature); err != nil {
		return none, fmt.Errorf("%w: the delivery is not signed by hospital %s: %w", ErrUntrusted, d.Hospital, err)
	}
	return cert.PublicKey(), nil
}
