// Package hip is the web service of a Chinese hospital information platform: one SOAP
// operation, HIPMessageServer(action, message), whose message is an HL7 v3 interaction
// under the OIDs 2.16.156.10011 (WS/T 846, hospital information platform interaction
// specification; services of the national interoperability assessment).
//
// The order of work for one call is
//
//	HTTP body → envelope (SOAP 1.1 or 1.2) → message text → safexml.Parse → dispatch on the
//	root element → check → Submit → acknowledgement
//
// The action is not trusted: partners swap action names, the root element of the message
// says what it is. A registration is acknowledged with AA only after Submit has returned,
// which is where durability is promised; what cannot be taken goes to Quarantine and is
// answered with AE and the reason. Queries are answered from the interfaces Archive and
// Registry, that whoever assembles the service provides.
//
// Nothing in this package logs. Reasons name elements and rules, never values.
package hip
