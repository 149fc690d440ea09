package evidence

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/emmansun/gmsm/sm3"
)

// A research project on the ledger. An institute has no identity of its own on the network:
// its statements bear its id as actor and its signature, and a hospital carries them. What
// hospitals say is signed by them as ever. No statement of a project names a patient: what
// leaves a hospital is known by digests, a subject by the digest of its pseudonym.

// Bounds of statements about research.
const (
	maxPurpose   = 512
	maxHospitals = 64
	maxFields    = 256
	maxCommittee = 16
	maxAge       = 150
)

// CarryWindow is how long, in milliseconds, a statement of an institute, or of the authority
// about an institute, may wait for the transaction that carries it: a file goes from desk to
// desk. StatementWindow bounds how far it may lie ahead.
const CarryWindow = 7 * 24 * 60 * 60 * 1000

// MinGroupShared is the least MinGroup of a project whose data leave the hospitals' custody:
// more than five persons share each combination of quasi-identifiers (GB/T 39725-2020).
const MinGroupShared = 6

// ValidInstitute reports whether s may name an institute: as ValidMSP, without a dot.
func ValidInstitute(s string) bool {
	return validMSP(s) && !strings.Contains(s, ".") && s != AuthorityActor
}

// ValidProject reports whether s may name a project: the id of its institute, a dot, and one
// or more of the characters of ValidMSP; at most 64 in all.
func ValidProject(s string) bool {
	institute, rest, ok := strings.Cut(s, ".")
	return ok && rest != "" && validMSP(s) && ValidInstitute(institute)
}

// InstituteOf returns the institute that a project's id belongs to.
func InstituteOf(project string) string {
	institute, _, _ := strings.Cut(project, ".")
	return institute
}

// RegisterInstitute admits a research institute, or renews its certificates. The consortium
// authority signs it; any active member carries it.
type RegisterInstitute struct {
	ID          string `cbor:"0,keyasint"`
	Name        string `cbor:"1,keyasint"`
	SignCert    []byte `cbor:"2,keyasint"` // DER, SM2, key usage digitalSignature; organisation is ID
	EncryptCert []byte `cbor:"3,keyasint"` // DER, SM2, key usage keyEncipherment; organisation is ID
	// TLSKey is the SHA-256 of the SubjectPublicKeyInfo of the certificate with which the
	// institute calls gateways; zero if it never does.
	TLSKey Digest `cbor:"4,keyasint"`
}

// Kind implements Body.
func (RegisterInstitute) Kind() Kind { return KindRegisterInstitute }

// Validate implements Body.
func (b RegisterInstitute) Validate() error {
	switch {
	case !ValidInstitute(b.ID):
		return malformed(b.Kind(), "institute id")
	case b.Name == "" || !validText(b.Name, maxName):
		return malformed(b.Kind(), "name")
	case len(b.SignCert) == 0 || len(b.SignCert) > maxCert || len(b.EncryptCert) == 0 || len(b.EncryptCert) > maxCert:
		return malformed(b.Kind(), "certificate missing or too large")
	}
	return nil
}

// SetInstituteStatus suspends an institute or lets it act again. The consortium authority
// signs it; any registered member carries it.
type SetInstituteStatus struct {
	Institute string       `cbor:"0,keyasint"`
	Status    MemberStatus `cbor:"1,keyasint"`
	Reason    string       `cbor:"2,keyasint"` // code, at most 64 bytes
}

// Kind implements Body.
func (SetInstituteStatus) Kind() Kind { return KindSetInstituteStatus }

// Validate implements Body.
func (b SetInstituteStatus) Validate() error {
	if !ValidInstitute(b.Institute) || !validCode(b.Reason) || (b.Status != MemberActive && b.Status != MemberSuspended) {
		return malformed(b.Kind(), "institute, status or reason")
	}
	return nil
}

// Sharing says how far the data of a project go (GB/T 39725-2020 and GB/T 42460-2023 tell
// public release, release under an agreement, and release into a closed environment apart).
type Sharing string

// Ways of sharing.
const (
	SharePublic    Sharing = "public"
	ShareAgreement Sharing = "agreement"
	ShareEnclave   Sharing = "enclave"
)

// Ethics is the approval of an ethics committee.
type Ethics struct {
	Board    string `cbor:"0,keyasint"` // who approved, at most 128 bytes
	Number   string `cbor:"1,keyasint"` // of the approval, at most 64 bytes
	NotAfter int64  `cbor:"2,keyasint"` // Unix milliseconds
	Document Digest `cbor:"3,keyasint"` // SM3 of the letter of approval
}

func (e Ethics) valid() bool {
	return e.Board != "" && validText(e.Board, maxName) && validCode(e.Number) && e.NotAfter > 0 && !e.Document.IsZero()
}

// Cohort says whose records a project asks for. An empty field sets no bound.
type Cohort struct {
	Diagnoses []string `cbor:"0,keyasint"` // ICD-10 prefixes, as E11 or I21.0
	AgeFrom   uint8    `cbor:"1,keyasint"` // completed years at the record's time
	AgeTo     uint8    `cbor:"2,keyasint"` // inclusive
	Sex       string   `cbor:"3,keyasint"` // male or female
	From      int64    `cbor:"4,keyasint"` // event time, Unix milliseconds
	To        int64    `cbor:"5,keyasint"` // inclusive
	Kinds     []string `cbor:"6,keyasint"` // kinds of record, as ORU^R01 or C0039
}

func (c Cohort) valid() bool {
	period := c.From >= 0 && c.To >= 0 && (c.To == 0 || c.From <= c.To)
	ages := c.AgeFrom <= maxAge && c.AgeTo <= maxAge && (c.AgeTo == 0 || c.AgeFrom <= c.AgeTo)
	return period && ages && (c.Sex == "" || c.Sex == "male" || c.Sex == "female") &&
		len(c.Diagnoses) <= maxList && all(c.Diagnoses, validDiagnosis) && len(c.Kinds) <= maxList && all(c.Kinds, validCode)
}

// validDiagnosis accepts the beginning of an ICD-10 code: a letter, then digits, letters
// and the marks '.', '+' and '*', 16 characters at most.
func validDiagnosis(s string) bool {
	for i, c := range s {
		letter, digit := c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z', c >= '0' && c <= '9'
		if i == 0 && (c < 'A' || c > 'Z') || !letter && !digit && c != '.' && c != '+' && c != '*' {
			return false
		}
	}
	return s != "" && len(s) <= 16
}

// DeidPolicy names the de-identification policy of a project.
type DeidPolicy struct {
	Name   string `cbor:"0,keyasint"` // with version, as gbt39725-agreement@1
	Digest Digest `cbor:"1,keyasint"` // SM3 of the policy's canonical form
}

// ApplyProject asks hospitals for data. The institute signs it; the proxy hospital, which
// will deliver, carries it.
type ApplyProject struct {
	ID        string     `cbor:"0,keyasint"`
	Proxy     string     `cbor:"1,keyasint"`
	Hospitals []string   `cbor:"2,keyasint"` // members whose records are asked for, each once
	Purpose   string     `cbor:"3,keyasint"` // public, at most 512 bytes
	Ethics    Ethics     `cbor:"4,keyasint"`
	Protocol  Digest     `cbor:"5,keyasint"` // SM3 of the research protocol
	Cohort    Cohort     `cbor:"6,keyasint"`
	Fields    []string   `cbor:"7,keyasint"` // elements asked for; empty means what the policy leaves
	Sharing   Sharing    `cbor:"8,keyasint"`
	Policy    DeidPolicy `cbor:"9,keyasint"`
	// MinGroup is k: the fewest persons that may share one combination of quasi-identifiers
	// in a release.
	MinGroup uint32 `cbor:"10,keyasint"`
	NotAfter int64  `cbor:"11,keyasint"` // end of the project, Unix milliseconds
}

// Kind implements Body.
func (ApplyProject) Kind() Kind { return KindApplyProject }

// Validate implements Body.
func (b ApplyProject) Validate() error {
	switch {
	case !ValidProject(b.ID):
		return malformed(b.Kind(), "project id: the institute's id, a dot and a name of the institute's choice")
	case !validMSP(b.Proxy) || !distinctMembers(b.Hospitals):
		return malformed(b.Kind(), "proxy or hospitals")
	case b.Purpose == "" || !validText(b.Purpose, maxPurpose):
		return malformed(b.Kind(), "purpose")
	case !b.Ethics.valid():
		return malformed(b.Kind(), "ethics approval: board, number, expiry and digest of the letter")
	case b.Protocol.IsZero():
		return malformed(b.Kind(), "no protocol")
	case !b.Cohort.valid():
		return malformed(b.Kind(), "cohort")
	case len(b.Fields) > maxFields || !all(b.Fields, validCode):
		return malformed(b.Kind(), "fields")
	case b.Policy.Digest.IsZero() || !validCode(b.Policy.Name):
		return malformed(b.Kind(), "policy")
	case b.NotAfter <= 0:
		return malformed(b.Kind(), "no end")
	}
	return b.validateSharing()
}

func (b ApplyProject) validateSharing() error {
	switch b.Sharing {
	case SharePublic, ShareAgreement:
		if b.MinGroup < MinGroupShared {
			return malformed(b.Kind(), fmt.Sprintf("groups of %d persons, %d are the least for data that leave (GB/T 39725-2020)", b.MinGroup, MinGroupShared))
		}
	case ShareEnclave:
		if b.MinGroup < 2 {
			return malformed(b.Kind(), "groups of fewer than 2 persons")
		}
	default:
		return malformed(b.Kind(), "sharing is public, agreement or enclave")
	}
	return nil
}

func distinctMembers(list []string) bool {
	return len(list) > 0 && len(list) <= maxHospitals && all(list, validMSP) && distinct(list)
}

func distinct[T comparable](list []T) bool {
	for i, v := range list {
		if slices.Contains(list[:i], v) {
			return false
		}
	}
	return true
}

// twoPersons reports whether a list holds the keyed digests of two or more members of
// staff, all different.
func twoPersons(list []Digest) bool {
	return len(list) >= 2 && len(list) <= maxCommittee && distinct(list) && !slices.Contains(list, Digest{})
}

// DecideProject is the word of a hospital's committee on a project. A later one takes the
// place of an earlier one, so that an approval can be withdrawn.
type DecideProject struct {
	Project string `cbor:"0,keyasint"`
	// Terms is StatementDigest of the application that the committee saw.
	Terms     Digest   `cbor:"1,keyasint"`
	Approved  bool     `cbor:"2,keyasint"`
	Reason    string   `cbor:"3,keyasint"` // code of a refusal; may be empty in an approval
	Committee []Digest `cbor:"4,keyasint"` // keyed digests of two or more persons
	NotAfter  int64    `cbor:"5,keyasint"` // end of the approval, Unix milliseconds; 0 in a refusal
}

// Kind implements Body.
func (DecideProject) Kind() Kind { return KindDecideProject }

// Validate implements Body.
func (b DecideProject) Validate() error {
	switch {
	case !ValidProject(b.Project) || b.Terms.IsZero():
		return malformed(b.Kind(), "project or terms missing")
	case !twoPersons(b.Committee):
		return malformed(b.Kind(), "two or more different persons of the committee are needed")
	case b.Approved && b.NotAfter <= 0:
		return malformed(b.Kind(), "an approval needs an end")
	case !b.Approved && (b.NotAfter != 0 || !validCode(b.Reason)):
		return malformed(b.Kind(), "a refusal needs a reason and has no end")
	case !validText(b.Reason, maxCode):
		return malformed(b.Kind(), "reason")
	}
	return nil
}

// CloseProject ends a project for good: nothing is released any more. The institute signs it.
type CloseProject struct {
	Project string `cbor:"0,keyasint"`
	Reason  string `cbor:"1,keyasint"` // code
}

// Kind implements Body.
func (CloseProject) Kind() Kind { return KindCloseProject }

// Validate implements Body.
func (b CloseProject) Validate() error {
	if !ValidProject(b.Project) || !validCode(b.Reason) {
		return malformed(b.Kind(), "project or reason missing")
	}
	return nil
}

// Risk holds the figures of the risk gate for one release.
type Risk struct {
	K               uint32 `cbor:"0,keyasint"` // smallest group
	MaxPermille     uint32 `cbor:"1,keyasint"` // highest prosecutor risk, ‰
	AveragePermille uint32 `cbor:"2,keyasint"` // average prosecutor risk, ‰
}

// RecordRelease says what one hospital releases to a project. It is committed before the
// dataset leaves. A hospital numbers its releases of a project 1, 2, … without gaps; the
// same number with the same content again changes nothing.
type RecordRelease struct {
	Project   string `cbor:"0,keyasint"`
	Sequence  uint32 `cbor:"1,keyasint"`
	Root      Digest `cbor:"2,keyasint"` // Merkle root over the dataset's rows
	Package   Digest `cbor:"3,keyasint"` // SM3 of the signed delivery, which names all sealed volumes
	Recipient Digest `cbor:"4,keyasint"` // SM3 of the institute's encryption certificate, DER
	Rows      uint64 `cbor:"5,keyasint"`
	Subjects  uint32 `cbor:"6,keyasint"` // persons
	Policy    Digest `cbor:"7,keyasint"` // of the de-identification policy applied
	Risk      Risk   `cbor:"8,keyasint"`
	Gate      bool   `cbor:"9,keyasint"` // the leak gate found nothing
}

// Kind implements Body.
func (RecordRelease) Kind() Kind { return KindRecordRelease }

// Validate implements Body.
func (b RecordRelease) Validate() error {
	switch {
	case !ValidProject(b.Project) || b.Sequence == 0:
		return malformed(b.Kind(), "project or sequence missing")
	case b.Root.IsZero() || b.Package.IsZero() || b.Recipient.IsZero() || b.Policy.IsZero():
		return malformed(b.Kind(), "root, package, recipient or policy missing")
	case uint64(b.Subjects) > b.Rows || b.Rows > 0 && b.Subjects == 0:
		return malformed(b.Kind(), "more persons than rows, or rows of nobody")
	case b.Risk.MaxPermille > 1000 || b.Risk.AveragePermille > b.Risk.MaxPermille || b.Risk.K > b.Subjects:
		return malformed(b.Kind(), "risk figures do not fit together")
	}
	return nil
}

// WithdrawSubjects tells the institute to delete persons from what it was given. Notices of
// a hospital to a project are numbered 1, 2, … without gaps, apart from its releases.
type WithdrawSubjects struct {
	Project  string `cbor:"0,keyasint"`
	Sequence uint32 `cbor:"1,keyasint"`
	Subjects Digest `cbor:"2,keyasint"` // SubjectsDigest of the pseudonyms; zero if All
	Count    uint32 `cbor:"3,keyasint"` // of pseudonyms; 0 if All
	All      bool   `cbor:"4,keyasint"` // everything that the hospital released to the project
	Reason   string `cbor:"5,keyasint"` // code, as consent-withdrawn or project-ended
	DueBy    int64  `cbor:"6,keyasint"` // until when it must be done, Unix milliseconds
}

// Kind implements Body.
func (WithdrawSubjects) Kind() Kind { return KindWithdrawSubjects }

// Validate implements Body.
func (b WithdrawSubjects) Validate() error {
	switch {
	case !ValidProject(b.Project) || b.Sequence == 0:
		return malformed(b.Kind(), "project or sequence missing")
	case b.All != b.Subjects.IsZero() || b.All != (b.Count == 0):
		return malformed(b.Kind(), "either pseudonyms, by digest and number, or all")
	case !validCode(b.Reason) || b.DueBy <= 0:
		return malformed(b.Kind(), "reason or due time missing")
	}
	return nil
}

// ConfirmDeletion is the institute's word that it deleted what a notice names, in all its
// copies. It repeats the digest and the number of the notice.
type ConfirmDeletion struct {
	Project  string `cbor:"0,keyasint"`
	Hospital string `cbor:"1,keyasint"` // whose notice it answers
	Sequence uint32 `cbor:"2,keyasint"` // of the notice
	Subjects Digest `cbor:"3,keyasint"`
	Count    uint32 `cbor:"4,keyasint"`
	Method   string `cbor:"5,keyasint"` // code, as erased or key-destroyed
}

// Kind implements Body.
func (ConfirmDeletion) Kind() Kind { return KindConfirmDeletion }

// Validate implements Body.
func (b ConfirmDeletion) Validate() error {
	switch {
	case !ValidProject(b.Project) || !validMSP(b.Hospital) || b.Sequence == 0:
		return malformed(b.Kind(), "project, hospital or sequence missing")
	case b.Subjects.IsZero() != (b.Count == 0):
		return malformed(b.Kind(), "digest and number of pseudonyms do not fit")
	case !validCode(b.Method):
		return malformed(b.Kind(), "no method")
	}
	return nil
}

// Reidentify records that two persons of a hospital look up who a subject of a project is,
// because of a finding that matters to the patient. It is committed before they are told.
// Who it is stays in the hospital.
type Reidentify struct {
	Project string   `cbor:"0,keyasint"`
	Subject Digest   `cbor:"1,keyasint"` // SubjectsDigest of the one pseudonym
	Reason  string   `cbor:"2,keyasint"` // code of the purpose
	Finding Digest   `cbor:"3,keyasint"` // SM3 of the institute's report; may be zero
	Staff   []Digest `cbor:"4,keyasint"` // keyed digests of two or more persons
}

// Kind implements Body.
func (Reidentify) Kind() Kind { return KindReidentify }

// Validate implements Body.
func (b Reidentify) Validate() error {
	switch {
	case !ValidProject(b.Project) || b.Subject.IsZero() || !validCode(b.Reason):
		return malformed(b.Kind(), "project, subject or reason missing")
	case !twoPersons(b.Staff):
		return malformed(b.Kind(), "two or more different members of staff are needed")
	}
	return nil
}

// StatementDigest is the SM3 of a statement's canonical bytes.
func StatementDigest(canonical []byte) Digest { return sm3.Sum(canonical) }

// SubjectsDigest is the SM3 over pseudonyms in bytewise order, each once and behind its
// length (4 bytes, big-endian). Pseudonyms must be keyed, or the digest could be guessed.
func SubjectsDigest(pseudonyms []string) Digest {
	sorted := slices.Compact(slices.Sorted(slices.Values(pseudonyms)))
	var buf []byte
	for _, p := range sorted {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(p)))
		buf = append(buf, p...)
	}
	return sm3.Sum(buf)
}
