package cda

import (
	"slices"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/cda/safexml"
)

// valueTypes are the data types of HL7 v3 that xsi:type may name (CDA R2, datatypes.xsd),
// and those that extensions of it use.
var valueTypes = strings.Fields(`ANY AD BL BN BAG_CE CD CE CO CR CS CV ED EN ENXP GLIST_PQ GLIST_TS HXIT_CE HXIT_PQ II INT IVL_INT
 IVL_MO IVL_PQ IVL_REAL IVL_TS EIVL_TS EIVL_PPD_TS EIVL.event IVL_PPD_PQ IVL_PPD_TS IVXB_INT IVXB_MO IVXB_PQ IVXB_REAL IVXB_TS MO ON PIVL_TS
 PIVL_PPD_TS PN PPD_PQ PPD_TS PQ PQR QTY REAL RTO RTO_MO_PQ RTO_PQ_PQ RTO_QTY_QTY SC SLIST_PQ SLIST_TS ST SXCM_CD SXCM_INT SXCM_MO SXCM_PQ
 SXCM_REAL SXCM_TS SXPR_TS TEL TN TS URL UVP_TS BXIT_CD BXIT_IVL_PQ thumbnail`)

// moods are the codes of ActMood that clinical statements use.
var moods = strings.Fields(`EVN INT APT ARQ PRMS PRP RQO GOL DEF SLOT EVN.CRT OPT PERM PERMRQ EXPEC CRT`)

// requiredPart names the element that a statement must have.
var requiredPart = map[string]string{"observation": "code", "act": "code", "organizer": "statusCode", "substanceAdministration": "consumable"}

// cdar2 holds a document against the schema of CDA R2 (POCD_MT000040), as far as it can be
// told without the schema: which elements there must be, in the header and in statements.
// Documents of WS/T 500 have rules of their own.
func (v *validation) cdar2() {
	root := v.d.source.Root
	for _, name := range []string{"typeId", "confidentialityCode", "author", "custodian", "component"} {
		v.need(root.Child(name) != nil, "schema", "", "%s is missing, which CDA R2 requires", name)
	}
	v.need(v.d.TypeID.Root == typeIDRoot || v.d.TypeID.IsZero(), "schema", "typeId", "typeId is not that of CDA R2 (%s)", typeIDRoot)
	for _, n := range root.Elements() {
		if n.Name.Space == root.Name.Space && !slices.Contains(headerOrder, n.Name.Local) {
			v.at("schema", n, "CDA R2 knows no such element in the header")
		}
	}
	v.laboratory()
	v.summary()
	v.statementsBelow(root.Child("component"))
}

// at notes an issue at a node.
func (v *validation) at(rule string, n *safexml.Node, text string) {
	v.d.mark("at", n)
	v.add(rule, "at", "%s", text)
}

// statementsBelow checks every clinical statement of the body.
func (v *validation) statementsBelow(n *safexml.Node) {
	for _, c := range n.Elements() {
		if c.Name.Local == "text" || c.Name.Space != namespace {
			continue
		}
		if slices.Contains(statements, c.Name.Local) && n.Name.Local != "subject" {
			v.statement(c)
		}
		if c.Name.Local == "value" {
			v.typed(c)
		}
		v.statementsBelow(c)
	}
}

func (v *validation) statement(n *safexml.Node) {
	if n.Attr("nullFlavor") != "" || len(v.issues) > maxIssues {
		return
	}
	if n.Name.Local != "observationMedia" && n.Name.Local != "regionOfInterest" {
		v.needAt(n.Attr("classCode") != "" && n.Attr("moodCode") != "", n, "the statement has no classCode or no moodCode")
	}
	if mood := n.Attr("moodCode"); mood != "" {
		v.needAt(slices.Contains(moods, mood), n, "moodCode is no code of ActMood")
	}
	part := requiredPart[n.Name.Local]
	v.needAt(part == "" || n.Child(part) != nil, n, "the statement has no "+part)
}

func (v *validation) needAt(ok bool, n *safexml.Node, text string) {
	if !ok {
		v.at("statement", n, text)
	}
}

// maxIssues bounds the report on one document.
const maxIssues = 500

func (v *validation) typed(n *safexml.Node) {
	kind, ok := n.Lookup(schemaInstance, "type")
	if i := strings.LastIndexByte(kind, ':'); i >= 0 {
		kind = kind[i+1:]
	}
	if ok && !slices.Contains(valueTypes, kind) {
		v.at("value", n, "xsi:type names no data type of HL7 v3")
	}
}

// ccd is the template of the Continuity of Care Document, release 1.
const ccd = "2.16.840.1.113883.10.20.1"

// summary checks the header of a Continuity of Care Document (HL7 CCD R1, CONF-1 to CONF-6).
func (v *validation) summary() {
	d := v.d
	if !slices.ContainsFunc(d.Templates, func(id ID) bool { return id.Root == ccd }) {
		return
	}
	v.need(d.Code.Code == "34133-9", "profile", "code", "the code of a CCD is 34133-9 (CONF-1)")
	v.need(len(d.Services) == 1, "profile", "documentationOf", "a CCD has one documentationOf (CONF-2)")
	if event := d.nodes["documentationOf"].Child("serviceEvent"); event != nil {
		v.need(event.Attr("classCode") == "PCPR", "profile", "documentationOf", "the event of a CCD is of class PCPR (CONF-3)")
		t := event.Child("effectiveTime")
		v.need(t.Child("low") != nil && t.Child("high") != nil, "profile", "documentationOf", "the event of a CCD has a time from low to high (CONF-4)")
	}
	v.need(d.Language != "", "profile", "languageCode", "a CCD names its language (CONF-5)")
}

// Templates of IHE Sharing Laboratory Reports (IHE PaLM TF-3, 2.3.3 and 2.3.4).
const (
	labReport = "1.3.6.1.4.1.19376.1.3.3"
	labEntry  = "1.3.6.1.4.1.19376.1.3.1"
)

// laboratory checks the data processing entries of a laboratory report, from which another
// system reads its results: an act of class ACT under the template of the profile.
func (v *validation) laboratory() {
	if !slices.ContainsFunc(v.d.Templates, func(id ID) bool { return id.Root == labReport }) {
		return
	}
	var walk func(n *safexml.Node)
	walk = func(n *safexml.Node) {
		for _, c := range n.Elements() {
			if c.Name.Local == "entry" {
				if t := c.Child("templateId"); t != nil && t.Attr("root") != labEntry {
					v.at("profile", c, "the entry of a laboratory report is not under the template "+labEntry)
				}
				if a := c.Child("act"); a != nil && a.Attr("classCode") != "ACT" {
					v.at("profile", a, "the act of a laboratory report is not of class ACT")
				}
				continue
			}
			walk(c)
		}
	}
	walk(v.d.source.Root.Child("component"))
}
