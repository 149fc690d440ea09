// Package dataset is the form in which de-identified data leaves a hospital for a research
// institute: a folder of rows and documents, a manifest, one Merkle root over all of it, and
// sealed volumes that only the institute opens.
//
//	manifest.json            what it is: project, hospital, release, policy, risk, files
//	proof.key                the salts of the rows; it travels sealed and proves single rows
//	resources/*.ndjson       FHIR R4 resources, one on each line
//	tables/*.csv             the same as tables, first line the column names
//	dictionary.csv           what each column means
//	risk.html                the risk report
//
// The tree is that of RFC 6962 §2.1 with SM3 (see package evidence). Its leaves are the lines
// of the files in the order of the manifest, a document as one leaf, and the manifest last.
// A leaf is SM3(0x00 ‖ salt ‖ length of the name ‖ name ‖ line); the salt of leaf i is the
// first 16 bytes of HMAC-SM3(proof.key, i). Without salts whoever is shown one row could
// guess its neighbours from the audit path, because rows of tables have few values.
//
// The folder is packed as a compressed tar archive, cut into volumes, and each volume is a
// sealed record of package smcrypto (SM4-GCM, segments in authenticated order, the hospital's
// SM2 signature inside) with a key grant to the institute. The delivery names the volumes
// and is signed by the hospital.
//
// Nothing here logs. Memory is bounded by the longest line and 64 KiB of cipher segment,
// except where a proof is made: that needs 32 bytes for each row.
package dataset
