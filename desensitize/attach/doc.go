// Package attach de-identifies what records carry with them: documents in base64 in an OBX
// segment, a FHIR attachment, or the body of a CDA document.
//
// Text, HTML, RTF and PDF become plain text, which goes through the same scrubbing as any
// narrative; CDA documents and FHIR resources inside an attachment go through their own
// walker. Pictures are refused unless allowed, since faces, films and scanned forms show who
// somebody is. DICOM headers are reduced to a list of harmless attributes (package dicom);
// its pixels count as a picture. Genomic data identifies a person by itself, and is refused
// unless allowed. What an attachment is, is decided by its bytes; a media type is a hint for
// what looks like nothing else. Whatever is not understood as a whole is refused: the record
// then holds a note of the kind and the reason in its place.
//
// Sizes and nesting are bounded. Errors never hold content. Nothing in this package logs.
package attach
