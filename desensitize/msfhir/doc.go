// Package msfhir reads configurations of Microsoft's Tools for Health Data Anonymization
// (FHIR, R4), and of tools that use the same language in YAML, and de-identifies by them: so
// that a hospital can take its rules over and compare.
//
// The outputs are those of that tool apart from what would be unsafe or cannot be the same:
//
//   - dateShift: theirs derives the shift from a linear hash of key and id in the range of 50
//     days back or forth, which a few known dates break. Here it is HMAC-SM3 under the key,
//     reduced without bias, and never 0. Intervals are kept as with theirs, and times of day
//     become midnight as with theirs. A fixed offset is taken as it is given.
//   - perturb: theirs draws random noise, which asking twice averages away. Here it is keyed
//     by place and value, from the same interval.
//   - encrypt: theirs is AES in CBC mode without authentication; here the caller's Cipher.
//   - cryptoHash with BLAKE3 is not offered; HMAC-SHA256 is the same as theirs.
//
// Custom processors are refused when the configuration is loaded.
package msfhir
