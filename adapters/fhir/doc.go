// Package fhir reads and judges FHIR R4 (4.0.1) resources in JSON: a strict parser, the
// structure of every resource and data type, the rules that the specification states beside
// it, and OperationOutcome with the FHIRPath of each fault.
//
// The steps of Validator.Validate, each once per resource:
//
//  1. Parse. JSON as RFC 8259 has it, in UTF-8, without repeated names, within limits of
//     size, depth and number of values. The bytes are not changed; numbers keep their text.
//  2. Version. STU3 and R5 content is refused by name, before its elements look unknown.
//  3. Structure. Names, cardinalities, types and formats after the table in package schema.
//  4. Rules. References, contained resources, periods, Bundles, narratives (invariants are
//     named as in the specification: ele-1, dom-3, ref-1, bdl-7 …).
//  5. Engine, if one is given: a second, independent judge.
//
// What needs a terminology server, profiles or general FHIRPath is not judged.
//
// Nothing here logs; errors and diagnostics name paths and rules, and quote no content.
// Resources redact themselves.
package fhir
