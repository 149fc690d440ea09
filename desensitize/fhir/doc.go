// Package fhir de-identifies FHIR R4 resources and Bundles in JSON, one at a time or as a
// stream of lines (NDJSON).
//
// Rules select values by
//
//   - paths from a resource type: Patient.name, Observation.component.value (every type of a
//     choice), Condition.onset as Age; Resource stands for every type;
//   - nodesByType('HumanName'): every value of a data type, wherever it stands, and
//     nodesByName('display'): every value of a name; both may stand behind a path and before
//     one: Patient.nodesByType('Address').city;
//   - where(…) behind any step, with conditions in FHIRPath (see package path).
//
// The first rule that selects a value, or anything that it is part of, decides. Nested
// resources (contained, entries of a Bundle) are selected as resources of their own; of a rule
// that selects what holds them only a removal reaches them.
//
// The output is valid FHIR R4 where the input was: what is required and removed becomes a
// data-absent-reason, contained resources that nothing refers to any more go, references, ids
// and full URLs change together, and meta.security says what was done (codes of
// http://terminology.hl7.org/CodeSystem/v3-ObservationValue). Properties that FHIR does not
// know are dropped. An element whose modifierExtension would be dropped goes as a whole,
// because without it the element could mean something else (FHIR R4 §2.4.1.2).
package fhir
