// Package release takes a hospital's own records through to a research institute: for a
// project that is on the ledger and approved here, of patients who consent, de-identified,
// gated, packaged, sealed to the institute and anchored.
//
//	planned    the number of the release is on disk
//	  │        consent of each patient · cohort criteria · de-identification · leak gate ·
//	  │        risk gate with generalisation and suppression · package with its Merkle root
//	built      the package and the list of its subjects (encrypted) are on disk
//	  │        consents once more · sealed to the institute's SM2 key
//	sealed     the volumes and the signed envelope are on disk
//	  │        consents once more, unless it is on the ledger already
//	anchored   the release is on the ledger
//	  │        handed to the proxy hospital, which keeps what it has of it
//	delivered  only the envelope and the encrypted list of subjects are kept
//
// Invariants:
//   - Nothing leaves before its root is on the ledger, and the ledger takes one content for
//     each number. After a crash a release goes on from its last stage; up to sealed it may
//     be made anew, after that it is the very same bytes.
//   - Nothing of a patient is opened without a consent for research that names the institute,
//     the project or anyone, that stands at that moment, and that covers the kind of record.
//   - The same person is the same subject in all hospitals: the surrogate comes from the
//     consortium's tag under a key that the vaults derive for the project. Neither the
//     institute nor the proxy hospital holds that key or the tags.
//   - What the leak gate objects to does not leave. The release is refused, unless the
//     operator chose to hold back such records.
//   - Of one project no later release is finer than an earlier one, so that comparing them
//     tells no more than the finest.
//
// The package opens no connection; ledger, vault, records, de-identification and delivery
// come in through the interfaces in deps.go. It logs nothing. De-identified rows stand in
// the release's folder, which is private, until the volumes are sealed; what a record said
// before de-identification never touches the disk.
package release
