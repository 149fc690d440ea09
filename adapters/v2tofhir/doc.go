// Package v2tofhir turns HL7 v2 messages into FHIR R4 message Bundles, after the HL7
// "Version 2 to FHIR" implementation guide (segment, data type and concept maps; editions
// for FHIR R4), so that a hospital without HL7 v2 can read what another one sealed.
//
// The work for one message:
//
//	segments in order ──► a handler for each segment name ──► resources of the present context
//	(patient, encounter, order, report, specimen, document …) ──► Bundle
//	                                  └─► what no handler read ──► Basic + OperationOutcome
//
// Invariants:
//   - Nothing disappears: every value that is not mapped, Z-segments included, stands in a
//     Basic resource of the Bundle with its path, and an OperationOutcome names it.
//   - Nothing is invented: times keep their precision, code systems and identifier systems
//     are given only where the message or the configuration says which, and a required
//     element without a source carries a data-absent-reason.
//   - The same message and record id give the same bytes. Ids are derived from the record id
//     and the place in the message; every reference resolves inside the Bundle.
//   - Every message that parses converts, whatever its type: events outside the guide give the
//     resources of the segments that they hold.
//
// The result holds patient data; nothing here logs. Errors never hold content.
package v2tofhir
