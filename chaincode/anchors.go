package chaincode

import (
	"encoding/json"
	"fmt"

	"github.com/emrbridge/emrbridge/evidence"
)

// maxEntriesBytes bounds the entries of a batch as they travel: 65 bytes and a pointer each.
const maxEntriesBytes = evidence.MaxBatch * (65 + evidence.MaxPointer)

// maxPerGuard bounds the records that share the first 8 bytes of their ids. Among 10^8
// honest records of one hospital about 18 pairs do, and no three.
const maxPerGuard = 16

// anchorBatch anchors T_M entries: all of them, or none.
func anchorBatch(t *tx, s *said, header evidence.AnchorBatch) (effect, error) {
	entries, err := t.entries(header)
	if err != nil {
		return effect{}, err
	}
	if err := checkHospital(entries, s.member.Info.Number); err != nil {
		return effect{}, err
	}
	plan, err := t.plan(entries)
	if err != nil {
		return effect{}, err
	}
	if err := plan.write(t.ledger); err != nil {
		return effect{}, err
	}
	receipt := evidence.AnchorReceipt{Batch: s.Nonce, Anchored: uint32(len(plan.anchors)), Duplicates: plan.duplicates}
	payload, err := json.Marshal(receipt)
	if err != nil {
		return effect{}, fmt.Errorf("emrbridge contract: encode the receipt: %w", err)
	}
	return effect{count: receipt.Anchored, payload: payload}, nil
}

// entries reads the entries from the transient map or the second argument and compares
// them with the signed header.
func (t *tx) entries(header evidence.AnchorBatch) ([]evidence.Entry, error) {
	transient, err := t.stub.GetTransient()
	if err != nil {
		return nil, fmt.Errorf("emrbridge contract: read the transient map: %w", err)
	}
	raw, hidden := transient[evidence.TransientEntries]
	switch {
	case hidden && len(t.args) == 2:
		return nil, refuse(evidence.CodeMalformed, "entries came twice, in the transient map and as argument")
	case !hidden && len(t.args) != 2:
		return nil, refuse(evidence.CodeMalformed, "no entries, neither in the transient map nor as second argument")
	case !hidden:
		raw = t.args[1]
	}
	if len(raw) > maxEntriesBytes {
		return nil, refuse(evidence.CodeLimit, "%d bytes of entries, %d are allowed", len(raw), maxEntriesBytes)
	}
	entries, err := evidence.DecodeEntries(raw)
	if err != nil {
		return nil, malformed(err)
	}
	if len(entries) != int(header.Count) {
		return nil, refuse(evidence.CodeMalformed, "%d entries, the signed header says %d", len(entries), header.Count)
	}
	if !evidence.BatchRoot(entries).Equal(header.Root) {
		return nil, refuse(evidence.CodeMalformed, "the entries do not have the root of the signed header")
	}
	return entries, nil
}

// checkHospital refuses records whose ids belong to another hospital.
func checkHospital(entries []evidence.Entry, number uint16) error {
	var foreign []evidence.RecordID
	for _, e := range entries {
		if e.ID.HospitalNumber() != number {
			foreign = append(foreign, e.ID)
		}
	}
	if len(foreign) > 0 {
		return refuseIDs(evidence.CodeUnauthorized, foreign, "%d of %d records have ids outside hospital number %d", len(foreign), len(entries), number)
	}
	return nil
}

// guard is the state of one guard key while a batch is planned.
type guard struct {
	key    string
	stored int    // records under it before this batch
	value  []byte // evidence.GuardSuffix bytes of each record
}

// find returns the position of the record under the guard, or -1.
func (g *guard) find(id evidence.RecordID) int {
	for i := 0; i < len(g.value)/evidence.GuardSuffix; i++ {
		if string(g.value[i*evidence.GuardSuffix:(i+1)*evidence.GuardSuffix]) == string(id[evidence.GuardHead:evidence.GuardHead+evidence.GuardSuffix]) {
			return i
		}
	}
	return -1
}

// batchPlan is what a batch would do to the ledger.
type batchPlan struct {
	guards     []*guard // in the order in which the entries name them
	anchors    []plannedAnchor
	seen       []seenAnchor // ids that the ledger may hold already
	conflicts  []evidence.RecordID
	duplicates []evidence.RecordID
}

type plannedAnchor struct {
	entry evidence.Entry
	long  bool
}

type seenAnchor struct {
	entry evidence.Entry
	key   string
}

// plan compares a batch with the ledger without writing.
func (t *tx) plan(entries []evidence.Entry) (*batchPlan, error) {
	guards, byEntry := guardsOf(entries)
	keys := make([]string, len(guards))
	for i, g := range guards {
		keys[i] = g.key
	}
	values, err := t.getAll(keys)
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		if len(v)%evidence.GuardSuffix != 0 {
			return nil, damaged(fmt.Errorf("guard of %d bytes", len(v)))
		}
		guards[i].value, guards[i].stored = append([]byte(nil), v...), len(v)/evidence.GuardSuffix
	}
	plan := &batchPlan{guards: guards}
	for i, e := range entries {
		if err := plan.add(e, byEntry[i]); err != nil {
			return nil, err
		}
	}
	if err := plan.compare(t.ledger); err != nil {
		return nil, err
	}
	if len(plan.conflicts) > 0 {
		return nil, refuseIDs(evidence.CodeConflict, plan.conflicts,
			"%d records are anchored with other content or under another tag; nothing of the batch was anchored", len(plan.conflicts))
	}
	return plan, nil
}

// guardsOf returns the guards that the entries need and, for each entry, its own.
func guardsOf(entries []evidence.Entry) (guards, byEntry []*guard) {
	known := make(map[[evidence.GuardHead]byte]*guard, len(entries))
	byEntry = make([]*guard, len(entries))
	for i, e := range entries {
		part := [evidence.GuardHead]byte(e.ID[:evidence.GuardHead])
		g := known[part]
		if g == nil {
			g = &guard{key: evidence.GuardKey(e.ID)}
			known[part] = g
			guards = append(guards, g)
		}
		byEntry[i] = g
	}
	return guards, byEntry
}

// add decides about one entry: new, perhaps known, or in conflict with an entry before it.
func (p *batchPlan) add(e evidence.Entry, g *guard) error {
	position := g.find(e.ID)
	switch {
	case position >= g.stored:
		p.conflicts = append(p.conflicts, e.ID)
	case position >= 0:
		p.seen = append(p.seen, seenAnchor{entry: e, key: evidence.AnchorKey(e.Tag, e.ID, position > 0)})
	case len(g.value) >= maxPerGuard*evidence.GuardSuffix:
		return refuseIDs(evidence.CodeLimit, []evidence.RecordID{e.ID}, "more than %d records agree in the first %d bytes of their ids", maxPerGuard, evidence.GuardHead)
	default:
		p.anchors = append(p.anchors, plannedAnchor{entry: e, long: len(g.value) > 0})
		g.value = append(g.value, e.ID[evidence.GuardHead:evidence.GuardHead+evidence.GuardSuffix]...)
	}
	return nil
}

// compare tells duplicates from conflicts among the ids that the ledger may hold.
func (p *batchPlan) compare(l ledger) error {
	keys := make([]string, len(p.seen))
	for i, s := range p.seen {
		keys[i] = s.key
	}
	values, err := l.getAll(keys)
	if err != nil {
		return err
	}
	for i, s := range p.seen {
		if len(values[i]) > 0 {
			held, err := evidence.DecodeAnchor(s.key, values[i])
			if err != nil {
				return damaged(err)
			}
			if held.Equal(s.entry) {
				p.duplicates = append(p.duplicates, s.entry.ID)
				continue
			}
		}
		p.conflicts = append(p.conflicts, s.entry.ID)
	}
	return nil
}

func (p *batchPlan) write(l ledger) error {
	for _, g := range p.guards {
		if len(g.value) == g.stored*evidence.GuardSuffix {
			continue
		}
		if err := l.put(g.key, g.value); err != nil {
			return err
		}
	}
	for _, a := range p.anchors {
		if err := l.put(evidence.AnchorKey(a.entry.Tag, a.entry.ID, a.long), evidence.AnchorValue(a.entry, a.long)); err != nil {
			return err
		}
	}
	return nil
}
