package chaincode

import (
	"fmt"

	"github.com/hyperledger/fabric-chaincode-go/v2/shim"
	"github.com/hyperledger/fabric-protos-go-apiv2/peer"

	"github.com/emrbridge/emrbridge/evidence"
)

// Contract implements shim.Chaincode. The zero value is ready; it is safe for concurrent
// use, and all that it keeps between transactions is a cache of parsed certificates.
type Contract struct {
	certs certificates
}

// transaction handles one function that changes state.
type transaction func(t *tx) (payload []byte, err error)

// query handles one function that only reads.
type query func(l ledger, args []string) (answer any, err error)

// transactions and queries are what a client can call. Nothing else is reachable.
var (
	transactions = map[string]transaction{
		evidence.TxBootstrap:       bootstrap,
		evidence.TxRegisterMember:  registerMember,
		evidence.TxSetMemberStatus: setMemberStatus,
		evidence.TxRegisterPatient: stated(registerPatient),
		evidence.TxAnchorBatch:     stated(anchorBatch),
		evidence.TxGrantConsent:    stated(grantConsent),
		evidence.TxRevokeConsent:   stated(revokeConsent),
		evidence.TxRequestAccess:   stated(requestAccess),
		evidence.TxDecideAccess:    stated(decideAccess),
		evidence.TxDeliver:         stated(deliver),
		evidence.TxConfirm:         stated(confirm),
		evidence.TxReviewEmergency: stated(reviewEmergency),
		evidence.TxDestroyKey:      stated(destroyKey),
		evidence.TxLinkTag:         stated(linkTag),
		evidence.TxUnlinkTag:       stated(unlinkTag),

		evidence.TxRegisterInstitute:  registerInstitute,
		evidence.TxSetInstituteStatus: setInstituteStatus,
		evidence.TxApplyProject:       carried(applyProject),
		evidence.TxDecideProject:      stated(decideProject),
		evidence.TxCloseProject:       carried(closeProject),
		evidence.TxRecordRelease:      stated(recordRelease),
		evidence.TxWithdrawSubjects:   stated(withdrawSubjects),
		evidence.TxConfirmDeletion:    carried(confirmDeletion),
		evidence.TxReidentify:         stated(reidentify),
	}
	queries = map[string]query{
		evidence.QueryAuthority:     getAuthority,
		evidence.QueryMember:        getMember,
		evidence.QueryMembers:       listMembers,
		evidence.QueryPatient:       getPatient,
		evidence.QueryAnchor:        getAnchor,
		evidence.QueryAnchors:       listAnchors,
		evidence.QueryBatch:         getBatch,
		evidence.QueryConsent:       getConsent,
		evidence.QueryConsents:      listConsents,
		evidence.QueryAccess:        getAccess,
		evidence.QueryAccesses:      listAccesses,
		evidence.QueryAccessesByTag: listAccessesByTag,
		evidence.QueryEmergencies:   listEmergencies,
		evidence.QueryDestructions:  listDestructions,
		evidence.QueryTagLinks:      listTagLinks,
		evidence.QueryLinkedAnchors: listLinkedAnchors,
		evidence.QueryTagHistory:    listTagHistory,

		evidence.QueryInstitute:         getInstitute,
		evidence.QueryInstitutes:        listInstitutes,
		evidence.QueryProject:           getProject,
		evidence.QueryProjects:          listProjects,
		evidence.QueryRelease:           getRelease,
		evidence.QueryReleases:          listReleases,
		evidence.QueryWithdrawals:       listWithdrawals,
		evidence.QueryReidentifications: listReidentifications,
	}
)

// Init implements shim.Chaincode. There is nothing to prepare: see Bootstrap.
func (c *Contract) Init(shim.ChaincodeStubInterface) *peer.Response { return shim.Success(nil) }

// Invoke implements shim.Chaincode: the first argument names a transaction or a query of
// package evidence. A refusal has status 500 and the refusal's JSON as message.
func (c *Contract) Invoke(stub shim.ChaincodeStubInterface) (response *peer.Response) {
	// No input is known that makes a handler panic, and the fuzz target looks for one with
	// this net taken away. It is here because one process serves all callers of a peer.
	defer func() {
		if recover() != nil {
			response = shim.Error("emrbridge contract: internal error")
		}
	}()
	payload, err := c.run(stub)
	if err != nil {
		return shim.Error(err.Error())
	}
	return shim.Success(payload)
}

func (c *Contract) run(stub shim.ChaincodeStubInterface) ([]byte, error) {
	args := stub.GetArgs()
	if len(args) == 0 {
		return nil, refuse(evidence.CodeMalformed, "no function is named")
	}
	name := string(args[0])
	if handle, ok := queries[name]; ok {
		return answer(ledger{stub}, handle, args[1:])
	}
	handle, ok := transactions[name]
	if !ok {
		return nil, refuse(evidence.CodeMalformed, "the contract has no function %q", clip(name, 64))
	}
	t, err := newTx(stub, &c.certs, args[1:])
	if err != nil {
		return nil, err
	}
	stub.StartWriteBatch()
	payload, err := handle(t)
	if err != nil {
		return nil, err
	}
	if err := stub.FinishWriteBatch(); err != nil {
		return nil, fmt.Errorf("emrbridge contract: write state: %w", err)
	}
	return payload, nil
}
