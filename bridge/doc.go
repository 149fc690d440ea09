// Package bridge assembles the pipeline that carries a message from its acknowledgement to
// its anchor, and runs it.
//
// Assemble reads like the flow; worker.go has the one runtime that all stages share; each
// stage is a handler in a package of its own. What the pipeline promises:
//
//   - What was acknowledged is on disk, and goes its way to the ledger or is set aside with a
//     reason that an operator sees. Nothing is dropped and nothing is anchored twice, through
//     kill -9, full disks and absent neighbours.
//   - Messages of one patient pass the stages in the order in which they were acknowledged.
//   - One process runs a hospital's pipeline at a time.
package bridge
