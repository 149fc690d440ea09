package evidence

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// Limits of the fields of statements.
const (
	maxName  = 128
	maxCert  = 8 << 10
	maxCode  = 64
	maxList  = 64
	maxBatch = 5000
)

// MaxBatch is the largest number of entries in one batch.
const MaxBatch = maxBatch

// Anyone stands for every member in the lists of a consent.
const Anyone = "*"

// ValidMSP reports whether s may name a member: 1 to 64 letters, digits, '-', '.' or '_'.
func ValidMSP(s string) bool { return validMSP(s) }

func validMSP(s string) bool {
	if s == "" || len(s) > maxCode {
		return false
	}
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '.' && c != '_' {
			return false
		}
	}
	return true
}

func validText(s string, limit int) bool { return len(s) <= limit && utf8.ValidString(s) }

func validCode(s string) bool { return s != "" && validText(s, maxCode) }

func malformed(kind Kind, what string) error {
	return fmt.Errorf("%w: %s: %s", ErrMalformed, kind, what)
}

// RegisterMember binds a member's MSP to its SM2 certificates, or renews them. The
// certificates chain to the consortium's authority and name the MSP as organisation.
type RegisterMember struct {
	Number      uint16 `cbor:"0,keyasint"`
	Name        string `cbor:"1,keyasint"`
	SignCert    []byte `cbor:"2,keyasint"` // DER, SM2, key usage digitalSignature
	EncryptCert []byte `cbor:"3,keyasint"` // DER, SM2, key usage keyEncipherment
	Endpoint    string `cbor:"4,keyasint"` // https URL of the institution-to-institution gateway
	GatewayKey  Digest `cbor:"5,keyasint"` // SHA-256 of the gateway certificate's SubjectPublicKeyInfo
}

// Kind implements Body.
func (RegisterMember) Kind() Kind { return KindRegisterMember }

// Validate implements Body.
func (b RegisterMember) Validate() error {
	switch {
	case b.Number == 0:
		return malformed(b.Kind(), "hospital number 0")
	case b.Name == "" || !validText(b.Name, maxName):
		return malformed(b.Kind(), "name")
	case len(b.SignCert) == 0 || len(b.SignCert) > maxCert || len(b.EncryptCert) == 0 || len(b.EncryptCert) > maxCert:
		return malformed(b.Kind(), "certificate missing or too large")
	case !validText(b.Endpoint, 256):
		return malformed(b.Kind(), "endpoint")
	}
	return nil
}

// MemberStatus says whether a member may act.
type MemberStatus string

// Member states.
const (
	MemberActive    MemberStatus = "active"
	MemberSuspended MemberStatus = "suspended"
)

// AuthorityActor is the actor of statements that the consortium authority signs. No member
// may bear this name.
const AuthorityActor = "authority"

// SetMemberStatus suspends a member or lets it act again. The consortium authority signs
// it; any member may submit it.
type SetMemberStatus struct {
	Member string       `cbor:"0,keyasint"`
	Status MemberStatus `cbor:"1,keyasint"`
	Reason string       `cbor:"2,keyasint"` // code, at most 64 bytes
}

// Kind implements Body.
func (SetMemberStatus) Kind() Kind { return KindSetMemberStatus }

// Validate implements Body.
func (b SetMemberStatus) Validate() error {
	if !validMSP(b.Member) || !validCode(b.Reason) || (b.Status != MemberActive && b.Status != MemberSuspended) {
		return malformed(b.Kind(), "member, status or reason")
	}
	return nil
}

// RegisterPatient is T_R of the scheme: (register, h(PI‖No), sig_p). Both the digest and
// the tag are keyed, so that nobody outside the vaults can try identity numbers.
type RegisterPatient struct {
	Tag    Tag    `cbor:"0,keyasint"`
	Digest Digest `cbor:"1,keyasint"`
}

// Kind implements Body.
func (RegisterPatient) Kind() Kind { return KindRegisterPatient }

// Validate implements Body.
func (b RegisterPatient) Validate() error {
	if b.Tag.IsZero() || b.Digest.IsZero() {
		return malformed(b.Kind(), "tag or digest missing")
	}
	return nil
}

// AnchorBatch is the header of a batch of T_M. The entries travel beside it; Root is the
// Merkle root over them in their order.
type AnchorBatch struct {
	Root  Digest `cbor:"0,keyasint"`
	Count uint32 `cbor:"1,keyasint"`
}

// Kind implements Body.
func (AnchorBatch) Kind() Kind { return KindAnchorBatch }

// Validate implements Body.
func (b AnchorBatch) Validate() error {
	if b.Count == 0 || b.Count > maxBatch {
		return malformed(b.Kind(), fmt.Sprintf("%d entries, 1 to %d are allowed", b.Count, maxBatch))
	}
	return nil
}

// Purpose says what an access is for.
type Purpose string

// Purposes.
const (
	Treatment Purpose = "treatment"
	Research  Purpose = "research"
)

func validPurpose(p Purpose) bool { return p == Treatment || p == Research }

// GrantConsent records that a patient lets members read records. The nonce of the
// statement is the consent's id.
type GrantConsent struct {
	Tag      Tag       `cbor:"0,keyasint"`
	Grantees []string  `cbor:"1,keyasint"` // MSP ids, or Anyone
	Owners   []string  `cbor:"2,keyasint"` // members whose records are meant, or Anyone
	Purposes []Purpose `cbor:"3,keyasint"`
	Kinds    []string  `cbor:"4,keyasint"` // record kinds; empty means all
	NotAfter int64     `cbor:"5,keyasint"` // Unix milliseconds
	Form     Digest    `cbor:"6,keyasint"` // keyed digest of the signed consent form
}

// Kind implements Body.
func (GrantConsent) Kind() Kind { return KindGrantConsent }

// Validate implements Body.
func (b GrantConsent) Validate() error {
	switch {
	case b.Tag.IsZero():
		return malformed(b.Kind(), "no tag")
	case !validMembers(b.Grantees) || !validMembers(b.Owners):
		return malformed(b.Kind(), "grantees or owners")
	case len(b.Purposes) == 0 || len(b.Purposes) > maxList || !all(b.Purposes, validPurpose):
		return malformed(b.Kind(), "purposes")
	case len(b.Kinds) > maxList || !all(b.Kinds, validCode):
		return malformed(b.Kind(), "kinds")
	case b.NotAfter <= 0:
		return malformed(b.Kind(), "no expiry")
	}
	return nil
}

func validMembers(list []string) bool {
	return len(list) > 0 && len(list) <= maxList && all(list, func(s string) bool { return s == Anyone || validMSP(s) })
}

func all[T any](list []T, ok func(T) bool) bool {
	return !slices.ContainsFunc(list, func(v T) bool { return !ok(v) })
}

// RevokeConsent ends a consent.
type RevokeConsent struct {
	Consent Nonce `cbor:"0,keyasint"`
}

// Kind implements Body.
func (RevokeConsent) Kind() Kind { return KindRevokeConsent }

// Validate implements Body.
func (b RevokeConsent) Validate() error {
	if b.Consent.IsZero() {
		return malformed(b.Kind(), "no consent id")
	}
	return nil
}

// RequestAccess asks a member for records of a patient. The nonce of the statement is the
// request's id.
type RequestAccess struct {
	Tag     Tag        `cbor:"0,keyasint"`
	Owner   string     `cbor:"1,keyasint"` // MSP id of the member that holds the records
	Purpose Purpose    `cbor:"2,keyasint"`
	Records []RecordID `cbor:"3,keyasint"` // empty asks for all
	// RequesterKey is the SM3 digest of the encryption certificate that grants are to be
	// wrapped for.
	RequesterKey Digest `cbor:"4,keyasint"`
	// Emergency asks for access without consent. It needs a reason and the keyed digests
	// of two different members of staff.
	Emergency bool     `cbor:"5,keyasint"`
	Reason    string   `cbor:"6,keyasint"`
	Staff     []Digest `cbor:"7,keyasint"`
}

// MaxRequestRecords is the largest number of records that one request may name.
const MaxRequestRecords = 512

// Kind implements Body.
func (RequestAccess) Kind() Kind { return KindRequestAccess }

// Validate implements Body.
func (b RequestAccess) Validate() error {
	switch {
	case b.Tag.IsZero() || !validMSP(b.Owner) || !validPurpose(b.Purpose) || b.RequesterKey.IsZero():
		return malformed(b.Kind(), "tag, owner, purpose or key missing")
	case len(b.Records) > MaxRequestRecords:
		return malformed(b.Kind(), fmt.Sprintf("%d records, %d are allowed", len(b.Records), MaxRequestRecords))
	case !validText(b.Reason, maxCode):
		return malformed(b.Kind(), "reason")
	case len(b.Staff) > 8:
		return malformed(b.Kind(), "staff")
	case b.Emergency:
		return b.validateEmergency()
	}
	return nil
}

func (b RequestAccess) validateEmergency() error {
	two := len(b.Staff) >= 2 && b.Staff[0] != b.Staff[1] && !b.Staff[0].IsZero() && !b.Staff[1].IsZero()
	if b.Reason == "" || !two {
		return malformed(b.Kind(), "emergency access needs a reason and two different members of staff")
	}
	if b.Purpose != Treatment {
		return malformed(b.Kind(), "emergency access is for treatment only")
	}
	return nil
}

// DecideAccess grants or denies a request. A grant names the consent that allows it,
// except for an emergency.
type DecideAccess struct {
	Request Nonce  `cbor:"0,keyasint"`
	Granted bool   `cbor:"1,keyasint"`
	Consent Nonce  `cbor:"2,keyasint"` // zero in a denial and in an emergency
	Reason  string `cbor:"3,keyasint"` // code of a denial
	// NotAfter is when the grant ends, Unix milliseconds.
	NotAfter int64 `cbor:"4,keyasint"`
}

// Kind implements Body.
func (DecideAccess) Kind() Kind { return KindDecideAccess }

// Validate implements Body.
func (b DecideAccess) Validate() error {
	switch {
	case b.Request.IsZero():
		return malformed(b.Kind(), "no request id")
	case !b.Granted && !validCode(b.Reason):
		return malformed(b.Kind(), "a denial needs a reason")
	case b.Granted && b.NotAfter <= 0:
		return malformed(b.Kind(), "a grant needs an end")
	case !validText(b.Reason, maxCode):
		return malformed(b.Kind(), "reason")
	}
	return nil
}

// Deliver records that ciphertexts and key grants left the owner.
type Deliver struct {
	Request Nonce  `cbor:"0,keyasint"`
	Count   uint32 `cbor:"1,keyasint"` // records delivered
	Grants  Digest `cbor:"2,keyasint"` // SM3 over the delivered key grants in order
}

// Kind implements Body.
func (Deliver) Kind() Kind { return KindDeliver }

// Validate implements Body.
func (b Deliver) Validate() error {
	if b.Request.IsZero() || b.Grants.IsZero() {
		return malformed(b.Kind(), "request id or digest missing")
	}
	return nil
}

// Verdict is what the requester found.
type Verdict string

// Verdicts.
const (
	Genuine    Verdict = "genuine"
	NotGenuine Verdict = "not-genuine"
	Incomplete Verdict = "incomplete"
)

// Confirm closes a request with the requester's verdict.
type Confirm struct {
	Request Nonce   `cbor:"0,keyasint"`
	Verdict Verdict `cbor:"1,keyasint"`
	Count   uint32  `cbor:"2,keyasint"` // records opened and proved genuine
}

// Kind implements Body.
func (Confirm) Kind() Kind { return KindConfirm }

// Validate implements Body.
func (b Confirm) Validate() error {
	if b.Request.IsZero() || (b.Verdict != Genuine && b.Verdict != NotGenuine && b.Verdict != Incomplete) {
		return malformed(b.Kind(), "request id or verdict")
	}
	return nil
}

// ReviewEmergency closes the review of an emergency access. The owner makes it.
type ReviewEmergency struct {
	Request   Nonce  `cbor:"0,keyasint"`
	Justified bool   `cbor:"1,keyasint"`
	Reviewer  Digest `cbor:"2,keyasint"` // keyed digest of a member of staff
}

// Kind implements Body.
func (ReviewEmergency) Kind() Kind { return KindReviewEmergency }

// Validate implements Body.
func (b ReviewEmergency) Validate() error {
	if b.Request.IsZero() || b.Reviewer.IsZero() {
		return malformed(b.Kind(), "request id or reviewer missing")
	}
	return nil
}

// DestroyKey records that a patient's key, or the key of one record, was destroyed, so
// that the ciphertext cannot be read any more.
type DestroyKey struct {
	Tag    Tag      `cbor:"0,keyasint"`
	Record RecordID `cbor:"1,keyasint"` // zero means all records under the tag
	Reason string   `cbor:"2,keyasint"`
}

// Kind implements Body.
func (DestroyKey) Kind() Kind { return KindDestroyKey }

// Validate implements Body.
func (b DestroyKey) Validate() error {
	if b.Tag.IsZero() || !validCode(b.Reason) {
		return malformed(b.Kind(), "tag or reason missing")
	}
	return nil
}
