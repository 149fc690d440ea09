package integration_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/hl7/mllp"
	"github.com/emrbridge/emrbridge/bridge/stage"
	"github.com/emrbridge/emrbridge/bridge/trail"
	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// registry is a hospital's registration desk: it writes messages about patients by numbers.
type registry struct {
	t    *testing.T
	site *site
	mllp *mllp.Client
	n    int
	name string // makes control ids and numbers of this test its own
}

func newRegistry(t *testing.T, s *site, name string) *registry {
	t.Helper()
	c, err := mllp.Dial(t.Context(), s.mllp(), mllp.ClientConfig{AnswerTimeout: 30 * time.Second, Charset: hl7.CharsetPolicy{Default: hl7.UTF8}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return &registry{t: t, site: s, mllp: c, name: name}
}

// residentNo makes a valid resident number.
func residentNo(n int) string {
	base := fmt.Sprintf("310101198511%05d", 20000+n)
	sum := 0
	for i, w := range [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
		sum += int(base[i]-'0') * w
	}
	return base + string("10X98765432"[sum%11])
}

// pid is PID-3 of a local number, and of a resident number if there is one.
func (r *registry) pid(local, resident string) string {
	ids := r.name + local + "^^^HIS^PI"
	if resident != "" {
		ids += "~" + resident + "^^^^NI"
	}
	return "PID|1||" + ids + "||测试^患者"
}

// send sends a message and returns its record id once it is anchored.
func (r *registry) send(kind string, segments ...string) record.ID {
	r.t.Helper()
	r.n++
	now := time.Now().Format("20060102150405")
	lines := append([]string{fmt.Sprintf(`MSH|^~\&|HIS|%s|EMR|EMR|%s||%s|%s-%d|P|2.5||||||UNICODE UTF-8`, r.name, now, kind, r.name, r.n),
		"EVN||" + now}, segments...)
	raw := []byte(strings.Join(lines, "\r") + "\r")
	r.site.note(r.t, raw, false)
	ack, err := r.mllp.Send(r.t.Context(), raw)
	require.NoError(r.t, err)
	require.Equal(r.t, hl7.AppAccept, ack.Code, "%s", kind)
	r.site.note(r.t, raw, true)
	id := r.site.id(r.t, raw)
	r.site.anchored(r.t, id)
	return id
}

// anchored waits until a record is anchored, and returns its trail.
func (s *site) anchored(t *testing.T, id record.ID) (events []trail.Event) {
	t.Helper()
	eventually(t, "record "+id.String()+" is anchored", func() bool {
		out, code, err := s.Run(t.Context(), "trace", id.String(), "--json")
		return err == nil && code == 0 && json.Unmarshal(out, &events) == nil &&
			slices.ContainsFunc(events, func(e trail.Event) bool { return e.Stage == stage.Anchored })
	})
	return events
}

// recordsOf retrieves as another hospital and returns what proved genuine.
func recordsOf(t *testing.T, asker *site, resident string) (ids []string) {
	t.Helper()
	var answer retrieved
	asker.answer(t, 0, &answer, "retrieve", "--id-file", asker.patientFile(t, resident))
	require.Equal(t, answer.Total, answer.Genuine)
	ids = genuine(answer)
	slices.Sort(ids)
	return ids
}

func texts(ids ...record.ID) (out []string) {
	for _, id := range ids {
		out = append(out, id.String())
	}
	slices.Sort(out)
	return out
}

// TestPatientsAreJoinedMergedAndParted follows one patient: at first a local number alone,
// then the resident number, then a merge with a second registration, its undoing by the
// sender, and a join that an operator undoes. At each step another hospital retrieves
// exactly the records that are the patient's.
func TestPatientsAreJoinedMergedAndParted(t *testing.T) {
	owner, asker := w.up(t, 1, nil), w.up(t, 2, nil)
	his := newRegistry(t, owner, "PATMRG")
	resident := residentNo(1)
	owner.must(t, "consent", "grant", "--id-file", owner.patientFile(t, resident), "--to", asker.hospital.MSPID)

	// Nobody can know yet whose records these are.
	mine := []record.ID{his.send("ADT^A04", his.pid("1", ""), "PV1|1|O"), his.send("ORU^R01", his.pid("1", ""), "OBR|1||F1|GLU", "OBX|1|NM|GLU||5.4|mmol/L")}
	other := []record.ID{his.send("ADT^A04", his.pid("2", ""), "PV1|1|O"), his.send("ORU^R01", his.pid("2", ""), "OBR|1||F2|GLU", "OBX|1|NM|GLU||9.9|mmol/L")}

	joined := his.send("ADT^A31", his.pid("1", resident), "PV1|1|O")
	mine = append(mine, joined)
	require.Equal(t, texts(mine...), recordsOf(t, asker, resident), "what came before the resident number was known comes along")

	owner.must(t, "patients", "check")
	merge := his.send("ADT^A40", his.pid("1", ""), "MRG|PATMRG2^^^HIS^PI")
	mine = append(mine, merge)
	late := his.send("ORU^R01", his.pid("2", ""), "OBR|1||F3|GLU", "OBX|1|NM|GLU||7.7|mmol/L")
	require.Equal(t, texts(slices.Concat(mine, other, []record.ID{late})...), recordsOf(t, asker, resident), "both registrations")

	reversed := his.send("ADT^A40", his.pid("2", ""), "MRG|PATMRG1^^^HIS^PI")
	incident := func(events []trail.Event, code patientindex.Code) bool {
		return slices.ContainsFunc(events, func(e trail.Event) bool { return e.Stage == stage.Incident && e.Code == string(code) })
	}
	eventually(t, "the refused merge is on the trail", func() bool { return incident(owner.anchored(t, reversed), patientindex.MergeReversed) })

	parted := his.send("ADT^A37", his.pid("1", ""), "PV1|1|O", his.pid("2", ""), "PV1|1|O")
	mine = append(mine, parted)
	require.Equal(t, texts(mine...), recordsOf(t, asker, resident), "parted again, and nothing of the other is left with this one")

	// An operator undoes what the A31 joined: the resident number was wrong.
	var taken struct {
		Record string `json:"record"`
	}
	owner.answer(t, 0, &taken, "patients", "unmerge", joined.String(), "--reason", "wrong resident number", "--operator", "D-017")
	correction, err := record.ParseID(taken.Record)
	require.NoError(t, err)
	owner.owe(correction)
	owner.anchored(t, correction)
	require.Equal(t, texts(joined), recordsOf(t, asker, resident), "only the message that itself names the resident number is left")

	requireHistory(t, owner, joined, merge)
	requireRebuilt(t, owner, resident)
}

// requireHistory looks at the changes as the commands and the ledger tell them.
func requireHistory(t *testing.T, owner *site, joined, merge record.ID) {
	t.Helper()
	changes := map[record.ID]patientindex.Change{}
	for line := range strings.Lines(string(owner.must(t, "patients", "merges", "--all", "--json"))) {
		var c patientindex.Change
		require.NoError(t, json.Unmarshal([]byte(line), &c))
		changes[c.Record] = c
	}
	for _, id := range []record.ID{joined, merge} {
		c, ok := changes[id]
		require.True(t, ok, "%s", id)
		assert.False(t, c.UndoneBy.IsZero())
		steps, err := w.witness.TagHistory(t.Context(), c.From, 10, "")
		require.NoError(t, err)
		var kinds []evidence.Kind
		for _, s := range steps.Items {
			if s.From == c.From {
				kinds = append(kinds, s.Kind)
			}
		}
		assert.Equal(t, []evidence.Kind{evidence.KindUnlinkTag, evidence.KindLinkTag}, kinds, "linked, and unlinked: the newest first")
	}
	standing := string(owner.must(t, "patients", "merges", "--json"))
	assert.NotContains(t, standing, joined.String())
	assert.Contains(t, string(owner.must(t, "patients", "incidents", "--json")), string(patientindex.MergeReversed))
}

// requireRebuilt makes the index anew from the store and finds the same person.
func requireRebuilt(t *testing.T, owner *site, resident string) {
	t.Helper()
	show := func() string {
		return string(owner.must(t, "patients", "show", "--id-file", owner.patientFile(t, "PATMRG1"), "--type", "local-patient", "--authority", "HIS")) +
			string(owner.must(t, "patients", "show", "--id-file", owner.patientFile(t, resident)))
	}
	before := show()
	owner.stop(t)
	require.NoError(t, os.RemoveAll(filepath.Join(owner.Config.DataDir, "patients")))
	owner.must(t, "patients", "rebuild")
	assert.Equal(t, before, show())
	owner.must(t, "patients", "check", "--repair")
	owner.start(t)
}
