// Package demo runs the main job as its users would: a consortium of real Fabric
// processes, two hospitals as separate emrbridge processes, messages over MLLP, and the
// commands of the binary itself. It reads results back from the ledger and the stores,
// never from what the processes say of themselves.
package demo
