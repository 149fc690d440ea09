// Package cda reads, checks, writes and maps clinical documents: the 53 shared documents of
// WS/T 500-2016 (C0001 … C0053) with their local extensions, and other documents of HL7 CDA
// Release 2 such as C-CDA.
//
// The payload bytes are never changed: Parse reads beside them. The order of work is
//
//	raw bytes → safexml.Parse (encoding, well-formedness, limits) → Parse (model) → Validate → Mapper
//
// Input is judged by rules of the partner that sent it (Partner), which may allow named
// deviations; output is judged strictly: Render refuses a document that Validate with
// Strict would not let pass. Package cdaexample makes a document of every type. Package hip
// takes documents and messages over the hospital platform's SOAP service.
//
// Nothing in this package logs. Errors and issues name line, column and XPath, never a value
// of the document.
package cda
