// Package render writes a sealed record that was opened and proved as a FHIR R4 document, so
// that a hospital that asked for it can read everything in one form and keep the proof beside
// it.
//
//	Composition          what it is, whose, when, from which hospital
//	├─ original          DocumentReference → Binary: the payload, byte for byte
//	├─ content           HL7 v2: the resources of package v2tofhir; FHIR: the resources
//	│                    themselves; CDA and others: what the record's envelope says
//	└─ proof             Provenance: SM3 of record and ciphertext, SM2 signature, transaction,
//	                     block and batch on the ledger
//
// The original always comes along, whatever of it could be read: a payload that cannot be
// converted gives a document without content and an OperationOutcome that says why.
//
// The same record, proof and time give the same bytes. The result holds patient data;
// nothing here logs.
package render
