// Package path is the part of FHIRPath (N1, HL7 2020) that conditions of de-identification
// rules need: paths through a resource, literals, comparison, logic, membership, unions, and
// functions of strings and collections. It evaluates over the nodes of adapters/fhir with the
// types of adapters/fhir/schema; it changes nothing.
//
// What it does not know is an error when the expression is compiled, never a silent false.
// Expressions are bounded in length and nesting, and evaluation in steps; regular expressions
// are those of package regexp and run in linear time. A compiled expression is safe for
// concurrent use.
package path
