package chaincode

import (
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// Every state key of the contract. A key is a family letter and fixed-width parts, so no
// key is the prefix of another family's, and a family or a part of it is one key range.
//
//	key                                     value
//	A                                       the authority's certificate, DER
//	M <msp>                                 evidence.Member, JSON
//	H <number>                              MSP that holds the hospital number
//	n <number> <nonce>                      0x01: the member used this nonce
//	b <number> <nonce>                      header of a batch: evidence.Signed, CBOR
//	m <tag85> <id85>                        anchor: id[8:16] ‖ cipher hash ‖ pointer
//	m <tag85> <id85> <rest85>               anchor: cipher hash ‖ pointer
//	r <id85>                                guard: id[8:10] of each record with this id[0:8]
//	p <tag> <number>                        evidence.Registration, JSON
//	c <nonce>                               evidence.Consent, JSON
//	C <tag> <time> <nonce>                  0x01: consents of a patient
//	q <nonce>                               evidence.Access, JSON
//	Q <tag> <time> <nonce>                  0x01: access requests about a patient
//	O <msp>/ <time> <nonce>                 0x01: access requests from or to a member
//	E <msp>/ <time> <nonce>                 0x01: emergencies that the member must review
//	d <tag> <time> <nonce>                  evidence.Destruction, JSON
//	l <tag> <number>                        where the hospital links the tag to, and which tags it links to it: tagNode, JSON
//	L <tag> <time> <nonce>                  evidence.TagStep, JSON: links made and ended, filed under both tags
//	I <institute>                           evidence.Institute, JSON
//	s <institute>/ <nonce>                  0x01: the institute used this nonce
//	g <project>                             evidence.Project without its parts, JSON
//	G <party>/ <time> <project>             0x01: projects of an institute, a proxy or a hospital
//	v <project>/ <number>                   evidence.ProjectPart without its counts, JSON: what one hospital decided
//	y <project>/ <number>                   counts, JSON: how many releases and notices the hospital recorded
//	x <project>/ <number> <sequence>        evidence.Release, JSON
//	w <project>/ <number> <sequence>        evidence.Withdrawal, JSON
//	i <project>/ <time> <nonce>             evidence.Reidentification, JSON
//
// The spaces are not part of the keys. number is 4, nonce and tag are 32 lowercase
// hexadecimal digits, sequence is 8; time is 12, of 2^48−1 minus the Unix milliseconds, so
// that the newest comes first. tag85, id85 and rest85 are Z85 (ZeroMQ RFC 32) of the tag, id[0:8]
// and id[8:16]: 20, 10 and 10 printable characters; hexadecimal would cost 30 bytes more
// for each record. Package evidence holds these two families (AnchorKey, GuardKey), since a
// verifier reads them in the blocks.
//
// The guard makes a record id unique in the consortium while the anchor itself is written
// blindly: only the short guard key enters the read set. A guard that is absent proves
// that the id is new. A guard that is present holds two more bytes of each id it stands
// for. The first record under a guard has the short anchor key; a further one, whose id
// agrees in 8 bytes and differs in the next two, has the long key.
//
// No key is written by transactions about different things, and there are no counters:
// transactions only collide when they speak about the same record, consent or request.
const (
	keyAuthority = "A"

	familyMember      = "M"
	familyNumber      = "H"
	familyNonce       = "n"
	familyBatch       = "b"
	familyPatient     = "p"
	familyConsent     = "c"
	familyConsentTag  = "C"
	familyAccess      = "q"
	familyAccessTag   = "Q"
	familyAccessParty = "O"
	familyEmergency   = "E"
	familyDestruction = "d"
	familyLink        = "l"
	familyLinkStep    = "L"

	familyInstitute        = "I"
	familyInstituteNonce   = "s"
	familyProject          = "g"
	familyProjectParty     = "G"
	familyPart             = "v"
	familyCounts           = "y"
	familyRelease          = "x"
	familyWithdrawal       = "w"
	familyReidentification = "i"
)

// present is the value of keys that say all by existing. Fabric takes an empty value for a
// deletion.
var present = []byte{1}

// maxTime is the first time, in Unix milliseconds, that does not fit into a key.
const maxTime = 1 << 48

func memberKey(msp string) string { return familyMember + msp }

func numberKey(number uint16) string { return fmt.Sprintf("%s%04x", familyNumber, number) }

func nonceKey(number uint16, n evidence.Nonce) string {
	return fmt.Sprintf("%s%04x%x", familyNonce, number, n[:])
}

func batchKey(number uint16, n evidence.Nonce) string {
	return fmt.Sprintf("%s%04x%x", familyBatch, number, n[:])
}

func patientPrefix(tag evidence.Tag) string { return familyPatient + tag.String() }

func patientKey(tag evidence.Tag, number uint16) string {
	return fmt.Sprintf("%s%04x", patientPrefix(tag), number)
}

func linkPrefix(tag evidence.Tag) string { return familyLink + tag.String() }

func linkKey(tag evidence.Tag, number uint16) string {
	return fmt.Sprintf("%s%04x", linkPrefix(tag), number)
}

func consentKey(id evidence.Nonce) string { return familyConsent + id.String() }

func accessKey(id evidence.Nonce) string { return familyAccess + id.String() }

// tagPrefix and partyPrefix begin the keys of an index.
func tagPrefix(family string, tag evidence.Tag) string { return family + tag.String() }

func partyPrefix(family, msp string) string { return family + msp + "/" }

// indexKey files the id under a prefix, the newest first.
func indexKey(prefix string, at int64, id evidence.Nonce) string {
	return fmt.Sprintf("%s%012x%x", prefix, uint64(maxTime-1-at), id[:])
}

// timeDigits is the length of a time in a key.
const timeDigits = 12

func instituteKey(id string) string { return familyInstitute + id }

func instituteNonceKey(id string, n evidence.Nonce) string {
	return fmt.Sprintf("%s%x", partyPrefix(familyInstituteNonce, id), n[:])
}

func projectKey(id string) string { return familyProject + id }

func projectIndexKey(party string, at int64, id string) string {
	return fmt.Sprintf("%s%0*x%s", partyPrefix(familyProjectParty, party), timeDigits, uint64(maxTime-1-at), id)
}

func partKey(project string, number uint16) string {
	return fmt.Sprintf("%s%04x", partyPrefix(familyPart, project), number)
}

func countsKey(project string, number uint16) string {
	return fmt.Sprintf("%s%04x", partyPrefix(familyCounts, project), number)
}

func releaseKey(project string, number uint16, sequence uint32) string {
	return fmt.Sprintf("%s%04x%08x", partyPrefix(familyRelease, project), number, sequence)
}

func withdrawalKey(project string, number uint16, sequence uint32) string {
	return fmt.Sprintf("%s%04x%08x", partyPrefix(familyWithdrawal, project), number, sequence)
}

// indexID takes the id from the end of an index key.
func indexID(key string) (evidence.Nonce, error) {
	const digits = 2 * len(evidence.Nonce{})
	if len(key) < digits {
		return evidence.Nonce{}, fmt.Errorf("index key of %d bytes", len(key))
	}
	return evidence.ParseNonce(key[len(key)-digits:])
}
