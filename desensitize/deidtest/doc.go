// Package deidtest makes synthetic clinical notes whose identifiers are known, and scores
// what a de-identification finds in them.
//
// A note is grown from a grammar (data/*.grammar), not filled into a form: the same kind of
// note comes out with other sections, sentences, word order and layout each time. Names,
// places, hospitals and numbers are made by this package from dictionaries of its own, which
// share nothing with those of the engine under test; about half of the names, streets and
// hospitals are composed of parts that no list holds. Every note carries what must go (Gold),
// what must stay (Keep: clinical terms, doses, values, and traps that look like names or
// numbers), and what may do either (Neutral: titles, units, ages up to 89).
//
// The figures that come of it are synthetic accuracy. They compare engines and show where
// one fails; they are no promise about a hospital's own notes, which differ from all
// generated ones.
//
// Everything is deterministic: the same seed and index make the same note, on every machine.
package deidtest
