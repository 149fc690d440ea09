package hl7

import (
	"slices"
	"strings"
)

// structure is what an event needs, as far as it is checked.
type structure struct {
	needs []string // segments without which the meaning of the event is lost
	any   []string // segments of which one must be there
	asks  []string // segments that the standard requires and that can be done without
}

// orderDetail are the segments that say what is ordered, given or found.
var orderDetail = []string{"ORC", "OBR", "RXO", "RXE", "RXD", "RXG", "RXA", "RQD", "ODS", "ODT"}

// structures are found by "ADT^A40", then by "ADT". Sources: the abstract message syntax in
// HL7 v2.5.1 and v2.8 chapters 3 (ADT), 4 (orders), 4A (vaccination), 5 (queries), 6
// (finance), 7 (observations), 8 (master files), 9 (documents), 10 (scheduling), 11
// (referral).
var structures = map[string]structure{
	"ACK": {needs: []string{"MSA"}},
	"ADT": {needs: []string{"PID"}, asks: []string{"EVN"}},
	"BAR": {needs: []string{"PID"}, asks: []string{"EVN"}},
	"DFT": {needs: []string{"PID", "FT1"}, asks: []string{"EVN"}},
	"MDM": {needs: []string{"PID", "TXA"}, asks: []string{"EVN", "PV1"}},
	"MFK": {needs: []string{"MSA"}},
	"MFN": {needs: []string{"MFI", "MFE"}},
	"OMD": {any: orderDetail, asks: []string{"ORC"}},
	"OMG": {any: orderDetail, asks: []string{"ORC", "OBR"}},
	"OML": {any: orderDetail, asks: []string{"ORC"}},
	"OMP": {needs: []string{"RXO"}, asks: []string{"ORC"}},
	"ORF": {needs: []string{"MSA"}},
	"ORM": {any: orderDetail, asks: []string{"ORC"}},
	"ORR": {needs: []string{"MSA"}},
	"ORU": {asks: []string{"OBR"}},
	"OUL": {asks: []string{"OBR"}},
	"PPR": {needs: []string{"PID", "PRB"}},
	"QBP": {needs: []string{"QPD", "RCP"}},
	"QRY": {any: []string{"QRD", "QPD"}},
	"RAS": {needs: []string{"RXA"}, asks: []string{"ORC"}},
	"RDE": {needs: []string{"RXE"}, asks: []string{"ORC"}},
	"RDS": {needs: []string{"RXD"}, asks: []string{"ORC"}},
	"REF": {needs: []string{"PRD", "PID"}},
	"RGV": {needs: []string{"RXG"}, asks: []string{"ORC"}},
	"RSP": {needs: []string{"MSA", "QAK", "QPD"}},
	"SIU": {needs: []string{"SCH"}},
	"VXU": {needs: []string{"PID"}, asks: []string{"RXA"}},

	"ADT^A19": {any: []string{"QRD", "MSA"}},
	"ADT^A20": {needs: []string{"NPU"}, asks: []string{"EVN"}},
}

// visitEvents are the events about the visit of one patient; A17 exchanges the beds of two.
var visitEvents = strings.Fields("A01 A02 A03 A04 A05 A06 A07 A08 A09 A10 A11 A12 A13 A14 A15 A16 A17 A21 A22 A23 A25 A26 A27 A32 A33")

func init() {
	for _, event := range []string{"A18", "A30", "A34", "A35", "A36", "A39", "A40", "A41", "A42", "A43", "A44",
		"A45", "A46", "A47", "A48", "A49", "A50", "A51"} { // merges, moves and changes of identifiers
		structures["ADT^"+event] = structure{needs: []string{"PID", "MRG"}, asks: []string{"EVN"}}
	}
	for _, event := range visitEvents {
		structures["ADT^"+event] = structure{needs: []string{"PID"}, asks: []string{"EVN", "PV1"}}
	}
	for _, event := range []string{"T02", "T04", "T06", "T08", "T10"} { // with content
		structures["MDM^"+event] = structure{needs: []string{"PID", "TXA", "OBX"}, asks: []string{"EVN", "PV1"}}
	}
}

// before gives the segments that must have come earlier in the message: one of the list.
var before = map[string][]string{
	"PV1": {"PID", "NPU", "QAK"},
	"PV2": {"PV1"},
	"PD1": {"PID"},
	"MRG": {"PID"},
	"NK1": {"PID"},
}

// checkStructure checks that the segments are there and in an order that can be read.
func (v *validator) checkStructure() {
	have := map[string]int{} // first position
	for i, s := range v.m.Segments() {
		if _, ok := have[s.Name()]; !ok {
			have[s.Name()] = i
		}
	}
	kind := v.header.Kind()
	st, ok := structures[kind]
	if !ok {
		st = structures[v.header.MessageCode]
	}
	absent := func(name string) bool { _, there := have[name]; return !there }
	missing := func(sev Severity, name, text string) {
		v.report(sev, CodeSegmentSequence, name, v.m.Len(), text+" is required in "+clean(kind))
	}
	for _, name := range st.needs {
		if absent(name) {
			missing(Error, name, "the segment")
		}
	}
	if len(st.any) > 0 && !slices.ContainsFunc(st.any, func(name string) bool { return !absent(name) }) {
		missing(Error, st.any[0], "one of "+strings.Join(st.any, ", "))
	}
	for _, name := range st.asks {
		if absent(name) {
			missing(Warning, name, "the segment")
		}
	}
	v.checkOrder(have)
	v.checkEvent()
}

// checkEvent checks that the message is about what it says: one event, and one patient
// where the event has one.
func (v *validator) checkEvent() {
	event := v.header.TriggerEvent
	if evn, ok := v.m.Find("EVN", 1); ok {
		if code := evn.Field(1); !code.IsEmpty() && code.Comp(1).Text() != event {
			v.report(Warning, CodeTableValue, "EVN-1", code.Offset(), "the event differs from MSH-9.2, which counts")
		}
	}
	if v.header.MessageCode != "ADT" || event == "A17" || !slices.Contains(visitEvents, event) && event != "A28" && event != "A31" {
		return
	}
	if second, ok := v.m.Find("PID", 2); ok {
		v.report(Error, CodeSegmentSequence, "PID[2]", second.Offset(), "a second patient in an event about one")
	}
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

// standardSegments are the segments of HL7 v2.1 to v2.8.2.
var standardSegments = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(`
		ABS ACC ADD ADJ AFF AIG AIL AIP AIS AL1 APR ARQ ARV AUT BHS BLC BLG BPO BPX BTS BTX BUI CDM CDO CER CM0 CM1
		CM2 CNS CON CSP CSR CSS CTD CTI CTR DB1 DEV DG1 DMI DON DPS DRG DSC DSP DST ECD ECR EDU EQL EQP EQU ERQ ERR
		EVN FAC FHS FT1 FTS GOL GP1 GP2 GT1 IAM IAR IIM ILT IN1 IN2 IN3 INV IPC IPR ISD ITM IVC IVT LAN LCC LCH LDP
		LOC LRL MCP MFA MFE MFI MRG MSA MSH NCK NDS NK1 NPU NSC NST NTE OBR OBX ODS ODT OH1 OH2 OH3 OH4 OM1 OM2 OM3
		OM4 OM5 OM6 OM7 OMC ORC ORG ORO OVR PAC PCE PCR PD1 PDA PDC PEO PES PID PKG PM1 PMT PR1 PRA PRB PRC PRD PRT
		PSG PSH PSL PSS PTH PV1 PV2 PYE QAK QID QPD QRD QRF QRI RCP RDF RDT REL RF1 RFI RGS RMI ROL RQ1 RQD RXA RXC
		RXD RXE RXG RXO RXR RXV SAC SCD SCH SCP SDD SFT SGH SGT SHP SID SLT SPM SPR STF STZ TCC TCD TQ1 TQ2 TXA UAC
		UB1 UB2 URD URS VAR VND VTQ`) {
		set[name] = true
	}
	return set
}()
