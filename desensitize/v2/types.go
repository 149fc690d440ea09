package v2

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/emrbridge/emrbridge/desensitize"
)

// leaf says what the text of a smallest part is.
type leaf uint8

const (
	composite  leaf = iota // has parts of its own
	textLeaf               // ST, TX, FT: what people write
	codeLeaf               // ID, IS and codes: a token of a table
	dateLeaf               // DTM
	clockLeaf              // TM
	numberLeaf             // NM
	orderLeaf              // SI
	unitLeaf               // part of a unit: a name, a number of a person, an address …
	checkLeaf              // a check digit or security code of the unit beside it
	universal              // HD.2, EI.3: an OID, UUID or domain
	dataLeaf               // ED.5
	openLeaf               // of a type that nobody knows
)

// spec describes a data type: its parts, or what it is if it has none.
type spec struct {
	name  string
	leaf  leaf
	sem   desensitize.Type // of a leaf, where the type tells it
	parts []part
}

// part is a component of a type.
type part struct {
	of   *spec
	unit int // parts with the same number above 0 are one value together
	sem  desensitize.Type
}

// typeTable lists the composite data types of HL7 v2.8.2 chapter 2A, and those of earlier
// versions that are not a beginning of them. A part is the name of a type or one of
//
//	n  name of a person (all of them are one value)      i  number that names someone or something
//	a  address (all of them are one value)               p  postcode
//	t  telephone number (all of them are one value)      m  e-mail address
//	h  name of an institution or namespace               w  ward, room, building; b  bed
//	u  universal id: OID, UUID, domain                   x  check digit or security code
//	l  number of a licence                               d  encapsulated data; r  pointer to data
//	c  code with a coding system beside it               -  withdrawn or never defined
const typeTable = `
FN n n n n n
SAD a a a
XPN FN n n n n n ID ID CWE DR ID DTM DTM n n
XCN i FN n n n n n CWE HD ID x ID ID HD ID CWE DR ID DTM DTM n CWE CWE x ID
CNN i n n n n n n ID h u ID
CX i x ID HD ID HD DTM DTM CWE CWE x ID
XAD SAD a a a p ID ID a a a ID DR DTM DTM CWE ID ID ID n ST NM CWE EI
XTN t ID ID m t t t t ST t t t DTM DTM CWE CWE EI NM
XON h CWE i x ID HD ID HD ID i
HD h u ID
EI i h u ID
EIP EI EI
PL w w b HD ID ID w w ST EI HD
NDL CNN DTM DTM w w b HD ID ID w w
LA1 w w b HD ID ID w w XAD
LA2 w w b HD ID ID w w a a a a p ID ID a
DLN l CWE DTM
PLN l CWE ST DTM
ED HD ID ID ID d
RP r HD ID ID
CWE c ST ID c ST ID ID ID ST c ST ID ID ID DTM ID ID DTM ID ID DTM
JCC CWE CWE ST
FC CWE DTM
CQ NM CWE
MO NM ID
CP MO ID NM NM CWE ID
MOC MO CWE
MOP ID NM ID
TQ CQ RI ST DTM DTM ID ST TX ID OSD CWE NM
OSD ID i h i h ST NM u ID u ID
RI CWE ST
RPT CWE ID NM NM NM ID ID ID NM CWE ST
SPS CWE CWE TX CWE CWE CWE CWE
AUI i DTM ST
DR DTM DTM
DTN CWE NM
DIN DTM CWE
DLD CWE DTM
DDI NM MO NM
SN ID NM ID NM
NR NM NM
NA NM NM NM NM NM NM NM NM NM NM
MA NM NM NM NM NM NM NM NM NM NM
PRL CWE OG TX
OG ID NM NM ID
UVC CWE MO NM CWE
OCD CWE DTM
OSP CWE DTM DTM
CCD ID DTM
ELD ID NM NM CWE
ERL ID NM NM NM NM NM
RMC CWE CWE NM MOP
PTA CWE CWE NM MOP
VH ID ID TM TM
MSG ID ID ID
PT ID ID
VID ID CWE CWE
SPD ST ST ID DTM
PIP CWE CWE DTM DTM EI
VR ST ST
SCV CWE ST
RFR NR CWE NR NR ST ST TX
QIP ID ST
QSC ID ID ST ID
RCD ID ID NM
SRT ID ID
DLT NR NM ID NM
ICD CWE ID DTM
CD WVI WVI ST CCP NM NR
WVI ID ID
CCP NM NM NM
`

var simpleTypes = map[string]leaf{
	"ST": textLeaf, "TX": textLeaf, "FT": textLeaf, "GTS": textLeaf, "ID": codeLeaf, "NM": numberLeaf, "SI": orderLeaf,
	"TM": clockLeaf, "SNM": unitLeaf,
}

// partMarks are the one-letter parts of typeTable. All parts with a mark that is shared are
// one unit.
var partMarks = map[string]struct {
	leaf   leaf
	sem    desensitize.Type
	shared int
}{
	"n": {unitLeaf, desensitize.Name, 1}, "a": {unitLeaf, desensitize.Address, 2}, "t": {unitLeaf, desensitize.Phone, 3},
	"i": {unitLeaf, desensitize.OtherID, 0}, "p": {unitLeaf, desensitize.Postcode, 0}, "m": {unitLeaf, desensitize.Email, 0},
	"h": {unitLeaf, desensitize.Hospital, 0}, "w": {unitLeaf, desensitize.Ward, 0}, "b": {unitLeaf, desensitize.Bed, 0},
	"u": {universal, desensitize.Hospital, 0}, "x": {checkLeaf, desensitize.OtherID, 0}, "l": {unitLeaf, desensitize.Licence, 0},
	"d": {dataLeaf, desensitize.Attachment, 0}, "r": {unitLeaf, desensitize.URL, 0}, "c": {codeLeaf, desensitize.Coded, 0},
	"-": {openLeaf, "", 0},
}

// olderNames are names that data types had in earlier versions, and variants of a type whose
// parts are a beginning of it.
var olderNames = map[string]string{
	"CE": "CWE", "CF": "CWE", "CNE": "CWE", "TS": "DTM", "DT": "DTM", "PN": "XPN", "AD": "XAD", "TN": "XTN", "CK": "CX",
	"CN": "XCN", "PPN": "XCN", "IS": "ID",
}

// maxShared is the highest number of a shared unit; numbers above are of single parts.
const maxShared = 3

// specs are the data types by name. A mistake in the table stops every test.
var specs = buildSpecs()

func buildSpecs() map[string]*spec {
	out := map[string]*spec{}
	for name, l := range simpleTypes {
		out[name] = &spec{name: name, leaf: l}
	}
	out["DTM"] = &spec{name: "DTM", sem: desensitize.Date}
	lines := strings.Split(strings.TrimSpace(typeTable), "\n")
	for _, line := range lines {
		name, _, _ := strings.Cut(line, " ")
		out[name] = &spec{name: name}
	}
	day := &spec{name: "DTM", leaf: dateLeaf, sem: desensitize.Date}
	out["DTM"].parts = []part{{of: day, unit: maxShared + 1, sem: desensitize.Date}, {of: out["ID"]}} // TS.2 is the degree of precision
	for _, line := range lines {
		fields := strings.Fields(line)
		out[fields[0]].parts = buildParts(out, fields[1:])
	}
	return out
}

func buildParts(known map[string]*spec, names []string) []part {
	var out []part
	single := maxShared
	for _, n := range names {
		if m, ok := partMarks[n]; ok {
			unit := m.shared
			if unit == 0 && m.leaf == unitLeaf {
				single++
				unit = single
			}
			out = append(out, part{of: &spec{leaf: m.leaf, sem: m.sem}, unit: unit, sem: m.sem})
			continue
		}
		of := known[n]
		if of == nil {
			panic("v2: table of types: unknown type " + n)
		}
		p := part{of: of}
		if n == "FN" || n == "SAD" { // their parts are those of the name or address around them
			p.unit, p.sem = partMarks["n"].shared, desensitize.Name
			if n == "SAD" {
				p.unit, p.sem = partMarks["a"].shared, desensitize.Address
			}
		}
		out = append(out, p)
	}
	return out
}

// specOf finds a data type by the name that any version gives it.
func specOf(name string) *spec {
	if newer, ok := olderNames[name]; ok {
		name = newer
	}
	return specs[name]
}

// fieldTypes are the data types of the fields of each segment, from field 1.
var fieldTypes = func() map[string][]*spec {
	out := map[string][]*spec{}
	for _, line := range strings.Split(strings.TrimSpace(segmentTable), "\n") {
		names := strings.Fields(line)
		var fields []*spec
		for _, n := range names[1:] {
			name, times := n, 1
			if t, count, ok := strings.Cut(n, "*"); ok {
				var err error
				if times, err = strconv.Atoi(count); err != nil {
					panic(fmt.Sprintf("v2: table of segments: %s: %v", names[0], err))
				}
				name = t
			}
			s := specOf(name)
			if s == nil && name != "-" && name != varies && name != "CM" {
				panic("v2: table of segments: " + names[0] + " has the unknown type " + name)
			}
			for range times {
				fields = append(fields, s)
			}
		}
		out[names[0]] = fields
	}
	return out
}()

// varies is the type of fields whose type stands elsewhere in the segment (OBX-5 by OBX-2).
const varies = "VARIES"

// Segments returns the names of the segments that the walker knows, sorted.
func Segments() []string {
	out := make([]string, 0, len(fieldTypes))
	for name := range fieldTypes {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
