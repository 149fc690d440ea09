// Package cda de-identifies clinical documents of CDA R2: the shared documents of WS/T
// 500-2016 with their local extensions, C-CDA and others, under the policy of a job (package
// desensitize).
//
// The document is read with package safexml and written anew: comments, processing
// instructions, style sheets, schema locations and namespace prefixes of the sender do not
// survive. Elements and attributes that neither CDA R2 nor WS/T 500 nor the sdtc extension of
// C-CDA has are dropped. The result is UTF-8, with the elements of the document in their
// order: what is redacted leaves its element behind with the null flavor MSK (masked, HL7
// NullFlavor), so that a document that fits the schema still does.
//
// # Selectors
//
//	recordTarget/patientRole/addr   the element at this path below ClinicalDocument
//	//assignedPerson/name           elements whose path ends so; * stands for one step
//	birthTime                       every element of the name
//	*.II  patient.PN                elements of a data type, of a data type below an element
//	*[id-card]                      values that are identifiers of a type
//	*                               every element with a value
//
// Data types are II, CD (with CE, CV, CS), TS (with its intervals), TEL, AD, PN (names of
// persons), ON (names of organisations), EN (other names), ST, ED, NARRATIVE (section/text), PQ
// (and other quantities), BL, AGE, OID (templateId, typeId) and INT. The first rule that
// selects a value, or an element around it, decides.
//
// Conditions (see [desensitize.Condition]) name attributes of the element (@root, @use) and of
// elements around it (../@classCode, ../../@typeCode).
package cda
