package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/emrbridge/emrbridge/chaincode"
)

const (
	maxMessage = 100 << 20 // bytes, as Fabric's own servers
	drainTime  = 5 * time.Second
	drainPoll  = 10 * time.Millisecond
)

// run serves until ctx ends. The shim's own server has no way to stop, so its stream
// handler is registered on a server that has.
func run(ctx context.Context, env func(string) string, out io.Writer) error {
	c, err := configFrom(env)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("address %s is in use by another process: stop it, or choose another %s", c.address, envAddress)
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", c.address, err)
	}
	contract := &counted{inner: &chaincode.Contract{}}
	server := grpc.NewServer(options(c)...)
	peer.RegisterChaincodeServer(server, &shim.ChaincodeServer{CCID: c.id, CC: contract})

	stopped := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(stopped)
		select {
		case <-ctx.Done():
			contract.drain()
		case <-ended:
		}
		server.Stop()
	}()
	fmt.Fprintf(out, "emrchaincode: %s listening on %s (TLS %s)\n", c.id, listener.Addr(), onOff(c.tls != nil))
	err = server.Serve(listener)
	close(ended)
	<-stopped
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve on %s: %w", c.address, err)
	}
	return nil
}

func options(c config) []grpc.ServerOption {
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage), grpc.MaxSendMsgSize(maxMessage),
		grpc.ConnectionTimeout(5 * time.Second),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Minute, PermitWithoutStream: true}),
	}
	if c.tls != nil {
		opts = append(opts, grpc.Creds(credentials.NewTLS(c.tls)))
	}
	return opts
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// counted knows how many transactions are in hand.
type counted struct {
	inner shim.Chaincode
	busy  atomic.Int64
}

func (c *counted) Init(stub shim.ChaincodeStubInterface) *peer.Response { return c.inner.Init(stub) }

func (c *counted) Invoke(stub shim.ChaincodeStubInterface) *peer.Response {
	c.busy.Add(1)
	defer c.busy.Add(-1)
	return c.inner.Invoke(stub)
}

// drain waits until no transaction is in hand. The stream of a peer never ends by itself,
// so gRPC's graceful stop would wait for ever.
func (c *counted) drain() {
	deadline := time.Now().Add(drainTime)
	for c.busy.Load() > 0 && time.Now().Before(deadline) {
		time.Sleep(drainPoll)
	}
	time.Sleep(drainPoll) // lets the last answer reach the stream
}
