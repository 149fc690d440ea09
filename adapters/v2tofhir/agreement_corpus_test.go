//go:build corpus

package v2tofhir_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
)

// otherReadings are facts on which the corpus and this package differ, each with why. A
// prefix names the type and the path, and may go on with the value; the corpus is other
// projects' reading of the guide, not a norm.
var otherReadings = []struct{ prefix, why string }{
	{"Organization.identifier.value = CDC PRIME - Atlanta", "the converting system of that project, not of the message"},
	{"Organization.identifier.value = 2.16.840.1.114222.4.1.237821", "the converting system of that project"},
	{"Organization.identifier.system = urn:ietf:rfc:3986", "the converting system of that project"},
	{"Organization.identifier.type", "the type of a universal id (table 0301) goes into the system of the identifier: urn:oid, urn:uuid"},
	{"Organization.identifier", "assigning authorities are named in Identifier.assigner (display and identifier), not by Organizations of their own"},
	{"Organization.address", "MSH-17 without a facility, and addresses of Organizations that nothing in the message names (org-1)"},
	{"Organization.contact", "NK1-30 to NK1-32 are the person's contact: they stand in RelatedPerson"},
	{"Organization.telecom", "as Organization.contact"},
	{"Organization.name", "components of XON that only repeat the code"},
	{"Location", "an HD in CX-6 or XCN-14 is where a number was issued, no place of care; a PL names its levels, one Location for each"},
	{"Practitioner.identifier.system = ", "a namespace is no address: it is the assigner's name"},
	{"Practitioner.identifier", "a driver's licence is the patient's in PID-20 alone"},
	{"Practitioner.telecom", "ORC-14 and OBR-17 are the order's callback, an extension of the order"},
	{"Practitioner.address", "of a person that the message names elsewhere"},
	{"Practitioner.name", "persons in fields without a map (OBR-28, PRT) are kept as unmapped"},
	{"Device", "PRT-10 and OBX-18 refer to a device by its identifier; PRT is read for persons"},
	{"RelatedPerson.address.line", "a part of a SAD that the first part holds already is not said twice"},
	{"RelatedPerson.identifier.system = ", "a namespace is no address"},
	{"RelatedPerson.identifier", "NK1-37 is SS, without a country's system"},
	{"RelatedPerson.relationship.coding.system = https://terminology.hl7.org/CodeSystem-v2-0396", "the name of a local system is kept in an extension: that page is no code system"},
	{"Patient.contact.name.use", "the present edition of the guide gives name type B (birth) no use; the type is kept as unmapped"},
	{"RelatedPerson.name.use", "as Patient.contact.name.use"},
	{"RelatedPerson.name", "the mother's maiden name (PID-6) is an extension of the Patient, as the guide has it"},
	{"RelatedPerson.telecom.rank = -1", "FHIR: rank is a positive number; XTN-18 is kept as unmapped"},
	{"Specimen.collection.collectedDateTime", "no Specimen is made of an OBR that says nothing of one (OBR-14, OBR-15)"},
	{"Specimen.identifier", "SPM-31 and SPM-32 have no map in the guide; they are kept as unmapped"},
	{"Specimen.note", "OBR-39 is a note of the order"},
	{"Specimen", "a Specimen of the OBR beside those of SPM would be another specimen"},
	{"ServiceRequest.note.text = OBR Note", "the repetitions of NTE-3 are lines of one note"},
	{"ServiceRequest.status = ", "ORC-5 counts before ORC-1; the guide maps neither RE nor an absent ORC"},
	{"ServiceRequest.identifier", "an identifier has a value: a type alone is none; testcx41 is no address"},
	{"DiagnosticReport.identifier", "an identifier has a value"},
	{"DiagnosticReport.issued", "a time without a zone is in the sender's zone, not in UTC"},
	{"Patient.deceasedDateTime", "a time without a zone is in the sender's zone"},
	{"Patient.contact.period", "pat-1: a contact has a name, an address or an organisation; the RelatedPerson has the period"},
	{"Patient.contact.relationship.coding.system", "as RelatedPerson.relationship"},
	{"Patient.identifier.system = ", "a namespace is no address"},
	{"Patient.link", "PID-21 is the mother's number, in a RelatedPerson of hers"},
	{"Encounter.length", "UCUM is http://unitsofmeasure.org, and its day is d"},
	{"Encounter.hospitalization.preAdmissionIdentifier.system = urn:oid:testcx42", "testcx42 is no object identifier"},
	{"Observation.code.coding.system = https://terminology.hl7.org/CodeSystem-v2-0396", "as RelatedPerson.relationship"},
	{"Observation.valueCodeableConcept.coding.system = https://terminology.hl7.org/CodeSystem-v2-0396", "as RelatedPerson.relationship"},
	{"Observation.valueCodeableConcept.coding.system = http://terminology.hl7.org/ValueSet", "a value set is no code system"},
	{"Observation.valueTime = 223100.0000", "that is no FHIR time; ours is 22:31:00.0000"},
	{"Observation.valueQuantity.system = UCUM", "that is no address"},
	{"Observation.interpretation", "codes of table 0078 that v3-ObservationInterpretation has are given in that system"},
	{"Observation", "made from FHIR to HL7 v2 there: what it had before is not in the message"},
	{"MessageHeader.eventCoding.display", "our display is MSH-9 as it stands"},
	{"MessageHeader.language = EN", "languages are written in lower case (BCP 47)"},
	{"MessageHeader.destination.endpoint = urn:", "what follows is no object identifier and no UUID"},
	{"MessageHeader.source.endpoint = urn:oid:Sending", "what follows is no object identifier"},
	{"MessageHeader.source", "made from FHIR to HL7 v2 there"},
	{"MessageHeader.destination", "made from FHIR to HL7 v2 there"},
}

// leastAgreement is the number of facts that agreed when the differences were looked at.
const leastAgreement = 1050

// why returns the reason for a difference.
func why(fact string) string {
	for _, o := range otherReadings {
		if strings.HasPrefix(fact, o.prefix) {
			return o.why
		}
	}
	return ""
}

// TestCorpusAgreement compares the facts of the corpus' expected Bundles (leaf values by resource
// type and path, without ids, references and extensions) with ours.
func TestCorpusAgreement(t *testing.T) {
	type tally struct{ have, want int }
	byType := map[string]*tally{}
	root := corpus(t, "hl7v2-to-fhir")
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".hl7") {
			return err
		}
		want := factsOf(t, strings.TrimSuffix(path, ".hl7")+".fhir")
		have := ourFacts(t, path)
		for fact := range want {
			typ, _, _ := strings.Cut(fact, ".")
			if byType[typ] == nil {
				byType[typ] = &tally{}
			}
			byType[typ].want++
			if have[fact] {
				byType[typ].have++
				continue
			}
			require.NotEmpty(t, why(fact), "%s: %s: a difference without a reason", filepath.Base(path), fact)
		}
		return nil
	}))
	all := tally{}
	var lines []string
	for typ, n := range byType {
		all.have += n.have
		all.want += n.want
		lines = append(lines, fmt.Sprintf("%-20s %4d of %4d", typ, n.have, n.want))
	}
	sort.Strings(lines)
	t.Logf("%d of %d facts agree\n%s", all.have, all.want, strings.Join(lines, "\n"))
	require.GreaterOrEqual(t, all.have, leastAgreement)
}

func ourFacts(t *testing.T, path string) map[string]bool {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	out := map[string]bool{}
	for _, raw := range hl7.SplitMessages(data).Messages() {
		text, _, err := (hl7.CharsetPolicy{}).Decode(raw)
		require.NoError(t, err)
		_, entries, err := convert(string(text), v2tofhir.Options{})
		require.NoError(t, err)
		collect(entries, out)
	}
	return out
}

func factsOf(t *testing.T, path string) map[string]bool {
	b, err := os.ReadFile(path)
	require.NoError(t, err, path)
	var doc struct{ Entry []entry }
	require.NoError(t, json.Unmarshal(b, &doc))
	out := map[string]bool{}
	collect(doc.Entry, out)
	return out
}

func collect(entries []entry, out map[string]bool) {
	for _, e := range entries {
		typ := fmt.Sprint(e.Resource["resourceType"])
		if typ != "Provenance" {
			leaves(e.Resource, typ, out)
		}
	}
}

func leaves(v any, at string, out map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			switch {
			case k == "extension", k == "id", k == "meta", k == "reference", k == "resourceType", strings.HasPrefix(k, "_"):
			default:
				leaves(inner, at+"."+k, out)
			}
		}
	case []any:
		for _, inner := range v {
			leaves(inner, at, out)
		}
	default:
		out[strings.Replace(fmt.Sprintf("%s = %v", at, v), "+00:00", "Z", 1)] = true
	}
}

// TestCorpusOtherConverter measures how much of the Bundles of another converter, whose mapping is
// its own, is in ours: the facts of each resource type.
func TestCorpusOtherConverter(t *testing.T) {
	root := filepath.Join(corpus(t, "hl7v2-to-fhir"), "microsoft+FHIR-Converter")
	messages := filepath.Join(corpus(t, "hl7v2"), "microsoft+FHIR-Converter", "Hl7v2")
	have, want, files := map[string]int{}, map[string]int{}, 0
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		name, expected := strings.CutSuffix(filepath.Base(path), "-expected.json")
		if err != nil || !expected {
			return err
		}
		message := filepath.Join(messages, name+".hl7")
		if _, err := os.Stat(message); err != nil {
			t.Logf("%s: its message is not in the corpus", name)
			return nil
		}
		files++
		ours := ourFacts(t, message)
		for fact := range factsOf(t, path) {
			typ, _, _ := strings.Cut(fact, ".")
			want[typ]++
			if ours[fact] {
				have[typ]++
			}
		}
		return nil
	}))
	require.NotZero(t, files)
	for typ, n := range want {
		t.Logf("%-22s %4d of %4d", typ, have[typ], n)
	}
}
