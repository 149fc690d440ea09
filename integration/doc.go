// Package integration holds the tests of the whole system: real Fabric processes, real
// `emrbridge serve` processes, a real redis-server, a real nats-server, and faults in all
// of them under load. Each test counts from the sender to the ledger, whose blocks it reads
// from the peer of a hospital that took no part.
//
// One consortium serves the whole package. Hospitals 1 to 3 keep one installation each
// through all tests, restarted with other settings where a test asks for it, so that what
// one test leaves behind is there for the next, as in life. Hospital 4 never registers: its
// peer is the witness, and its certificates are those of a stranger.
package integration
