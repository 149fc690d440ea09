// Package risk measures how easily the persons behind a table can be found again, and
// proposes the least loss of information that brings the risk under a limit.
//
// The measures are those of the literature, so that they agree with other tools:
// k-anonymity (Samarati and Sweeney 1998), distinct, entropy and recursive (c,l)-diversity
// (Machanavajjhala et al. 2007), t-closeness with equal, ordered and hierarchical distance
// (Li, Li, Venkatasubramanian 2007), prosecutor, journalist and marketer risk (El Emam,
// Guide to the De-Identification of Personal Health Information, 2013), population uniqueness
// after Zayatz (1991), and distinction and separation of columns (Motwani and Xu 2007).
// Grades follow GB/T 42460-2023; the limit for a data-use agreement, groups of more than
// five, is that of GB/T 39725-2020.
//
// The package is pure: tables come from a reader or row by row, reports go to a writer.
// Errors and reports name columns, rows and counts, never a value of the table; a table is
// redacted in logs. A Table is not safe for concurrent writing; reading it concurrently is.
package risk
