// Package forward sends HL7 v2 messages on to one destination over MLLP, in order, and
// keeps what the destination does not take.
//
// A Sender is a destination: one connection and a policy. What a destination answers
// decides what happens to a message:
//
//	AA, CA      done
//	AE, CE      tried again with growing pauses, then held: the fault may be passing
//	AR, CR      held at once: the same message would be rejected again
//	no answer, an answer to another message, no connection
//	            the destination is away and no message is blamed: the connection is reset,
//	            so that a late answer meets nobody, and the message is sent again, for as
//	            long as it takes
//
// An answer is matched by MSA-2; answers to earlier messages are passed over. Where no
// answer came, the destination may have the message all the same: delivery is at least
// once, and the destination knows a repetition by MSH-10.
//
// A Queue keeps messages durably until they are sent, held ones until somebody releases
// or drops them, and remembers what was sent, so that the same message goes out once.
// A Forwarder joins the two.
package forward
