// Package trail is the index in which a record's whole journey can be found: by control id,
// record id, patient tag, transaction id or batch.
//
// It is fed from the bus by one consumer per stream that sees headers only (an event is
// what the headers of a message say), in transactions of many events, and acknowledges
// after the commit. It is a SQLite file of mode 0600 in WAL mode: the pipeline writes, other
// processes read at the same time.
//
// The same message seen twice is one event. When a hop was done twice after a crash, the
// first time stands for received, normalized, stored and anchored; events that may rightly
// happen again (parked, released, incident …) are kept each time.
//
// The index knows which control id stood for which record, so it finds by itself when a
// control id stood for two: it adds an incident even if the ledger of control ids was away
// when the second one came.
package trail
