package chaincode

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/msp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/emrbridge/emrbridge/evidence"
)

// tx is one transaction while it is handled.
type tx struct {
	ledger
	certs     *certificates
	args      [][]byte
	submitter string // MSP id of the identity that signed the proposal
	stamp     *timestamppb.Timestamp
	now       int64 // the same timestamp in Unix milliseconds
}

func newTx(stub shim.ChaincodeStubInterface, certs *certificates, args [][]byte) (*tx, error) {
	stamp, err := stub.GetTxTimestamp()
	if err != nil || stamp.CheckValid() != nil {
		return nil, refuse(evidence.CodeMalformed, "the transaction has no valid timestamp")
	}
	now := stamp.AsTime().UnixMilli()
	if now <= 0 || now >= maxTime {
		return nil, refuse(evidence.CodeMalformed, "the transaction's timestamp is out of range")
	}
	creator, err := stub.GetCreator()
	if err != nil {
		return nil, fmt.Errorf("emrbridge contract: read the creator: %w", err)
	}
	submitter, err := submitterOf(creator)
	if err != nil {
		return nil, err
	}
	return &tx{ledger: ledger{stub}, certs: certs, args: args, submitter: submitter, stamp: stamp, now: now}, nil
}

// submitterOf returns the MSP of a client or an admin. The peer has verified the identity
// already; peers and orderers of an organisation do not speak for it.
func submitterOf(creator []byte) (string, error) {
	var id msp.SerializedIdentity
	if err := proto.Unmarshal(creator, &id); err != nil {
		return "", refuse(evidence.CodeUnauthorized, "the submitter's identity cannot be read")
	}
	block, _ := pem.Decode(id.GetIdBytes())
	if block == nil {
		return "", refuse(evidence.CodeUnauthorized, "the submitter's identity is no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return "", refuse(evidence.CodeUnauthorized, "the submitter's certificate cannot be read")
	}
	units := cert.Subject.OrganizationalUnit
	if !slices.Contains(units, "client") && !slices.Contains(units, "admin") {
		return "", refuse(evidence.CodeUnauthorized, "only a client or an admin of an organisation may submit; the certificate's unit is neither")
	}
	if !evidence.ValidMSP(id.GetMspid()) {
		return "", refuse(evidence.CodeUnauthorized, "the submitter's MSP id is not valid")
	}
	return id.GetMspid(), nil
}

// emit sets the transaction's event.
func (t *tx) emit(e evidence.Event) error {
	name := evidence.EventChanged
	if e.Kind == evidence.KindAnchorBatch {
		name = evidence.EventAnchored
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("emrbridge contract: encode the event: %w", err)
	}
	if err := t.stub.SetEvent(name, payload); err != nil {
		return fmt.Errorf("emrbridge contract: set the event: %w", err)
	}
	return nil
}
