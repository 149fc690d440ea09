package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/emrbridge/emrbridge/adapters/fhir/index"
	"github.com/emrbridge/emrbridge/adapters/fhir/rest"
	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge/claims"
	"github.com/emrbridge/emrbridge/bridge/intake"
)

// openClaims opens the folder in which large bodies wait until they are stored.
func (s *site) openClaims(context.Context) (err error) {
	s.claims, err = claims.Open(s.config.Dir("claims"), claims.Options{
		Keys: s.secrets.Claims, MaxBytes: int64(s.config.Intake.ClaimsMaxBytes), Provider: s.provider,
	})
	if err != nil {
		return err
	}
	for _, g := range []struct {
		name, help string
		value      func(claims.Stats) float64
	}{
		{"emrbridge_claims_files", "Large bodies that wait in files until they are stored.", func(st claims.Stats) float64 { return float64(st.Files) }},
		{"emrbridge_claims_bytes", "Bytes of their files, those being received included.", func(st claims.Stats) float64 { return float64(st.Bytes) }},
	} {
		gauge := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help}, func() float64 { return g.value(s.claims.Stats()) })
		if err := s.metrics.Register(gauge); err != nil {
			return err
		}
	}
	return nil
}

// spool lets an MLLP endpoint write a long frame into a claim. While the bus cannot take a
// reference to it there is no sense in receiving it: the sender is told to try again.
func (s *site) spool() (mllp.Spool, error) {
	if err := s.bus.Ready(); err != nil {
		return nil, err
	}
	w, err := s.claims.Create(context.Background())
	if err != nil {
		return nil, err
	}
	return claimSpool{w}, nil
}

// claimSpool is a claims.Writer as the endpoint sees it.
type claimSpool struct{ *claims.Writer }

// Finish implements mllp.Spool.
func (c claimSpool) Finish() (hl7.Body, error) {
	claim, err := c.Writer.Finish()
	if err != nil {
		return nil, err
	}
	return claim, nil
}

// fhirSpool lets the FHIR service write a long body into a claim.
func (s *site) fhirSpool() (rest.Spool, error) {
	if err := s.bus.Ready(); err != nil {
		return nil, err
	}
	w, err := s.claims.Create(context.Background())
	if err != nil {
		return nil, err
	}
	return httpSpool{w}, nil
}

// httpSpool is a claims.Writer as the services over HTTP see it.
type httpSpool struct{ *claims.Writer }

// Finish implements rest.Spool.
func (c httpSpool) Finish() (index.Body, error) {
	claim, err := c.Writer.Finish()
	if err != nil {
		return nil, err
	}
	return claim, nil
}

// body opens content that waits in a claim, for the views of what was received.
func (s *site) body(claim string) (io.ReadCloser, error) {
	r, err := s.claims.Open(claim)
	if errors.Is(err, claims.ErrMissing) {
		return nil, fmt.Errorf("%w: %w", index.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// claimOf is the claim of content that is submitted: the one that it came in or, where a
// crash came between, a copy of what was left of that. The error wraps index.ErrNotFound
// where nothing was.
func (s *site) claimOf(ctx context.Context, m index.Submission) (*claims.Claim, error) {
	if claim, ok := m.Body.(*claims.Claim); ok {
		return claim, nil
	}
	in, err := s.body(m.Claim)
	if err != nil {
		return nil, err
	}
	claim, err := s.claims.Take(ctx, in)
	if closed := in.Close(); err == nil && closed != nil {
		claim.Discard()
		return nil, closed
	}
	return claim, err
}

// submission is what the intake is told of an HL7 message. done ends its use.
func (s *site) submission(ctx context.Context, in *intake.Intake, m hl7.Submission) (sub intake.Submission, done func(), err error) {
	sub = intake.Submission{
		Raw: m.Raw, Sender: m.Sender, ControlID: m.ControlID, Kind: m.Kind, MediaType: mediaHL7,
		Charset: m.Charset, Peer: m.Peer, RoutingHint: m.RoutingHint, ReceivedAt: m.ReceivedAt,
	}
	body, skeleton := m.Body, m.Skeleton
	if body == nil && len(m.Raw) > in.MaxMessage() { // from a file
		if body, skeleton, err = s.spill(ctx, m); err != nil {
			return sub, nil, err
		}
	}
	if body == nil {
		return sub, func() {}, nil
	}
	claim, ok := body.(*claims.Claim)
	if !ok {
		return sub, nil, fmt.Errorf("a large message is kept in %T, which the intake does not know", body)
	}
	sub.Raw, sub.Claim, sub.Skeleton, sub.Partial = nil, claim, skeleton.Text, skeleton.Partial
	return sub, claim.Discard, nil
}

// spill moves a message from memory into a claim.
func (s *site) spill(ctx context.Context, m hl7.Submission) (hl7.Body, *hl7.Skeleton, error) {
	charset, _ := hl7.CharsetByName(m.Charset)
	skeleton, err := hl7.CharsetPolicy{Default: charset, Force: true}.Skim(ctx, func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(m.Raw)), nil
	})
	if err != nil {
		return nil, nil, err
	}
	claim, err := s.claims.Take(ctx, bytes.NewReader(m.Raw))
	if err != nil {
		return nil, nil, err
	}
	return claim, skeleton, nil
}
