// Package auth tells who calls the FHIR surface and what they may do: OAuth2 bearer tokens of
// an OpenID Connect issuer with SMART backend-services scopes (SMART App Launch 2.0,
// "Backend Services"; scopes of version 1, system/Patient.read, and 2, system/Patient.rs),
// or client certificates of mutual TLS.
//
// Everything fails closed: a token that cannot be checked now, an unknown scope, an unlisted
// certificate allow nothing. Tokens and their claims are never logged or quoted.
package auth
