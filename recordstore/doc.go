// Package recordstore is the contract of a hospital's own store for sealed records: the
// ciphertext of each record, and what must be known about it without any key.
//
// A store never sees a clear record and holds no key. It is a neighbour that may fail, lie
// or be stolen: whoever reads from it checks the SM3 digest of what comes out, here against
// the digest given when the record was put, and further up against the ledger.
//
// Promises of every store:
//
//   - Durability. When Put, PutAll, PutStream or MarkAnchored return without error, the
//     outcome survives kill -9 and power failure. When a put returns an error, nothing of it
//     was stored, context errors included, unless the error is [ErrUncertain].
//   - Insert if absent. The first sealed form of a record id wins. A later put of the same
//     id, whatever its bytes, changes nothing and returns what is there: a redelivered
//     message is sealed again under fresh randomness, and the form that was kept first is
//     the one that the ledger knows.
//   - Order. Each record gets a sequence number from 1, growing in the order in which
//     records became visible: a reader who pages with the last number it saw misses none.
//     Numbers may have gaps. The pointer of a record is its number, big-endian, in as few
//     bytes as possible.
//   - No deletion. A record is erased by destroying its key, never by removing ciphertext,
//     so that the evidence on the ledger always has its counterpart.
//
// Package storetest holds the conformance suite that every implementation passes.
package recordstore
