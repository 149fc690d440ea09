// Package leak is the gate that a de-identified record must pass before anybody outside may
// have it. It is a second opinion: it shares no detector, no parser and no word list with
// the packages whose work it checks, so that an error there is not repeated here.
//
// The gate reads the output again as a stranger would, whatever its format: HL7 v2 with its
// escapes, FHIR JSON, CDA and other XML with comments, processing instructions and attribute
// values, plain text. Layers are taken off until nothing is left to take off: character
// references, percent-encoding, \u escapes, hexadecimal, base64, compressed data, HTML, RTF,
// PDF and DICOM attachments. In every layer it does two things.
//
//   - It searches the identifiers that are known: those the original record names in its
//     structured parts (see Harvest) and those that the caller adds. It finds them written
//     otherwise as well: with spaces, separators, full-width or traditional characters, in
//     Chinese numerals, reversed, as pinyin, as 王某 or 王先生, with the family name last,
//     an address in part, an identity card number in its old form of 15 digits, or as a
//     plain MD5, SHA-1, SHA-256 or SM3 digest, which anybody can try out.
//   - It runs detectors of its own for what looks like an identifier of anybody.
//
// Findings name type and position, never the value. What cannot be read is a finding of
// type Unreadable: a gate that did not look says no.
//
// Nothing in this package logs; errors never hold content. A Gate is safe for concurrent use.
package leak
