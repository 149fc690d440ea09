// Package retrieve moves sealed records between hospitals under the patient's consent.
//
// One retrieval goes through these steps. R is the hospital that asks, O the one that
// holds the records; every step marked ▣ is a transaction on the ledger.
//
//	R  finds the records of a patient by tag on the ledger
//	R▣ RequestAccess: tag, owner, purpose, records, the key to wrap for
//	R  calls O's gateway with a signed envelope that names the request
//	O  reads the request from the ledger, verifies R's signature on it, and decides by the
//	   patient's consents, whose signatures it verifies as well
//	O▣ DecideAccess: a grant that names the consent, or a denial with its reason
//	O  streams the ciphertexts, which are useless without keys
//	O▣ Deliver: count and digest of the key grants
//	O  sends the key grants
//	R  compares each ciphertext with its anchor, opens the grant, decrypts, verifies O's
//	   signature, the digest and the record id
//	R▣ Confirm: genuine, not-genuine or incomplete
//
// Invariants:
//   - No key leaves O before its delivery is on the ledger, and none without a grant that
//     the contract has checked against a consent that stands, or an emergency that is
//     flagged for review.
//   - Neither side believes the other, nor the peer that answers a query: what counts are
//     signatures under certificates of the consortium's authority, and the anchors.
//   - A consent that ends between decision and delivery stops the delivery.
//   - Ciphertext may touch R's disk while it waits for its key. Plaintext never does.
//   - A record reaches the caller only after every check; a record that fails one is
//     reported with the check and without a payload.
//
// The package opens no connection and never logs: [Owner] writes to a stream that it is
// handed, [Requester] calls a [Peer]. Package gateway supplies both.
package retrieve
