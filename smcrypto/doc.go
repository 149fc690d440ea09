// Package smcrypto is the project's only door to cryptography: the Chinese
// national algorithms SM2 (GB/T 32918), SM3 (GB/T 32905) and SM4 (GB/T 32907),
// the sealed-record format, key grants, and SM2 certificates (GB/T 20518).
//
// Two independent libraries stand behind one [Provider] interface. Every length,
// point, range and encoding is checked here, before a library sees the input, and
// a panic inside a library becomes an error. The contract uses this package on
// its deterministic paths (Verify, certificate parsing and chain checks), so
// nothing on those paths reads a clock or randomness.
//
// The byte formats are described in docs/design/sealed-record.md.
//
// The package logs nothing. Values that hold key material print as "[redacted]".
package smcrypto
