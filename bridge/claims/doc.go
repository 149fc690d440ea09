// Package claims keeps bodies too long for the bus while they are on their way: the claim
// check. The bus carries a reference, the body waits in a file, and the record store gets
// the bytes in the end; nothing holds a body in memory.
//
// The life of a body:
//
//  1. An adapter writes it as it arrives (Create, Write). It lies encrypted in a file with
//     a temporary name; its size and SM3 digest are taken on the way.
//  2. Finish makes it durable: sync the file, rename it, sync the folder. From here on it
//     survives a crash.
//  3. The intake publishes a Reference on the bus and then hands the claim over. Only after
//     that the sender is told yes. A claim that was not handed over is discarded.
//  4. The seal stage reads it (Open) and removes it once the record store has the sealed
//     bytes on disk (Remove).
//
// A crash between 2 and 3, or between the store and 4, leaves a file that no message refers
// to. Collect removes such files: it lists them first and asks for the references on the
// bus afterwards, and it never touches one that this process still works on, so that a file
// it removes can have no reference any more.
//
// File format, all numbers big-endian:
//
//	"EMRCLM" ‖ 0 ‖ version 1 ‖ key version (u32) ‖ chunk size (u32) ‖ claim id (16 bytes)
//	then chunks of SM4-GCM: ciphertext ‖ tag (16 bytes); all but the last are full
//
// The key of a file is HKDF-SM3 of the master key with the claim id as salt, so no two
// files share one. The nonce is 7 zero bytes ‖ number of the chunk (u32) ‖ 1 for the last
// chunk and 0 for others: chunks cannot be dropped, swapped or taken from another file. The
// 32 bytes of the header are authenticated with every chunk.
//
// Nothing here logs; names of files are random.
package claims
