// Package subscription notifies of two events of a record by rest-hook (FHIR R4 §2.46): that
// it was anchored on the ledger, and that access to it was granted.
//
// A Subscription names the event in its criteria, AuditEvent?subtype=anchored or
// AuditEvent?subtype=granted, and where to call in channel.endpoint: HTTPS, to a host that the
// operator allows. Nothing of a resource travels: the body is empty or names the version.
//
// Notifications of one subscription go out in order, each tried again a few times, from a
// bounded queue in memory: what does not fit, or fails to the end, is dropped and counted. A
// restart forgets the queue; a client that must not miss anything reads by _lastUpdated.
package subscription
