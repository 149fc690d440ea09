// Package text finds what identifies a person in free clinical text, Chinese and English.
//
// The text is read once into a view in which full-width forms, traditional characters and
// blanks inside Chinese are folded away, each character keeping its place in the source. Over
// that view work the recognisers: those for what a structured header already knows of the
// patient (Known), those for numbers with their check digits and lengths, those for values
// behind a label ("住院号：", "MRN"), and those for names, addresses, hospitals and dates by
// their own shape and surroundings. What several of them claim is settled at the end, so that
// the spans handed out are sorted and disjoint. A name found with strong evidence is then
// looked for in the rest of the same document.
//
// The types follow the identifiers of GB/T 39725-2020 (annex A) and the eighteen of HIPAA,
// 45 CFR 164.514(b)(2)(i). The package reports; whether an age of 45 or a year may stay is
// for the policy to decide.
//
// Every recogniser is linear in the text and looks a bounded number of characters ahead and
// back. Nothing is logged, and no text is kept after a call.
package text
