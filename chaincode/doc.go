// Package chaincode is the consortium's contract on Hyperledger Fabric: the registry of
// members, the registration of patients (T_R), the anchors of records (T_M), consents, the
// life of access requests, and that of research projects. Its vocabulary is package evidence, its rule of access is
// package policy, its cryptography is package smcrypto.
//
// Every change of state is a statement signed with SM2 by the acting hospital. A handler
// first checks everything and then writes, so a refused transaction leaves no write
// behind. Refusals are evidence.Refusal in JSON; any other error message reports that the
// ledger itself failed, and says nothing about the statement.
//
// The contract is deterministic: it reads no clock and no randomness, starts no goroutine
// and never lets the order of a map reach the ledger. Time is the transaction's timestamp.
// State keys are listed in keys.go; docs/design/ledger.md tells why they are so.
package chaincode
