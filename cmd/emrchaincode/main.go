// Command emrchaincode runs the consortium's contract as a service that a Fabric peer
// connects to.
//
// It is configured by environment variables, as Fabric's contracts as a service are:
//
//	CHAINCODE_ID              package id, as the peer calculated it at installation
//	CHAINCODE_SERVER_ADDRESS  host:port to listen on
//	CHAINCODE_TLS_KEY         file with the server's private key, PEM
//	CHAINCODE_TLS_CERT        file with the server's certificate, PEM
//	CHAINCODE_TLS_CLIENT_CA   file with the CA of the peers' client certificates, PEM;
//	                          if set, a peer must present one
//	CHAINCODE_TLS_DISABLED    "true" permits an address that is not loopback without TLS,
//	                          for a network that encrypts by itself
//
// Once it listens it prints one line. SIGTERM and SIGINT end it after the transactions in
// hand, at most 5 seconds later. It exits with 1 if it cannot start or serve.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Getenv, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "emrchaincode: %v\n", err)
		os.Exit(1)
	}
}
