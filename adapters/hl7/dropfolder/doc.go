// Package dropfolder takes HL7 v2 messages from files that other systems put into a folder.
//
// The folder is polled, so it may lie on SMB or NFS. A file is taken when it is complete:
// its name has one of the suffixes (a sender may write under another name and rename), and
// its size and time have not changed for some polls. It may hold one message, many, or a
// batch (FHS, BHS, BTS, FTS), whose counts are checked before anything of it is taken.
//
// For each file, in the order of the names:
//
//  1. The file is read, within a limit, and cut into messages.
//  2. Each message goes to the receiver, as if it had come over MLLP. What became of it is
//     appended to a journal in the state folder.
//  3. NAME.result.json and NAME.result.txt are written to done/ if every message was taken,
//     else to failed/. They say for each message what became of it.
//  4. The file itself is moved there, and the journal goes.
//
// A crash between any two of these makes the file be taken again; the journal says which
// messages have their answer already, and the rest is harmless because a message that is
// durable is recognised by its bytes. While the receiver cannot take messages (the bus is
// away or full) the file stays where it is.
//
// Symbolic links, folders and hidden files are passed over, and nothing outside the folder
// can be reached through it.
package dropfolder
