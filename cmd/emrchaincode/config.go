package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
)

// Names of the environment variables.
const (
	envID          = "CHAINCODE_ID"
	envAddress     = "CHAINCODE_SERVER_ADDRESS"
	envKey         = "CHAINCODE_TLS_KEY"
	envCert        = "CHAINCODE_TLS_CERT"
	envClientCA    = "CHAINCODE_TLS_CLIENT_CA"
	envTLSDisabled = "CHAINCODE_TLS_DISABLED"
)

// config is what the service needs to start.
type config struct {
	id      string
	address string
	tls     *tls.Config // nil without TLS
}

// configFrom reads the configuration and reports all that is wrong with it.
func configFrom(env func(string) string) (config, error) {
	c := config{id: env(envID), address: env(envAddress)}
	var faults []error
	if c.id == "" {
		faults = append(faults, fmt.Errorf("%s is not set: give the package id that the peer printed at installation", envID))
	}
	host, _, addressErr := net.SplitHostPort(c.address)
	if addressErr != nil {
		faults = append(faults, fmt.Errorf("%s must be host:port, for example 127.0.0.1:9999", envAddress))
	}
	var err error
	if c.tls, err = tlsFrom(env(envKey), env(envCert), env(envClientCA)); err != nil {
		faults = append(faults, err)
	} else if c.tls == nil && addressErr == nil && !loopback(host) && env(envTLSDisabled) != "true" {
		faults = append(faults, fmt.Errorf("%s is reachable from other machines without TLS: set %s and %s, or %s=true if the network encrypts by itself",
			c.address, envKey, envCert, envTLSDisabled))
	}
	return c, errors.Join(faults...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func tlsFrom(key, cert, clientCA string) (*tls.Config, error) {
	if key == "" && cert == "" {
		if clientCA != "" {
			return nil, fmt.Errorf("%s needs %s and %s", envClientCA, envKey, envCert)
		}
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", envCert, envKey, err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(clientCA) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%s: %w", envClientCA, err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no PEM certificate", envClientCA, clientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	return c, nil
}
