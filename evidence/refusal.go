package evidence

import (
	"encoding/json"
	"strings"
)

// Code says why the contract refused a statement.
type Code string

// Codes of refusals.
const (
	CodeMalformed    Code = "MALFORMED"     // not canonical, out of bounds
	CodeUnauthorized Code = "UNAUTHORIZED"  // the actor may not do this
	CodeNotMember    Code = "NOT_MEMBER"    // the actor is not registered, or suspended
	CodeBadSignature Code = "BAD_SIGNATURE" // signature or certificate does not verify
	CodeStale        Code = "STALE"         // issued too long before or after the transaction
	CodeReplayed     Code = "REPLAYED"      // the nonce was used before
	CodeConflict     Code = "CONFLICT"      // the id is taken by other content
	CodeNotFound     Code = "NOT_FOUND"     // what the statement refers to is not there
	CodeNoConsent    Code = "NO_CONSENT"    // no consent allows this access
	CodeBadState     Code = "BAD_STATE"     // not possible in the present state
	CodeLimit        Code = "LIMIT"         // a bound of the contract is exceeded
	CodeNotApproved  Code = "NOT_APPROVED"  // the hospital or the proxy has not approved the project
	CodeExpired      Code = "EXPIRED"       // project, ethics approval or hospital's approval is over
	CodeGate         Code = "GATE"          // the leak gate or the risk gate of a release did not pass
)

// Refusal is the contract's answer to a statement that it does not accept. The contract
// puts its JSON form into the error message of the transaction.
type Refusal struct {
	Code    Code       `json:"code"`
	Message string     `json:"message"`
	IDs     []RecordID `json:"ids,omitempty"` // the records meant, for CONFLICT and UNAUTHORIZED
}

// Error implements error with the JSON form.
func (r *Refusal) Error() string {
	b, err := json.Marshal(r)
	if err != nil {
		return string(r.Code) // strings and ids always encode
	}
	return string(b)
}

// ParseRefusal finds a refusal in the message of a failed transaction, which Fabric wraps
// in words of its own.
func ParseRefusal(message string) (*Refusal, bool) {
	start := strings.Index(message, `{"code":"`)
	if start < 0 {
		return nil, false
	}
	var r Refusal
	if err := json.NewDecoder(strings.NewReader(message[start:])).Decode(&r); err != nil || r.Code == "" {
		return nil, false
	}
	return &r, true
}
