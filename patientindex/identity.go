package patientindex

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
)

// Keys is the part of key custody that turns numbers into digests; keystore.Custody has it.
type Keys interface {
	PatientToken(ctx context.Context, id keystore.Identity) (keystore.Token, error)
	Tag(ctx context.Context, token keystore.Token) (keystore.Tag, error)
	RegistrationDigest(ctx context.Context, pi, no string) ([32]byte, error)
}

// strength says what an identifier can prove.
type strength int

const (
	resident strength = iota + 1 // names a person everywhere
	personal                     // names a person in this hospital; one by each authority
	visit                        // names a visit; a person has many
	weak                         // proves nothing about other identifiers
)

// order says which number leads: those that stay with a person before those of a visit.
var order = []record.IdentifierType{
	record.LocalPatient, record.MedicalNo, record.HealthCard, record.Passport, record.TravelPermit, record.InsuranceNo,
	record.OutpatientNo, record.InpatientNo, record.OtherID,
}

var strengths = map[record.IdentifierType]strength{
	record.LocalPatient: personal, record.MedicalNo: personal, record.HealthCard: personal, record.Passport: personal, record.TravelPermit: personal,
	record.OutpatientNo: visit, record.InpatientNo: visit,
}

// inDoubt is appended to the type of an identifier, with the record that made it doubtful, to
// give its tag while it is in doubt.
const inDoubt = "/in-doubt/"

// identity is one identifier of a record as the index knows it.
type identity struct {
	token     keystore.Token
	kind      record.IdentifierType
	strength  strength
	class     [8]byte // keyed digest of authority and type
	who       keystore.Identity
	insurance string // No of T_R
}

// LogValue implements slog.LogValuer.
func (identity) LogValue() slog.Value { return slog.StringValue("[identity]") }

// maxIdentifiers bounds the identifiers of one record that are looked at.
const maxIdentifiers = 32

// namer makes identities for one hospital.
type namer struct {
	keys Keys
	msp  string
}

// identities returns the identifiers of a patient, the leading one first, each once. One
// that is no valid identity is passed over: a typing error must not stop a record. A
// resident number that fails its check is weak.
func (n namer) identities(ctx context.Context, ids []record.Identifier) ([]identity, error) {
	insurance := ""
	for _, id := range ids {
		if id.Type == record.InsuranceNo && insurance == "" {
			insurance = id.Value
		}
	}
	var out []identity
	for _, id := range sorted(ids) {
		found, err := n.identity(ctx, id)
		switch {
		case errors.Is(err, keystore.ErrIdentity):
			continue
		case err != nil:
			return nil, err
		}
		found.insurance = insurance
		if !slices.ContainsFunc(out, func(have identity) bool { return have.token == found.token }) {
			out = append(out, found)
		}
	}
	slices.SortStableFunc(out, func(a, b identity) int { return boolInt(a.strength != resident) - boolInt(b.strength != resident) })
	return out, nil
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sorted puts identifiers into the order in which they lead; resident numbers that turn out
// to be none come last.
func sorted(ids []record.Identifier) []record.Identifier {
	ids = slices.Clone(ids[:min(len(ids), maxIdentifiers)])
	rank := func(id record.Identifier) int {
		if i := slices.Index(order, id.Type); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(ids, func(a, b record.Identifier) int { return rank(a) - rank(b) })
	return slices.DeleteFunc(ids, func(id record.Identifier) bool { return id.Value == "" })
}

func (n namer) identity(ctx context.Context, id record.Identifier) (identity, error) {
	if id.Type == record.ResidentID {
		who := keystore.Identity{ResidentID: id.Value}
		token, err := n.keys.PatientToken(ctx, who)
		if err == nil || !errors.Is(err, keystore.ErrIdentity) {
			return identity{token: token, kind: id.Type, strength: resident, who: who}, err
		}
	}
	who := n.local(id.Authority, string(id.Type), id.Value)
	token, err := n.keys.PatientToken(ctx, who)
	if err != nil {
		return identity{}, err
	}
	out := identity{token: token, kind: id.Type, strength: strengths[id.Type], who: who}
	if out.strength == 0 {
		out.strength = weak
	}
	if out.strength == personal {
		class, err := n.keys.PatientToken(ctx, n.local(id.Authority, string(id.Type), "the class of this identifier"))
		if err != nil {
			return identity{}, err
		}
		copy(out.class[:], class[:])
	}
	return out, nil
}

func (n namer) local(authority, kind, value string) keystore.Identity {
	return keystore.Identity{Local: keystore.LocalIdentity{MSPID: n.msp, Authority: authority, Type: kind, Value: value}}
}

// typeUnnamed is the identity of a record that names no patient at all, as package seal gives
// it too.
const typeUnnamed = "unnamed-record"

// unnamed is the identity of a merge message that names nobody.
func (n namer) unnamed(ctx context.Context, id record.ID) (identity, error) {
	who := n.local("", typeUnnamed, id.String())
	token, err := n.keys.PatientToken(ctx, who)
	return identity{token: token, kind: typeUnnamed, strength: weak, who: who}, err
}

// naming is what a node is made of.
type naming struct {
	tag          evidence.Tag
	registration evidence.Digest // of T_R
}

// naming derives tag and T_R digest of the node whose origin is an identity. doubt, if not
// zero, asks for the node that stands for it since that record brought it into doubt.
func (n namer) naming(ctx context.Context, id identity, doubt record.ID) (naming, error) {
	token, pi := id.token, id.who.ResidentID
	if pi == "" {
		pi = id.who.Local.Value
	}
	if !doubt.IsZero() {
		who := id.who
		who.Local.Type += inDoubt + doubt.String()
		var err error
		if token, err = n.keys.PatientToken(ctx, who); err != nil {
			return naming{}, fmt.Errorf("patientindex: token in doubt: %w", err)
		}
	}
	tag, err := n.keys.Tag(ctx, token)
	if err != nil {
		return naming{}, fmt.Errorf("patientindex: tag: %w", err)
	}
	digest, err := n.keys.RegistrationDigest(ctx, pi, id.insurance)
	if err != nil {
		return naming{}, fmt.Errorf("patientindex: registration: %w", err)
	}
	return naming{tag: tag, registration: digest}, nil
}

// leading returns the identifier that stands for a person within the hospital: merges are
// about the hospital's own numbers, so a resident number gives way to one.
func leading(ids []identity) identity {
	for _, id := range ids {
		if id.strength == personal || id.strength == visit {
			return id
		}
	}
	return ids[0]
}
