// Package dicom removes what identifies a person from DICOM files (PS3.10), by the Basic
// Application Level Confidentiality Profile (PS3.15, annex E).
//
// The profile names hundreds of attributes to remove, to empty or to replace. This package
// goes the other way and keeps a short list of attributes that describe how the picture was
// made and how it is stored; everything else is removed, private attributes, sequences,
// overlays, curves and what a later edition of the standard adds included. So the result
// satisfies the profile by being stricter. UIDs of instances are replaced consistently, by
// a function that the caller keys; attributes of type 2, which must be there and may be
// empty, are there and empty.
//
// Identifiers burned into the picture are beyond headers: pixel data is left out unless the
// caller allows pictures, and never kept where the file says that annotations are burned in
// (0028,0301) or does not rule it out for a kind of picture that usually has them.
//
// Read are the transfer syntaxes implicit and explicit little endian, explicit big endian,
// and all encapsulated ones; deflated data sets are refused. Lengths and nesting are
// bounded. Errors never hold content. Nothing in this package logs.
package dicom
