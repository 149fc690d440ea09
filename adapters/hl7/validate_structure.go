package hl7

import (
	"slices"
	"strings"
)

// structure is what an event needs, as far as it is checked: the segments without which
// its meaning is lost (the R segments of the abstract message syntax outside of optional
// groups).
type structure struct {
	needs []string
	// any lists alternatives of which one must be there.
	any []string
}

// structures are found by "ADT^A40", then by "ADT". Sources: HL7 v2.5.1 and v2.8 chapters
// 3 (ADT), 4 (orders), 4A (vaccination), 5 (queries), 6 (finance), 7 (observations),
// 8 (master files), 9 (documents), 10 (scheduling), 11 (referral).
var structures = map[string]structure{
	"ACK": {needs: []string{"MSA"}},
	"ADT": {needs: []string{"EVN", "PID"}},
	"BAR": {needs: []string{"EVN", "PID"}},
	"DFT": {needs: []string{"EVN", "PID", "FT1"}},
	"MDM": {needs: []string{"EVN", "PID", "TXA"}},
	"MFK": {needs: []string{"MSA"}},
	"MFN": {needs: []string{"MFI", "MFE"}},
	"OMD": {needs: []string{"ORC"}},
	"OMG": {needs: []string{"ORC", "OBR"}},
	"OML": {needs: []string{"ORC"}},
	"OMP": {needs: []string{"ORC", "RXO"}},
	"ORM": {needs: []string{"ORC"}},
	"ORF": {needs: []string{"MSA"}},
	"ORR": {needs: []string{"MSA"}},
	"ORU": {needs: []string{"OBR"}},
	"OUL": {needs: []string{"OBR"}},
	"PPR": {needs: []string{"PID", "PRB"}},
	"QBP": {needs: []string{"QPD", "RCP"}},
	"QRY": {any: []string{"QRD", "QRF", "QPD"}},
	"RAS": {needs: []string{"ORC", "RXA"}},
	"RDE": {needs: []string{"ORC", "RXE"}},
	"RDS": {needs: []string{"ORC", "RXD"}},
	"REF": {needs: []string{"PRD", "PID"}},
	"RGV": {needs: []string{"ORC", "RXG"}},
	"RSP": {needs: []string{"MSA", "QAK"}},
	"SIU": {needs: []string{"SCH"}},
	"VXU": {needs: []string{"PID"}},
}

func init() {
	for event, s := range map[string]structure{
		"A18": {needs: []string{"EVN", "PID", "MRG"}}, "A30": {needs: []string{"EVN", "PID", "MRG"}},
		"A34": {needs: []string{"EVN", "PID", "MRG"}}, "A35": {needs: []string{"EVN", "PID", "MRG"}},
		"A36": {needs: []string{"EVN", "PID", "MRG"}}, "A39": {needs: []string{"EVN", "PID", "MRG"}},
		"A40": {needs: []string{"EVN", "PID", "MRG"}}, "A41": {needs: []string{"EVN", "PID", "MRG"}},
		"A42": {needs: []string{"EVN", "PID", "MRG"}}, "A43": {needs: []string{"EVN", "PID", "MRG"}},
		"A44": {needs: []string{"EVN", "PID", "MRG"}}, "A45": {needs: []string{"EVN", "PID", "MRG", "PV1"}},
		"A46": {needs: []string{"EVN", "PID", "MRG"}}, "A47": {needs: []string{"EVN", "PID", "MRG"}},
		"A48": {needs: []string{"EVN", "PID", "MRG"}}, "A49": {needs: []string{"EVN", "PID", "MRG"}},
		"A50": {needs: []string{"EVN", "PID", "MRG", "PV1"}}, "A51": {needs: []string{"EVN", "PID", "MRG", "PV1"}},
		"A20": {needs: []string{"EVN", "NPU"}},
		"A19": {any: []string{"QRD", "MSA"}},
	} {
		structures["ADT^"+event] = s
	}
	for _, event := range []string{"T02", "T04", "T06", "T08", "T10"} {
		structures["MDM^"+event] = structure{needs: []string{"EVN", "PID", "TXA", "OBX"}}
	}
	// Blood bank and bar code events of BAR and DFT carry no charge.
	structures["DFT^P11"] = structure{needs: []string{"EVN", "PID", "FT1"}}
}

// visitEvents are the ADT events whose structure requires PV1: everything about a visit.
const visitEvents = "A01 A02 A03 A04 A05 A06 A07 A08 A09 A10 A11 A12 A13 A14 A15 A16 A17 A21 A22 A23 A25 A26 A27 A32 A33"

// before gives the segments that must have come earlier in the message: one of the list.
var before = map[string][]string{
	"PV1": {"PID", "NPU", "QAK"},
	"PV2": {"PV1"},
	"PD1": {"PID"},
	"MRG": {"PID"},
	"NK1": {"PID"},
	"TXA": {"EVN"},
}

// checkStructure checks that the segments are there and in an order that can be read.
func (v *validator) checkStructure() {
	have := map[string]int{} // first position
	for i, s := range v.m.Segments() {
		if _, ok := have[s.Name()]; !ok {
			have[s.Name()] = i
		}
	}
	end := v.m.Len()
	kind := v.header.Kind()
	st, ok := structures[kind]
	if !ok {
		st, ok = structures[v.header.MessageCode]
	}
	for _, name := range st.needs {
		if _, there := have[name]; !there {
			v.report(Error, CodeSegmentSequence, name, end, "the segment is required in "+clean(kind))
		}
	}
	if len(st.any) > 0 && !slices.ContainsFunc(st.any, func(n string) bool { _, there := have[n]; return there }) {
		v.report(Error, CodeSegmentSequence, st.any[0], end, "one of "+strings.Join(st.any, ", ")+" is required in "+clean(kind))
	}
	if _, there := have["PV1"]; !there && ok && v.header.MessageCode == "ADT" && strings.Contains(visitEvents, v.header.TriggerEvent) {
		v.report(v.since("2.2", Warning, Warning), CodeSegmentSequence, "PV1", end, "the segment is required in "+clean(kind))
	}
	v.checkOrder(have)
}

// checkOrder reports segments that stand before the one they belong to.
func (v *validator) checkOrder(have map[string]int) {
	for i, s := range v.m.Segments() {
		owners, known := before[s.Name()]
		if !known || have[s.Name()] != i {
			continue
		}
		if !slices.ContainsFunc(owners, func(n string) bool { at, there := have[n]; return there && at < i }) {
			v.report(Error, CodeSegmentSequence, s.Name(), s.Offset(), "the segment stands before "+owners[0]+", to which it belongs")
		}
	}
	evn, ok := have["EVN"]
	if !ok {
		return
	}
	for i := 1; i < evn; i++ {
		if name := v.m.Segment(i).Name(); name != "SFT" && name != "UAC" && name != "NTE" && name[0] != 'Z' {
			v.report(Warning, CodeSegmentSequence, "EVN", v.m.Segment(evn).Offset(), "EVN comes after other segments than SFT and UAC")
			return
		}
	}
}

// clean reduces a kind from a message to what an issue may show.
func clean(kind string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '^' {
			return r
		}
		return -1
	}, kind[:min(len(kind), 7)])
}
