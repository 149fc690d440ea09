// Package mapping reads HL7 v2 messages into records by rules that are configuration.
//
// The rules are a Document: a versioned YAML file that says, for each event, where the
// facts of the record's envelope stand in a message (ordered paths), how codes are
// translated, which numbers of a patient are of which type, and which events merge
// patients. The default document is embedded (see Default and default.yaml); a hospital
// extends or replaces it (see Load). A document is checked as a whole when it is read: all
// faults are found at once, each with its line.
//
// Every record names the rules that made it: Record.MappingVersion is the document's name
// and version with the beginning of its digest, so that a document that was changed
// without a new version can be told apart.
//
// A Mapper applies a document. Messages of kinds that no rule names become records too,
// with what can be read of any message. A field that cannot be understood is never an
// error: it is left out and named in Metadata["unread"]. A code without an entry in its
// table is reported (see Unmapped), so that tables can be completed from real traffic.
//
// The package logs nothing. Errors name lines, keys and paths, never a value of a message.
package mapping
