// Package evidence is the vocabulary of the ledger: the statements that hospitals sign,
// their canonical bytes, the entries that anchor records and the Merkle tree over them.
//
// The contract, its clients and the independent verifier share this package and nothing
// else, so it imports nothing local, keeps no state, reads no clock and no randomness,
// and treats every input as hostile: decoding is strict, bounded, and refuses any bytes
// that encoding would not have produced.
package evidence
