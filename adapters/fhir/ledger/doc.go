// Package ledger puts what the consortium's ledger says into FHIR R4: consents as Consent,
// accesses and the steps of a record as AuditEvent, anchors as Provenance; and it reads a
// Consent into the terms that the ledger can keep.
//
// ReadConsent, ReadProvenance and ReadEvent go the other way.
//
// The types here are plain copies of the ledger's statements, since adapters do not know the
// evidence package: the commands fit one to the other. Reading a Consent is strict: whatever
// would limit it and cannot be kept on the ledger refuses it, so that a consent never becomes
// wider on its way.
//
// What identifies a patient on the ledger is a keyed tag; no resource made here names a
// person. Nothing logs; errors name elements and quote no content.
package ledger
