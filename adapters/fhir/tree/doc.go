// Package tree builds FHIR R4 resources as ordered JSON trees and puts them into Bundles.
//
// It knows the shape of FHIR JSON (FHIR R4 §2.6.2) and nothing of any resource type: empty
// members are left out, because FHIR forbids empty strings, objects and lists, so that
// mappings can set whatever a source may or may not hold. Ids are derived from names, so
// that the same source gives the same bytes.
//
// Values are not safe for concurrent use while they are being built. Nothing here logs.
package tree
