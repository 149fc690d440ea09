// Package wire holds the formats in which one hospital's gateway asks another for records
// and gets them: the signed request envelope and the delivery stream.
//
// Both are read from a peer that may be dishonest, so decoding is strict and bounded: any
// bytes that this package would not have written are refused, no length is believed
// before it was compared with its limit, and nothing is allocated in advance on the word
// of the peer. The bytes are described in docs/design/retrieval.md.
//
// The package never logs.
package wire
