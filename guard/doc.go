// Package guard keeps the short-lived state that the front-end's processes share: which
// control ids a sender has used, which nonces were seen, how fast a caller may go. It lives
// in Redis, or in an in-process stand-in, and the guard works on, more weakly but safely,
// while Redis is gone.
//
// # What stands behind it
//
// The guard is a first line, never the last. Records are idempotent by their id all the way
// to the ledger, and the ledger refuses replayed and stale statements by itself. So losing
// all of the guard's memory loses no record and doubles none; it costs work and narrows the
// replay protection of the HTTP interfaces to their time windows.
//
// # While Redis answers
//
//   - Ledger of control ids. Control looks a message up, Remember enters it after it was
//     published durably; the first entry of a control id stays for LedgerTTL. Two messages
//     with one control id and different content that pass Control at the same moment are
//     told apart by Remember: the later one gets Conflict.
//   - Nonces. UseNonce is atomic over all processes: one caller gets fresh, all others not.
//   - Rates. Allow is one script on the server (generic cell rate algorithm), dated by the
//     server's clock, so that processes share one budget whatever their clocks say.
//
// # While Redis is gone
//
// No call waits longer than the operation timeout (100 ms by default, 200 ms at most). After
// three failures in a row, or while the guard has never reached Redis, calls go to bounded
// memory of the process at once, until a probe reaches Redis again:
//
//   - Ledger: what this process remembered is still recognised; anything else is New.
//     Entries that find no room are forgotten, oldest first: they become New.
//   - Nonces: what this process has seen, in the outage or before it, is still refused. A
//     nonce used only at another process, or before this one started, is accepted once. With
//     StrictNonces the guard refuses instead, with ErrUnavailable. A nonce is never
//     forgotten before its time for want of room: UseNonce returns ErrSaturated instead.
//   - Rates: a local limiter grants the share of one process, rate/Instances. It starts from
//     what Redis said last about the caller. Where there is no room for another caller, that
//     caller is refused.
//
// When Redis is back, the nonces and control ids of this process go to it before the guard
// relies on it again. The guard also keeps a marker in Redis: if the marker is missing
// though Redis was never seen to fail (restarted empty, flushed, replaced), they are sent
// again. Healthy says in which state the guard is; Stats counts.
//
// # What Redis gets to know, and can do
//
// Names and values are HMAC-SM3 under a key that Redis does not have: no control id, sender,
// nonce or address can be read from it or guessed and confirmed. Whoever controls Redis can
// make the guard forget, which is the case above; can call a fresh nonce used and a caller
// too fast, which denies service; but cannot make a message look like a Duplicate or
// a Conflict that was never entered, because ledger values are authenticated.
//
// Run Redis with maxmemory-policy noeviction or volatile-ttl, since other policies evict
// nonces before their time, and with TLS and an ACL user limited to the prefix "emr:".
package guard
