package fhir

import (
	"github.com/emrbridge/emrbridge/adapters/fhir"
	"github.com/emrbridge/emrbridge/adapters/fhir/schema"
	"github.com/emrbridge/emrbridge/desensitize"
	"github.com/emrbridge/emrbridge/desensitize/fhir/path"
)

// Effect says how an action works.
type Effect uint8

// Effects.
const (
	Keeps    Effect = iota // values stay as they are
	Removes                // values go, with all that is in them
	Changes                // each primitive value is changed by Change
	Replaces               // complex values are replaced by Replacement, primitives by Change
)

// Action is what a rule does. It is safe for concurrent use.
type Action interface {
	Effect() Effect
	// Change returns what becomes of a primitive value.
	Change(c *Call) (Outcome, error)
	// Replacement is what takes the place of a complex value, nil for actions that do not
	// replace.
	Replacement() *fhir.Node
}

// Call is a primitive value for an action.
type Call struct {
	Session *desensitize.Session
	// Element is what the schema says of the value.
	Element *schema.Element
	// Type is what the value is, as far as the structure tells.
	Type desensitize.Type
	// Text is the value: of a string its text, else its digits or word.
	Text string
	// Item and Resource are for expressions.
	Item, Resource path.Item
	// Owner is the object that holds the value; its type is OwnerType.
	Owner     *fhir.Node
	OwnerType *schema.Type

	w *walk
}

// Path is the path of the value without indexes.
func (c *Call) Path() string { return c.w.path() }

// Outcome is what becomes of a primitive value.
type Outcome struct {
	Text    string
	Removed bool
	// Method is what was done, for the labels of the resource; Keep if nothing.
	Method desensitize.Method
}

// classify says what the values of an element are.
func classify(owner *schema.Type, e *schema.Element) desensitize.Type {
	if t, ok := byElement[owner.Name+"."+e.Name]; ok {
		return t
	}
	if t, ok := byOwner[owner.Name]; ok && (e.Primitive == "string" || e.Primitive == "uri") {
		return t
	}
	switch e.Primitive {
	case "date", "dateTime", "instant":
		return desensitize.Date
	case "string", "markdown", "xhtml":
		return desensitize.Text
	case "code", "oid", "uuid", "canonical", "uri":
		return desensitize.Coded
	case "url":
		return desensitize.URL
	case "id":
		return desensitize.Reference
	case "decimal", "integer", "positiveInt", "unsignedInt":
		return desensitize.Quantity
	case "base64Binary":
		return desensitize.Attachment
	}
	return desensitize.Other
}

var byOwner = map[string]desensitize.Type{
	"HumanName": desensitize.Name, "Address": desensitize.Address, "ContactPoint": desensitize.Phone,
}

var byElement = map[string]desensitize.Type{
	"Address.postalCode": desensitize.Postcode, "Patient.birthDate": desensitize.BirthDate, "Person.birthDate": desensitize.BirthDate,
	"RelatedPerson.birthDate": desensitize.BirthDate, "Practitioner.birthDate": desensitize.BirthDate,
	"FamilyMemberHistory.bornDate": desensitize.BirthDate, "FamilyMemberHistory.name": desensitize.Name,
	"Age.value": desensitize.Age, "Identifier.value": desensitize.OtherID, "Reference.reference": desensitize.Reference,
	"Reference.display": desensitize.Name, "Organization.name": desensitize.Hospital, "Organization.alias": desensitize.Hospital,
	"Location.name": desensitize.Ward, "Location.alias": desensitize.Ward, "Annotation.authorString": desensitize.Name,
	"Bundle.Entry.fullUrl": desensitize.Reference, "Bundle.Entry.Request.url": desensitize.Reference,
	"Bundle.Entry.Response.location": desensitize.Reference, "Quantity.unit": desensitize.Coded, "Age.unit": desensitize.Coded,
	"Coding.display": desensitize.Coded, "Coding.version": desensitize.Coded, "CodeableConcept.text": desensitize.Coded,
	"Device.serialNumber": desensitize.Device, "Device.lotNumber": desensitize.Device, "Device.distinctIdentifier": desensitize.Device,
	"Coverage.subscriberId": desensitize.InsuranceNo, "Coverage.dependent": desensitize.InsuranceNo,
	"AuditEvent.Agent.Network.address": desensitize.IP,
}
