package cda

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/record"
)

// Severity says what an issue means for the document.
type Severity string

// Severities. A document with an error is refused.
const (
	Err     Severity = "error"
	Warning Severity = "warning"
)

// Issue is one deviation from the rules.
type Issue struct {
	// Rule is the stable name by which a partner may be allowed the deviation.
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	// Path is the XPath of the element at fault, or of the one that lacks something.
	Path   string `json:"path,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
	// Text says what is wrong and what is expected. It holds no value of the document.
	Text string `json:"text"`
}

// String returns the issue as one line.
func (i Issue) String() string {
	where := i.Path
	if i.Line > 0 {
		where = fmt.Sprintf("%s (line %d)", where, i.Line)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s: %s: %s", i.Severity, i.Rule, where, i.Text))
}

// Partner holds the rules for documents of one sender. The zero value allows nothing
// beyond what Validate lets pass for everybody.
type Partner struct {
	// Allow names rules whose breach is tolerated: errors under them become warnings.
	Allow []string
	Roots Roots
	// Strict makes errors of what is a warning on input: the measure for output.
	Strict bool
}

// Rules lists the names of all rules, for the check of configurations, sorted.
func Rules() []string {
	out := make([]string, 0, len(ruleSeverity))
	for name := range ruleSeverity {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// ruleSeverity gives the weight of each rule on input. What identifies document and patient
// or contradicts itself is an error; what is only missing or unusual is a warning.
var ruleSeverity = map[string]Severity{
	"realm": Warning, "type-id": Warning, "template": Err, "template-code": Err, "id": Err, "id-length": Warning,
	"code": Err, "code-system": Err, "title": Warning, "time": Err, "time-precision": Warning,
	"confidentiality": Warning, "language": Warning, "set-id": Warning, "version": Warning,
	"patient": Err, "patient-id": Err, "patient-root": Warning, "patient-name": Warning, "patient-conflict": Err,
	"resident-id": Warning, "gender": Err, "birth": Err, "age": Warning, "code-table": Err, "code-name": Warning,
	"author": Warning, "custodian": Warning, "custodian-id": Warning, "signer": Warning,
	"header-part": Warning, "header-extra": Warning, "oid": Err, "timestamp": Err, "body": Err, "section": Warning, "section-code": Warning,
	"entry-code": Warning, "value": Warning, "order": Warning, "many-patients": Warning,
	"schema": Err, "statement": Warning, "profile": Err,
}

// foreignSeverity is the weight that rules have for documents other than those of WS/T 500:
// their schema fixes the order, and times of persons are less strict in what is published.
var foreignSeverity = map[string]Severity{"order": Err, "timestamp": Warning, "value": Err, "patient-id": Warning}

// Validate holds a document against WS/T 500 where it is one, against the header of CDA R2
// otherwise. The result is in no particular order beyond header before body.
func Validate(d *Document, p Partner) []Issue {
	v := &validation{d: d, p: p}
	v.identity()
	v.patient()
	v.participants()
	v.times()
	v.oids()
	switch {
	case d.Type != nil:
		v.wst500()
	case d.source != nil:
		v.cdar2()
	}
	v.body()
	v.order()
	return v.issues
}

// Valid reports whether no issue is an error.
func Valid(issues []Issue) bool {
	return !slices.ContainsFunc(issues, func(i Issue) bool { return i.Severity == Err })
}

// Invalid is the reason why a document is refused: its issues, errors first.
type Invalid struct{ Issues []Issue }

// Error names the errors among the issues, the first few of them.
func (e *Invalid) Error() string {
	var out []string
	for _, i := range e.Issues {
		if i.Severity != Err {
			continue
		}
		if len(out) == 5 {
			out = append(out, "…")
			break
		}
		out = append(out, strings.TrimPrefix(i.String(), "error "))
	}
	return "cda: " + strings.Join(out, "; ")
}

// Check returns *Invalid if a document has errors.
func Check(d *Document, p Partner) error {
	if issues := Validate(d, p); !Valid(issues) {
		return &Invalid{Issues: issues}
	}
	return nil
}

type validation struct {
	d      *Document
	p      Partner
	issues []Issue
}

// add notes an issue at a named place of the document.
func (v *validation) add(rule, place, format string, args ...any) {
	severity := ruleSeverity[rule]
	if s, ok := foreignSeverity[rule]; ok && v.d.Type == nil {
		severity = s
	}
	if v.p.Strict {
		severity = Err
	}
	if slices.Contains(v.p.Allow, rule) {
		severity = Warning
	}
	i := Issue{Rule: rule, Severity: severity, Text: fmt.Sprintf(format, args...), Path: "/ClinicalDocument"}
	if n := v.d.nodes[place]; n != nil && v.d.source != nil {
		i.Path = n.Path()
		i.Line, i.Column = v.d.source.Position(n)
	} else if place != "" {
		i.Path += "/" + place
	}
	v.issues = append(v.issues, i)
}

// need notes an issue unless ok.
func (v *validation) need(ok bool, rule, place, format string, args ...any) {
	if !ok {
		v.add(rule, place, format, args...)
	}
}

func (v *validation) identity() {
	d := v.d
	v.need(!d.ID.IsZero(), "id", "id", "the document has no id")
	v.need(!d.Code.IsZero(), "code", "code", "the document has no code")
	v.need(d.Time != "", "time", "effectiveTime", "the document has no effectiveTime")
	v.need(d.Title != "", "title", "title", "the document has no title")
	v.need(d.TypeID.Root == typeIDRoot, "type-id", "typeId", "typeId is not that of CDA R2 (%s)", typeIDRoot)
	v.need(d.Confidential.Code != "", "confidentiality", "confidentialityCode", "no confidentiality code")
	if c := d.Confidential.Code; c != "" && d.Confidential.System == confidentialitySystem {
		v.need(slices.Contains([]string{"N", "R", "V", "L", "M", "U", "B", "D", "I", "S", "T", "C", "ETH", "HIV", "PSY", "SDV"}, c),
			"code-table", "confidentialityCode", "the code is not in the table Confidentiality")
	}
}

func (v *validation) patient() {
	d, p := v.d, v.d.Patient
	if d.Patients == 0 || d.source != nil && d.nodes["patientRole"] == nil {
		v.add("patient", "recordTarget", "the document names no patient (recordTarget/patientRole)")
		return
	}
	v.need(d.Patients < 2, "many-patients", "recordTarget", "the document is about more than one patient")
	known := 0
	for _, id := range append(slices.Clone(p.IDs), p.PersonIDs...) {
		if id.Extension != "" || id.Root != "" && d.Type == nil {
			known++
		}
	}
	v.need(known > 0, "patient-id", "patientRole", "the patient has no number")
	v.need(p.Name != "", "patient-name", "patient", "the patient has no name")
	v.gender()
	if p.Birth != "" {
		if t, err := hl7.ParseTime(p.Birth, nil); err != nil {
			v.add("birth", "birthTime", "the date of birth is not a date in the form YYYYMMDD")
		} else {
			v.bornWhenNumbered(t)
		}
	}
}

// bornWhenNumbered compares the date of birth with the one that is part of the resident id.
func (v *validation) bornWhenNumbered(birth record.Time) {
	for _, id := range v.d.Patient.PersonIDs {
		number, ok := hl7.NormalResidentID(id.Extension)
		if t, _ := v.p.Roots.Type(id.Root); !ok || t != record.ResidentID || birth.Precision < record.Day {
			continue
		}
		if number[6:14] != birth.Time().Format("20060102") {
			v.add("resident-id", "birthTime", "the date of birth is not that of the resident id")
		}
	}
}

func (v *validation) gender() {
	g := v.d.Patient.Gender
	if g.Code == "" || v.d.Type == nil {
		return
	}
	name, ok := genderNames[g.Code]
	if !ok {
		v.add("gender", "administrativeGenderCode", "the code is not in GB/T 2261.1 (0, 1, 2, 9)")
		return
	}
	v.need(g.Display == "" || strings.TrimSuffix(g.Display, "性") == strings.TrimSuffix(name, "性"),
		"code-name", "administrativeGenderCode", "the display name is not that of the code: expected %s", name)
}

func (v *validation) participants() {
	d := v.d
	v.need(len(d.Authors) > 0, "author", "author", "the document has no author")
	v.need(d.Custodian.Name != "" || !d.Custodian.ID.IsZero(), "custodian", "custodian", "the document has no custodian")
}

// times checks the timestamps of the header.
func (v *validation) times() {
	check := func(place, value string) {
		if value == "" {
			return
		}
		if _, err := hl7.ParseTime(value, nil); err != nil {
			v.add("timestamp", place, "not a time in the form YYYYMMDDHHMMSS[+ZZZZ], or a date that does not exist")
		}
	}
	d := v.d
	if _, err := hl7.ParseTime(d.Time, nil); d.Time != "" && err != nil {
		v.add("time", "effectiveTime", "not a time in the form YYYYMMDDHHMMSS[+ZZZZ], or a date that does not exist")
	}
	for _, group := range []struct {
		place  string
		people []Person
	}{{"author", d.Authors}, {"legalAuthenticator", d.Legal}, {"authenticator", d.Authenticator}} {
		for _, p := range group.people {
			check(group.place, p.Time)
		}
	}
	if e := d.Encounter; e != nil {
		check("componentOf", e.Time.Value)
		check("componentOf", e.Time.Low)
		check("componentOf", e.Time.High)
		low, errLow := hl7.ParseTime(e.Time.Low, nil)
		high, errHigh := hl7.ParseTime(e.Time.High, nil)
		if errLow == nil && errHigh == nil && high.Time().Add(24*time.Hour).Before(low.Time()) {
			v.add("timestamp", "componentOf", "the encounter ends before it begins")
		}
	}
}

func (v *validation) oids() {
	d := v.d
	check := func(place string, ids ...ID) {
		for _, id := range ids {
			v.need(id.Root == "" || validOID(id.Root) || validUUID(id.Root) || d.Type == nil && validRUID(id.Root),
				"oid", place, "the root is neither OID nor UUID")
		}
	}
	check("templateId", d.Templates...)
	check("id", d.ID)
	check("patientRole/id", d.Patient.IDs...)
	check("patient/id", d.Patient.PersonIDs...)
	v.need(d.Code.System == "" || validOID(d.Code.System), "oid", "code", "the code system is no OID")
}

// validRUID accepts reserved identifiers of HL7 (data type ruid).
func validRUID(s string) bool {
	return strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", rune(s[0])) && plainToken(strings.ReplaceAll(s, ".", "x"))
}

func validUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i, c := range s {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", c) {
			return false
		}
	}
	return true
}

// body checks sections and their values.
func (v *validation) body() {
	d := v.d
	if d.NonXML != nil {
		v.need(d.NonXML.Data != "" || d.NonXML.Reference != "", "body", "component", "the body is empty")
		return
	}
	if len(d.Sections) == 0 {
		if v.d.nodes["component"] == nil && d.Type == nil {
			v.add("section", "", "the document has no body")
			return
		}
		v.add("body", "component", "the body has no section")
		return
	}
	for i := range d.Sections {
		v.section(&d.Sections[i], "component/structuredBody/component["+strconv.Itoa(i+1)+"]/section")
	}
}

func (v *validation) section(s *Section, path string) {
	v.need(!s.Code.IsZero() || s.Title != "", "section-code", path, "the section has neither code nor title")
	for i := range s.Entries {
		v.entry(&s.Entries[i], path+"/entry["+strconv.Itoa(i+1)+"]")
	}
	for i := range s.Sections {
		v.section(&s.Sections[i], path+"/component["+strconv.Itoa(i+1)+"]/section")
	}
}

func (v *validation) entry(e *Entry, path string) {
	path += "/" + e.Statement
	if v.d.Type != nil && e.Statement == "observation" {
		v.need(e.Code.Code != "" || e.Code.Display != "" || e.Code.NullFlavor != "" || len(e.Entries) > 0,
			"entry-code", path, "the observation has no code")
	}
	v.table(path+"/routeCode", e.Route, routeTable)
	v.table(path+"/administrationUnitCode", e.Unit, doseFormTable)
	for _, val := range e.Values {
		if why := val.wrong(); why != "" {
			v.add("value", path+"/value", "%s", why)
		}
	}
	for i := range e.Entries {
		v.entry(&e.Entries[i], path+"/entry["+strconv.Itoa(i+1)+"]")
	}
}

// wrong says why a value does not have the form of its type.
func (val Value) wrong() string {
	if val.Code.NullFlavor != "" {
		return ""
	}
	switch val.Type {
	case "INT":
		if _, err := strconv.ParseInt(val.Value, 10, 64); val.Value != "" && err != nil {
			return "the value is no whole number"
		}
	case "PQ", "REAL", "MO":
		if _, err := strconv.ParseFloat(val.Value, 64); val.Value != "" && err != nil {
			return "the value is no number"
		}
	case "BL":
		if val.Value != "" && val.Value != "true" && val.Value != "false" {
			return "the value is neither true nor false"
		}
	case "TS":
		if _, err := hl7.ParseTime(val.Value, nil); val.Value != "" && err != nil {
			return "the value is no time"
		}
	}
	return ""
}
