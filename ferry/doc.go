// Package ferry carries messages across a gatekeeper (网闸) that passes nothing but files.
//
// A Port stands on each side. It writes signed, numbered, hash-chained bundles of messages
// into its outbox, which the gatekeeper moves to the other side's inbox, and takes what the
// gatekeeper brought from its own inbox. The gatekeeper is not trusted: it may drop, double,
// reorder, delay, truncate and alter files, and bring strange ones. What a Port promises:
//
//   - What Send has returned for is in the spool on disk, and stays there until the other
//     side has said, signed, that it delivered it. On a one-way channel (光闸) it stays for as
//     long as the operator chose.
//   - Messages of a lane are delivered in the order in which they were sent, each exactly
//     once. The last bundle that was delivered is marked together with its messages, in one
//     step, by the Inlet.
//   - A bundle is delivered only if its manifest is signed by a trusted key, follows the one
//     before it in the chain, and the content has the size and digest that it says. What
//     does not is kept in quarantine, reported and asked for again; never dropped silently.
//
// docs/design/ferry.md is the protocol, written for whoever builds the other side.
//
// A Port is one state machine: Step does what is due and returns. It is not safe for
// concurrent use but for Send, which is. Errors and reports name bundles by number and never
// hold content.
package ferry
