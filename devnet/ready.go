package devnet

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hyperledger/fabric-gateway/pkg/client"
	"github.com/hyperledger/fabric-gateway/pkg/identity"
	"github.com/hyperledger/fabric-protos-go-apiv2/gateway"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
)

// probeFunction is no function of the contract: that the contract refuses it proves that it was reached.
const probeFunction = "devnet:probe"

// awaitEndorsement waits until every peer can have a transaction endorsed by all hospitals. Right after a
// start the peers have not found each other yet, and clients would be told that no endorsers are known.
func awaitEndorsement(ctx context.Context, n *Network) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	hospitals := n.Hospitals()
	return eachHospital(ctx, n.state, func(ctx context.Context, h hospitalState) error {
		return awaitPeer(ctx, n, hospitals[h.Number-1])
	})
}

func awaitPeer(ctx context.Context, n *Network, h Hospital) error {
	conn, gw, err := h.connect()
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing is pending
	defer gw.Close()   //nolint:errcheck // nothing is pending
	contract := gw.GetNetwork(n.Channel()).GetContract(n.Contract())
	for {
		err := probe(ctx, contract, n.state.hospitalMSPs())
		if err == nil {
			return nil
		}
		if pause(ctx, 2*pollInterval) != nil {
			return fmt.Errorf("%s cannot get transactions endorsed by all hospitals: %w; see %s", h.PeerProcess, err, logPath(n.dir, h.PeerProcess))
		}
	}
}

// probe asks for an endorsement by all hospitals. The contract's refusal is the wanted answer.
func probe(ctx context.Context, contract *client.Contract, msps []string) error {
	proposal, err := contract.NewProposal(probeFunction, client.WithEndorsingOrganizations(msps...))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = proposal.EndorseWithContext(ctx)
	if reachedContract(err) {
		return nil
	}
	return err
}

func (h Hospital) connect() (*grpc.ClientConn, *client.Gateway, error) {
	certPEM, err := os.ReadFile(h.ClientCert)
	if err != nil {
		return nil, nil, err
	}
	cert, err := identity.CertificateFromPEM(certPEM)
	if err != nil {
		return nil, nil, err
	}
	id, err := identity.NewX509Identity(h.MSPID, cert)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(h.ClientKey)
	if err != nil {
		return nil, nil, err
	}
	key, err := identity.PrivateKeyFromPEM(keyPEM)
	if err != nil {
		return nil, nil, err
	}
	sign, err := identity.NewPrivateKeySign(key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := os.ReadFile(h.PeerTLSCA)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	conn, err := grpc.NewClient("passthrough:///"+h.PeerEndpoint, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, h.PeerTLSHostOverride)))
	if err != nil {
		return nil, nil, err
	}
	gw, err := client.Connect(id, client.WithSign(sign), client.WithClientConnection(conn))
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, gw, nil
}

// reachedContract tells the contract's own answer from Fabric's failures to reach it, which the gateway
// reports with the same status code.
func reachedContract(err error) bool {
	if err == nil {
		return true
	}
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.Aborted || len(st.Details()) == 0 {
		return false
	}
	for _, d := range st.Details() {
		detail, ok := d.(*gateway.ErrorDetail)
		if !ok || !strings.Contains(detail.GetMessage(), "chaincode response") {
			return false
		}
	}
	return true
}
