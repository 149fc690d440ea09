package chainclient

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	fabric "github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/hash"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/common"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"

	"github.com/emrbridge/emrbridge/internal/fsatomic"
)

// maxMessage is the largest gRPC message accepted, in bytes: that of a Fabric peer.
const maxMessage = 100 << 20

// fabricIdentity is the client's own Fabric identity.
type fabricIdentity struct {
	id      *identity.X509Identity
	sign    identity.Sign
	creator []byte // msp.SerializedIdentity
}

func loadIdentity(cfg Config) (*fabricIdentity, error) {
	certPEM, err := os.ReadFile(cfg.CertPath)
	if err != nil {
		return nil, fmt.Errorf("chainclient: read Fabric certificate: %w", err)
	}
	cert, err := identity.CertificateFromPEM(certPEM)
	if err != nil {
		return nil, fmt.Errorf("chainclient: %s is not a certificate in PEM: %w", cfg.CertPath, err)
	}
	if err := fsatomic.CheckPrivate(cfg.KeyPath); err != nil {
		return nil, fmt.Errorf("chainclient: Fabric key: %w", err)
	}
	keyPEM, err := os.ReadFile(cfg.KeyPath)
	if err != nil {
		return nil, fmt.Errorf("chainclient: read Fabric key: %w", err)
	}
	key, err := identity.PrivateKeyFromPEM(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("chainclient: %s is not a private key in PEM", cfg.KeyPath)
	}
	return newIdentity(cfg.MSPID, cert, key)
}

func newIdentity(mspID string, cert *x509.Certificate, key any) (*fabricIdentity, error) {
	id, err := identity.NewX509Identity(mspID, cert)
	if err != nil {
		return nil, fmt.Errorf("chainclient: Fabric identity: %w", err)
	}
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, fmt.Errorf("chainclient: Fabric key: %w", err)
	}
	creator, err := proto.Marshal(&msp.SerializedIdentity{Mspid: mspID, IdBytes: id.Credentials()})
	if err != nil {
		return nil, fmt.Errorf("chainclient: Fabric identity: %w", err)
	}
	return &fabricIdentity{id: id, sign: sign, creator: creator}, nil
}

// fabricLink implements link with fabric-gateway.
type fabricLink struct {
	peer    Peer
	channel string
	self    *fabricIdentity
	conn    *grpc.ClientConn
	gateway *fabric.Gateway
	network *fabric.Network
	own     *fabric.Contract
}

var _ link = (*fabricLink)(nil)

func newFabricLink(p Peer, cfg Config, self *fabricIdentity) (*fabricLink, error) {
	conn, err := dial(p, cfg.Keepalive)
	if err != nil {
		return nil, err
	}
	gw, err := fabric.Connect(self.id, fabric.WithSign(self.sign), fabric.WithHash(hash.SHA256), fabric.WithClientConnection(conn))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("chainclient: gateway %s: %w", p.Address, err), conn.Close())
	}
	network := gw.GetNetwork(cfg.Channel)
	return &fabricLink{peer: p, channel: cfg.Channel, self: self, conn: conn, gateway: gw, network: network, own: network.GetContract(cfg.Contract)}, nil
}

func dial(p Peer, ping time.Duration) (*grpc.ClientConn, error) {
	pem, err := os.ReadFile(p.TLSCACertPath)
	if err != nil {
		return nil, fmt.Errorf("chainclient: TLS authority of %s: %w", p.Address, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("chainclient: %s holds no certificate in PEM", p.TLSCACertPath)
	}
	name := p.ServerName
	if name == "" {
		if name, _, err = net.SplitHostPort(p.Address); err != nil {
			return nil, fmt.Errorf("chainclient: peer address %q: %w", p.Address, err)
		}
	}
	conn, err := grpc.NewClient("passthrough:///"+p.Address,
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, name)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: ping, Timeout: 20 * time.Second, PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           grpcbackoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)))
	if err != nil {
		return nil, fmt.Errorf("chainclient: gateway %s: %w", p.Address, err)
	}
	return conn, nil
}

func (l *fabricLink) name() string { return l.peer.Address }
func (l *fabricLink) msp() string  { return l.peer.MSPID }

func (l *fabricLink) ready() bool {
	state := l.conn.GetState()
	if state == connectivity.Idle {
		l.conn.Connect()
	}
	return state == connectivity.Ready
}

func (l *fabricLink) close() error {
	return errors.Join(l.gateway.Close(), l.conn.Close())
}

func (l *fabricLink) endorse(ctx context.Context, p proposal) (endorsed, error) {
	call, err := l.own.NewProposal(p.function, fabric.WithBytesArguments(p.args...),
		fabric.WithTransient(p.transient), fabric.WithEndorsingOrganizations(p.orgs...))
	if err != nil {
		return endorsed{}, fmt.Errorf("build proposal: %w", err)
	}
	tx, err := call.EndorseWithContext(ctx)
	if err != nil {
		return endorsed{}, err
	}
	raw, err := tx.Bytes()
	if err != nil {
		return endorsed{}, fmt.Errorf("encode transaction: %w", err)
	}
	asked, err := call.Bytes()
	if err != nil {
		return endorsed{}, fmt.Errorf("encode proposal: %w", err)
	}
	if err := checkPrepared(asked, raw); err != nil {
		return endorsed{}, err
	}
	sig, err := l.self.sign(tx.Digest())
	if err != nil {
		return endorsed{}, fmt.Errorf("sign transaction: %w", err)
	}
	return endorsed{txID: tx.TransactionID(), result: tx.Result(), bytes: raw, signature: sig}, nil
}

// errForged marks a gateway that gave back another transaction than it was asked for.
var errForged = errors.New("the gateway returned a transaction that does not belong to the proposal")

// checkPrepared compares the transaction that a gateway prepared with the proposal, so that
// a dishonest gateway cannot have something else signed in its place.
func checkPrepared(asked, prepared []byte) error {
	var ask gateway.ProposedTransaction
	var got gateway.PreparedTransaction
	var prop peer.Proposal
	var propHeader common.Header
	var payload common.Payload
	var tx peer.Transaction
	var action peer.ChaincodeActionPayload
	var sent, echoed peer.ChaincodeProposalPayload
	if proto.Unmarshal(asked, &ask) != nil || proto.Unmarshal(ask.GetProposal().GetProposalBytes(), &prop) != nil ||
		proto.Unmarshal(prop.GetHeader(), &propHeader) != nil || proto.Unmarshal(prop.GetPayload(), &sent) != nil {
		return errors.New("own proposal cannot be read")
	}
	if proto.Unmarshal(prepared, &got) != nil || proto.Unmarshal(got.GetEnvelope().GetPayload(), &payload) != nil ||
		proto.Unmarshal(payload.GetData(), &tx) != nil || len(tx.GetActions()) != 1 ||
		proto.Unmarshal(tx.GetActions()[0].GetPayload(), &action) != nil ||
		proto.Unmarshal(action.GetChaincodeProposalPayload(), &echoed) != nil {
		return errForged
	}
	if !bytes.Equal(payload.GetHeader().GetChannelHeader(), propHeader.GetChannelHeader()) ||
		!bytes.Equal(payload.GetHeader().GetSignatureHeader(), propHeader.GetSignatureHeader()) ||
		!bytes.Equal(echoed.GetInput(), sent.GetInput()) || len(echoed.GetTransientMap()) != 0 {
		return errForged
	}
	return nil
}

func (l *fabricLink) submit(ctx context.Context, e endorsed) error {
	tx, err := l.gateway.NewSignedTransaction(e.bytes, e.signature)
	if err != nil {
		return fmt.Errorf("decode transaction: %w", err)
	}
	_, err = tx.SubmitWithContext(ctx)
	return err
}

func (l *fabricLink) commitStatus(ctx context.Context, txID string) (outcome, error) {
	request, err := proto.Marshal(&gateway.CommitStatusRequest{ChannelId: l.channel, TransactionId: txID, Identity: l.self.creator})
	if err != nil {
		return outcome{}, fmt.Errorf("encode commit status request: %w", err)
	}
	signed, err := proto.Marshal(&gateway.SignedCommitStatusRequest{Request: request})
	if err != nil {
		return outcome{}, fmt.Errorf("encode commit status request: %w", err)
	}
	commit, err := l.gateway.NewCommit(signed)
	if err != nil {
		return outcome{}, fmt.Errorf("build commit status request: %w", err)
	}
	st, err := commit.StatusWithContext(ctx)
	if err != nil {
		return outcome{}, err
	}
	return outcome{code: st.Code, block: st.BlockNumber, peer: l.peer.MSPID}, nil
}

func (l *fabricLink) evaluate(ctx context.Context, contract, function string, args [][]byte) ([]byte, error) {
	return l.network.GetContract(contract).EvaluateWithContext(ctx, function, fabric.WithBytesArguments(args...),
		fabric.WithEndorsingOrganizations(l.peer.MSPID))
}

func (l *fabricLink) filteredBlocks(ctx context.Context, from uint64) (<-chan *peer.FilteredBlock, error) {
	return l.network.FilteredBlockEvents(ctx, fabric.WithStartBlock(from))
}

func (l *fabricLink) blocks(ctx context.Context, from uint64) (<-chan *common.Block, error) {
	return l.network.BlockEvents(ctx, fabric.WithStartBlock(from))
}
