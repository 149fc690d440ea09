// Package topology is the one page on which the flow of records through the bus can be
// read: streams, subjects, consumers, headers and limits.
//
//	adapter ─▶ intake ─▶ emr.received ─▶ normalize ─▶ emr.normalized ─▶ seal ─▶ emr.stored ─▶ anchor ─▶ emr.anchored
//	                                        │                            │                       │
//	                                        └────────────────────────────┴───────────────────────┴──▶ emr.parked.*  emr.rejected.*
//
// Each hop has a stream of its own, and every stream is written by group commit. A hop is
// handed on by one durable publish, after which the input is acknowledged; what is
// delivered twice is recognised by the record id.
//
// Why one stream per hop, with limits retention and a janitor, and not one work-queue
// stream: (1) a work queue writes and syncs a tombstone for every acknowledged message, so
// that acknowledging costs more than publishing; here the acknowledged prefix is cut off
// once in a while in one write. (2) A full shared stream is a deadlock, because a stage can
// free space only after it has published; with a stream per hop fullness travels upstream
// until the intake refuses. (3) While the ledger is away only small entries wait in
// emr.stored, and no clinical content stays on the bus because of it.
//
// The trail is read from the flow itself: its consumers get the headers of every message
// and no bodies. Events that no hop carries travel on emr.trail.
//
// Headers and subjects hold no patient data: a record id, names of systems, the control id
// of the message, and a keyed hash as the lane.
package topology
