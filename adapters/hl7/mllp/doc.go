// Package mllp carries HL7 v2 frames over TCP by the Minimal Lower Layer Protocol
// (HL7 Transport Specification: MLLP, Release 1): <VT> message <FS><CR>.
//
// The server has one goroutine and one buffered reader per connection, so pipelined
// frames are taken one after another and answered in their order. Everything a peer can
// make the server hold or wait for is bounded: connections, bytes of a frame, bytes of all
// frames in flight, junk between frames, and each phase by a deadline of its own. A frame
// that is too long, cut off or refused for lack of memory still reaches the handler, with
// what came of it, so that it can be answered and kept for inspection.
//
// A frame that grows over a threshold goes on into a spool as it arrives (Config.Spool), so
// that a document of 50 MB needs no more memory than one of 1 MB.
//
// The client sends over one connection, one message at a time, and matches each answer by
// MSA-2.
//
// Nothing here logs: the server reports what happens to Config.Observe.
package mllp
