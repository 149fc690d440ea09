package patientindex_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/evidence"
	"github.com/emrbridge/emrbridge/patientindex"
	"github.com/emrbridge/emrbridge/record"
)

// TestWhateverHospitalsSay says random things and checks what must always hold: the links
// told to the ledger are the persons of the index; ordinary messages never bring two resident
// numbers together; a record's place follows from what it says and what was said before, and
// asking again changes nothing.
func TestWhateverHospitalsSay(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { sayAnything(t, seed) })
	}
}

func sayAnything(t *testing.T, seed uint64) {
	c := newClinic(t)
	rng := rand.New(rand.NewPCG(seed, 99))
	number := func() record.Identifier {
		switch rng.IntN(5) {
		case 0:
			return resident(rng.IntN(6))
		case 1:
			return visit(fmt.Sprint("Z", rng.IntN(20)))
		case 2:
			return medical(fmt.Sprint("M", rng.IntN(6)))
		}
		return local(fmt.Sprint("P", rng.IntN(8)))
	}
	ledger := map[evidence.Tag]evidence.Tag{}
	last, merged := uint64(0), false
	for range 200 {
		list := ids(number())
		for rng.IntN(2) == 0 {
			list = append(list, number())
		}
		var f patientindex.Filing
		switch rng.IntN(10) {
		case 0:
			f = c.merge(list, ids(number()))
			merged = merged || len(f.Links) > 0
		case 1:
			f = c.message(patientindex.Merge{Event: "A37", Survivor: list, Prior: ids(number()), Undo: true})
		default:
			f = c.see(list...)
		}
		for _, l := range f.Links {
			require.Greater(t, l.Order, last, "later words have later orders")
			last = l.Order
			if l.Undo {
				require.Equal(t, l.To, ledger[l.From])
				delete(ledger, l.From)
			} else {
				require.NotContains(t, ledger, l.From, "a tag has one link at most")
				ledger[l.From] = l.To
			}
		}
	}
	inIndex := map[evidence.Tag]evidence.Tag{}
	for i := range 20 {
		for _, id := range []record.Identifier{resident(i % 6), local(fmt.Sprint("P", i%8)), medical(fmt.Sprint("M", i%6)), visit(fmt.Sprint("Z", i))} {
			p, err := c.Resolve(t.Context(), ids(id))
			if err != nil {
				require.ErrorIs(t, err, patientindex.ErrUnknown)
				continue
			}
			residents := 0
			for _, tag := range p.Tags {
				if tag.LinkedTo != nil {
					inIndex[tag.Tag] = *tag.LinkedTo
				}
				if tag.Resident {
					residents++
				}
			}
			if !merged {
				require.LessOrEqual(t, residents, 1)
			}
			require.LessOrEqual(t, len(p.Tags), evidence.MaxLinkedTags)
		}
	}
	for from, to := range inIndex {
		require.Equal(t, to, ledger[from])
	}
	standing, err := c.Changes(t.Context(), 0, patientindex.MaxChanges, true)
	require.NoError(t, err)
	onLedger := 0
	for _, change := range standing {
		if !change.From.IsZero() {
			onLedger++
		}
	}
	require.Len(t, ledger, onLedger)
}

// FuzzMerges reads any metadata: what is read is bounded, and refusals quote nothing.
func FuzzMerges(f *testing.F) {
	f.Add(`{"event":"ADT^A40","subject":"patient","survivor":[{"authority":"H1","type":"local-patient","value":"P1"}],"prior":[{"type":"x","value":"y"}],"undo":true,"of":"00010000000000000000000000000000"}`)
	f.Add(`{"of":"x"}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := patientindex.MergesOf(&record.Record{Metadata: map[string]string{patientindex.MetadataKey: text, patientindex.MetadataKey + ".2": text}})
		if err != nil {
			require.ErrorIs(t, err, patientindex.ErrMerge)
			return
		}
		for _, m := range list {
			back, err := m.MarshalJSON()
			require.NoError(t, err)
			again, err := patientindex.MergesOf(&record.Record{Metadata: map[string]string{patientindex.MetadataKey: string(back)}})
			require.NoError(t, err)
			require.Equal(t, []patientindex.Merge{m}, again)
		}
	})
}
