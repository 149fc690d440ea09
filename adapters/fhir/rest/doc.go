// Package rest is the FHIR R4 REST surface (FHIR R4 §3.1): it takes resources and Bundles,
// answers with OperationOutcome for every error, and reads back what was received.
//
// The steps of a write, for a resource, a whole transaction or a message alike:
//
//  1. Who is it, and may they (Config.Authorize). Fail closed.
//  2. Bounds: concurrency, rate, size, deadline.
//  3. Judge the content, once.
//  4. Decide: conditions (If-Match, If-None-Exist), ids, versions, references to entries.
//  5. Reserve versions in the index, submit the bytes as received, commit the versions.
//  6. Answer. 200 and 201 mean that the bus has the bytes on disk.
//
// A transaction is one submission: all of its entries stand or fall together. The bytes of a
// request are never changed; ids and versions that the server assigns travel beside them, and
// are put into what is read back.
//
// Nothing of a resource or of a query is logged.
package rest
