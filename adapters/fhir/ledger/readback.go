package ledger

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// ErrNotOurs reports a resource that was not made of a statement of the ledger.
var ErrNotOurs = errors.New("ledger: the resource does not say what the ledger says")

// ReadProvenance reads a Provenance that Anchor.Provenance made: the proof in a document of
// a sealed record. What it says is a claim until it is compared with the ledger and the
// signature is verified over Signed. Errors are ErrNotOurs or those of fhir.Parse.
func ReadProvenance(data []byte) (Anchor, error) {
	root, err := fhir.Parse(data, consentLimits)
	if err != nil {
		return Anchor{}, err
	}
	place := extensionOf(root, anchorURL)
	if root.Get("resourceType").Str() != "Provenance" || place == nil {
		return Anchor{}, fmt.Errorf("%w: no Provenance with the extension ledger-anchor", ErrNotOurs)
	}
	said := map[string]string{}
	for _, e := range place.Get("extension").List() {
		said[e.Get("url").Str()] = e.Get("valueString").Str() + e.Get("valueInstant").Str()
	}
	a := Anchor{Record: said["record"], Hospital: said["hospital"], Tx: said["transaction"], Batch: said["batch"]}
	sig := root.At("signature")
	if list := sig.List(); len(list) > 0 {
		sig = list[0]
	}
	err = errors.Join(
		digest(&a.EMR, said["emr-sm3"]), digest(&a.Cipher, said["cipher-sm3"]), number(&a.Block, said["block"]),
		instantOf(&a.At, said["anchored"]), instantOf(&a.SealedAt, root.Get("recorded").Str()),
		base64Of(&a.Signature, sig.Get("data").Str()), base64Of(&a.Signed, extensionOf(sig, signedBytesURL).Get("valueBase64Binary").Str()),
	)
	if err != nil {
		return Anchor{}, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return a, nil
}

// ReadEvent reads an AuditEvent that Access.Events made: the access with the one step that
// the event tells. Errors are ErrNotOurs or those of fhir.Parse.
func ReadEvent(data []byte) (Access, error) {
	root, err := fhir.Parse(data, consentLimits)
	if err != nil {
		return Access{}, err
	}
	kind := root.At("subtype", "code").Str()
	if root.Get("resourceType").Str() != "AuditEvent" || root.At("subtype", "system").Str() != SystemStep || kind == "" {
		return Access{}, fmt.Errorf("%w: no AuditEvent with a subtype of %s", ErrNotOurs, SystemStep)
	}
	step := Step{Kind: kind, Good: root.Get("outcome").Str() == "0", Reason: root.Get("outcomeDesc").Str()}
	if err := instantOf(&step.At, root.Get("recorded").Str()); err != nil {
		return Access{}, fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	a := Access{}
	for _, e := range root.Get("entity").List() {
		if err := a.readEntity(e, &step); err != nil {
			return Access{}, fmt.Errorf("%w: %w", ErrNotOurs, err)
		}
	}
	if a.ID == "" {
		return Access{}, fmt.Errorf("%w: no entity with an identifier of %s", ErrNotOurs, SystemRequest)
	}
	for i, agent := range root.Get("agent").List() {
		if i == 0 {
			step.Actor = agent.At("who", "identifier", "value").Str()
		}
	}
	for _, p := range root.At("purposeOfEvent", "coding").List() {
		for name, codes := range purposes {
			if p.Get("code").Str() == codes[0] {
				a.Purpose = name
			}
		}
	}
	a.Steps = []Step{step}
	return a, nil
}

func (a *Access) readEntity(e *fhir.Node, step *Step) error {
	value := e.At("what", "identifier", "value").Str()
	switch e.At("what", "identifier", "system").Str() {
	case SystemTag:
		a.Tag = value
	case SystemConsent:
		a.Consent = value
	case SystemRecord:
		a.Records = append(a.Records, value)
	case SystemRequest:
		a.ID = value
		for _, d := range e.Get("detail").List() {
			switch text := d.Get("valueString").Str(); d.Get("type").Str() {
			case "records":
				n, err := strconv.Atoi(text)
				if err != nil {
					return errors.New("records is not a number")
				}
				step.Count = n
			case "emergency":
				a.Emergency, a.Reason = true, text
			}
		}
	}
	return nil
}

func extensionOf(n *fhir.Node, url string) *fhir.Node {
	for _, e := range n.Get("extension").List() {
		if e.Get("url").Str() == url {
			return e
		}
	}
	return nil
}

func digest(to *[32]byte, text string) error {
	if text == "" {
		return nil
	}
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(to) {
		return errors.New("a digest is not 64 hexadecimal digits")
	}
	copy(to[:], b)
	return nil
}

func number(to *uint64, text string) (err error) {
	if text == "" {
		return nil
	}
	if *to, err = strconv.ParseUint(text, 10, 64); err != nil {
		return errors.New("block is not a number")
	}
	return nil
}

func instantOf(to *time.Time, text string) (err error) {
	if text == "" {
		return nil
	}
	if *to, err = time.Parse(time.RFC3339Nano, text); err != nil {
		return errors.New("a time is not an instant")
	}
	return nil
}

func base64Of(to *[]byte, text string) (err error) {
	if text == "" {
		return nil
	}
	if *to, err = base64.StdEncoding.DecodeString(text); err != nil {
		return errors.New("signature is not base64")
	}
	return nil
}
