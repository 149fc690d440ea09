// Package v2 de-identifies HL7 v2 messages, and files and batches of them, under the policy
// of a job (package desensitize).
//
// A [Walker] knows the data type of every field of HL7 v2.1 to v2.8.2, goes through every
// part of a message and asks the policy what becomes of it. The answer to unknown segments,
// to Z-segments, to fields, components and subcomponents that the standard does not define,
// and to whatever no rule selects is the default of the policy: redact. The result has the
// delimiters, line ends and charset of the message; where its charset lacks a character of
// the result, the result is UTF-8 and MSH-18 says so.
//
// # Selectors
//
//	PID-5  PID-5.1  PID-5.1.2   a field, a component, a subcomponent
//	PID-*  PID  Z*  ZPI-*       all fields of a segment, or of segments that begin so
//	*.XPN  *.XCN.1  PID.CX      fields and parts of a data type, a part of a type
//	*[ssn]  PID[name]           values that are identifiers of a type
//	*                           every field
//
// Data types have the names of v2.8: CE is CWE, TS and DT are DTM, PN is XPN, AD is XAD, TN is
// XTN, CK is CX, CN is XCN, IS is ID. OBX-5 has the type that OBX-2 says. The first rule that
// selects a value, or something that the value is part of, decides. Of a composite value the
// methods other than keep and redact take what is the value proper (the names of an XPN, CX.1,
// XTN.1 and what it may be split into); its other parts are values of their own, which further
// rules must select (*.HD, *.ID, *.DTM).
//
// Conditions (see [desensitize.Condition]) name parts of the same repetition (.5, .4.2) and
// fields and parts of the same segment (OBX-2, OBX-3.1).
//
// # What is done beside the rules
//
// Before anything is changed the names, numbers, addresses and dates of the message's people
// are collected from their fields. Whatever a rule keeps is held against them, and against
// the recognisers of free text unless it is a plain token: codes and numbers that somebody
// used for a name or a telephone number do not get out. Texts that are split over several OBX
// or NTE segments are scrubbed as one. Escape sequences are resolved first; those of other
// charsets and local ones, in which anything may hide, are dropped.
package v2
