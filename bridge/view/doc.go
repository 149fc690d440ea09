// Package view is the hospital's own view of the FHIR resources that it received: which
// versions there are, by what they can be found, and their content.
//
// The index holds nothing personal in the clear. Ids, identifiers, codes and references are
// keyed digests; what has to be read back (ids, resolved references) is encrypted. In the
// clear stand resource types, version numbers, times, record ids and whether a version is a
// deletion. Content is not kept here: it is opened from the sealed record in the store, so
// that destroying a patient's or a record's key blanks the view too. Until the pipeline has
// stored the record, an encrypted copy serves, so that a resource can be read the moment
// its sender was told that it is durable.
//
// The steps of a write, and what a crash between them leaves:
//
//  1. Reserve. Versions and content on disk, seen by nobody. A crash leaves them reserved;
//     Heal submits the content again, which is harmless, since record ids are deterministic,
//     and commits.
//  2. Submit, by the caller: the content is durable on the bus.
//  3. Commit. The versions are seen.
//  4. Sweep. Once the store has the record, the copy of the content is dropped.
//
// One process writes; the file is locked by SQLite against a second one for the time of each
// transaction only, so the process that owns the bus is the one that opens the view.
package view
