package retrieve

import (
	"context"
	"io"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/keystore"
	"github.com/emrbridge/emrbridge/record"
	"github.com/emrbridge/emrbridge/recordstore"
	"github.com/emrbridge/emrbridge/smcrypto"
)

// Ledger is what retrieval reads from the contract and submits to it. Queries that find
// nothing and statements that are refused return an error that wraps *evidence.Refusal.
// Implementations are safe for concurrent use.
type Ledger interface {
	Member(ctx context.Context, msp string) (evidence.Member, error)
	Members(ctx context.Context) ([]evidence.Member, error)
	Anchors(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Anchor], error)
	// TagLinks are the links of all hospitals that lead to a tag; LinkedAnchors is what they
	// have anchored under the tags that lead there. A page of it may be empty before the end.
	TagLinks(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.TagLink], error)
	LinkedAnchors(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Anchor], error)
	Consents(ctx context.Context, tag evidence.Tag, size int, bookmark string) (evidence.Page[evidence.Consent], error)
	Consent(ctx context.Context, id evidence.Nonce) (evidence.Consent, error)
	Access(ctx context.Context, id evidence.Nonce) (evidence.Access, error)
	Emergencies(ctx context.Context, owner string, size int, bookmark string) (evidence.Page[evidence.Access], error)
	// Submit signs the body as a statement of this hospital, and returns its nonce once the
	// transaction is committed as valid.
	Submit(ctx context.Context, body evidence.Body) (evidence.Nonce, error)
}

// Signer signs with the hospital's SM2 signing key: SM3, default user id, DER.
type Signer interface {
	Sign(ctx context.Context, msg []byte) ([]byte, error)
}

// OwnerCustody is what the owner of records needs of key custody.
type OwnerCustody interface {
	Signer
	RecordKey(ctx context.Context, tag keystore.Tag, epoch uint32, id keystore.RecordID) (smcrypto.Key, error)
}

// Identities turns people into the keyed values that may appear on the ledger.
type Identities interface {
	PatientToken(ctx context.Context, id keystore.Identity) (keystore.Token, error)
	Tag(ctx context.Context, token keystore.Token) (keystore.Tag, error)
	StaffDigest(ctx context.Context, staffID string) ([smcrypto.DigestSize]byte, error)
}

// RequesterCustody is what the hospital that asks needs of key custody.
type RequesterCustody interface {
	Signer
	Identities
	Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error)
}

// Store is the owner's record store.
type Store interface {
	Open(ctx context.Context, id record.ID) (recordstore.Item, io.ReadCloser, error)
	Stat(ctx context.Context, id record.ID) (recordstore.Item, error)
}
