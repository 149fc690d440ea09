// Package desensitize is the vocabulary and the arithmetic of de-identification: the policy
// language, the identity of a research project, the methods that change one value, and the
// report of what was done.
//
// The walkers (desensitize/v2, /fhir, /cda) find the values in their format and ask a
// [Session] what becomes of each; free text goes through a [TextScrubber] and attached
// content through an [Attachments] that the caller puts in. So one policy and one project
// give the same patient the same pseudonym and the same date shift in every format.
//
// What no rule names is handled by the default of its format, which is redact for every
// policy that lets data leave a hospital: unknown segments, extensions and attachments fail
// closed.
//
// Everything here is a pure function of its inputs: no clock, no randomness, no I/O beyond
// readers that are given, no logging. Errors, reports and log values name rules, element
// paths and types and never hold a value of a record.
package desensitize
