package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// ErrPeerKey reports a certificate whose key is not the one registered on the ledger.
var ErrPeerKey = errors.New("gateway: the certificate's key is not the member's registered gateway key")

// KeyOf returns the SHA-256 digest of a certificate's SubjectPublicKeyInfo: the value that
// a member registers on the ledger as its gateway key.
func KeyOf(cert *x509.Certificate) evidence.Digest {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// KeyOfPair is KeyOf for a certificate with its private key.
func KeyOfPair(pair tls.Certificate) (evidence.Digest, error) {
	if len(pair.Certificate) == 0 {
		return evidence.Digest{}, errors.New("gateway: no certificate")
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return evidence.Digest{}, fmt.Errorf("gateway: certificate: %w", err)
	}
	return KeyOf(leaf), nil
}

// sameKey compares in constant time. An empty registration matches nothing.
func sameKey(cert *x509.Certificate, registered evidence.Digest) bool {
	key := KeyOf(cert)
	return !registered.IsZero() && subtle.ConstantTimeCompare(key[:], registered[:]) == 1
}

// serverTLS demands a certificate of the gateway authority from every caller.
func serverTLS(pair tls.Certificate, authority *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority,
		// A resumed session would skip the check of the caller's chain.
		SessionTicketsDisabled: true,
		NextProtos:             []string{"http/1.1"},
	}
}

// clientTLS accepts one server only: the one with the registered key.
func clientTLS(pair tls.Certificate, authority *x509.CertPool, key evidence.Digest) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: authority,
		NextProtos: []string{"http/1.1"},
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !sameKey(s.PeerCertificates[0], key) {
				return ErrPeerKey
			}
			return nil
		},
	}
}
