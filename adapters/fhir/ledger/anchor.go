package ledger

import (
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir/tree"
)

// Anchor is what proves a sealed record: the owner's signature over what it sealed, and
// where the ledger keeps the digest of the ciphertext.
type Anchor struct {
	Record   string // record id
	Hospital string // MSP id of the owner
	// EMR and Cipher are the SM3 digests h(EMR) and h(EMR_en); EMR is zero for one who
	// could not open the record.
	EMR, Cipher [32]byte
	// Signature is SM2 with SM3, DER (GB/T 35276), default user id, over Signed.
	Signature []byte
	Signed    []byte // the bytes that the signature covers, for whoever wants to check it
	SealedAt  time.Time
	Tx        string // transaction that anchored it, "" if not known
	Block     uint64
	Batch     string
	At        time.Time // of the transaction
}

// Addresses of the extension that says where and how the ledger proves a record.
const (
	anchorURL      = tree.LocalURL + "StructureDefinition/ledger-anchor"
	signedBytesURL = tree.LocalURL + "StructureDefinition/signed-bytes"
	algorithmURL   = tree.LocalURL + "StructureDefinition/signature-algorithm"
	// OIDSM2SM3 is SM2 with SM3 (GM/T 0006).
	OIDSM2SM3 = "urn:oid:1.2.156.10197.1.501"
)

// Provenance returns the anchor as Provenance of targets (at least one reference): the
// owner attests the record, with digest, signature and place on the ledger.
func (a Anchor) Provenance(owner *tree.Object, targets ...*tree.Object) *tree.Resource {
	r := tree.NewResource("Provenance", tree.NameID(a.Record, "Provenance", "ledger"))
	r.Add("extension", a.place())
	for _, t := range targets {
		r.Add("target", t)
	}
	if a.SealedAt.IsZero() {
		r.Set("_recorded", tree.Absent("unknown"))
	} else {
		r.Set("recorded", instant(a.SealedAt))
	}
	r.Set("activity", tree.Concept(terminology+"iso-21089-lifecycle", "attest", "Attest Record Lifecycle Event"))
	if owner.IsEmpty() {
		owner = member(a.Hospital)
	}
	r.Add("agent", tree.New("type", tree.Concept(terminology+"provenance-participant-type", "custodian", "Custodian"), "who", owner))
	r.Add("entity", tree.New("role", "source", "what", tree.New("identifier", tree.New("system", SystemRecord, "value", a.Record))))
	if len(a.Signature) > 0 {
		r.Add("signature", a.signature(owner))
	}
	return r
}

func (a Anchor) place() *tree.Object {
	e := tree.New("url", anchorURL)
	add := func(name, kind string, value any) { e.Add("extension", tree.Extension(name, kind, value)) }
	add("record", "valueString", a.Record)
	add("hospital", "valueString", a.Hospital)
	if a.EMR != [32]byte{} {
		add("emr-sm3", "valueString", hex.EncodeToString(a.EMR[:]))
	}
	if a.Cipher != [32]byte{} {
		add("cipher-sm3", "valueString", hex.EncodeToString(a.Cipher[:]))
	}
	add("transaction", "valueString", a.Tx)
	if a.Tx != "" {
		add("block", "valueString", block(a.Block))
	}
	add("batch", "valueString", a.Batch)
	if !a.At.IsZero() {
		add("anchored", "valueInstant", instant(a.At))
	}
	return e
}

func (a Anchor) signature(owner *tree.Object) *tree.Object {
	s := tree.New()
	s.Add("extension", tree.Extension(algorithmURL, "valueUri", OIDSM2SM3))
	if len(a.Signed) > 0 {
		s.Add("extension", tree.Extension(signedBytesURL, "valueBase64Binary", base64.StdEncoding.EncodeToString(a.Signed)))
	}
	s.Add("type", tree.Code("urn:iso-astm:E1762-95:2013", "1.2.840.10065.1.12.1.14", "Source Signature"))
	if a.SealedAt.IsZero() {
		s.Set("_when", tree.Absent("unknown"))
	} else {
		s.Set("when", instant(a.SealedAt))
	}
	s.Set("who", owner)
	s.Set("targetFormat", "application/cbor")
	s.Set("sigFormat", "application/octet-stream")
	return s.Set("data", base64.StdEncoding.EncodeToString(a.Signature))
}
