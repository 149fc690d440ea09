// Package bus is the durable path between the stages: NATS JetStream, embedded or a
// cluster, with group commit and bodies sealed at rest.
//
// Durability. Publish returns nil only after the server has the message on disk: a single
// node syncs each commit (sync always), a cluster of three relies on its quorum. Concurrent
// publishes are collected into atomic batches (Nats-Batch-Id, -Sequence, -Commit), each of
// which is synced once: one by one a disk that syncs in 5 ms takes 200 messages a second,
// in batches of 256 a hundred times as many. A batch is committed whole or not at all, also
// across a crash of the server. Batches carry no Nats-Msg-Id: one known id in a batch
// refuses the whole batch, and idempotency here rests on record ids, not on a window.
//
// Secrecy. The front-end machine stands in the DMZ, so nothing clinical lies on its disk in
// the clear. Bodies are sealed by the given Cipher before they reach the server, bound to
// subject and headers; the embedded server encrypts its files once more, headers
// included. The server's own encryption alone would not do: it does not authenticate, and
// it encrypts a block that it rewrites with the key stream of the block before.
package bus
