// Package audit is the independent verifier: given sealed records and a ledger, it says
// for each record whether ciphertext, signature, digest, anchor, pointer and batch agree.
//
// It shares only formats with the programs that it checks, and does every computation
// with two cryptographic libraries, which must agree with each other. It trusts neither
// the store nor a single hospital; what it needs to trust, the certificate of the
// consortium's authority, is given to it.
//
// Without keys it compares the bytes in the store with the ledger, the clear header with
// the anchor, and the batches with the write sets of the blocks. With key custody it also
// opens each record, verifies the hospital's signature and derives the record id again.
//
// Verification walks the ledger first and the store second, at a memory that grows by a
// few bits for each record.
package audit
