package evidence

// ContractName is the name under which the contract is deployed.
const ContractName = "emrbridge"

// Transactions of the contract. Each takes one argument, the encoded Signed statement,
// except as said.
const (
	TxBootstrap       = "Bootstrap"       // argument: the authority's certificate, DER; once
	TxRegisterMember  = "RegisterMember"  //
	TxSetMemberStatus = "SetMemberStatus" //
	TxRegisterPatient = "RegisterPatient" //
	TxAnchorBatch     = "AnchorBatch"     // entries in the transient map under TransientEntries, or as second argument
	TxGrantConsent    = "GrantConsent"    //
	TxRevokeConsent   = "RevokeConsent"   //
	TxRequestAccess   = "RequestAccess"   //
	TxDecideAccess    = "DecideAccess"    //
	TxDeliver         = "Deliver"         //
	TxConfirm         = "Confirm"         //
	TxReviewEmergency = "ReviewEmergency" //
	TxDestroyKey      = "DestroyKey"      //
	TxLinkTag         = "LinkTag"         //
	TxUnlinkTag       = "UnlinkTag"       //

	TxRegisterInstitute  = "RegisterInstitute"
	TxSetInstituteStatus = "SetInstituteStatus"
	TxApplyProject       = "ApplyProject"
	TxDecideProject      = "DecideProject"
	TxCloseProject       = "CloseProject"
	TxRecordRelease      = "RecordRelease"
	TxWithdrawSubjects   = "WithdrawSubjects"
	TxConfirmDeletion    = "ConfirmDeletion"
	TxReidentify         = "Reidentify"
)

// Queries of the contract. Ids and tags are arguments in their text form; answers are
// JSON of the types named. A page is asked for with a size and the bookmark of the page
// before ("" for the first).
const (
	QueryAuthority     = "GetAuthority"      // → Authority
	QueryMember        = "GetMember"         // msp → Member
	QueryMembers       = "ListMembers"       // → []Member
	QueryPatient       = "GetPatient"        // tag → []Registration, one for each hospital
	QueryAnchor        = "GetAnchor"         // tag, record id → Anchor
	QueryAnchors       = "ListAnchors"       // tag, page size, bookmark → Page[Anchor]
	QueryBatch         = "GetBatch"          // hospital number, nonce → Batch
	QueryConsent       = "GetConsent"        // consent id → Consent
	QueryConsents      = "ListConsents"      // tag, page size, bookmark → Page[Consent]
	QueryAccess        = "GetAccess"         // request id → Access
	QueryAccesses      = "ListAccesses"      // owner or requester msp, page size, bookmark → Page[Access]
	QueryAccessesByTag = "ListAccessesByTag" // tag, page size, bookmark → Page[Access]
	QueryEmergencies   = "ListEmergencies"   // owner msp, page size, bookmark → Page[Access], those not reviewed
	QueryDestructions  = "ListDestructions"  // tag, page size, bookmark → Page[Destruction]
	QueryTagLinks      = "ListTagLinks"      // tag, page size, bookmark → Page[TagLink], those that lead to the tag, by hospital, nearest first
	QueryLinkedAnchors = "ListLinkedAnchors" // tag, page size, bookmark → Page[Anchor], under tags linked to the tag, each of the linking hospital alone
	QueryTagHistory    = "ListTagHistory"    // tag, page size, bookmark → Page[TagStep]

	QueryInstitute         = "GetInstitute"          // institute id → Institute
	QueryInstitutes        = "ListInstitutes"        // → []Institute
	QueryProject           = "GetProject"            // project id → Project
	QueryProjects          = "ListProjects"          // institute, proxy or hospital, page size, bookmark → Page[Project]
	QueryRelease           = "GetRelease"            // project id, msp, sequence → Release
	QueryReleases          = "ListReleases"          // project id, page size, bookmark → Page[Release], by hospital and sequence
	QueryWithdrawals       = "ListWithdrawals"       // project id, page size, bookmark → Page[Withdrawal], by hospital and sequence
	QueryReidentifications = "ListReidentifications" // project id, page size, bookmark → Page[Reidentification], newest first
)

// TransientEntries is the key of the transient map under which the entries of a batch
// travel, so that the block holds only the write set.
const TransientEntries = "entries"

// MaxPageSize is the largest page that a query returns.
const MaxPageSize = 500

// StatementWindow is how far, in milliseconds, the time of a statement may lie from the
// timestamp of the transaction that carries it. It is the tolerance between the clocks of
// two members everywhere: see also Consent.CountsFrom.
const StatementWindow = 10 * 60 * 1000

// Events set by the contract, one for each transaction. The payload is JSON of Event.
const (
	EventAnchored = "anchored" // AnchorBatch
	EventChanged  = "changed"  // every other statement
)

// Event tells what a committed transaction did. It names ids only.
type Event struct {
	Kind  Kind   `json:"kind"`
	Actor string `json:"actor"`
	ID    Nonce  `json:"id"`              // nonce of the statement
	Ref   string `json:"ref,omitempty"`   // what it refers to: a request, a consent, a member, an institute, a project
	Owner string `json:"owner,omitempty"` // the other member concerned
	Count uint32 `json:"count,omitempty"` // entries newly anchored; persons of a withdrawal
}

// Page is one page of an answer. Bookmark is empty on the last one.
type Page[T any] struct {
	Items    []T    `json:"items"`
	Bookmark string `json:"bookmark"`
}

// Authority is the root of the members' SM2 certificates. A reader compares it with the
// certificate that it was given outside the ledger.
type Authority struct {
	Certificate []byte `json:"certificate"` // DER
}

// Member is a registered member. Signed is the statement that registered it, so that a
// reader need not trust the peer that answered.
type Member struct {
	MSP    string         `json:"msp"`
	Info   RegisterMember `json:"info"`
	Status MemberStatus   `json:"status"`
	Signed Signed         `json:"signed"`
	// StatusSigned is the authority's last statement on the member's status, if there is one.
	StatusSigned *Signed `json:"status_signed,omitempty"`
	// Earlier are the registrations with other signing keys, newest first, each key once, at
	// most MaxEarlier. What was signed with one of these keys up to its Until stays signed;
	// the contract itself accepts the present key alone.
	Earlier []Earlier `json:"earlier,omitempty"`
}

// MaxEarlier is how many former signing keys of a member the ledger keeps.
const MaxEarlier = 16

// Earlier is a registration that was replaced by one with another signing key.
type Earlier struct {
	Signed Signed `json:"signed"`
	// Until is the time of the transaction that replaced it, Unix milliseconds.
	Until int64 `json:"until"`
}

// Registration is a T_R on the ledger.
type Registration struct {
	Hospital string `json:"hospital"`
	Tag      Tag    `json:"tag"`
	Digest   Digest `json:"digest"`
	Signed   Signed `json:"signed"`
}

// Anchor is a T_M on the ledger.
type Anchor struct {
	Entry
	HospitalNumber uint16 `json:"hospital_number"`
}

// Batch is the header of a batch on the ledger.
type Batch struct {
	HospitalNumber uint16      `json:"hospital_number"`
	Nonce          Nonce       `json:"nonce"`
	Header         AnchorBatch `json:"header"`
	IssuedAt       int64       `json:"issued_at"`
	Signed         Signed      `json:"signed"`
}

// Consent is a consent on the ledger.
type Consent struct {
	ID       Nonce        `json:"id"`
	Hospital string       `json:"hospital"` // the member that recorded it
	Terms    GrantConsent `json:"terms"`
	Since    int64        `json:"since"` // Unix milliseconds
	Revoked  bool         `json:"revoked"`
	// RevokedAt is the time of revocation, Unix milliseconds, 0 if it stands.
	RevokedAt  int64   `json:"revoked_at,omitempty"`
	Signed     Signed  `json:"signed"`
	Revocation *Signed `json:"revocation,omitempty"`
}

// CountsFrom is when a consent begins to count, Unix milliseconds. Since is the time of
// another member's transaction, so the beginning gets the tolerance that statements have:
// an access right after the consent must not fail on a clock that lags. The contract and
// the gateway of the owner both go by it.
func (c Consent) CountsFrom() int64 { return c.Since - StatementWindow }

// AccessState is the state of an access request.
type AccessState string

// States of an access request, in order.
const (
	AccessRequested AccessState = "requested"
	AccessGranted   AccessState = "granted"
	AccessDenied    AccessState = "denied"
	AccessDelivered AccessState = "delivered"
	AccessConfirmed AccessState = "confirmed"
)

// Access is an access request on the ledger with all that followed.
type Access struct {
	ID          Nonce         `json:"id"`
	Requester   string        `json:"requester"`
	Request     RequestAccess `json:"request"`
	State       AccessState   `json:"state"`
	RequestedAt int64         `json:"requested_at"` // Unix milliseconds
	Decision    *DecideAccess `json:"decision,omitempty"`
	DecidedAt   int64         `json:"decided_at,omitempty"`
	Delivery    *Deliver      `json:"delivery,omitempty"`
	Outcome     *Confirm      `json:"outcome,omitempty"`
	// Reviewed is set once an emergency access was reviewed.
	Reviewed *ReviewEmergency `json:"reviewed,omitempty"`
	// Statements are the signed statements of each step, in order.
	Statements []Signed `json:"statements"`
}

// Destruction is the record of a destroyed key.
type Destruction struct {
	ID       Nonce      `json:"id"`
	Hospital string     `json:"hospital"`
	Terms    DestroyKey `json:"terms"`
	At       int64      `json:"at"`
	Signed   Signed     `json:"signed"`
}

// AnchorReceipt is the answer of AnchorBatch.
type AnchorReceipt struct {
	Batch      Nonce      `json:"batch"`
	Anchored   uint32     `json:"anchored"`
	Duplicates []RecordID `json:"duplicates,omitempty"` // anchored before with the same content
}
