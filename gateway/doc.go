// Package gateway is the institution-to-institution HTTPS service and its client.
//
// The channel is TLS 1.3 with certificates on both sides, of the consortium's gateway
// authority. A certificate of that authority alone opens nothing: the server compares the
// key of the caller's certificate with the one in the caller's registration on the ledger,
// and the client does the same with the server's, so that a certificate stolen from one
// member, or issued by mistake, never speaks for another. Each request is signed besides
// (SM2), carries a nonce that is taken once, and a time.
//
//	POST /v1/deliveries   request: wire.SignedRequest; answer: a delivery stream, or a
//	                      JSON object with code and reason
//	GET  /v1/health       204 while the process serves
//
// Nothing about patients stands in addresses, headers or logs.
package gateway
