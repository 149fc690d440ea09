// Package english finds identifiers in English clinical text: the eighteen of HIPAA,
// 45 CFR 164.514(b)(2)(i), but for e-mail and web addresses, which look the same in every
// language. It imports nothing local.
//
// One pass over the tokens: a cue word (such as Dr., MRN or Tel) decides what the tokens
// behind it mean, a capitalised word what those around it make of it, and a number what its
// own shape says. A second, shorter pass removes parts of the names that the first one was
// sure of. Nothing looks further than a few tokens ahead or back, so that the work is linear
// in the text.
//
// Eponyms (Graves' disease, Foley catheter), words that are names as well (May, Mark, Grant)
// and values stay unless what stands around them makes a person of them.
package english
