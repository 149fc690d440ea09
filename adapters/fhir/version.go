package fhir

import (
	"strings"
)

// otherVersions are resource types that other versions of FHIR have and R4 has not, with
// what R4 uses instead.
var otherVersions = map[string]string{
	// Gone since STU3 (FHIR R4 §2.1.19, changes from R3).
	"BodySite": "STU3; in R4 it is BodyStructure", "DataElement": "STU3", "DeviceComponent": "STU3; in R4 it is DeviceDefinition",
	"EligibilityRequest": "STU3; in R4 it is CoverageEligibilityRequest", "EligibilityResponse": "STU3; in R4 it is CoverageEligibilityResponse",
	"ExpansionProfile": "STU3", "ImagingManifest": "STU3", "ProcedureRequest": "STU3; in R4 it is ServiceRequest",
	"ReferralRequest": "STU3; in R4 it is ServiceRequest", "Sequence": "STU3; in R4 it is MolecularSequence", "ServiceDefinition": "STU3",
	"ProcessRequest": "STU3; in R4 it is Task", "ProcessResponse": "STU3; in R4 it is Task",
	"MedicationOrder": "DSTU2; in R4 it is MedicationRequest", "DiagnosticOrder": "DSTU2; in R4 it is ServiceRequest", "Order": "DSTU2", "OrderResponse": "DSTU2",
	// New since R4 (FHIR R4B and R5).
	"ActorDefinition": "R5", "AdministrableProductDefinition": "R4B or R5", "ArtifactAssessment": "R5", "BiologicallyDerivedProductDispense": "R5",
	"Citation": "R4B or R5", "ClinicalUseDefinition": "R4B or R5", "ConditionDefinition": "R5", "DeviceAssociation": "R5", "DeviceDispense": "R5",
	"DeviceUsage": "R5; in R4 it is DeviceUseStatement", "EncounterHistory": "R5", "EvidenceReport": "R4B or R5", "FormularyItem": "R5", "GenomicStudy": "R5",
	"ImagingSelection": "R5", "Ingredient": "R4B or R5", "InventoryItem": "R5", "InventoryReport": "R5", "ManufacturedItemDefinition": "R4B or R5",
	"MedicinalProductDefinition": "R4B or R5", "NutritionIntake": "R5", "NutritionProduct": "R4B or R5", "PackagedProductDefinition": "R4B or R5", "Permission": "R5",
	"RegulatedAuthorization": "R4B or R5", "RequestOrchestration": "R5; in R4 it is RequestGroup", "Requirements": "R5",
	"SubscriptionStatus": "R4B or R5", "SubscriptionTopic": "R4B or R5", "SubstanceDefinition": "R4B or R5", "TestPlan": "R5", "Transport": "R5",
}

// otherElements are elements whose presence tells another version.
var otherElements = map[string]string{
	"Encounter.actualPeriod": "R5; in R4 it is period", "Encounter.subjectStatus": "R5", "Encounter.admission": "R5; in R4 it is hospitalization",
	"Encounter.plannedStartDate": "R5", "Encounter.virtualService": "R5", "MedicationRequest.medication": "R5; in R4 it is medicationCodeableConcept or medicationReference",
	"MedicationStatement.medication": "R5; in R4 it is medicationCodeableConcept or medicationReference", "MedicationDispense.medication": "R5; in R4 it is medicationCodeableConcept or medicationReference",
	"MedicationAdministration.medication": "R5; in R4 it is medicationCodeableConcept or medicationReference", "MedicationAdministration.occurenceDateTime": "R5; in R4 it is effectiveDateTime",
	"Procedure.occurrenceDateTime": "R5; in R4 it is performedDateTime", "Procedure.occurrencePeriod": "R5; in R4 it is performedPeriod",
	"Condition.participant": "R5", "AllergyIntolerance.participant": "R5", "Consent.grantor": "R5; in R4 it is performer", "Consent.subject": "R5; in R4 it is patient",
	"Consent.controller": "R5", "Consent.decision": "R5", "DocumentReference.attester": "R5; in R4 it is authenticator", "DocumentReference.modality": "R5",
	"Composition.url": "R5", "Observation.instantiatesCanonical": "R5", "Observation.triggeredBy": "R5", "Observation.bodyStructure": "R5", "DiagnosticReport.note": "R5",
	"Appointment.subject": "R5", "Appointment.class": "R5", "List.subject[0]": "R5", "Subscription.topic": "R4B or R5; in R4 it is criteria", "Subscription.filterBy": "R5",
	"Patient.animal": "STU3; in R4 it is an extension", "Encounter.incomingReferral": "STU3; in R4 it is basedOn", "MedicationRequest.definition": "STU3",
	"Observation.comment": "STU3; in R4 it is note", "Observation.context": "STU3; in R4 it is encounter", "Observation.related": "STU3; in R4 it is hasMember or derivedFrom",
	"Procedure.notDone": "STU3; in R4 it is status not-done", "Procedure.context": "STU3; in R4 it is encounter", "Condition.context": "STU3; in R4 it is encounter",
	"Condition.assertedDate": "STU3; in R4 it is recordedDate", "Immunization.notGiven": "STU3; in R4 it is status not-done", "Immunization.date": "STU3; in R4 it is occurrenceDateTime",
	"DocumentReference.indexed": "STU3; in R4 it is date", "DocumentReference.class": "STU3; in R4 it is category", "DocumentReference.created": "STU3",
	"DiagnosticReport.context": "STU3; in R4 it is encounter", "DiagnosticReport.image": "STU3; in R4 it is media", "MessageHeader.receiver": "STU3; in R4 it is destination.receiver",
	"MessageHeader.timestamp": "STU3", "AllergyIntolerance.assertedDate": "STU3; in R4 it is recordedDate", "Consent.consentingParty": "STU3; in R4 it is performer",
	"Consent.actor": "STU3; in R4 it is provision.actor", "Consent.period": "STU3; in R4 it is provision.period", "Specimen.treatment": "STU3; in R4 it is processing",
}

// versionOf names the version of FHIR that a profile or version code belongs to, "" for R4
// and for what does not tell.
func versionOf(canonical string) string {
	if !strings.HasPrefix(canonical, "http://hl7.org/fhir/") {
		return ""
	}
	rest := strings.TrimPrefix(canonical, "http://hl7.org/fhir/")
	for prefix, name := range map[string]string{
		"1.0/": "DSTU2", "3.0/": "STU3", "STU3/": "STU3", "4.3/": "R4B", "R4B/": "R4B", "5.0/": "R5", "R5/": "R5",
	} {
		if strings.HasPrefix(rest, prefix) {
			return name
		}
	}
	// Only the base specification carries the version of FHIR behind the bar; guides that are
	// published below hl7.org/fhir have versions of their own.
	if path, version, ok := strings.Cut(rest, "|"); ok && strings.HasPrefix(path, "StructureDefinition/") {
		return VersionName(version)
	}
	return ""
}

// VersionName names the FHIR release of a version number such as 3.0.2 or the name itself,
// "" for R4 and for what is no release.
func VersionName(version string) string {
	for prefix, name := range map[string]string{"0.": "DSTU1", "1.": "DSTU2", "3.": "STU3", "4.1": "R4B", "4.3": "R4B", "4.2": "R5", "4.4": "R5", "4.5": "R5", "4.6": "R5", "5.": "R5", "6.": "R6"} {
		if strings.HasPrefix(version, prefix) {
			return name
		}
	}
	return ""
}

// foreign returns an issue if the resource tells that it is of another version.
func foreign(n *Node, path string) (Issue, bool) {
	refuse := func(at, what string) (Issue, bool) {
		return Issue{Severity: Error, Code: CodeNotSupported, Expression: at,
			Diagnostics: what + "; this server takes FHIR R4 (4.0.1) only: convert the resource before sending it"}, true
	}
	kind := n.Get("resourceType").Str()
	if v, ok := otherVersions[kind]; ok {
		return refuse(path, "resource type of FHIR "+v)
	}
	for i, p := range n.At("meta", "profile").List() {
		if v := versionOf(p.Str()); v != "" {
			return refuse(indexed(path+".meta.profile", i), "profile of FHIR "+v)
		}
	}
	if v := n.Get("fhirVersion").Str(); kind == "CapabilityStatement" && VersionName(v) != "" {
		return refuse(path+".fhirVersion", "a statement about FHIR "+VersionName(v))
	}
	return Issue{}, false
}
