package retrieve

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
)

// Query asks for records of one patient. It holds patient data and redacts itself.
type Query struct {
	// Patient is who the records are about. Tag may be given instead.
	Patient keystore.Identity
	Tag     evidence.Tag
	// Owners limits the search to members, by MSP id. Empty means all that have anchored
	// records of the patient.
	Owners []string
	// Kinds limits the search to record kinds, Records to single records. Empty means all.
	Kinds   []string
	Records []evidence.RecordID
	// Purpose defaults to treatment.
	Purpose evidence.Purpose
	// Emergency asks for access without consent.
	Emergency *Emergency
	// Bare asks for records without their payloads, which are proved and dropped.
	Bare bool
	// MaxBytes bounds the payloads that Retrieve returns together. Default 256 MiB.
	MaxBytes int64
}

// Emergency is the reason for access without consent (break-glass).
type Emergency struct {
	// Reason is a code, not a sentence: it stands on the ledger in the clear. Lowercase
	// letters, digits and hyphens, at most 64.
	Reason string
	// Staff are the identities of the members of staff who vouch for it, two at least and
	// all different. Only keyed digests of them leave this hospital.
	Staff []string
}

// LogValue implements slog.LogValuer with what may be logged of a query.
func (q Query) LogValue() slog.Value {
	return slog.GroupValue(slog.String("purpose", string(q.Purpose)), slog.Bool("emergency", q.Emergency != nil),
		slog.Int("owners", len(q.Owners)), slog.Int("kinds", len(q.Kinds)), slog.Int("records", len(q.Records)))
}

// LogValue implements slog.LogValuer: staff identities never reach a log.
func (e Emergency) LogValue() slog.Value {
	return slog.GroupValue(slog.String("reason", e.Reason), slog.Int("staff", len(e.Staff)))
}

const (
	maxQueryRecords = 10_000
	defaultMaxBytes = 256 << 20
)

var reasonCode = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){1,63}$`)

func (q Query) validate() error {
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrQuery, what) }
	switch {
	case q.Tag.IsZero() == (q.Patient == keystore.Identity{}):
		return bad("give either the patient's identity or a tag")
	case q.Purpose != evidence.Treatment && q.Purpose != evidence.Research:
		return bad("purpose must be treatment or research")
	case len(q.Kinds) > 64 || len(q.Owners) > 64 || len(q.Records) > maxQueryRecords:
		return bad("too many kinds, owners or records")
	}
	if q.Emergency != nil {
		return q.Emergency.validate(q.Purpose)
	}
	return nil
}

func (e Emergency) validate(purpose evidence.Purpose) error {
	bad := func(what string) error { return fmt.Errorf("%w: emergency: %s", ErrQuery, what) }
	if purpose != evidence.Treatment {
		return bad("the purpose must be treatment")
	}
	if len(e.Reason) > 64 || !reasonCode.MatchString(e.Reason) {
		return bad("the reason must be a code of lowercase letters, digits and hyphens, because it is public")
	}
	seen := map[string]bool{}
	for _, s := range e.Staff {
		name := strings.ToUpper(strings.TrimSpace(s))
		if name == "" || len(s) > 128 || seen[name] {
			return bad("staff identities must be given and different")
		}
		seen[name] = true
	}
	if len(seen) < 2 || len(seen) > 8 {
		return bad("two different members of staff are needed")
	}
	return nil
}

// tagOf turns an identity into the tag under which the ledger files the patient.
func tagOf(ctx context.Context, ids Identities, patient keystore.Identity) (evidence.Tag, error) {
	token, err := ids.PatientToken(ctx, patient)
	if err != nil {
		return evidence.Tag{}, fmt.Errorf("patient token: %w", err)
	}
	tag, err := ids.Tag(ctx, token)
	if err != nil {
		return evidence.Tag{}, fmt.Errorf("patient tag: %w", err)
	}
	return evidence.Tag(tag), nil
}

// staffDigests are the keyed digests of staff identities. Two that are equal are refused,
// however custody folds the spelling of identities.
func staffDigests(ctx context.Context, ids Identities, staff []string) ([]evidence.Digest, error) {
	out := make([]evidence.Digest, 0, len(staff))
	for _, s := range staff {
		d, err := ids.StaffDigest(ctx, strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("staff digest: %w", err)
		}
		for _, earlier := range out {
			if earlier.Equal(d) {
				return nil, fmt.Errorf("%w: emergency: two members of staff are the same", ErrQuery)
			}
		}
		out = append(out, d)
	}
	return out, nil
}
