// Package local is the HTTP interface by which the hospital's own commands reach its
// running process: retrieval, consents, the review of emergencies, and operations on
// messages that were set aside or refused.
//
// It listens on a Unix socket with mode 0600 in a folder with mode 0700, so that only the
// user who runs the process, and root, may call. A loopback TCP address with a bearer
// token may be added where a Unix socket cannot be used. Every call is logged with its
// caller and its outcome, never with patient data.
//
//	POST /internal/v1/retrieve                     RetrieveRequest   → RetrieveResponse
//	POST /internal/v1/consents                     ConsentRequest    → ConsentResponse
//	POST /internal/v1/consents/{id}/revoke                           → 204
//	GET  /internal/v1/emergencies?size=&bookmark=                    → evidence.Page[evidence.Access]
//	POST /internal/v1/emergencies/{id}/review      ReviewRequest     → 204
//	GET  /internal/v1/parked                                         → ParkedResponse
//	POST /internal/v1/parked/{id}/release                            → 204
//	POST /internal/v1/parked/{id}/drop                               → 204
//	POST /internal/v1/quarantine/{id}/replay       ReplayRequest     → ReplayResponse
//
// A failure is an object with "error" (a code) and "message". Identities travel in bodies
// only.
package local
