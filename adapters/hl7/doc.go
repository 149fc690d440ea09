// Package hl7 reads HL7 v2 messages in ER7 ("pipe and hat") form, versions 2.1 to 2.8, and
// answers them. Package mapping turns them into records.
//
// The parser is lossless: a parsed message keeps its bytes and holds only positions in
// them, so encoding gives back what came in, whatever the message holds (unknown escapes,
// local segments, "" against empty, trailing separators, mixed line ends). Values are
// split and unescaped when they are asked for, without copying.
//
// The order of work for one frame is fixed, because in the Chinese double-byte charsets
// the second byte of a character may equal a delimiter:
//
//	raw bytes → Decode (whole frame, by MSH-18 or the endpoint's charset) → Parse → Header → mapping
//
// Values are reached by path (Message.Get), from outside in (Segment.Field, Value.Comp, …,
// or with a Cursor), or all of them in one pass (Message.Walk), which is the fast way through
// a whole message. Value.Time, CX, XPN, XCN, Coded, HD and Number read the usual data types.
// Validate says where a message departs from the standard.
//
// Receiver takes one frame through all of this and returns the acknowledgement. It accepts a
// message only after its Submit function has returned, which is where durability is
// promised; what cannot be taken goes to its Quarantine function and is refused with an
// ERR segment. Stream cuts files into messages. Package mllp carries frames over TCP.
//
// Nothing in this package logs. Errors name segment, field and byte offset, never a value.
package hl7
