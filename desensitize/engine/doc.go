// Package engine is the one door to de-identification: it puts the walkers of the formats,
// the free-text engine, the attachments and the leak gate together, so that a command or a
// release needs to know none of them.
//
// Every record goes the same way: it is de-identified under the policy, then the leak gate,
// which shares nothing with what it checks, searches the result for the identifiers of the
// original and for anything that looks like one. What the gate finds is taken as known and
// the record is done once more; what it finds after that stops the record (Failure with a
// leak.Found), and nothing of it is written. So a detector of the gate that is better than
// one of the engine makes the result better, and a wrong one costs a word, not a record.
//
// Streams are handled record by record, each gated before its bytes are written, so memory
// is bounded by the largest record. An Engine is safe for concurrent use. Errors hold paths
// and types, never a value; nothing in this package logs.
package engine
