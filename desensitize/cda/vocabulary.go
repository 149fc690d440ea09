package cda

import "strings"

// Namespaces that an output document may use. Elements of others are dropped.
const (
	hl7Space  = "urn:hl7-org:v3"
	sdtcSpace = "urn:hl7-org:sdtc"
	xsiSpace  = "http://www.w3.org/2001/XMLSchema-instance"
	xmlSpace  = "http://www.w3.org/XML/1998/namespace"
)

// kind says what an element is: a data type of HL7 v3 (CDA R2, datatypes.xsd) or a part of
// the structure.
type kind uint8

const (
	unknown    kind = iota // not of CDA R2, WS/T 500-2016 or the sdtc extension
	structure              // holds other elements
	structOID              // templateId, typeId: names what the element is, not whom it is about
	identifier             // II
	coded                  // CD, CE, CV, CS
	timed                  // TS, IVL_TS, PIVL_TS, EIVL_TS
	telecom                // TEL
	address                // AD
	name                   // PN, ON, EN, TN
	text                   // ST, or text of any other element
	data                   // ED
	narrative              // StrucDoc.Text and what is in it
	quantity               // PQ, INT, REAL, MO, RTO and their intervals
	flag                   // BL
	age                    // age of the patient, local to WS/T 500
	anyType                // the type is in xsi:type
	version                // versionNumber
)

// typeNames are the names under which policies select elements by type.
var typeNames = map[kind]string{
	identifier: "II", coded: "CD", timed: "TS", telecom: "TEL", address: "AD", name: "PN", text: "ST", data: "ED",
	narrative: "NARRATIVE", quantity: "PQ", flag: "BL", age: "AGE", structOID: "OID", version: "INT",
}

// vocabulary lists the elements by kind: CDA R2 (POCD_MT000040), the local extensions of
// WS/T 500-2016, and those of the sdtc namespace that C-CDA 2.1 uses.
var vocabulary = map[kind]string{
	structure: `ClinicalDocument recordTarget patientRole patient providerOrganization guardian guardianPerson guardianOrganization
		birthplace place languageCommunication author assignedAuthor assignedPerson assignedAuthoringDevice representedOrganization
		asMaintainedEntity maintainingPerson asOrganizationPartOf wholeOrganization dataEnterer assignedEntity informant relatedEntity
		relatedPerson custodian assignedCustodian representedCustodianOrganization informationRecipient intendedRecipient
		receivedOrganization legalAuthenticator authenticator participant associatedEntity associatedPerson scopingOrganization
		inFulfillmentOf order documentationOf serviceEvent performer relatedDocument parentDocument authorization consent componentOf
		encompassingEncounter responsibleParty encounterParticipant location healthCareFacility serviceProviderOrganization component
		nonXMLBody structuredBody section entry subject relatedSubject act encounter observation observationMedia organizer procedure
		regionOfInterest substanceAdministration supply specimen specimenRole specimenPlayingEntity participantRole playingDevice
		playingEntity scopingEntity entryRelationship reference referenceRange observationRange externalAct externalObservation
		externalProcedure externalDocument precondition criterion consumable manufacturedProduct manufacturedLabeledDrug
		manufacturedMaterial manufacturerOrganization product productOf household nativePlace employerOrganization educationLevel
		occupation professionalTechnicalPosition asPatientRelationship inFulfillmentOf1 precondition2`,
	structOID:  `templateId typeId`,
	identifier: `id setId`,
	coded: `realmCode code confidentialityCode languageCode administrativeGenderCode maritalStatusCode religiousAffiliationCode raceCode
		ethnicGroupCode modeCode proficiencyLevelCode functionCode signatureCode standardIndustryClassCode statusCode
		dischargeDispositionCode admissionReferralSourceCode priorityCode interpretationCode uncertaintyCode methodCode targetSiteCode approachSiteCode
		routeCode administrationUnitCode nationality educationLevelCode occupationCode professionaltechnicalpositionCode
		professionalTechnicalPositionCode translation qualifier formCode event`,
	timed:     `birthTime effectiveTime time deceasedTime activityTime availabilityTime expectedUseTime copyTime existenceTime expirationTime`,
	telecom:   `telecom`,
	address:   `addr`,
	name:      `name`,
	text:      `title derivationExpr lotNumberText softwareName manufacturerModelName desc originalText signatureText`,
	data:      `text thumbnail`,
	quantity:  `doseQuantity rateQuantity maxDoseQuantity quantity repeatNumber sequenceNumber multipleBirthOrderNumber period width`,
	flag:      `independentInd negationInd seperatableInd preferenceInd deceasedInd multipleBirthInd`,
	age:       `age`,
	anyType:   `value`,
	version:   `versionNumber`,
	narrative: `paragraph br list item table thead tbody tfoot tr td th col colgroup caption content sub sup footnote footnoteRef linkHtml renderMultiMedia`,
}

var kinds = func() map[string]kind {
	out := map[string]kind{}
	for k, names := range vocabulary {
		for _, n := range strings.Fields(names) {
			out[n] = k
		}
	}
	return out
}()

// valueKinds gives the kind of a value by its xsi:type.
var valueKinds = func() map[string]kind {
	out := map[string]kind{}
	for k, names := range map[kind]string{
		coded:      `CD CE CO CR CS CV BAG_CE GLIST_CE HXIT_CE SC SXCM_CD BXIT_CD`,
		timed:      `TS IVL_TS PIVL_TS EIVL_TS SXCM_TS IVXB_TS PPD_TS IVL_PPD_TS PIVL_PPD_TS EIVL_PPD_TS SXPR_TS UVP_TS GLIST_TS SLIST_TS`,
		quantity:   `PQ INT REAL MO RTO IVL_PQ IVL_INT IVL_REAL IVL_MO PQR QTY PPD_PQ RTO_PQ_PQ RTO_MO_PQ RTO_QTY_QTY IVXB_PQ IVXB_INT IVXB_REAL IVXB_MO SXCM_PQ SXCM_INT SXCM_REAL SXCM_MO IVL_PPD_PQ GLIST_PQ SLIST_PQ HXIT_PQ BXIT_IVL_PQ`,
		identifier: `II`, telecom: `TEL URL`, address: `AD ADXP`, name: `EN PN ON TN ENXP`, text: `ST`, data: `ED`, flag: `BL BN`,
	} {
		for _, n := range strings.Fields(names) {
			out[n] = k
		}
	}
	return out
}()
