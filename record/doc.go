// Package record is the vocabulary of what emrbridge carries: one model for every
// clinical format, its deterministic identity and its canonical bytes.
//
// A record is an envelope around the original bytes, which are never changed. What a
// mapping could read stands beside the payload as metadata, so that a better mapping can
// be run later without touching any evidence. The canonical bytes of a record (envelope
// and payload, deterministic CBOR, RFC 8949 §4.2.1) are what the scheme calls EMR: they
// are hashed, signed and sealed.
//
// The package imports nothing local. Its values are plain data: copy them freely, and
// guard them yourself if goroutines share one. Types that hold patient data redact
// themselves when logged.
package record
