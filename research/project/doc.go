// Package project reads research projects from the ledger without believing the peer that
// answers. An institute is what the consortium authority signed, an application what the
// institute signed, a decision, a release or a notice what the hospital signed; terms are
// taken from the signed bytes, never from the view beside them. A peer can still show an
// old state; the contract at the other peers, which decides on each release, is not misled.
//
// Hospitals read with it before they release, institutes before they open what they were
// given, each through its own Ledger.
package project
