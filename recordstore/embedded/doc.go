// Package embedded is the record store that needs no server: one SQLite file.
//
// # Files
//
// A store owns one folder, private to its user (0700, files 0600):
//
//	records.db       the database; records.db-wal and records.db-shm beside it while open
//	records.lock     held by the one process that writes
//
// The layout inside is documented in schema.go, for those who read it with other tools.
//
// # Durability
//
// The database runs in write-ahead mode with synchronous=FULL: a transaction is on disk
// when its commit returns, and a crash leaves whole transactions only. One goroutine
// writes. While it commits, further puts gather, and the next transaction takes them all
// (at most 512 requests or 16 MiB): under load one fsync serves many records, and an idle
// store adds no waiting time. If a shared transaction fails, each of its requests is tried
// again alone, so that a record for which there is no room never fails its neighbours.
//
// # Large records
//
// Sealed bytes are kept in chunks of 1 MiB. PutStream commits chunk by chunk and makes the
// record visible in its last transaction, so neither memory nor the writer is held while a
// slow source delivers. Chunks whose record never came are listed in the table staging and
// removed at the next opening.
//
// # Contexts
//
// A put waits in the queue under its context. Once a transaction has taken it, the context
// no longer counts: the put returns the outcome, which is at most a few fsyncs away. A
// context error therefore means that nothing was stored. Reads stop with their context.
//
// # Failures
//
// A full disk gives recordstore.ErrFull and leaves nothing half-written; reads go on, and
// the first put after room was made succeeds. An I/O error while committing gives
// recordstore.ErrUncertain: the record may be there after a crash; putting it again
// settles it.
//
// # Restoring a backup
//
// Put the file written by Backup into an empty private folder as records.db. Sequence
// numbers used after the backup was taken are given out again, so a ledger pointer of a
// record that was lost may lead to another one: whoever follows a pointer compares the id.
package embedded
