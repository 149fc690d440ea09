// Package policy decides whether a member may read records of a patient. It is pure: the
// contract and the gateway of the owner call the same function, so a member that lies
// about its decision is contradicted by the ledger.
//
// The package reads no clock; times are Unix milliseconds given by the caller.
package policy

import "slices"

// Anyone stands for every member in the lists of a consent.
const Anyone = "*"

// Consent is what a patient allowed.
type Consent struct {
	ID       string
	Grantees []string // members that may read, or Anyone
	Owners   []string // members whose records are meant, or Anyone
	Purposes []string
	Kinds    []string // record kinds; empty means all
	Since    int64    // not valid before
	NotAfter int64    // not valid after
	Revoked  bool
}

// Request is what a member asks for.
type Request struct {
	Requester string
	Owner     string
	Purpose   string
	Emergency bool
	At        int64
}

// Reason is the code of a decision.
type Reason string

// Reasons of decisions.
const (
	ByConsent      Reason = "consent"
	ByEmergency    Reason = "emergency"
	NoConsent      Reason = "no-consent"
	ConsentRevoked Reason = "consent-revoked"
	ConsentExpired Reason = "consent-expired"
	WrongPurpose   Reason = "purpose-not-consented"
	KindWithheld   Reason = "kind-not-consented"
)

// Decision is the answer to a request.
type Decision struct {
	Granted bool
	Reason  Reason
	// Consent is the id of the consent that allows the access, "" for an emergency.
	Consent string
	// NotAfter is when the permission ends; 0 for an emergency, where the caller sets a bound.
	NotAfter int64
	// Kinds limits the access to record kinds; empty means all.
	Kinds []string
}

// rank orders denials from the least to the most telling: the nearest miss is reported.
var rank = map[Reason]int{NoConsent: 0, WrongPurpose: 1, ConsentExpired: 2, ConsentRevoked: 3}

// Decide answers a request from the patient's consents. Among several that allow it, the
// one that allows most wins: no limit of kinds before a limit, a late end before an early
// one, and then the smaller id, so that everybody comes to the same answer.
func Decide(consents []Consent, r Request) Decision {
	if r.Emergency {
		return Decision{Granted: true, Reason: ByEmergency}
	}
	best := Decision{Reason: NoConsent}
	for _, c := range consents {
		why := check(c, r)
		switch {
		case why != ByConsent:
			if !best.Granted && rank[why] > rank[best.Reason] {
				best.Reason = why
			}
		case !best.Granted || better(c, best):
			best = Decision{Granted: true, Reason: ByConsent, Consent: c.ID, NotAfter: c.NotAfter, Kinds: c.Kinds}
		}
	}
	return best
}

// Allows reports whether one consent allows a request. The contract checks a grant with it.
func Allows(c Consent, r Request) bool { return check(c, r) == ByConsent }

// Covers reports whether a decision reaches a record of a kind.
func (d Decision) Covers(kind string) bool {
	return d.Granted && (len(d.Kinds) == 0 || slices.Contains(d.Kinds, kind))
}

func check(c Consent, r Request) Reason {
	switch {
	case !names(c.Grantees, r.Requester) || !names(c.Owners, r.Owner):
		return NoConsent
	case c.Revoked:
		return ConsentRevoked
	case r.At < c.Since:
		return NoConsent
	case r.At > c.NotAfter:
		return ConsentExpired
	case !slices.Contains(c.Purposes, r.Purpose):
		return WrongPurpose
	}
	return ByConsent
}

func better(c Consent, d Decision) bool {
	if a, b := len(c.Kinds) == 0, len(d.Kinds) == 0; a != b {
		return a
	}
	if c.NotAfter != d.NotAfter {
		return c.NotAfter > d.NotAfter
	}
	return c.ID < d.Consent
}

func names(list []string, member string) bool {
	return member != "" && (slices.Contains(list, Anyone) || slices.Contains(list, member))
}
