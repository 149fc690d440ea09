// Package chainclient speaks to the consortium's ledger through the gateways of Fabric
// peers.
//
// A transaction goes through four steps, and each can lose its answer:
//
//	statement  body + nonce + time, signed with SM2 by the hospital (Signer)
//	endorse    a gateway peer has the contract run by EndorsersNeeded organisations
//	submit     the signed envelope goes to the orderers
//	commit     a block tells whether the transaction is valid
//
// Three invariants hold the retries together:
//
//  1. A statement is signed once and keeps its nonce over all attempts. The contract accepts
//     a nonce once, so however many attempts survive on their way, at most one takes effect.
//  2. An envelope whose submission was not answered is handed over again as it is: a
//     transaction id is valid once on a channel.
//  3. A transaction that may be on its way is looked up before anything else is tried, and
//     if its fate stays open the caller gets UnknownError, never a plain failure.
//
// Trust. The peer of the own organisation is believed. Peers of others serve when it is
// down, and are not believed alone: a refusal counts if the own peer says it or two
// organisations agree, an envelope that comes back from a gateway is compared with the
// proposal before it is signed, and an endorser whose answers do not fit is set aside.
package chainclient
