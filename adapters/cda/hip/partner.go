package hip

import (
	"github.com/emrbridge/emrbridge/adapters/cda"
	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// Partner holds the rules for one sender of messages.
type Partner struct {
	// Rules for documents: allowed deviations and roots.
	Rules cda.Partner
	// Encoding of documents that declare none, as "GBK"; "" is UTF-8.
	Encoding string
	// ForceEncoding makes Encoding that of all documents, whatever they declare.
	ForceEncoding bool
	// AnyNamespace takes documents without the namespace urn:hl7-org:v3.
	AnyNamespace bool
	// Types gives the document type that a partner's own code stands for: {"10": "C0039"}.
	Types map[string]string
}

func (p Partner) encoding() safexml.Encoding {
	return safexml.Encoding{Default: p.Encoding, Force: p.ForceEncoding}
}

// sameType compares the type code of a registration with that of a document.
func (p Partner) sameType(registered, inDocument string) bool {
	if to, ok := p.Types[registered]; ok {
		registered = to
	}
	return registered == inDocument
}
