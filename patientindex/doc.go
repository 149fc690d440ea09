// Package patientindex knows which numbers of a hospital belong to one person, so that a
// record that names its patient by a local number alone is filed with those that name the
// same patient by the resident number.
//
// # What is kept
//
// No number and no name: only keyed digests (sig_p of package keystore) of identifiers, and
// the tags that custody derives from them. Without the keystore the file says nothing.
//
//	identifier   digest of one number, where it belongs
//	node         a tag under which records are sealed, made from one identifier (its origin)
//	person       a tree of nodes; the tag of its root stands for the person
//	change       a join or merge of two nodes, with the record that it follows from, and its undoing
//	outcome      what a record did that changed something, so that doing it again changes nothing
//
// # How a record is filed
//
// The strongest identifier of the record leads: a resident number (GB 11643) before the
// hospital's numbers of a person before those of a visit. A record is sealed under the tag
// of the node that its leading identifier belongs to. Joining two nodes moves no record: the
// ledger is told that one tag is linked to the other, and told otherwise when the join is
// undone. So an undone merge leaves every record where its own message put it.
//
// # What is learned
//
// The other identifiers of a record are evidence that they name the same person. One that
// is unknown is attached to the leading node. One that has records of its own is joined,
// unless that would bring two resident numbers, or two numbers of one kind by one authority,
// together on the word of an ordinary message. Such evidence is an incident: the identifier is
// in doubt from then on, stands for itself under a tag of its own, and waits for a merge
// message or an operator. Doubt separates; it never switches a number from one person to
// another. Insurance numbers (families share them) and numbers of unknown kind never join.
//
// # Merges
//
// A merge (ADT^A40 and its like) joins the node of the prior number to that of the survivor.
// A merge of a number with itself, one that reverses an earlier merge, and one that closes a
// circle are refused with an incident and change nothing. ADT^A37 or an operator undoes.
//
// # Guarantees
//
// What Observe, Merge and Unmerge return is on disk. A record that changed something, or was
// an incident, is remembered: done again it changes nothing and gives the same answer. A
// record that taught nothing leaves no trace, so whoever hands records over asks the record
// store first whether it was filed before a merge that came later; package seal does. An
// Index is safe for concurrent use; one process may have it open for writing, others read
// beside it. It can be rebuilt from the sealed records.
package patientindex
