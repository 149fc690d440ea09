package local

import (
	"log/slog"
	"time"

	"github.com/emrbridge/emrbridge/bridge/retrieve"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
)

// Patient is an identity as it travels: a resident number, or a number of one hospital.
// It redacts itself in logs.
type Patient struct {
	ResidentID string `json:"resident_id,omitempty"`
	MSP        string `json:"msp,omitempty"` // the hospital that gave Value
	Authority  string `json:"authority,omitempty"`
	Type       string `json:"type,omitempty"`
	Value      string `json:"value,omitempty"`
}

// LogValue implements slog.LogValuer.
func (Patient) LogValue() slog.Value { return slog.StringValue("[patient]") }

func (p Patient) identity() keystore.Identity {
	return keystore.Identity{ResidentID: p.ResidentID,
		Local: keystore.LocalIdentity{MSPID: p.MSP, Authority: p.Authority, Type: p.Type, Value: p.Value}}
}

// RetrieveRequest asks for records.
type RetrieveRequest struct {
	Patient   Patient             `json:"patient"`
	Owners    []string            `json:"owners,omitempty"`
	Kinds     []string            `json:"kinds,omitempty"`
	Records   []evidence.RecordID `json:"records,omitempty"`
	Purpose   evidence.Purpose    `json:"purpose,omitempty"` // default treatment
	Emergency *Emergency          `json:"emergency,omitempty"`
	// Payloads asks for the contents; without it only the verdicts come back.
	Payloads bool `json:"payloads,omitempty"`
	// Proofs asks for each whole record, with its envelope, and for what proved it.
	Proofs bool `json:"proofs,omitempty"`
}

// Emergency is a reason code and the members of staff who vouch for it.
type Emergency struct {
	Reason string   `json:"reason"`
	Staff  []string `json:"staff"`
}

// LogValue implements slog.LogValuer.
func (e Emergency) LogValue() slog.Value { return slog.StringValue(e.Reason) }

// RetrieveResponse is what a retrieval brought.
type RetrieveResponse struct {
	Deliveries []Delivery `json:"deliveries"`
	Timings    Timings    `json:"timings_ms"`
}

// Delivery is what one access request brought.
type Delivery struct {
	Owner     string           `json:"owner"`
	Request   string           `json:"request,omitempty"`
	Verdict   evidence.Verdict `json:"verdict,omitempty"`
	Confirmed bool             `json:"confirmed"`
	Denied    bool             `json:"denied"`
	Error     string           `json:"error,omitempty"`  // code
	Reason    string           `json:"reason,omitempty"` // of a denial, as on the ledger
	Message   string           `json:"message,omitempty"`
	Records   []Record         `json:"records"`
	Timings   Timings          `json:"timings_ms"`
}

// Record is one record with its verdict.
type Record struct {
	ID        string           `json:"id"`
	Owner     string           `json:"owner"`
	Verdict   evidence.Verdict `json:"verdict"`
	Check     retrieve.Check   `json:"check,omitempty"`  // what it failed
	Absent    string           `json:"absent,omitempty"` // why the owner did not send it
	Kind      string           `json:"kind,omitempty"`
	EventTime string           `json:"event_time,omitempty"`
	MediaType string           `json:"media_type,omitempty"`
	Charset   string           `json:"charset,omitempty"`
	Bytes     int              `json:"bytes,omitempty"`
	Payload   []byte           `json:"payload,omitempty"` // base64
	// EMR is the whole record, its canonical bytes (base64), and Proof what proved it; both
	// only where RetrieveRequest.Proofs asks for them.
	EMR   []byte `json:"emr,omitempty"`
	Proof *Proof `json:"proof,omitempty"`
}

// Proof is what proved a genuine record; see retrieve.Proof.
type Proof struct {
	EMR       evidence.Digest `json:"emr"`
	Cipher    evidence.Digest `json:"cipher"`
	Signature []byte          `json:"signature"`
	Signed    []byte          `json:"signed"`
	SealedAt  time.Time       `json:"sealed_at"`
	Tag       evidence.Tag    `json:"tag"`
}

// LogValue implements slog.LogValuer.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.ID) }

// Timings are in milliseconds; consensus is the share spent waiting for commits.
type Timings struct {
	Lookup    float64 `json:"lookup"`
	Request   float64 `json:"request"`
	Decision  float64 `json:"decision"`
	Transfer  float64 `json:"transfer"`
	Delivery  float64 `json:"delivery"`
	Open      float64 `json:"open"`
	Confirm   float64 `json:"confirm"`
	Consensus float64 `json:"consensus"`
	Total     float64 `json:"total"`
}

func timings(t retrieve.Timings) Timings {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return Timings{Lookup: ms(t.Lookup), Request: ms(t.Request), Decision: ms(t.Decision), Transfer: ms(t.Transfer),
		Delivery: ms(t.Delivery), Open: ms(t.Open), Confirm: ms(t.Confirm), Consensus: ms(t.Consensus()), Total: ms(t.Total)}
}

// ConsentRequest records what a patient allows.
type ConsentRequest struct {
	Patient  Patient            `json:"patient"`
	Grantees []string           `json:"grantees"`
	Owners   []string           `json:"owners,omitempty"`   // default: this hospital
	Purposes []evidence.Purpose `json:"purposes,omitempty"` // default: treatment
	Kinds    []string           `json:"kinds,omitempty"`
	NotAfter time.Time          `json:"not_after"`
	Form     evidence.Digest    `json:"form,omitzero"` // digest of the signed form
}

// ConsentResponse names the consent.
type ConsentResponse struct {
	ID evidence.Nonce `json:"id"`
}

// ReviewRequest closes the review of an emergency.
type ReviewRequest struct {
	Justified bool   `json:"justified"`
	Reviewer  string `json:"reviewer"` // staff identity
}

// LogValue implements slog.LogValuer.
func (r ReviewRequest) LogValue() slog.Value { return slog.BoolValue(r.Justified) }

// Failure is the body of every answer that is no success.
type Failure struct {
	Code    string `json:"error"`
	Message string `json:"message,omitempty"`
}

// Codes of failures.
const (
	CodeMalformed    = "malformed"
	CodeUnauthorized = "unauthorized"
	CodeQuery        = "invalid-query"
	CodeNothing      = "no-records"
	CodeDenied       = "denied"
	CodeRefused      = "refused" // by the contract or another hospital
	CodeTransfer     = "transfer"
	CodeUntrusted    = "untrusted"
	CodeLimit        = "limit"
	CodeInternal     = "internal"
)
