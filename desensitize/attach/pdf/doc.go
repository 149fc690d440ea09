// Package pdf reads the text of PDF documents (ISO 32000-1) that strangers send.
//
// It exists for de-identification: what comes out is the text that a reader of the pages
// would see, so that identifiers can be looked for in it. Glyphs become characters by the
// font's ToUnicode CMap, by the predefined Chinese, Japanese and Korean CMaps that name a
// character set (GBK-EUC-H, UniGB-UCS2-H, GB-EUC-H, ETen-B5-H, 90ms-RKSJ-H, …), or by the
// encoding of a simple font. Form fields and annotations are read as well.
//
// The reader does not trust the cross-reference table: it finds the objects by scanning the
// file, the later definition of an object wins, as in an incremental update. Every loop is
// bounded by Limits, inflated data included. What cannot be read as a whole is refused and
// never read in part: an encrypted file, a filter that is not supported, glyphs without a
// character, pages that are pictures alone (ErrEncrypted, ErrUnsupported, ErrUnmapped,
// ErrNoText).
//
// Errors never hold content. Nothing in this package logs.
package pdf
